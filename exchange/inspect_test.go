package exchange_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"chatpass/decision"
	"chatpass/exchange"
	"chatpass/identity"
)

func TestIntrospectionSaysWhatTheContextSays(t *testing.T) {
	h := newHouse(t)
	got, err := h.Exchange(t.Context(), delegation())
	if err != nil {
		t.Fatal(err)
	}
	for _, asker := range []string{"back", "orders-api"} {
		found, err := h.Introspect(t.Context(), exchange.Request{Credentials: backend(asker), SubjectToken: got.Token})
		if err != nil || !found.Active {
			t.Fatalf("%s: %+v, %v", asker, found, err)
		}
		raw, err := json.Marshal(found.Claims)
		if err != nil {
			t.Fatal(err)
		}
		var claims map[string]any
		if err := json.Unmarshal(raw, &claims); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(claimsOf(t, got.Token), claims); diff != "" {
			t.Errorf("%s (-context +introspection):\n%s", asker, diff)
		}
	}
}

func TestIntrospectionTellsNothingOfOtherTokens(t *testing.T) {
	h := newHouse(t)
	wide := h.wide(t)
	inspect := func(asker, token string) exchange.Inspection {
		t.Helper()
		found, err := h.Introspect(t.Context(), exchange.Request{Credentials: backend(asker), SubjectToken: token})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	if !inspect("orders-api", wide.Token).Active {
		t.Fatal("a good context is not active")
	}
	for name, token := range map[string]string{
		"garbage": "x", "ID token": "ada.id.token", "forged": wide.Token + "x",
		"of another issuer": h.forge(t, wide.Token, "at+jwt", set("iss", "https://other")),
		"unknown session":   h.forge(t, wide.Token, "at+jwt", set("sid", "unknown")),
		"another kind":      h.forge(t, wide.Token, "logout+jwt", func(map[string]any) {}),
	} {
		if found := inspect("orders-api", token); found.Active || found.Claims != nil {
			t.Errorf("%s: %+v", name, found)
		}
	}
	if inspect("sales-back", wide.Token).Active {
		t.Error("another app's context is active")
	}
	started := h.now
	h.now = started.Add(10 * time.Minute)
	if inspect("orders-api", wide.Token).Active {
		t.Error("an expired context is active")
	}
	h.now = started
	if _, err := h.sessions.End(t.Context(), wide.Session, identity.Revoked); err != nil {
		t.Fatal(err)
	}
	if inspect("orders-api", wide.Token).Active {
		t.Error("a context of a revoked session is active")
	}
}

func TestContextOfARemovedIssuerIsNotActive(t *testing.T) {
	h := newHouse(t)
	wide := h.wide(t)
	for _, app := range h.Apps() {
		app.Issuers = []string{"another"}
	}
	found, err := h.Introspect(t.Context(), exchange.Request{Credentials: backend("orders-api"), SubjectToken: wide.Token})
	if err != nil || found.Active {
		t.Errorf("%+v, %v", found, err)
	}
}

func TestOnlyWhoProvesItselfMayIntrospect(t *testing.T) {
	h := newHouse(t)
	wide := h.wide(t)
	for name, credentials := range map[string]exchange.Credentials{
		"nobody": {}, "page": ask().Credentials, "native": {ClientID: "ios"}, "unknown": {ClientID: "who"}, "bare backend": {ClientID: "back"},
		"wrong secret": {ClientID: "orders-api", Presented: true, Secret: "0rder"}, "page with a secret": {ClientID: "web", Presented: true, Secret: "x"},
	} {
		found, err := h.Introspect(t.Context(), exchange.Request{Credentials: credentials, SubjectToken: wide.Token})
		if wantCode(t, err, identity.ClientAuthentication); found.Active {
			t.Errorf("%s was told", name)
		}
	}
	_, err := h.Introspect(t.Context(), exchange.Request{Credentials: backend("orders-api")})
	wantCode(t, err, identity.ParameterMissing)
}

// revocation asks for the end of a token's session.
func revocation(credentials exchange.Credentials, token string) exchange.Request {
	return exchange.Request{Credentials: credentials, SubjectToken: token}
}

func (h *house) alive(t *testing.T, sid string) bool {
	t.Helper()
	_, err := h.sessions.BySID(t.Context(), sid)
	if rejection, ok := errors.AsType[*identity.Rejection](err); ok && rejection.Code == identity.Revoked {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	return true
}

func TestRevocationEndsTheSession(t *testing.T) {
	for name, c := range map[string]struct {
		client exchange.Credentials
		token  func(t *testing.T, h *house, context string) string
		after  time.Duration
	}{
		"context":            {backend("back"), func(_ *testing.T, _ *house, context string) string { return context }, 0},
		"another backend":    {backend("other-back"), func(_ *testing.T, _ *house, context string) string { return context }, 0},
		"ID token":           {backend("back"), idToken, 0},
		"expired ID token":   {backend("back"), idToken, 30 * time.Minute},
		"ID token of a page": {ask().Credentials, idToken, 0},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			wide := h.wide(t)
			h.now = h.now.Add(c.after)
			if c.after > 0 {
				h.verifier.err = identity.Reject(identity.TokenExpired, "issued long ago", "at most 5m")
			}
			token := c.token(t, h, wide.Token)
			for range 2 { // again is no error
				if err := h.Revoke(t.Context(), revocation(c.client, token)); err != nil {
					t.Fatal(err)
				}
			}
			if h.alive(t, wide.Session.SID) {
				t.Error("the session goes on")
			}
			first := h.audit[len(h.audit)-2]
			if first.Verb != "sign-out" || first.SID != wide.Session.SID || first.Outcome != decision.Issued {
				t.Errorf("audit: %+v", first)
			}
		})
	}
}

