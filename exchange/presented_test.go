package exchange_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"chatpass/exchange"
	"chatpass/identity"
)

func TestContextGoesInAgainAndComesOutNarrower(t *testing.T) {
	h := newHouse(t)
	wide := h.wide(t)
	h.now = h.now.Add(4 * time.Minute)
	req := narrowing("back", wide.Token)
	req.SubjectTokenType, req.Audience, req.Scope, req.Conversation = exchange.JWT, []string{"https://crm"}, []string{"chat:read", "root"}, "42"
	got, err := h.Exchange(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	want := claimsOf(t, wide.Token)
	want["aud"], want["scope"], want["iat"], want["jti"] = "https://crm", "chat:read", float64(h.now.Unix()), got.JTI
	want["chat"].(map[string]any)["conversation"] = "42"
	if diff := cmp.Diff(want, claimsOf(t, got.Token)); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	if got.Lifetime != 6*time.Minute || got.Session.SID != wide.Session.SID || !strings.HasSuffix(got.JTI, "."+wide.JTI) {
		t.Errorf("life %v, session %s, jti %s", got.Lifetime, got.Session.SID, got.JTI)
	}
}

func TestNothingAskedForIsNothingWider(t *testing.T) {
	h := newHouse(t)
	first := narrowing("back", h.wide(t).Token)
	first.Audience, first.Scope = []string{"https://crm"}, []string{"chat:read"}
	narrow, err := h.Exchange(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	again, err := h.Exchange(t.Context(), narrowing("back", narrow.Token))
	if err != nil {
		t.Fatal(err)
	}
	claims := claimsOf(t, again.Token)
	if claims["aud"] != "https://crm" || claims["scope"] != "chat:read" {
		t.Errorf("aud %v, scope %v", claims["aud"], claims["scope"])
	}
	if strings.Count(again.JTI, ".") != 1 {
		t.Errorf("jti %s grows with the chain", again.JTI)
	}
}

func TestPresentedContextIsHeldAgainstEveryRule(t *testing.T) {
	for name, c := range map[string]struct {
		token  func(t *testing.T, h *house, good string) string // nil: good itself
		change func(*house, *exchange.Request)                  // may be nil
		want   identity.Code
	}{
		"forged":            {func(_ *testing.T, _ *house, good string) string { return good + "x" }, nil, identity.SignatureInvalid},
		"of another kind":   {with("statuslist+jwt", func(map[string]any) {}), nil, identity.NotAnIDToken},
		"of another issuer": {with("at+jwt", set("iss", "https://chat-auth/")), nil, identity.IssuerNotTrusted},
		"issued in an hour": {with("at+jwt", func(m map[string]any) { m["iat"] = m["iat"].(int64) + 3600 }), nil, identity.IssuedInFuture},
		"of no session":     {with("at+jwt", set("sid", "unknown")), nil, identity.NoSession},
		"of another person": {with("at+jwt", set("sub", "c-1")), nil, identity.NoSession},
		"of another app":    {nil, func(_ *house, r *exchange.Request) { r.Credentials = backend("sales-back") }, identity.AudienceMismatch},
		"expired":           {nil, func(h *house, _ *exchange.Request) { h.now = h.now.Add(10 * time.Minute) }, identity.TokenExpired},
		"expiring now": {nil, func(h *house, _ *exchange.Request) {
			h.now = h.now.Add(10*time.Minute - time.Millisecond)
		}, identity.TokenExpired},
		"wider in audience": {with("at+jwt", set("aud", "https://crm")), func(_ *house, r *exchange.Request) {
			r.Audience = []string{"https://crm", "https://api"}
		}, identity.AudienceNotAllowed},
		"wider in scope": {with("at+jwt", set("scope", "chat:read")), func(_ *house, r *exchange.Request) {
			r.Scope = []string{"chat:write"}
		}, identity.ActorWider},
		"scope where none was": {with("at+jwt", drop("scope")), func(_ *house, r *exchange.Request) {
			r.Scope = []string{"chat:write"}
		}, identity.ActorWider},
		"scope in other letters": {with("at+jwt", func(m map[string]any) { m["scope"], m["Scope"] = "chat:read", "chat:read chat:write" }), func(_ *house, r *exchange.Request) {
			r.Scope = []string{"chat:write"}
		}, identity.ActorWider},
		"another conversation": {with("at+jwt", func(m map[string]any) { m["chat"].(map[string]any)["conversation"] = "42" }), func(_ *house, r *exchange.Request) {
			r.Conversation = "43"
		}, identity.ActorWider},
		"an audience that the app has lost": {with("at+jwt", set("aud", "https://gone")), nil, identity.AudienceNotAllowed},
		"issuer that was removed": {nil, func(h *house, _ *exchange.Request) {
			for _, app := range h.Apps() {
				app.Issuers = []string{"another"}
			}
		}, identity.Revoked},
		"shown by a verifier": {nil, func(_ *house, r *exchange.Request) { r.Credentials = backend("orders-api") }, identity.ClientMayNotExchange},
		"as an ID token":      {nil, func(_ *house, r *exchange.Request) { r.SubjectTokenType = exchange.IDToken }, identity.SignatureInvalid},
		"as a session cookie": {nil, func(_ *house, r *exchange.Request) {
			r.SubjectTokenType, r.Credentials = exchange.Cookie, ask().Credentials
		}, identity.NoSession},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			req := narrowing("back", h.wide(t).Token)
			if _, err := h.Exchange(t.Context(), req); err != nil {
				t.Fatalf("before the change: %v", err)
			}
			if c.token != nil {
				req.SubjectToken = c.token(t, h, req.SubjectToken)
			}
			if c.change != nil {
				c.change(h, &req)
			}
			got, err := h.Exchange(t.Context(), req)
			wantRefusal(t, err, c.want)
			if got.Token != "" {
				t.Error("a refusal came with a token")
			}
		})
	}
}

