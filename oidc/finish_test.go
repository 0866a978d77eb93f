package oidc_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"chatpass/identity"
	"chatpass/oidc"
)

// Each row changes one thing in the issuer's answer to the browser.
func TestForgedCallbackIsRefusedBeforeTheCodeIsUsed(t *testing.T) {
	rows := []struct {
		name   string
		change func(url.Values)
		want   identity.Code
	}{
		{"no state", func(v url.Values) { v.Del("state") }, identity.CSRFFailed},
		{"empty state", func(v url.Values) { v.Set("state", "") }, identity.CSRFFailed},
		{"foreign state", func(v url.Values) { v.Set("state", "x") }, identity.CSRFFailed},
		{"state twice", func(v url.Values) { v.Add("state", v.Get("state")) }, identity.ParameterRepeated},
		{"code twice", func(v url.Values) { v.Add("code", "c-2") }, identity.ParameterRepeated},
		{"error twice", func(v url.Values) { v["error"] = []string{"access_denied", "x"} }, identity.ParameterRepeated},
		{"neither code nor error", func(v url.Values) { v.Del("code") }, identity.ParameterMissing},
		{"foreign issuer", func(v url.Values) { v.Set("iss", "https://evil.example") }, identity.IssuerNotTrusted},
		{"empty issuer", func(v url.Values) { v.Set("iss", "") }, identity.IssuerNotTrusted},
		{"two issuers", func(v url.Values) { v["iss"] = []string{"https://evil.example", "https://evil.example"} }, identity.ParameterRepeated},
		{"error of a foreign issuer", func(v url.Values) { v.Set("iss", "https://evil.example"); v.Set("error", "access_denied") }, identity.IssuerNotTrusted},
		{"error with foreign state", func(v url.Values) { v.Set("state", "x"); v.Set("error", "access_denied") }, identity.CSRFFailed},
	}
	p, c := newIDP(t), newClock()
	g := newGate(t, p, c)
	login, _ := begin(t, g, oidc.Ask{})
	p.grant(t, p.signInToken(login))
	for _, iss := range []string{"", p.URL} {
		good := callback(login)
		if iss != "" {
			good.Set("iss", iss)
		}
		if _, err := g.Finish(t.Context(), login, good); err != nil {
			t.Fatalf("good callback: %v", err)
		}
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			values := callback(login)
			row.change(values)
			_, err := g.Finish(t.Context(), login, values)
			wantCode(t, err, row.want)
		})
	}
	for name, empty := range map[string]oidc.Login{
		"no login":    {IDP: "corp"},
		"no nonce":    {IDP: "corp", State: login.State, Verifier: login.Verifier},
		"no verifier": {IDP: "corp", State: login.State, Nonce: login.Nonce},
		"no issuer":   {State: login.State, Nonce: login.Nonce, Verifier: login.Verifier},
	} {
		if _, err := g.Finish(t.Context(), empty, callback(empty)); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
	if got := p.redemptions.Load(); got != 2 {
		t.Errorf("forged callbacks redeemed %d codes", got-2)
	}
}

func TestIssuerMustNameItselfWhereItAnnouncesTo(t *testing.T) {
	p, c := newIDP(t), newClock()
	p.doc["authorization_response_iss_parameter_supported"] = true
	g := newGate(t, p, c)
	login, _ := begin(t, g, oidc.Ask{})
	p.grant(t, p.signInToken(login))
	if _, err := g.Finish(t.Context(), login, callback(login, "iss", p.URL)); err != nil {
		t.Fatal(err)
	}
	_, err := g.Finish(t.Context(), login, callback(login))
	wantCode(t, err, identity.IssuerNotTrusted)
	_, err = g.Finish(t.Context(), login, callback(login, "error", "access_denied"))
	wantCode(t, err, identity.IssuerNotTrusted)
}