func idToken(*testing.T, *house, string) string { return "ada.id.token" }

func TestRevocationOfWhatLeadsNowhereIsNoError(t *testing.T) {
	h := newHouse(t)
	wide := h.wide(t)
	for _, token := range []string{"garbage", "a.b.c", wide.Token + "x", "agent.id.token", h.forge(t, wide.Token, "at+jwt", set("sid", "unknown"))} {
		if err := h.Revoke(t.Context(), revocation(backend("back"), token)); err != nil {
			t.Errorf("%.20s: %v", token, err)
		}
	}
	if !h.alive(t, wide.Session.SID) {
		t.Error("the session has ended")
	}
}

// A sign-out may overtake the exchange that was sent before it.
func TestRevokedTokenBeginsNoSession(t *testing.T) {
	h := newHouse(t)
	if err := h.Revoke(t.Context(), revocation(backend("back"), "ada.id.token")); err != nil {
		t.Fatal(err)
	}
	_, err := h.Exchange(t.Context(), ask())
	wantRefusal(t, err, identity.EndedByIssuer)
	later := h.people["ada.id.token"]
	later.IssuedAt = later.IssuedAt.Add(time.Second)
	h.people["later.id.token"] = later
	again := ask()
	again.SubjectToken = "later.id.token"
	if _, err := h.Exchange(t.Context(), again); err != nil {
		t.Errorf("signed in again: %v", err)
	}
}

// Two tokens of one sign-in: the one that nobody has used ends what came of the other.
func TestUnusedTokenEndsItsSignIn(t *testing.T) {
	h := newHouse(t)
	first, err := h.Exchange(t.Context(), ask())
	if err != nil {
		t.Fatal(err)
	}
	h.people["other.id.token"] = h.people["ada.id.token"]
	if err := h.Revoke(t.Context(), revocation(backend("back"), "other.id.token")); err != nil {
		t.Fatal(err)
	}
	if h.alive(t, first.Session.SID) {
		t.Error("the session lives on")
	}
	h.verifier.err = &identity.Outage{Code: identity.NoIssuerKey, Err: io.EOF}
	if err := h.Revoke(t.Context(), revocation(backend("back"), "third.id.token")); err == nil {
		t.Error("an outage is told as done")
	}
}

