package policy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"chatpass/policy"
)

func TestFaultSaysWhereWhatAndWhatInstead(t *testing.T) {
	tests := []struct {
		name string
		src  policy.Source
		want string // "path:line:column: " and a part of message and remedy each, after " | "
	}{
		{"syntax", policy.Source{Admit: "has(claims.email"}, "admit:1:17: | Syntax error | write one CEL expression"},
		{"unknown variable", policy.Source{Admit: "clams.vip"}, "admit:1:1: | undeclared reference to 'clams' | a claim is claims.NAME"},
		{"a name with a dot before it", claim(".name"), "claims.x:1:2: | undeclared reference to '.name' | a claim is claims.NAME"},
		{"newline in a text", claim("'a\nb'"), "claims.x:1:1: | Syntax error | write one CEL expression"},
		{"forgotten quotes", claim("claims.vip ? gold : 'x'"), "claims.x:1:14: | undeclared reference to 'gold' | a text is quoted"},
		{"misspelt field", policy.Source{Admit: "identity.isuer == 'x'"}, "admit:1:9: | undefined field 'isuer' | identity has acr, amr, auth_time, client"},
		{"misspelt field, optional", policy.Source{Admit: "identity.?isuer.hasValue()"}, "admit:1:9: | undefined field 'isuer' | identity has acr"},
		{"field of a text", policy.Source{Admit: "identity.issuer.host == 'x'"}, "admit:1:16: | does not support field selection | only claims, identity, client, request and maps have fields"},
		{"misspelt field in has", policy.Source{Admit: "has(request.origine)"}, "admit:1:4: | undefined field 'origine' | request has audience, conversation, origin, scope"},
		{"misspelt client field", policy.Source{Admit: "client.kind == 'x'"}, "admit:1:7: | undefined field 'kind' | client has app, id, type"},
		{"a made-up identity", policy.Source{Admit: "identity{issuer: 'x'}.issuer == 'x'"}, "admit:1:9: | undeclared reference to 'identity' | may stand here"},
		{"a made-up identity by its type", policy.Source{Admit: "@identity{issuer: 'x'}.issuer == 'x'"}, "admit:1:1: | Syntax error | write one CEL expression"},
		{"second line", policy.Source{Admit: "claims.vip &&\n  identity.x == 'é'"}, "admit:2:11: | undefined field 'x' | identity has"},
		{"columns count characters", policy.Source{Admit: "claims.name == 'é€' && foo"}, "admit:1:24: | undeclared reference to 'foo' | variables"},
		{"wrong type", claim("identity.issuer + 1"), "claims.x:1:17: | no matching overload | string(), int(), double()"},
		{"unknown function", claim("claims.name.shout()"), "claims.x:1:18: | undeclared reference to 'shout' | function or operator"},
		{"admit yields a string", policy.Source{Admit: "identity.issuer"}, "admit:1:1: | yields string | write a condition"},
		{"admit yields null", policy.Source{Admit: "null"}, "admit:1:1: | yields null | write a condition"},
		{"admit yields all claims", policy.Source{Admit: "claims"}, "admit:1:1: | yields map(string, dyn) | write a condition"},
		{"admit yields an optional", policy.Source{Admit: "claims.?vip"}, "admit:1:1: | yields optional_type | write a condition"},
		{"subject yields an int", policy.Source{Subject: "1"}, "subject:1:1: | yields int | a subject is a string"},
		{"claim yields bytes", claim("b'a'"), "claims.x:1:1: | yields bytes | string"},
		{"claim yields a duration", claim("identity.expires - identity.issued_at"), "claims.x:1:1: | yields google.protobuf.Duration | string"},
		{"claim yields a list of optionals", claim("[claims.?a]"), "claims.x:1:1: | yields list(optional_type | string"},
		{"claim yields a map of ints", claim("{1: 'a'}"), "claims.x:1:1: | yields map(int, string) | string keys"},
		{"claim yields the identity", claim("identity"), "claims.x:1:1: | yields identity | string"},
		{"claim yields all claims", claim(" claims "), "claims.x:1:1: | copies everything that the issuer says | such as claims.name"},
		{"claim yields all claims, in brackets", claim("(claims) // all"), "claims.x:1:1: | copies everything that the issuer says | such as claims.name"},
		{"claim yields a type", claim("type(1)"), "claims.x:1:1: | yields type | string"},
		{"bad pattern", policy.Source{Admit: "claims.name.matches('(')"}, "admit:1:21: | invalid matches argument | may stand here"},
		{"huge pattern", policy.Source{Admit: "claims.name.matches('" + strings.Repeat("a?", 600) + "')"}, "admit:1:21: | exceeds limit | may stand here"},
		{"bad timestamp", policy.Source{Admit: "identity.expires < timestamp('tomorrow')"}, "admit:1:30: | invalid timestamp argument | may stand here"},
		{"cubic", claim("claims.a.map(x, claims.a.map(y, claims.a.map(z, x + y + z)))"), "claims.x:1:1: | costs up to | fewer loops"},
		{"too long", policy.Source{Admit: strings.Repeat("true || ", 600) + "true"}, "admit:1:1: | exceeds limit | write one CEL expression"},
		{"too deep", policy.Source{Admit: strings.Repeat("(", 400) + "true" + strings.Repeat(")", 400)}, "admit:1:1: | recursion limit | write one CEL expression"},
		{"reserved word", claim("namespace"), "claims.x:1:1: | reserved identifier | write one CEL expression"},
		{"empty", claim(""), "claims.x: | the rule is empty | write one CEL expression"},
		{"blank", policy.Source{Subject: " \n"}, "subject: | the rule is empty | write one CEL expression"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := policy.Compile(test.src)
			faults, ok := errors.AsType[policy.Faults](err)
			if !ok {
				t.Fatalf("got %v, want faults", err)
			}
			at, rest, _ := strings.Cut(test.want, " | ")
			message, remedy, _ := strings.Cut(rest, " | ")
			line := faults[0].String()
			if !strings.HasPrefix(line, at) || !strings.Contains(faults[0].Message, message) || !strings.Contains(faults[0].Remedy, remedy) {
				t.Errorf("got  %s\nwant %s", line, test.want)
			}
			if strings.Contains(line, "\n") {
				t.Errorf("more than a line: %q", line)
			}
		})
	}
}