func with(typ string, change func(map[string]any)) func(*testing.T, *house, string) string {
	return func(t *testing.T, h *house, good string) string { t.Helper(); return h.forge(t, good, typ, change) }
}

func set(name string, value any) func(map[string]any) {
	return func(m map[string]any) { m[name] = value }
}

func drop(name string) func(map[string]any) { return func(m map[string]any) { delete(m, name) } }

func TestAnotherConversationIsExplained(t *testing.T) {
	h := newHouse(t)
	bound := narrowing("back", h.wide(t).Token)
	bound.Conversation = "42"
	got, err := h.Exchange(t.Context(), bound)
	if err != nil {
		t.Fatal(err)
	}
	swap := narrowing("back", got.Token)
	swap.Conversation = "43"
	_, err = h.Exchange(t.Context(), swap)
	wantRefusal(t, err, identity.ActorWider)
	want := "The client asked for another conversation, and the context that it comes from has its own conversation."
	if cause := h.audit[len(h.audit)-1].Cause(); cause != want {
		t.Errorf("got  %s\nwant %s", cause, want)
	}
}

func TestContextOfAnEndedSessionSaysWhyItEnded(t *testing.T) {
	for _, cause := range []identity.Code{identity.SignedOut, identity.EndedByIssuer, identity.Revoked, identity.PersonDisabled} {
		h := newHouse(t)
		wide := h.wide(t)
		if _, err := h.sessions.End(t.Context(), wide.Session, cause); err != nil {
			t.Fatal(err)
		}
		_, err := h.Exchange(t.Context(), narrowing("back", wide.Token))
		wantRefusal(t, err, cause)
		if last := h.audit[len(h.audit)-1]; last.SID != wide.Session.SID {
			t.Errorf("audit names session %q, want %q", last.SID, wide.Session.SID)
		}
	}
}