func TestRevocationIsForWhomTheTokenIs(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(t *testing.T, h *house, wide string) exchange.Request
		want    identity.Code
	}{
		"nobody":          {as(exchange.Credentials{}), identity.ParameterMissing},
		"wrong secret":    {as(exchange.Credentials{ClientID: "back", Presented: true, Secret: "x"}), identity.ClientAuthentication},
		"a verifier":      {as(backend("orders-api")), identity.ClientMayNotExchange},
		"another app":     {as(backend("sales-back")), identity.ClientMayNotExchange},
		"another page":    {as(ask().Credentials), identity.ClientMayNotExchange},
		"a foreign page":  {as(exchange.Credentials{ClientID: "web", Origin: "https://evil"}), identity.OriginNotAllowed},
		"no token":        {func(*testing.T, *house, string) exchange.Request { return revocation(backend("back"), "") }, identity.ParameterMissing},
		"a narrowed one":  {narrowedBy("back"), identity.UnsupportedTokenType},
		"one carried on":  {narrowedBy("other-back"), identity.UnsupportedTokenType},
		"a delegated one": {delegated, identity.UnsupportedTokenType},
		"a client that accepts no ID tokens": {func(_ *testing.T, _ *house, _ string) exchange.Request {
			return revocation(exchange.Credentials{ClientID: "signin-only", Origin: "https://shop"}, "ada.id.token")
		}, identity.ClientMayNotExchange},
		"an ID token that is not genuine": {func(_ *testing.T, h *house, _ string) exchange.Request {
			h.verifier.err = identity.Reject(identity.SignatureInvalid, "", "")
			return revocation(backend("back"), "ada.id.token")
		}, identity.SignatureInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			wide := h.wide(t)
			err := h.Revoke(t.Context(), c.prepare(t, h, wide.Token))
			wantRefusal(t, err, c.want)
			refusal, _ := errors.AsType[*exchange.Error](err)
			if unsupported := c.want == identity.UnsupportedTokenType; unsupported != (refusal.OAuth == "unsupported_token_type") {
				t.Errorf("error %q", refusal.OAuth)
			}
			if !h.alive(t, wide.Session.SID) {
				t.Error("the session has ended")
			}
		})
	}
}

func as(c exchange.Credentials) func(*testing.T, *house, string) exchange.Request {
	return func(_ *testing.T, _ *house, token string) exchange.Request { return revocation(c, token) }
}

func narrowedBy(client string) func(*testing.T, *house, string) exchange.Request {
	return func(t *testing.T, h *house, token string) exchange.Request {
		t.Helper()
		got, err := h.Exchange(t.Context(), narrowing(client, token))
		if err != nil {
			t.Fatal(err)
		}
		return revocation(backend(client), got.Token)
	}
}

func delegated(t *testing.T, h *house, _ string) exchange.Request {
	t.Helper()
	got, err := h.Exchange(t.Context(), delegation())
	if err != nil {
		t.Fatal(err)
	}
	return revocation(backend("back"), got.Token)
}

// TestAnOutageIsNeverARefusal takes away, one at a time, all that has to be asked.
func TestAnOutageIsNeverARefusal(t *testing.T) {
	outages := map[string]struct {
		take func(*house)
		code identity.Code
	}{
		"store":       {func(h *house) { _ = h.store.Close() }, identity.StoreUnavailable},
		"issuer":      {func(h *house) { h.verifier.err = &identity.Outage{Code: identity.NoIssuerKey, Err: io.EOF} }, identity.NoIssuerKey},
		"signing key": {func(h *house) { h.pen.err = &identity.Outage{Code: identity.NoSigningKey, Err: io.EOF} }, identity.NoSigningKey},
	}
	requests := map[string]struct {
		needs []string
		send  func(t *testing.T, h *house, context string) func() error
	}{
		"narrow": {[]string{"store", "signing key"}, func(t *testing.T, h *house, token string) func() error {
			return func() error { _, err := h.Exchange(t.Context(), narrowing("back", token)); return err }
		}},
		"exchange": {[]string{"store", "issuer", "signing key"}, func(t *testing.T, h *house, _ string) func() error {
			return func() error { _, err := h.Exchange(t.Context(), ask()); return err }
		}},
		"delegate": {[]string{"store", "issuer", "signing key"}, func(t *testing.T, h *house, _ string) func() error {
			return func() error { _, err := h.Exchange(t.Context(), delegation()); return err }
		}},
		"introspect": {[]string{"store"}, func(t *testing.T, h *house, token string) func() error {
			return func() error {
				_, err := h.Introspect(t.Context(), exchange.Request{Credentials: backend("orders-api"), SubjectToken: token})
				return err
			}
		}},
		"revoke a context": {[]string{"store"}, func(t *testing.T, h *house, token string) func() error {
			return func() error { return h.Revoke(t.Context(), revocation(backend("back"), token)) }
		}},
		"revoke an ID token": {[]string{"store", "issuer"}, func(t *testing.T, h *house, _ string) func() error {
			return func() error { return h.Revoke(t.Context(), revocation(backend("back"), "ada.id.token")) }
		}},
		"authenticate": {[]string{"store"}, func(t *testing.T, h *house, _ string) func() error {
			credentials := h.assertion(t, h.signing, nil, h.assertionClaims())
			return func() error { _, err := h.Authenticate(t.Context(), credentials); return err }
		}},
	}
	for name, r := range requests {
		for away, outage := range outages {
			t.Run(name+" without "+away, func(t *testing.T) {
				h := newHouse(t)
				send := r.send(t, h, h.wide(t).Token)
				outage.take(h)
				err := send()
				if slices.Contains(r.needs, away) {
					wantOutage(t, err, outage.code)
				} else if err != nil {
					t.Errorf("it was not needed: %v", err)
				}
			})
		}
	}
}

