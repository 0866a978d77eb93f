package verify_test

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4/json"
	"github.com/google/go-cmp/cmp"

	"chatpass/verify"
)

// FuzzJSON holds the decoder against go-jose's, which is that of the standard library with distinct names.
func FuzzJSON(f *testing.F) {
	for _, text := range []string{
		`{}`, `{"a":1}`, ` {}`, "{}\n\t ", `{"a":1,}`, `{"a":1}{}`, `{"a":[1,2,{"b":null}],"c":true,"d":false}`, `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `[]`, ``, `null`,
		`{"a":-0}`, `{"a":-0.5e+10}`, `{"a":01}`, `{"a":1.}`, `{"a":.5}`, `{"a":1e}`, `{"a":1e400}`, `{"a":-}`, `{"a":+1}`, `{"a":0x1}`, `{"a":1_0}`, `{"a":Infinity}`, `{"a":1e-400}`,
		`{"a":"\n\u00e9\ud83d\ude00\ud83d"}`, `{"a":"\x"}`, `{"a":"\u12"}`, `{"a":"` + "\t" + `"}`, `{"a":"` + "\xff" + `"}`, `{"a":"\"}`, `{"a":tru}`, `{"a":truex}`, `{"a" 1}`, `{"a":}`,
		`{"a":[1 2]}`, `{"a":[1,]}`, `{"a":[}`, `{a:1}`, `{'a':1}`, `{"a":1//x` + "\n}", "{\"a\":1\v}", `{"a"`, `{"a":"b`, `{"a":[`, `{`, `{,}`, "\ufeff{}", `{"":""}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if bytes.Count(raw, []byte("["))+bytes.Count(raw, []byte("{")) > 1000 {
			return // go-jose goes deeper
		}
		var want map[string]any
		err := json.Unmarshal(raw, &want)
		got, ok := verify.ReadObject(raw)
		if strict := len(raw) > 0 && raw[0] == '{' && utf8.Valid(raw); ok != (err == nil && strict) {
			t.Fatalf("%q: read %v, go-jose says %v", raw, ok, err)
		}
		if diff := cmp.Diff(want, got); ok && diff != "" {
			t.Errorf("%q: %s", raw, diff)
		}
	})
}

func TestNestingIsBounded(t *testing.T) {
	for arrays, want := range map[string]bool{
		strings.Repeat("[", 999) + strings.Repeat("]", 999):             true, // in an object
		strings.Repeat("[", 1000) + strings.Repeat("]", 1000):           false,
		"[" + strings.Repeat("[],", 2000) + "[]]":                       true,
		strings.Repeat("[", 1<<19) + strings.Repeat("]", 1<<19):         false,
		strings.Repeat(`{"a":`, 1000) + "1" + strings.Repeat("}", 1000): false,
	} {
		if _, ok := verify.ReadObject([]byte(`{"a":` + arrays + `}`)); ok != want {
			t.Errorf("%.20s… of %d bytes: read %v, want %v", arrays, len(arrays), ok, want)
		}
	}
}