func TestAdmissionIsAskedAgainAndClaimsAreNot(t *testing.T) {
	h := newHouse(t)
	wide := h.wide(t)
	renamed := h.forge(t, wide.Token, "at+jwt", set("name", "Ada as granted"))
	got, err := h.Exchange(t.Context(), narrowing("back", renamed))
	if err != nil {
		t.Fatal(err)
	}
	if name := claimsOf(t, got.Token)["name"]; name != "Ada as granted" {
		t.Errorf("name %v was mapped anew", name)
	}
	for _, app := range h.Apps() {
		app.Rules = rules(t, policySource("false"))
	}
	_, err = h.Exchange(t.Context(), narrowing("back", wide.Token))
	wantRefusal(t, err, identity.NotAdmitted)
}

func TestAnotherClientThatCarriesAContextOnIsNamed(t *testing.T) {
	h := newHouse(t)
	token := h.wide(t).Token
	for i, c := range []struct {
		client string
		want   []string
	}{
		{"back", nil},
		{"other-back", []string{"other-back"}},
		{"other-back", []string{"other-back"}},
		{"back", []string{"back", "other-back"}},
		{"other-back", []string{"other-back", "back", "other-back"}},
	} {
		got, err := h.Exchange(t.Context(), narrowing(c.client, token))
		if err != nil {
			t.Fatal(err)
		}
		claims := claimsOf(t, got.Token)
		if chain := actsThrough(claims); !slices.Equal(chain, c.want) || claims["client_id"] != c.client {
			t.Errorf("step %d: %v acts through %v, want %v", i, claims["client_id"], chain, c.want)
		}
		token = got.Token
	}
	if last := h.audit[len(h.audit)-1]; last.Actor != "client other-back through client back through client other-back" {
		t.Errorf("audit names %q", last.Actor)
	}
	_, err := h.Exchange(t.Context(), narrowing("back", token))
	wantRefusal(t, err, identity.ActorTooDeep)
}

func TestNarrowedContextMayBeShortButNeverOutlivesItsOrigin(t *testing.T) {
	h := newHouse(t)
	wide := h.wide(t)
	expires := h.now.Add(wide.Lifetime)
	for left := wide.Lifetime; left >= time.Second; left /= 3 {
		h.now = expires.Add(-left)
		got, err := h.Exchange(t.Context(), narrowing("back", wide.Token))
		if err != nil {
			t.Fatalf("%v before the end: %v", left, err)
		}
		if exp := int64(claimsOf(t, got.Token)["exp"].(float64)); exp > expires.Unix() || got.Lifetime < time.Second {
			t.Errorf("%v before the end: life %v, %d s too long", left, got.Lifetime, exp-expires.Unix())
		}
	}
}

func TestNoSessionBeginsFromAContext(t *testing.T) {
	h := newHouse(t)
	wide := h.wide(t)
	for range 3 {
		if _, err := h.Exchange(t.Context(), narrowing("other-back", wide.Token)); err != nil {
			t.Fatal(err)
		}
	}
	sessions := 0
	for _, err := range h.store.Sessions().ByCustomer(t.Context(), "support", wide.Session.Customer) {
		if err != nil {
			t.Fatal(err)
		}
		sessions++
	}
	if sessions != 1 {
		t.Errorf("%d sessions, want the one of the ID token", sessions)
	}
}

func TestNewestSessionsOfACustomerStay(t *testing.T) {
	h := newHouse(t) // three sessions for each customer
	var all []exchange.Context
	for _, token := range []string{"one.id.token", "two.id.token", "three.id.token", "four.id.token", "five.id.token"} {
		h.people[token] = h.people["ada.id.token"]
		h.now = h.now.Add(time.Second)
		req := ask()
		req.SubjectToken = token
		got, err := h.Exchange(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, got)
	}
	for i, c := range all {
		_, err := h.sessions.BySID(t.Context(), c.Session.SID)
		rejection, ended := errors.AsType[*identity.Rejection](err)
		if ended != (i < 2) || ended && rejection.Code != identity.Revoked {
			t.Errorf("session %d of 5: %v", i+1, err)
		}
	}
}
