package verify_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"chatpass/verify"
)

// The good context's customer signed in an hour before, at level gold, and chats in conversation k-1.
func TestDemands(t *testing.T) {
	key := newSigner(t, "k1", "EdDSA")
	good := claims(home, start())
	unbound := with(good, "chat", object{"ver": 1, "app": "support"})
	tests := []struct {
		name   string
		demand verify.Demand
		claims object
		want   verify.Reason
	}{
		{"nothing", verify.Demand{}, unbound, ""},
		{"a level that it has", verify.Demand{ACR: []string{"platinum", "gold"}}, good, ""},
		{"another level", verify.Demand{ACR: []string{"platinum"}}, good, verify.InsufficientAuthentication},
		{"a level in capitals", verify.Demand{ACR: []string{"GOLD"}}, good, verify.InsufficientAuthentication},
		{"a level, none said", verify.Demand{ACR: []string{"gold"}}, with(good, "acr", nil), verify.InsufficientAuthentication},
		{"no level, none said", verify.Demand{ACR: []string{}}, with(good, "acr", nil), ""},
		{"signed in just lately enough", verify.Demand{MaxAuthAge: 59 * time.Minute}, good, ""},
		{"signed in too long ago", verify.Demand{MaxAuthAge: 59*time.Minute - time.Second}, good, verify.InsufficientAuthentication},
		{"signed in at a time unknown", verify.Demand{MaxAuthAge: time.Hour}, with(good, "auth_time", nil), verify.InsufficientAuthentication},
		{"a conversation", verify.Demand{Conversation: true}, good, ""},
		{"a conversation, bound to none", verify.Demand{Conversation: true}, unbound, verify.Unbound},
		{"a scope before a level", verify.Demand{Scopes: []string{"admin"}, ACR: []string{"platinum"}}, good, verify.InsufficientScope},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			i := newIssuer(t, home, key)
			always := verifier(t, i, verify.Require(test.demand))
			here := verifier(t, i).Require(test.demand)
			for _, v := range []*verify.Verifier{always, here} {
				_, err := v.Verify(t.Context(), key.good(t, test.claims))
				wantReason(t, err, test.want)
			}
		})
	}
}

func TestAContextWithoutAuthTimeIsToldSo(t *testing.T) {
	key := newSigner(t, "k1", "EdDSA")
	v := verifier(t, newIssuer(t, home, key), verify.Require(verify.Demand{MaxAuthAge: time.Hour}))
	_, err := v.Verify(t.Context(), key.good(t, with(claims(home, start()), "auth_time", nil)))
	if err == nil || !strings.Contains(err.Error(), "does not say when") {
		t.Errorf("got %v", err)
	}
}

func TestAHandlersDemandsAreItsOwn(t *testing.T) {
	key := newSigner(t, "k1", "EdDSA")
	i := newIssuer(t, home, key)
	reads := verify.WithRequiredScopes("chat:read")
	v := verifier(t, i, reads, reads, reads) // three, so that a slice of them has room for a fourth
	token := key.good(t, claims(home, start()))
	one, other := v.Require(verify.Demand{Scopes: []string{"admin"}}), v.Require(verify.Demand{ACR: []string{"gold"}})
	for each, want := range map[*verify.Verifier]verify.Reason{v: "", one: verify.InsufficientScope, other: ""} {
		_, err := each.Verify(t.Context(), token)
		wantReason(t, err, want)
	}
	i.wantAsked(t, keysPath, 1)
	both := v.Require(verify.Demand{ACR: []string{"gold"}}).Require(verify.Demand{ACR: []string{"platinum"}})
	_, err := both.Verify(t.Context(), token)
	wantReason(t, err, verify.InsufficientAuthentication)
}

func TestMiddlewareAsksForABetterSignInAsRFC9470Says(t *testing.T) {
	key := newSigner(t, "k1", "EdDSA")
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+key.good(t, claims(home, start())))
	stepUp := func(rest string) answer {
		return answer{
			Status: 401, Error: "insufficient_user_authentication",
			Challenge: `Bearer error="insufficient_user_authentication", error_description="the customer must sign in again"` + rest,
		}
	}
	for _, test := range []struct {
		demand verify.Demand
		want   answer
	}{
		{verify.Demand{ACR: []string{"gold"}, MaxAuthAge: 2 * time.Hour}, answer{Status: 200, Body: "true c-1"}},
		{verify.Demand{ACR: []string{"platinum", "phr"}}, stepUp(`, acr_values="platinum phr"`)},
		{verify.Demand{MaxAuthAge: 5 * time.Minute}, stepUp(`, max_age="300"`)},
		{verify.Demand{ACR: []string{"a\"\r\nSet-Cookie: x=y", "phr"}, MaxAuthAge: time.Minute}, stepUp(`, acr_values="phr", max_age="60"`)},
	} {
		h := verifier(t, newIssuer(t, home, key)).Require(test.demand).Middleware(http.HandlerFunc(whoami), "chat:read")
		if diff := cmp.Diff(test.want, ask(t, h, r)); diff != "" {
			t.Errorf("%+v: %s", test.demand, diff)
		}
	}
}

func TestNewChecksDemands(t *testing.T) {
	for _, d := range []verify.Demand{{ACR: []string{""}}, {ACR: []string{"a b"}}, {ACR: []string{`a"`}}, {MaxAuthAge: -1}} {
		if _, err := verify.New(home, audience, verify.Require(d)); err == nil {
			t.Errorf("%+v is accepted", d)
		}
	}
}
