package policy_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"chatpass/identity"
	"chatpass/policy"
)

// value draws what encoding/json may make of a claim, to the given depth.
func value(depth int) *rapid.Generator[any] {
	scalars := []*rapid.Generator[any]{
		rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.Float64().AsAny(), rapid.String().AsAny(),
	}
	if depth == 0 {
		return rapid.OneOf(scalars...)
	}
	return rapid.OneOf(append(scalars,
		rapid.SliceOfN(value(depth-1), 0, 4).AsAny(),
		rapid.MapOfN(rapid.StringMatching(`[a-z]{1,8}`), value(depth-1), 0, 4).AsAny())...)
}

// A claim that is passed on is the claim that came, and one that did not come is a refusal.
func TestPassedOnClaimIsUnchanged(t *testing.T) {
	rules := compile(t, policy.Source{Admit: "has(claims.x)", Claims: claim("x").Claims})
	rapid.Check(t, func(t *rapid.T) {
		claims := rapid.MapOfN(rapid.SampledFrom([]string{"x", "y"}), value(3), 0, 2).Draw(t, "claims")
		in := policy.Input{Identity: identity.Identity{Claims: claims}}
		want, present := claims["x"]
		if admitted := rules.Admit(t.Context(), in) == nil; admitted != present {
			t.Fatalf("admitted %v, want %v", admitted, present)
		}
		got, err := rules.Claims(t.Context(), in)
		if !present {
			if !errors.Is(err, identity.ErrRejected) {
				t.Fatalf("got %v, want a rejection", err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, mapped := got["x"]; mapped != (want != nil) {
			t.Fatalf("got %v for %v", got, want)
		}
		if diff := cmp.Diff(want, got["x"]); diff != "" {
			t.Fatal(diff)
		}
	})
}

// FuzzMapping: no expression and no claims make a mapping panic, and its result is always JSON or CP-305.
func FuzzMapping(f *testing.F) {
	for _, seed := range [][2]string{
		{"claims.email", `{"email":"a@b.c"}`},
		{"'gold' in claims.groups ? 'gold' : null", `{"groups":["gold"]}`},
		{"claims.groups.filter(g, g.startsWith('chat-')).map(g, {'n': g})", `{"groups":["chat-a","b"]}`},
		{"claims.?address.country.orValue('')", `{"address":{"country":null}}`},
		{"timestamp(int(claims.t))", `{"t":1e300}`},
		{"[claims, {'a': [identity.issued_at, 1u, -1]}]", `{"a":[[[[[]]]]]}`},
		{"claims.a.matches(claims.b)", `{"a":"x","b":"("}`},
		{"dyn(b'\\xff') == claims.x ? duration('1s') : null", `{"x":"\u0000"}`},
		{"string(bytes(claims.x)) + string(double('nan'))", `{"x":"\ud800"}`},
		{"identity.acr + client.id", `{}`},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, expr, claims string) {
		rules, err := policy.Compile(claim(expr))
		if err != nil {
			if faults, ok := errors.AsType[policy.Faults](err); !ok || len(faults) == 0 {
				t.Fatalf("compile: got %v, want faults", err)
			}
			return
		}
		in := input()
		in.Identity.Claims = nil
		_ = json.Unmarshal([]byte(claims), &in.Identity.Claims)
		got, err := rules.Claims(t.Context(), in)
		if err != nil {
			if rejection, ok := errors.AsType[*identity.Rejection](err); !ok || rejection.Code != identity.MappingFailed {
				t.Fatalf("got %v, want CP-305", err)
			}
			return
		}
		if _, err := json.Marshal(got); err != nil {
			t.Fatal(err)
		}
	})
}
