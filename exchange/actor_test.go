package exchange_test

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"chatpass/exchange"
	"chatpass/identity"
)

// delegation is Bob of the desk acting for Ada.
func delegation() exchange.Request {
	req := ask()
	req.Credentials = backend("back")
	req.ActorToken, req.ActorTokenType = "agent.id.token", exchange.IDToken
	return req
}

func TestDelegatedContextNamesBothAndIsLess(t *testing.T) {
	h := newHouse(t)
	plain, err := h.Exchange(t.Context(), ask())
	if err != nil {
		t.Fatal(err)
	}
	got, err := h.Exchange(t.Context(), delegation())
	if err != nil {
		t.Fatal(err)
	}
	claims := claimsOf(t, got.Token)
	if diff := cmp.Diff(map[string]any{"iss": "https://desk", "sub": "bob@desk"}, claims["act"]); diff != "" {
		t.Errorf("act (-want +got):\n%s", diff)
	}
	if claims["scope"] != "chat:read" || got.Lifetime != 2*time.Minute || claims["sub"] != plain.Session.Customer || claims["sid"] != plain.Session.SID {
		t.Errorf("scope %v, life %v, sub %v, sid %v", claims["scope"], got.Lifetime, claims["sub"], claims["sid"])
	}
	last := h.audit[len(h.audit)-1]
	if !strings.HasPrefix(last.Actor, "https://desk ") || last.Subject == "" || strings.Contains(last.Actor, "bob") {
		t.Errorf("audit: actor %q, subject %q", last.Actor, last.Subject)
	}
	ladder, err := json.Marshal(last.Ladder)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(ladder), "admitted by rule 2") || strings.Contains(string(ladder), "bob@desk") {
		t.Errorf("ladder: %s", ladder)
	}
}

func TestDelegationIsHeldAgainstTheRules(t *testing.T) {
	agent := func(change func(*identity.Identity)) func(*house, *exchange.Request) {
		return func(h *house, _ *exchange.Request) {
			who := h.people["agent.id.token"]
			who.Claims = maps.Clone(who.Claims)
			change(&who)
			h.people["agent.id.token"] = who
		}
	}
	for name, c := range map[string]struct {
		change func(*house, *exchange.Request)
		want   identity.Code
		named  bool // both are known, and written down
	}{
		"page": {func(_ *house, r *exchange.Request) { r.Credentials = ask().Credentials }, identity.ActorNotAllowed, false},
		"native app": {func(_ *house, r *exchange.Request) {
			r.Credentials = exchange.Credentials{ClientID: "ios"}
		}, identity.ActorNotAllowed, false},
		"app without rules": {func(_ *house, r *exchange.Request) { r.Credentials = backend("sales-back") }, identity.ActorNotAllowed, false},
		"context as actor token": {func(_ *house, r *exchange.Request) {
			r.ActorTokenType = exchange.AccessToken
		}, identity.UnsupportedTokenType, false},
		"forged actor token":                   {func(_ *house, r *exchange.Request) { r.ActorToken = "forged" }, identity.ActorTokenRejected, false},
		"customer as actor":                    {func(_ *house, r *exchange.Request) { r.ActorToken = r.SubjectToken }, identity.ActorTokenRejected, false},
		"actor of another client":              {agent(func(who *identity.Identity) { who.Client = "hr-tool" }), identity.ActorTokenRejected, false},
		"rule says no":                         {agent(func(who *identity.Identity) { who.Claims["groups"] = []any{"visitors"} }), identity.ActorNotAllowed, true},
		"rule of the other client says no":     {agent(func(who *identity.Identity) { who.Client = "phone-desk" }), identity.ActorNotAllowed, true},
		"rule cannot be asked":                 {agent(func(who *identity.Identity) { delete(who.Claims, "groups") }), identity.ActorNotAllowed, true},
		"scope beyond the rule":                {func(_ *house, r *exchange.Request) { r.Scope = []string{"chat:write"} }, identity.ActorWider, true},
		"scope beyond the app":                 {func(_ *house, r *exchange.Request) { r.Scope = []string{"root"} }, identity.ScopeNotAllowed, false},
		"forged subject token":                 {func(_ *house, r *exchange.Request) { r.SubjectToken = "forged" }, identity.SignatureInvalid, false},
		"agent as subject":                     {func(_ *house, r *exchange.Request) { r.SubjectToken = "agent.id.token" }, identity.AudienceMismatch, false},
		"may_act of another":                   {mayAct(map[string]any{"sub": "carol@desk", "iss": "https://desk"}), identity.ActorNotAllowed, true},
		"may_act of another issuer":            {mayAct(map[string]any{"sub": "bob@desk", "iss": "https://idp"}), identity.ActorNotAllowed, true},
		"may_act without issuer":               {mayAct(map[string]any{"sub": "bob@desk"}), identity.ActorNotAllowed, true},
		"may_act of nobody":                    {mayAct(map[string]any{"iss": "https://desk"}), identity.ActorNotAllowed, true},
		"may_act that is text":                 {mayAct("bob@desk"), identity.ActorNotAllowed, true},
		"may_act with more than the actor has": {mayAct(map[string]any{"sub": "bob@desk", "iss": "https://desk", "email": "b@x"}), identity.ActorNotAllowed, true},
		"may_act with a list":                  {mayAct(map[string]any{"sub": "bob@desk", "iss": "https://desk", "groups": []any{"agents"}}), identity.ActorNotAllowed, true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			req := delegation()
			if _, err := h.Exchange(t.Context(), req); err != nil {
				t.Fatalf("before the change: %v", err)
			}
			c.change(h, &req)
			got, err := h.Exchange(t.Context(), req)
			wantRefusal(t, err, c.want)
			if got.Token != "" {
				t.Error("a refusal came with a token")
			}
			last := h.audit[len(h.audit)-1]
			if (last.Subject != "" && last.Actor != "") != c.named {
				t.Errorf("the audit line names subject %q and actor %q", last.Subject, last.Actor)
			}
		})
	}
}