func TestDeniedTellsOnlyKnownReasons(t *testing.T) {
	p, c := newIDP(t), newClock()
	g := newGate(t, p, c)
	login, _ := begin(t, g, oidc.Ask{})
	for sent, want := range map[string]string{
		"access_denied": "access_denied", "login_required": "login_required", "temporarily_unavailable": "temporarily_unavailable",
		"server_error": "server_error", "<script>": "server_error", "ACCESS_DENIED": "server_error",
	} {
		_, err := g.Finish(t.Context(), login, callback(login, "error", sent, "error_description", "alice"))
		denied, ok := errors.AsType[*oidc.Denied](err)
		if !ok || denied.Reason != want || strings.Contains(err.Error(), "alice") {
			t.Errorf("%s: got %v, want denied with %s", sent, err, want)
		}
	}
	if p.redemptions.Load() != 0 {
		t.Error("a code was redeemed")
	}
}

// Each row changes one thing in the ID token of a good sign-in.
func TestSignInTokenMustAnswerThisSignIn(t *testing.T) {
	age := 5 * time.Minute
	now := start().Unix()
	rows := []attack{
		{"no nonce", drop("nonce"), identity.NonceMismatch},
		{"foreign nonce", set("nonce", "x"), identity.NonceMismatch},
		{"nonce a list", set("nonce", []string{"x"}), identity.MalformedToken},
		{"no auth_time", drop("auth_time"), identity.AuthenticationStale},
		{"auth_time too old", set("auth_time", now-361), identity.AuthenticationStale},
		{"auth_time 0", set("auth_time", 0), identity.AuthenticationStale},
		{"auth_time ahead", set("auth_time", now+61), identity.IssuedInFuture},
		{"no acr", drop("acr"), identity.StepUpUnmet},
		{"weaker acr", set("acr", "pwd"), identity.StepUpUnmet},
		{"at_hash of another token", set("at_hash", half("at-2")), identity.SignatureInvalid},
		{"at_hash a number", set("at_hash", 1), identity.MalformedToken},
		{"c_hash of another code", set("c_hash", half("c-2")), identity.SignatureInvalid},
		{"for another client", set("aud", shop), identity.AudienceMismatch},
		{"for another client too", set("aud", []string{clientID, shop}), identity.AudienceMismatch},
		{"issued to another client", set("azp", shop), identity.AudienceMismatch},
		{"of another issuer", set("iss", "https://evil.example"), identity.IssuerNotTrusted},
		{"expired", set("exp", now-60), identity.TokenExpired},
		{"no subject", drop("sub"), identity.ClaimMissing},
		{"an access token", setHeader("typ", "at+jwt"), identity.NotAnIDToken},
		{"alg none", setHeader("alg", "none"), identity.AlgorithmNotAllowed},
		{"signature changed", parts(func(p []string) { p[2] = "AAAA" + p[2][4:] }), identity.SignatureInvalid},
		{"kid of nobody", setHeader("kid", "nobody"), identity.KeyUnknown},
		{"not a token", inToken(func(string) string { return "hello" }), identity.MalformedToken},
		{"empty", inToken(func(string) string { return "" }), identity.NotAnIDToken},
	}
	p, c := newIDP(t), newClock()
	g := newGate(t, p, c)
	login, _ := begin(t, g, oidc.Ask{MaxAge: &age, ACRValues: []string{"mfa", "hwk"}})
	p.grant(t, p.signInToken(login))
	if _, err := g.Finish(t.Context(), login, callback(login)); err != nil {
		t.Fatalf("good token: %v", err)
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			f := p.signInToken(login)
			row.change(f)
			p.grant(t, f)
			got, err := g.Finish(t.Context(), login, callback(login))
			wantCode(t, err, row.want)
			if !cmp.Equal(got, oidc.SignedIn{}) {
				t.Errorf("got %+v beside the error", got)
			}
			for _, private := range []string{login.Nonce, login.State, "c-1", "at-1", "alice", "u-81"} {
				if strings.Contains(err.Error(), private) {
					t.Errorf("the error tells %q: %v", private, err)
				}
			}
		})
	}
}

