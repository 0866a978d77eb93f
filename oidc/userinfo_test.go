package oidc_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"chatpass/identity"
	"chatpass/oidc"
)

// informed makes p answer for userinfo with body, and returns a gate that asks for it.
func informed(t *testing.T, p *idp, body string) *oidc.Gate {
	p.doc["userinfo_endpoint"] = p.URL + "/userinfo"
	p.userinfo = func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer at-1" || r.Method != http.MethodGet {
			t.Errorf("asked with %s %q", r.Method, r.Header.Get("Authorization"))
		}
		w.Header().Set("Content-Type", "application/json;charset=UTF-8")
		_, _ = w.Write([]byte(body))
	}
	return newGate(t, p, newClock(), func(cfg *oidc.Config) { cfg.Userinfo = true })
}

func finish(t *testing.T, p *idp, g *oidc.Gate, claims map[string]any) (oidc.SignedIn, error) {
	t.Helper()
	login, _ := begin(t, g, oidc.Ask{})
	p.grant(t, p.signInToken(login).with(claims))
	return g.Finish(t.Context(), login, callback(login))
}

func TestUserinfoFillsInWhatTheIDTokenLacks(t *testing.T) {
	p := newIDP(t)
	g := informed(t, p, `{"sub":"u-81","email":"other@example.com","phone":"+31","department":null,"acrs":["c9"],"tid":"t",
		"iss":"https://evil.example","aud":"x","auth_time":1,"sid":"s-9","acr":"best","amr":["x"],"may_act":{"sub":"x"},"_claim_sources":{}}`)
	in, err := finish(t, p, g, map[string]any{"department": "sales", "nickname": nil})
	if err != nil {
		t.Fatal(err)
	}
	who := in.Identity
	got := map[string]any{}
	for _, name := range []string{"email", "phone", "department", "acr", "sid", "iss", "aud", "acrs", "tid", "may_act", "_claim_sources"} {
		if value, there := who.Claims[name]; there {
			got[name] = value
		}
	}
	want := map[string]any{"email": "alice@example.com", "phone": "+31", "department": "sales", "acr": "mfa", "sid": "s-1", "iss": p.URL, "aud": clientID}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if who.ACR != "mfa" || who.UpstreamSession != "s-1" || who.Subject != "u-81" {
		t.Errorf("got %+v", who)
	}
}

func TestUserinfoOfAnotherPersonIsRejected(t *testing.T) {
	for body, code := range map[string]identity.Code{
		`{"sub":"u-82","email":"bob@example.com"}`: identity.ClaimAmbiguous,
		`{"sub":"u-81","sub":"u-81"}`:              identity.ClaimAmbiguous,
		`{"sub":"u-81","Sub":"u-82"}`:              identity.MalformedToken,
		`{"email":"bob@example.com"}`:              identity.ClaimMissing,
		`{"sub":81}`:                               identity.MalformedToken,
		`["sub"]`:                                  identity.MalformedToken,
		`{"sub":"u-81","x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`: identity.MalformedToken,
	} {
		p := newIDP(t)
		_, err := finish(t, p, informed(t, p, body), nil)
		wantCode(t, err, code)
		if strings.Contains(err.Error(), "bob") {
			t.Errorf("the document is in the error: %v", err)
		}
	}
}

func TestUserinfoThatDoesNotComeIsAnOutage(t *testing.T) {
	for name, page := range map[string]http.HandlerFunc{
		"status 500": status(500), "status 401": status(401), "50 MB": flood,
		"cut off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte(`{"sub":"u-81"}`))
		},
		"redirect to another host": http.RedirectHandler("http://localhost:1/", http.StatusFound).ServeHTTP,
	} {
		p := newIDP(t)
		g := informed(t, p, "")
		p.userinfo = page
		_, err := finish(t, p, g, nil)
		if wantOutage(t, err); strings.Contains(err.Error(), "alice") || strings.Contains(err.Error(), "at-1") {
			t.Errorf("%s: %v", name, err)
		}
	}
	p := newIDP(t)
	g := informed(t, p, "")
	p.userinfo = page("eyJhbGciOiJub25lIn0.e30.")
	if _, err := finish(t, p, g, nil); err == nil || !strings.Contains(err.Error(), "have it answer application/json") {
		t.Errorf("of another kind: got %v", err)
	}
	delete(p.doc, "userinfo_endpoint")
	g = newGate(t, p, newClock(), func(cfg *oidc.Config) { cfg.Userinfo = true })
	if err := g.Check(t.Context(), "corp"); err == nil || !strings.Contains(err.Error(), "userinfo_endpoint in its discovery document is missing") {
		t.Errorf("without the endpoint: got %v", err)
	}
}

// The document is asked for when a person signs in, and by nobody else's token.
func TestExchangesAskForNoUserinfo(t *testing.T) {
	p := newIDP(t)
	g := informed(t, p, `{"sub":"u-81"}`)
	p.userinfo = func(http.ResponseWriter, *http.Request) { t.Error("asked for userinfo") }
	if _, err := g.Verify(t.Context(), p.goodToken().sign(t), terms()); err != nil {
		t.Error(err)
	}
	if _, err := finish(t, p, newGate(t, p, newClock()), nil); err != nil {
		t.Error(err)
	}
}