// mayAct puts a claim into Ada's ID token.
func mayAct(named any) func(*house, *exchange.Request) {
	return func(h *house, _ *exchange.Request) { h.people["ada.id.token"].Claims["may_act"] = named }
}

func TestMayActThatNamesTheActorIsObeyed(t *testing.T) {
	for name, named := range map[string]any{
		"person":          map[string]any{"sub": "bob@desk", "iss": "https://desk"},
		"upstream client": map[string]any{"client_id": "agent-desk"},
		"nothing said":    nil,
	} {
		h := newHouse(t)
		mayAct(named)(h, nil)
		if _, err := h.Exchange(t.Context(), delegation()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMayActRestrictsClientsToo(t *testing.T) {
	for named, want := range map[string]identity.Code{"other-back": "", "someone": identity.ActorNotAllowed} {
		h := newHouse(t)
		mayAct(map[string]any{"client_id": named})(h, nil)
		token := h.wide(t).Token
		if _, err := h.Exchange(t.Context(), narrowing("back", token)); err != nil {
			t.Errorf("the context's own client: %v", err)
		}
		_, err := h.Exchange(t.Context(), narrowing("other-back", token))
		if want == "" && err != nil {
			t.Errorf("client that may act: %v", err)
		} else if want != "" {
			wantRefusal(t, err, want)
		}
	}
}

func TestChainOfPeopleAndClients(t *testing.T) {
	h := newHouse(t)
	req := narrowing("other-back", h.wide(t).Token)
	req.ActorToken, req.ActorTokenType = "agent.id.token", exchange.IDToken
	got, err := h.Exchange(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if chain := actsThrough(claimsOf(t, got.Token)); !slices.Equal(chain, []string{"bob@desk", "other-back"}) {
		t.Errorf("acts through %v", chain)
	}
	req.SubjectToken = got.Token
	if got, err = h.Exchange(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	req.SubjectToken = got.Token
	_, err = h.Exchange(t.Context(), req)
	wantRefusal(t, err, identity.ActorTooDeep)
}

func TestDelegatedLifeEndsWithTheSession(t *testing.T) {
	h := newHouse(t)
	first, err := h.Exchange(t.Context(), delegation())
	if err != nil {
		t.Fatal(err)
	}
	h.now = first.Session.Ends.Add(-100 * time.Second)
	got, err := h.Exchange(t.Context(), delegation())
	if err != nil {
		t.Fatal(err)
	}
	if got.Lifetime != 100*time.Second {
		t.Errorf("life %v, the session has 100 s", got.Lifetime)
	}
	h.now = first.Session.Ends.Add(-80 * time.Second)
	_, err = h.Exchange(t.Context(), delegation())
	wantRefusal(t, err, identity.SessionEnding)
}

func TestOutageAtTheActorsIssuerIsNoRefusal(t *testing.T) {
	h := newHouse(t)
	h.verifier.outageFor = "agent.id.token"
	h.verifier.err = &identity.Outage{Code: identity.NoIssuerKey, Err: io.EOF}
	_, err := h.Exchange(t.Context(), delegation())
	wantOutage(t, err, identity.NoIssuerKey)
}

// That somebody acts for the person at the issuer already is never lost: not in a first context, nor in
// a renewed or a narrowed one.
func TestWhoActsUpstreamIsNeverLeftOut(t *testing.T) {
	h := newHouse(t)
	wide := h.wide(t)
	byCookie := ask()
	byCookie.SubjectTokenType, byCookie.SubjectToken = exchange.Cookie, h.cookie(t)
	acted := map[string]any{"act": map[string]any{"sub": "admin"}}
	ada := h.people["ada.id.token"]
	ada.Claims = maps.Clone(ada.Claims)
	maps.Copy(ada.Claims, acted)
	h.people["ada.id.token"] = ada
	impersonated := ask()
	impersonated.SubjectTokenType, impersonated.SubjectToken = exchange.Cookie, h.cookie(t)
	for name, c := range map[string]struct {
		req  exchange.Request
		want identity.Code
	}{
		"ID token": {ask(), identity.ActorNotAllowed}, "ID token and actor": {delegation(), identity.ActorNotAllowed},
		"session": {impersonated, identity.ActorNotAllowed}, "session of before": {byCookie, ""}, "context of before": {narrowing("back", wide.Token), ""},
	} {
		_, err := h.Exchange(t.Context(), c.req)
		refusal, refused := errors.AsType[*exchange.Error](err)
		if refused != (c.want != "") || refused && refusal.Code != c.want || !refused && err != nil {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