func TestOldSignInTokenIsNotBoundByTheExchangeAge(t *testing.T) {
	p, c := newIDP(t), newClock()
	g := newGate(t, p, c)
	login, _ := begin(t, g, oidc.Ask{})
	p.grant(t, p.signInToken(login).with(map[string]any{"iat": start().Unix() - 4000}))
	if _, err := g.Finish(t.Context(), login, callback(login)); err != nil {
		t.Error(err)
	}
}

func TestTokenOfOurOwnFlowBypassesTheCooldown(t *testing.T) {
	p, c := newIDP(t), newClock()
	g := newGate(t, p, c)
	if _, err := g.Verify(t.Context(), p.goodToken().sign(t), terms()); err != nil {
		t.Fatal(err)
	}
	rotated := newKey(t, "new", "ES256")
	p.change(func() { p.keys = append(p.keys, rotated) })
	login, _ := begin(t, g, oidc.Ask{})
	p.grant(t, p.signInToken(login).signedBy(rotated))
	if _, err := g.Finish(t.Context(), login, callback(login)); err != nil {
		t.Error(err)
	}
	if got := p.keyFetches.Load(); got != 2 {
		t.Errorf("got %d key fetches, want 2", got)
	}
}

func TestTokenEndpointFailures(t *testing.T) {
	answer := func(code int, body any) func(*testing.T, *idp) {
		return func(t *testing.T, p *idp) { p.respond(t, code, body) }
	}
	custom := func(h http.HandlerFunc) func(*testing.T, *idp) {
		return func(_ *testing.T, p *idp) { p.change(func() { p.tokens = h }) }
	}
	failing := func(code string) map[string]string {
		return map[string]string{"error": code, "error_description": "alice@example.com"}
	}
	rows := []struct {
		name  string
		setup func(*testing.T, *idp)
		want  string // "outage", "fault" or a code
	}{
		{"status 500", custom(status(500)), "outage"},
		{"status 503 with an OAuth error", answer(503, failing("invalid_client")), "outage"},
		{"status 429 with an OAuth error", answer(429, failing("invalid_request")), "outage"},
		{"HTML of a proxy", custom(page("<html>alice@example.com")), "outage"},
		{"HTML 401 of a proxy", custom(status(401)), "outage"},
		{"connection cut", custom(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), "outage"},
		{"redirect", custom(http.RedirectHandler("/elsewhere", http.StatusTemporaryRedirect).ServeHTTP), "outage"},
		{"no access token", answer(200, map[string]string{"id_token": "x"}), "outage"},
		{"unknown error", answer(400, failing("alice")), "fault"},
		{"wrong secret", answer(401, failing("invalid_client")), "fault"},
		{"wrong redirect URL", answer(400, failing("invalid_request")), "fault"},
		{"error with status 200", answer(200, failing("invalid_client")), "fault"},
		{"code used", answer(400, failing("invalid_grant")), "CP-408"},
		{"no ID token", answer(200, map[string]string{"access_token": "at-1"}), "CP-212"},
		{"ID token a number", answer(200, map[string]any{"access_token": "at-1", "id_token": 7}), "CP-212"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			p, c := newIDP(t), newClock()
			g := newGate(t, p, c)
			login, _ := begin(t, g, oidc.Ask{})
			row.setup(t, p)
			_, err := g.Finish(t.Context(), login, callback(login))
			switch row.want {
			case "outage":
				wantOutage(t, err)
			case "fault":
				if fault, ok := errors.AsType[*oidc.Fault](err); !ok || fault.Remedy == "" || errors.Is(err, identity.ErrRejected) {
					t.Errorf("got %v, want a fault", err)
				}
			default:
				wantCode(t, err, identity.Code(row.want))
			}
			for _, secret := range []string{"alice", "c-1", login.Verifier, secret} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error tells %q: %v", secret, err)
				}
			}
			if p.redemptions.Load() != 1 {
				t.Errorf("the code was sent %d times", p.redemptions.Load())
			}
		})
	}
}
