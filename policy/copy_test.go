package policy_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"chatpass/identity"
	"chatpass/policy"
)

func short(m policy.Mapping) policy.Source {
	return policy.Source{Claims: map[string]policy.Mapping{"x": m}}
}

func holding(claims map[string]any) policy.Input {
	return policy.Input{Identity: identity.Identity{Claims: claims}}
}

func TestShortFormKeepsWhatBeginsWithItsPrefix(t *testing.T) {
	groups := []any{"chat-vip", "staff", "chat-", "CHAT-b", "chat-chat-c"}
	tests := []struct {
		name  string
		m     policy.Mapping
		claim any
		want  any
	}{
		{"whole list", policy.Mapping{From: "g"}, groups, groups},
		{"prefix", policy.Mapping{From: "g", Prefix: "chat-"}, groups, []any{"chat-vip", "chat-", "chat-chat-c"}},
		{"stripped", policy.Mapping{From: "g", Prefix: "chat-", Strip: true}, groups, []any{"vip", "", "chat-c"}},
		{"nothing kept is an empty list", policy.Mapping{From: "g", Prefix: "x-"}, groups, []any{}},
		{"empty list", policy.Mapping{From: "g"}, []any{}, []any{}},
		{"string", policy.Mapping{From: "g"}, "gold", "gold"},
		{"string with the prefix", policy.Mapping{From: "g", Prefix: "chat-", Strip: true}, "chat-gold", "gold"},
		{"empty string", policy.Mapping{From: "g"}, "", ""},
	}
	for _, test := range tests {
		got, err := compile(t, short(test.m)).Claims(t.Context(), holding(map[string]any{"g": test.claim}))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if diff := cmp.Diff(map[string]any{"x": test.want}, got); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}
}

// What is missing or of another type is a refusal; it is never a claim that just is not there.
func TestShortFormNeverLosesAClaim(t *testing.T) {
	const any1, prefixed = "claims.x: a string or a list of strings in the claim g", `claims.x: a string that begins with "chat-", or a list of strings, in the claim g`
	tests := []struct {
		prefix             string
		claims             map[string]any
		measured, required string
	}{
		{"", nil, "no claim g", any1},
		{"chat-", map[string]any{"G": "chat-a"}, "no claim g", prefixed},
		{"", map[string]any{"g": nil}, "null", any1},
		{"", map[string]any{"g": 3.0}, "a number", any1},
		{"", map[string]any{"g": true}, "a boolean", any1},
		{"", map[string]any{"g": map[string]any{"a": secret}}, "an object", any1},
		{"", map[string]any{"g": []any{"a", nil}}, "null as element 2 of the list", any1},
		{"chat-", map[string]any{"g": []any{[]any{"chat-a"}}}, "a list as element 1 of the list", prefixed},
		{"chat-", map[string]any{"g": secret}, "a string that begins otherwise", prefixed},
		{"", map[string]any{"g": "\xe9"}, "a string that is not UTF-8", any1},
		{"", map[string]any{"g": []any{"a", "\xe9"}}, "a string that is not UTF-8", any1},
		{"", map[string]any{"g": strings.Repeat("a", 64<<10+1)}, "too large", any1},
	}
	for _, test := range tests {
		got, err := compile(t, short(policy.Mapping{From: "g", Prefix: test.prefix})).Claims(t.Context(), holding(test.claims))
		if got != nil {
			t.Errorf("%v: got claims %v beside an error", test.claims, got)
		}
		wantRejection(t, err, identity.MappingFailed, test.measured, test.required)
	}
}

func TestShortFormFaultsAreTold(t *testing.T) {
	_, err := policy.Compile(policy.Source{Claims: map[string]policy.Mapping{
		"a": {From: "g", Strip: true}, "b": {From: "g", Expr: "claims.g"}, "sub": {From: "g"}, "d": {Prefix: "x"},
	}})
	want := policy.Faults{
		{Path: "claims.a", Message: "strip has no prefix to remove", Remedy: "add prefix, or leave strip out"},
		{Path: "claims.b", Message: "has both an expression and the short form", Remedy: "keep one of them"},
		{Path: "claims.d", Message: "the rule is empty"},
		{Path: "claims.sub", Message: "this claim is ours to set", Remedy: "choose another name"},
	}
	faults, _ := errors.AsType[policy.Faults](err)
	for i := range faults {
		if faults[i].Path == "claims.d" {
			faults[i].Remedy = "" // that of expressions
		}
	}
	if diff := cmp.Diff(want, faults); diff != "" {
		t.Error(diff)
	}
}

// FuzzShortForm: whatever a claim holds, the short form yields strings that begin with its prefix, or
// CP-305.
func FuzzShortForm(f *testing.F) {
	for _, seed := range []string{`{"g":["chat-a","b"]}`, `{"g":"chat-a"}`, `{"g":null}`, `{"g":[null]}`, `{"g":{"g":[]}}`, `{"G":[]}`, `{"g":["\ud800"]}`} {
		f.Add(seed, "chat-", true)
		f.Add(seed, "", false)
	}
	f.Fuzz(func(t *testing.T, claims, prefix string, strip bool) {
		rules, err := policy.Compile(short(policy.Mapping{From: "g", Prefix: prefix, Strip: strip}))
		if err != nil {
			if !strip || prefix != "" {
				t.Fatal(err)
			}
			return
		}
		var in policy.Input
		_ = json.Unmarshal([]byte(claims), &in.Identity.Claims)
		got, err := rules.Claims(t.Context(), in)
		if err != nil {
			if rejection, ok := errors.AsType[*identity.Rejection](err); !ok || rejection.Code != identity.MappingFailed {
				t.Fatalf("got %v, want CP-305", err)
			}
			return
		}
		values, isList := got["x"].([]any)
		if !isList {
			values = []any{got["x"]}
		}
		for _, value := range values {
			if text, ok := value.(string); !ok || !strip && !strings.HasPrefix(text, prefix) {
				t.Fatalf("got %#v", value)
			}
		}
	})
}