func TestEveryFaultIsReportedAtOnce(t *testing.T) {
	_, err := policy.Compile(policy.Source{
		Admit:   "foo && identity.bar == baz",
		Subject: "1",
		Claims: map[string]policy.Mapping{
			"sub": {Expr: "claims.name"}, "1st": {Expr: "claims.name"}, "ok": {Expr: "claims.name"}, "bad": {Expr: "1 +"},
		},
	})
	faults, ok := errors.AsType[policy.Faults](err)
	if !ok {
		t.Fatalf("got %v, want faults", err)
	}
	var paths []string
	for _, f := range faults {
		paths = append(paths, f.Path)
	}
	want := []string{"admit", "admit", "admit", "claims.1st", "claims.bad", "claims.sub", "subject"}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Errorf("%s\n%v", diff, err)
	}
	if lines := strings.Split(err.Error(), "\n"); len(lines) != len(faults) {
		t.Errorf("got %d lines for %d faults", len(lines), len(faults))
	}
}

func TestReservedClaimsCannotBeMapped(t *testing.T) {
	reserved := strings.Fields(`iss sub aud exp nbf iat jti act may_act cnf client_id scope sid status chat
		auth_time acr amr idp azp nonce at_hash c_hash events sub_id txn`)
	for _, name := range reserved {
		_, err := policy.Compile(policy.Source{Claims: map[string]policy.Mapping{name: {Expr: "claims.name"}}})
		if faults, ok := errors.AsType[policy.Faults](err); !ok || faults[0].Message != "this claim is ours to set" {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestClaimNames(t *testing.T) {
	tests := map[string]bool{
		"name": true, "_x": true, "https://example.com/roles": true, "urn:a:b-c.d": true, strings.Repeat("a", 64): true,
		"": false, "1a": false, "a b": false, "a\"b": false, "a\n": false, "é": false, "-a": false, strings.Repeat("a", 65): false,
	}
	for name, want := range tests {
		_, err := policy.Compile(policy.Source{Claims: map[string]policy.Mapping{name: {Expr: "claims.name"}}})
		if (err == nil) != want {
			t.Errorf("%q: got %v, want allowed %v", name, err, want)
		}
	}
}