// Whose credential fails is what the operator has to know, wherever it fails.
func TestAFailedCredentialNamesWhoseItIsSaidToBe(t *testing.T) {
	h := newHouse(t)
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		credentials exchange.Credentials
		client, app string
	}{
		"a wrong secret":         {exchange.Credentials{ClientID: "orders-api", Presented: true, Secret: "0rder"}, "orders-api", "support"},
		"a forged assertion":     {h.assertion(t, stranger, nil, h.assertionClaims()), "signer", "support"},
		"an unknown client":      {exchange.Credentials{ClientID: "who", Presented: true, Secret: "x"}, "who", ""},
		"an unknown assertion":   {nobody(t, h), "nobody", ""},
		"a secret for a name":    {exchange.Credentials{ClientID: "Xq7tR2mPz9Lw4KcV", Presented: true, Secret: "x"}, "(16 bytes that are no name)", ""},
		"a token for a name":     {exchange.Credentials{ClientID: "eyJhbGciOiJFUzI1NiJ9", Presented: true, Secret: "x"}, "(20 bytes that are no name)", ""},
		"something no assertion": {exchange.Credentials{Presented: true, Assertion: "x"}, "", ""},
	} {
		for verb, ask := range map[string]func(exchange.Request) error{
			"introspection": func(r exchange.Request) error { _, err := h.Introspect(t.Context(), r); return err },
			"exchange":      func(r exchange.Request) error { _, err := h.Exchange(t.Context(), r); return err },
			"sign-out":      func(r exchange.Request) error { return h.Revoke(t.Context(), r) },
		} {
			before := len(h.audit)
			err := ask(exchange.Request{RequestID: "r1", Credentials: c.credentials, SubjectToken: "a.b.c"})
			wantCode(t, err, identity.ClientAuthentication)
			refusal, ok := errors.AsType[*exchange.Error](err)
			if !ok || len(h.audit) != before+1 {
				t.Fatalf("%s, %s: %v with %d decisions", verb, name, err, len(h.audit)-before)
			}
			made := h.audit[before]
			if made.ID != refusal.Decision || made.Verb != verb || made.Client != c.client || made.App != c.app || made.RequestID != "r1" {
				t.Errorf("%s, %s: %+v", verb, name, made)
			}
		}
	}
}

// An answer changes nothing: only what was not answered is written down.
func TestIntrospectionThatIsAnsweredIsNoDecision(t *testing.T) {
	h := newHouse(t)
	wide := h.wide(t)
	before := len(h.audit)
	for _, token := range []string{wide.Token, "a.b.c"} {
		if _, err := h.Introspect(t.Context(), exchange.Request{Credentials: backend("orders-api"), SubjectToken: token}); err != nil {
			t.Fatal(err)
		}
	}
	if len(h.audit) != before {
		t.Errorf("%d decisions", len(h.audit)-before)
	}
}
