package policy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"github.com/google/go-cmp/cmp"

	"chatpass/identity"
	"chatpass/policy"
)

// secret stands for whatever personal thing a claim holds; it must never be in an error.
const secret = "alice@example.com"

func input() policy.Input {
	return policy.Input{
		Identity: identity.Identity{
			IDP: "corp", Issuer: "https://login.example.com", Subject: "u1", Client: "shop-web",
			AMR:      []string{"pwd", "otp"},
			IssuedAt: time.Unix(1_700_000_000, 0), Expires: time.Unix(1_700_000_300, 0),
			Claims: map[string]any{
				"email": secret, "name": "Alice", "level": 3.0, "vip": true, "none": nil,
				"groups":  []any{"staff", "gold"},
				"address": map[string]any{"country": "NL", "lines": []any{"a", "b"}},
				"nan":     math.NaN(), "latin1": "\xe9", "odd": make(chan int),
			},
		},
		Client:  map[string]any{"id": "support-web", "type": "browser", "app": "support"},
		Request: map[string]any{"audience": []string{"https://api.example.com"}, "scope": []string{"chat:read"}, "origin": ""},
	}
}

func compile(t testing.TB, src policy.Source) *policy.Rules {
	t.Helper()
	rules, err := policy.Compile(src)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func claim(expr string) policy.Source {
	return policy.Source{Claims: map[string]policy.Mapping{"x": {Expr: expr}}}
}

func TestAdmitFollowsItsRule(t *testing.T) {
	tests := []struct{ rule, measured string }{
		{"", ""},
		{"true", ""},
		{"vip", ""},
		{"has(claims.email)", ""},
		{"'staff' in claims.groups && identity.idp == 'corp'", ""},
		{"claims.level >= 3", ""},
		{"double(claims.level) >= 3", ""},
		{"'otp' in identity.amr", ""},
		{"client.type == 'browser' && 'chat:read' in request.scope", ""},
		{"identity.expires - identity.issued_at < duration('10m')", ""},
		{"has(claims.phone) || has(claims.email)", ""},
		{"claims.?address.country.orValue('') == 'NL'", ""},

		{"false", "false"},
		{"has(claims.phone)", "false"},
		{"has(request.origin)", "false"},
		{"claims.phone == '1'", "no claim phone at 1:7"},
		{"claims.vip &&\n claims.phone == '1'", "no claim phone at 2:8"},
		{"identity.acr != 'low'", "evaluation error at 1:9"},
		{"request.origin != 'https://evil.example'", "evaluation error at 1:8"},
		{"claims[claims.email] == 'x'", "evaluation error at 1:7"},
		{"claims.level + 1 > 2", "evaluation error at 1:14"},
		{"'a' in claims.email", "evaluation error at 1:5"},
		{"int(claims.level) / 0 == 1", "evaluation error at 1:19"},
		{"timestamp(int(claims.level) * 99999999999999) > identity.expires", "evaluation error"},
		{"email", "not a bool but string"},
		{"claims.none", "not a bool but null_type"},
	}
	for _, test := range tests {
		t.Run(test.rule, func(t *testing.T) {
			err := compile(t, policy.Source{Admit: test.rule}).Admit(t.Context(), input())
			if test.measured == "" {
				if err != nil {
					t.Fatalf("got %v, want admitted", err)
				}
				return
			}
			wantRejection(t, err, identity.NotAdmitted, test.measured, "admit: "+test.rule)
		})
	}
}

func TestClaimsAreMapped(t *testing.T) {
	tests := []struct{ rule, want string }{ // want is JSON; "" if the claim is left out
		{"claims.name", `"Alice"`},
		{"name", `"Alice"`},
		{" name ", `"Alice"`},
		{"string", ``}, // a claim called string, though CEL has a type of that name
		{"'gold' in claims.groups ? 'gold' : 'standard'", `"gold"`},
		{"claims.vip ? 'gold' : null", `"gold"`},
		{"!claims.vip ? 'gold' : null", ``},
		{"claims.vip ? (claims.level > 5 ? {'a': 1} : null) : 'x'", ``},
		{"null", ``},
		{"none", ``},
		{"claims.?phone", ``},
		{"claims.?name", `"Alice"`},
		{"identity.?acr", ``},
		{"claims.?tier.orValue('x')", `"x"`},
		{"'gold' in claims.?groups.orValue([]) ? 'gold' : 'standard'", `"gold"`}, // of a size that CEL cannot foretell
		{"groups", `["staff","gold"]`},
		{"claims.groups.filter(g, g != 'staff').map(g, {'name': g})", `[{"name":"gold"}]`},
		{"address", `{"country":"NL","lines":["a","b"]}`},
		{"{'n': claims.name, 'l': claims.level, 'none': null, ?'p': claims.?phone}", `{"l":3,"n":"Alice","none":null}`},
		{"[1, 2u, 3.5, true, 'a', null]", `[1,2,3.5,true,"a",null]`},
		{"claims.level * 2.0", `6`},
		{"size(claims.groups)", `2`},
		{"identity.issued_at", `"2023-11-14T22:13:20Z"`},
		{"timestamp('2024-01-01T00:00:00.5+02:00')", `"2023-12-31T22:00:00.5Z"`},
		{"identity.issuer + ' ' + identity.subject + ' ' + identity.client", `"https://login.example.com u1 shop-web"`},
		{"request.audience", `["https://api.example.com"]`},
		{"client.id + client.app", `"support-websupport"`},
		{"has(request.conversation)", `false`},
		{"9007199254740991", `9007199254740991`},
		{"-9007199254740991", `-9007199254740991`},
	}
	for _, test := range tests {
		t.Run(test.rule, func(t *testing.T) {
			in := input()
			if test.rule == "string" {
				in.Identity.Claims["string"] = nil
			}
			got, err := compile(t, claim(test.rule)).Claims(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			value, present := got["x"]
			if text, err := json.Marshal(value); err != nil || present != (test.want != "") || present && string(text) != test.want {
				t.Errorf("got %v %s, %v; want %q", present, text, err, test.want)
			}
		})
	}
}

func TestClaimThatFailsIsRefusedAndNamed(t *testing.T) {
	tests := []struct{ rule, measured string }{
		{"claims.phone", "no claim phone at 1:7"},
		{"phone", "no claim phone at 1:1"},
		{"claims.address.city", "evaluation error at 1:15"},
		{"identity.auth_time", "evaluation error at 1:9"},
		{"claims.odd", "evaluation error"},
		{"nan", "a number that is not finite"},
		{"latin1", "a string that is not UTF-8"},
		{"{claims.latin1: 1}", "a string that is not UTF-8"},
		{"1.0 / 0.0", "a number that is not finite"},
		{"9007199254740993", "an integer beyond 2^53"},
		{"-9007199254740992", "an integer beyond 2^53"},
		{"9007199254740992u", "an integer beyond 2^53"},
		{"dyn(b'x')", "a value of type bytes, which JSON cannot say"},
		{"[dyn(duration('1s'))]", "a value of type google.protobuf.Duration, which JSON cannot say"},
		{"dyn(type(1))", "a value of type type, which JSON cannot say"},
		{"[dyn(optional.none())]", "a value of type optional_type, which JSON cannot say"},
		{"dyn({1: 2})", "a map with a key that is not a string but int"},
		{"dyn(identity)", "evaluation error"},
		{"dyn(identity).issuer", "evaluation error at 1:14"},
		{strings.Repeat("[", 17) + strings.Repeat("]", 17), "nested too deep"},
		{strings.Repeat("{'a':", 17) + "1" + strings.Repeat("}", 17), "nested too deep"},
		{"[1].map(a, claims.big)", "too large"},
		{"claims.big.exists(a, claims.big.exists(b, b == ''))", "cost over 200000"},
	}
	in := input()
	big := make([]any, 2000)
	for i := range big {
		big[i] = "a group name of some length"
	}
	in.Identity.Claims["big"] = append(big, big...)
	for _, test := range tests {
		t.Run(test.rule, func(t *testing.T) {
			got, err := compile(t, claim(test.rule)).Claims(t.Context(), in)
			if got != nil {
				t.Errorf("got claims %v beside an error", got)
			}
			wantRejection(t, err, identity.MappingFailed, test.measured, "claims.x: "+test.rule)
		})
	}
}

func TestDeepestClaimThatIsAllowed(t *testing.T) {
	rule := strings.Repeat("[", 16) + strings.Repeat("]", 16)
	if _, err := compile(t, claim(rule)).Claims(t.Context(), input()); err != nil {
		t.Error(err)
	}
}

func TestFirstFailingClaimByNameIsReported(t *testing.T) {
	rules := compile(t, policy.Source{Claims: map[string]policy.Mapping{
		"c": {Expr: "claims.nope"}, "a": {Expr: "name"}, "b": {From: "neither"}, "d": {From: "none"},
	}})
	for range 20 {
		_, err := rules.Claims(t.Context(), input())
		wantRejection(t, err, identity.MappingFailed, "no claim neither", "claims.b: a string or a list of strings in the claim neither")
	}
}

func TestSubjectIsAShortPlainString(t *testing.T) {
	tests := []struct{ rule, want, measured string }{
		{"claims.name", "Alice", ""},
		{"name", "Alice", ""},
		{"identity.idp + ':' + identity.subject", "corp:u1", ""},
		{"string(int(claims.level))", "3", ""},
		{"claims.phone", "", "no claim phone at 1:7"},
		{"level", "", "not a string but double"},
		{"none", "", "not a string but null_type"},
		{"dyn(claims.?phone)", "", "not a string but optional_type"},
		{"''", "", "0 bytes, not 1 to 255 printable ASCII"},
		{"'é'", "", "2 bytes, not 1 to 255 printable ASCII"},
		{"'a\\nb'", "", "3 bytes, not 1 to 255 printable ASCII"},
		{"'" + strings.Repeat("a", 255) + "'", strings.Repeat("a", 255), ""},
		{"'" + strings.Repeat("a", 256) + "'", "", "256 bytes, not 1 to 255 printable ASCII"},
	}
	for _, test := range tests {
		t.Run(test.rule, func(t *testing.T) {
			got, err := compile(t, policy.Source{Subject: test.rule}).Subject(t.Context(), input())
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if test.measured == "" && err == nil {
				return
			}
			wantRejection(t, err, identity.MappingFailed, test.measured, "subject: "+test.rule)
		})
	}
}

func TestSubjectWithoutARuleIsNobodysRejection(t *testing.T) {
	_, err := compile(t, policy.Source{}).Subject(t.Context(), input())
	if err == nil || errors.Is(err, identity.ErrRejected) {
		t.Errorf("got %v, want a plain error", err)
	}
}

func TestEndedContextIsNoRejection(t *testing.T) {
	cause := errors.New("client went away")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	rules := compile(t, policy.Source{Subject: "name", Claims: claim("name").Claims})
	_, claimsErr := rules.Claims(ctx, input())
	_, subjectErr := rules.Subject(ctx, input())
	for _, err := range []error{rules.Admit(ctx, input()), claimsErr, subjectErr} {
		if !errors.Is(err, cause) || errors.Is(err, identity.ErrRejected) {
			t.Errorf("got %v, want %v and no rejection", err, cause)
		}
	}
}

// A lateEnd ends when an evaluation first asks for its Done, so after the check before it.
type lateEnd struct {
	context.Context
	done chan struct{}
	once sync.Once
}

func (c *lateEnd) Done() <-chan struct{} {
	c.once.Do(func() { close(c.done) })
	return c.done
}

func (c *lateEnd) Err() error {
	select {
	case <-c.done:
		return context.Canceled
	default:
		return nil
	}
}

// counting counts the list elements that an evaluation looks at.
type counting struct {
	types.Adapter
	looked int
}

func (c *counting) NativeToValue(value any) ref.Val {
	c.looked++
	return c.Adapter.NativeToValue(value)
}

func TestEndedContextStopsALoop(t *testing.T) {
	const length = 10_000
	list := &counting{Adapter: types.DefaultTypeAdapter}
	in := input()
	in.Identity.Claims["big"] = types.NewDynamicList(list, make([]any, length))
	rules := compile(t, policy.Source{Admit: "claims.big.all(g, g == null)"})
	if err := rules.Admit(t.Context(), in); err != nil || list.looked != length {
		t.Fatalf("got %v after %d of %d", err, list.looked, length)
	}
	list.looked = 0
	ctx := &lateEnd{Context: t.Context(), done: make(chan struct{})}
	if err := rules.Admit(ctx, in); !errors.Is(err, context.Canceled) || errors.Is(err, identity.ErrRejected) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if list.looked > length/10 {
		t.Errorf("went on for %d of %d after the end", list.looked, length)
	}
}

func TestRulesServeManyAtOnce(t *testing.T) {
	rules := compile(t, policy.Source{
		Admit:  "'gold' in claims.groups && claims.groups.exists(g, g.startsWith('st'))",
		Claims: map[string]policy.Mapping{"name": {Expr: "name"}, "bad": {Expr: "timestamp(int(claims.level) * 99999999999999)"}},
	})
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			in := input()
			in.Identity.Claims["name"] = fmt.Sprint("person ", i)
			for range 50 {
				if err := rules.Admit(t.Context(), in); err != nil {
					t.Error(err)
				}
				if _, err := rules.Claims(t.Context(), in); !errors.Is(err, identity.ErrRejected) {
					t.Errorf("got %v, want a rejection", err)
				}
			}
		})
	}
	wait.Wait()
}

