package strict_test

import (
	stdjson "encoding/json"
	"errors"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4/json"
	"github.com/google/go-cmp/cmp"

	"chatpass/jwks/strict"
)

const depth = 32

// FuzzObject holds the decoder against go-jose's, which is that of the standard library with distinct names.
func FuzzObject(f *testing.F) {
	for _, text := range []string{
		`{}`, `{"a":1}`, ` {}`, "{}\n\t ", `{"a":1,}`, `{"a":1}{}`, `{"a":[1,2,{"b":null}],"c":true,"d":false}`, `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `[]`, ``, `null`,
		`{"a":-0}`, `{"a":-0.5e+10}`, `{"a":01}`, `{"a":1.}`, `{"a":.5}`, `{"a":1e}`, `{"a":1e400}`, `{"a":-}`, `{"a":+1}`, `{"a":0x1}`, `{"a":1_0}`, `{"a":Infinity}`, `{"a":1e-400}`,
		`{"a":"\n\u00e9\ud83d\ude00\ud83d"}`, `{"a":"\x"}`, `{"a":"\u12"}`, `{"a":"` + "\t" + `"}`, `{"a":"` + "\xff" + `"}`, `{"a":"\"}`, `{"a":tru}`, `{"a":truex}`, `{"a" 1}`, `{"a":}`,
		`{"a":[1 2]}`, `{"a":[1,]}`, `{"a":[}`, `{a:1}`, `{'a':1}`, `{"a":1//x` + "\n}", "{\"a\":1\v}", `{"a"`, `{"a":"b`, `{"a":[`, `{`, `{,}`, "\ufeff{}", `{"":""}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var want map[string]any
		err := json.Unmarshal(raw, &want)
		got, refused := strict.Object(raw, depth)
		if errors.Is(refused, strict.ErrDepth) {
			return // go-jose goes deeper
		}
		if isObject := len(raw) > 0 && raw[0] == '{' && utf8.Valid(raw); (refused == nil) != (err == nil && isObject) {
			t.Fatalf("%q: %v, go-jose says %v", raw, refused, err)
		}
		if diff := cmp.Diff(want, got); refused == nil && diff != "" {
			t.Errorf("%q: %s", raw, diff)
		}
	})
}

func TestNestingIsBounded(t *testing.T) {
	for text, want := range map[string]error{
		strings.Repeat("[", depth-1) + strings.Repeat("]", depth-1):       nil, // in an object
		strings.Repeat("[", depth) + strings.Repeat("]", depth):           strict.ErrDepth,
		"[" + strings.Repeat("[],{},", 2000) + "[]]":                      nil,
		strings.Repeat("[", 1<<19) + strings.Repeat("]", 1<<19):           strict.ErrDepth,
		strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth): strict.ErrDepth,
	} {
		if _, err := strict.Object([]byte(`{"a":`+text+`}`), depth); err != want {
			t.Errorf("%.20s… of %d bytes: got %v, want %v", text, len(text), err, want)
		}
	}
}

// A token of 16 KiB may hold thousands of empty objects.
func TestATextOfBracketsSetsLittleAside(t *testing.T) {
	text := []byte(`{"a":[` + strings.Repeat("{},", 5000) + `{}]}`)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := strict.Object(text, depth); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 64*uint64(len(text)) {
		t.Errorf("%d bytes for a text of %d", took, len(text))
	}
}

func TestARefusalSaysWhatIsAtFault(t *testing.T) {
	for text, want := range map[string]error{
		`{"a":1,"b":{"a":1}}`:         nil,
		`{"a":1,"A":1}`:               nil, // whoever folds case must look for itself
		`{"a":1,"a":1}`:               strict.ErrRepeated,
		`{"a":1,"\u0061":1}`:          strict.ErrRepeated,
		`{"a":[{"b":{"c":1,"c":1}}]}`: strict.ErrRepeated,
		`{"a":1,"a"}`:                 strict.ErrSyntax,
		`{"a":1} {"a":1}`:             strict.ErrSyntax,
		`[{"a":1}]`:                   strict.ErrSyntax,
		`{"a":1e400}`:                 strict.ErrSyntax,
		"{\"a\":\"\xff\"}":            strict.ErrSyntax,
	} {
		if _, err := strict.Object([]byte(text), depth); err != want {
			t.Errorf("%s: got %v, want %v", text, err, want)
		}
	}
}

// BenchmarkObject compares the reader with those that it takes the place of.
func BenchmarkObject(b *testing.B) {
	payload := []byte(`{"iss":"https://idp.example","sub":"248289761001","aud":"shop","exp":1790000300,"iat":1790000000,` +
		`"auth_time":1789999000,"nonce":"n-0S6_WzA2Mj","email":"ada@shop.example","email_verified":true,"groups":["chat-agents","staff"]}`)
	for name, read := range map[string]func() error{
		"strict":        func() error { _, err := strict.Object(payload, depth); return err },
		"go-jose":       func() error { var v any; return json.Unmarshal(payload, &v) },
		"encoding/json": func() error { var v any; return stdjson.Unmarshal(payload, &v) }, // which takes the last of two
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := read(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