func TestWhatIsNotGivenIsNotKnown(t *testing.T) {
	tests := []struct {
		name            string
		client, request map[string]any
		rule            string
		admitted        bool
	}{
		{"nothing given, asked for", nil, nil, "has(client.id) || has(client.type) || has(client.app) || has(request.origin) || has(request.conversation)", false},
		{"nothing given, read", nil, nil, "client.id == ''", false},
		{"lists are always there", nil, nil, "size(request.audience) + size(request.scope) + size(identity.amr) == 0", true},
		{"id of the wrong type", map[string]any{"id": 7}, nil, "has(client.id) || client.id != ''", false},
		{"audience of the wrong type", nil, map[string]any{"audience": "a"}, "has(request.audience)", false},
		{"audience of the wrong type, read", nil, map[string]any{"audience": []any{"a"}}, "!('b' in request.audience)", false},
		{"given", map[string]any{"id": "a"}, map[string]any{"origin": "b", "scope": []string{"c"}}, "client.id + request.origin + request.scope[0] == 'abc'", true},
		{"what is not declared cannot be seen", map[string]any{"id": "a", "secret": "b"}, nil, "has(client.id) && client.?app.orValue('x') == 'x'", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := compile(t, policy.Source{Admit: test.rule}).Admit(t.Context(), policy.Input{Client: test.client, Request: test.request})
			if admitted := err == nil; admitted != test.admitted {
				t.Errorf("got %v, want admitted %v", err, test.admitted)
			}
			if err != nil && !errors.Is(err, identity.ErrRejected) {
				t.Errorf("got %v, want a rejection", err)
			}
		})
	}
}

func TestInputIsNotShared(t *testing.T) {
	in := input()
	got, err := compile(t, claim("claims.address")).Claims(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	got["x"].(map[string]any)["country"] = "changed"
	if diff := cmp.Diff("NL", in.Identity.Claims["address"].(map[string]any)["country"]); diff != "" {
		t.Error(diff)
	}
}

func wantRejection(t *testing.T, err error, code identity.Code, measured, required string) {
	t.Helper()
	rejection, ok := errors.AsType[*identity.Rejection](err)
	if !ok {
		t.Fatalf("got %v, want a rejection %s", err, code)
	}
	want := identity.Rejection{Code: code, Measured: measured, Required: required}
	if diff := cmp.Diff(want, *rejection); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(err.Error(), secret) {
		t.Errorf("the error repeats a claim: %v", err)
	}
}
