package oidc_test

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"chatpass/identity"
	"chatpass/oidc"
)

// signInToken is the ID token that answers login.
func (p *idp) signInToken(login oidc.Login) *forgery {
	return p.goodToken().with(map[string]any{"aud": clientID, "nonce": login.Nonce})
}

// grant makes the token endpoint answer with the given ID token.
func (p *idp) grant(t *testing.T, f *forgery) {
	t.Helper()
	p.respond(t, http.StatusOK, map[string]any{"access_token": "at-1", "token_type": "Bearer", "id_token": f.sign(t)})
}

func (p *idp) respond(t *testing.T, code int, body any) {
	t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	p.change(func() {
		p.tokens = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			_, _ = w.Write(raw)
		}
	})
}

func begin(t *testing.T, g *oidc.Gate, ask oidc.Ask) (oidc.Login, url.Values) {
	t.Helper()
	login, to, err := g.Begin(t.Context(), "corp", ask)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	return login, u.Query()
}

func half(of string) string {
	sum := sha256.Sum256([]byte(of))
	return encode(sum[:16])
}

func TestBeginSendsPersonsWithPKCEStateAndNonce(t *testing.T) {
	p, c := newIDP(t), newClock()
	g := newGate(t, p, c, func(cfg *oidc.Config) { cfg.ACRValues = []string{"loa2"} })
	login, query := begin(t, g, oidc.Ask{})
	want := url.Values{
		"response_type": {"code"}, "client_id": {clientID}, "scope": {"openid email"},
		"redirect_uri": {"https://chat.example/v1/login/callback/corp"}, "state": {login.State}, "nonce": {login.Nonce},
		"code_challenge": {oauth2.S256ChallengeFromVerifier(login.Verifier)}, "code_challenge_method": {"S256"}, "acr_values": {"loa2"},
	}
	if diff := cmp.Diff(want, query); diff != "" {
		t.Error(diff)
	}
	if login.IDP != "corp" || len(login.State) < 26 || len(login.Nonce) < 26 || len(login.Verifier) < 43 || login.State == login.Nonce {
		t.Errorf("got %+v", login)
	}
	age := 5 * time.Minute
	again, query := begin(t, g, oidc.Ask{Prompt: "login", LoginHint: "alice", UILocales: "de en", MaxAge: &age, ACRValues: []string{"mfa", "hwk"}})
	for name, want := range map[string]string{"prompt": "login", "login_hint": "alice", "ui_locales": "de en", "max_age": "300", "acr_values": "mfa hwk"} {
		if query.Get(name) != want {
			t.Errorf("%s: got %q, want %q", name, query.Get(name), want)
		}
	}
	if again.State == login.State || again.Nonce == login.Nonce || again.Verifier == login.Verifier {
		t.Error("two sign-ins share a secret")
	}
	if again.MaxAge != &age || !cmp.Equal(again.ACRValues, []string{"mfa", "hwk"}) {
		t.Errorf("got %+v", again)
	}
}

func TestSignInIsCompletedOnce(t *testing.T) {
	p, c := newIDP(t), newClock()
	g := newGate(t, p, c)
	login, _ := begin(t, g, oidc.Ask{})
	f := p.signInToken(login).with(map[string]any{"at_hash": half("at-1"), "c_hash": half("c-1")})
	p.grant(t, f)
	got, err := g.Finish(t.Context(), login, callback(login))
	if err != nil {
		t.Fatal(err)
	}
	if who := got.Identity; who.IDP != "corp" || who.Subject != "u-81" || who.Client != clientID || who.Claims["nonce"] != login.Nonce {
		t.Errorf("got %+v", who)
	}
	if strings.Count(got.IDToken, ".") != 2 {
		t.Errorf("got ID token %q", got.IDToken)
	}
	form := p.redeemed.PostForm
	want := url.Values{
		"grant_type": {"authorization_code"}, "code": {"c-1"}, "code_verifier": {login.Verifier},
		"redirect_uri": {"https://chat.example/v1/login/callback/corp"},
	}
	if diff := cmp.Diff(want, form); diff != "" {
		t.Error(diff)
	}
	p.respond(t, http.StatusBadRequest, map[string]string{"error": "invalid_grant", "error_description": "alice@example.com used it"})
	_, err = g.Finish(t.Context(), login, callback(login))
	if wantCode(t, err, identity.SignInExpired); strings.Contains(err.Error(), "alice") {
		t.Errorf("the answer is in the error: %v", err)
	}
}

func TestClientAuthenticationFollowsTheMetadata(t *testing.T) {
	rows := []struct {
		name    string
		methods any
		secret  string
		basic   bool
		form    string
	}{
		{"default", nil, secret, true, ""},
		{"basic", []string{"private_key_jwt", "client_secret_basic"}, secret, true, ""},
		{"both", []string{"client_secret_post", "client_secret_basic"}, secret, true, ""},
		{"post", []string{"client_secret_post"}, secret, false, secret},
		{"public", []string{"none"}, "", false, ""},
		{"public where only secrets are announced", []string{"client_secret_basic"}, "", false, ""},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			p, c := newIDP(t), newClock()
			if row.methods != nil {
				p.doc["token_endpoint_auth_methods_supported"] = row.methods
			}
			g := newGate(t, p, c, func(cfg *oidc.Config) { cfg.ClientSecret = row.secret })
			login, _ := begin(t, g, oidc.Ask{})
			p.grant(t, p.signInToken(login))
			if _, err := g.Finish(t.Context(), login, callback(login)); err != nil {
				t.Fatal(err)
			}
			user, password, basic := p.redeemed.BasicAuth()
			if basic != row.basic || basic && (user != clientID || password != url.QueryEscape(secret)) {
				t.Errorf("basic: got %q, %q, %v", user, password, basic)
			}
			if got := p.redeemed.PostForm.Get("client_secret"); got != row.form {
				t.Errorf("client_secret: got %q, want %q", got, row.form)
			}
			if !basic && p.redeemed.PostForm.Get("client_id") != clientID {
				t.Error("no client_id in the form")
			}
			if p.redemptions.Load() != 1 {
				t.Errorf("the code was sent %d times", p.redemptions.Load())
			}
		})
	}
}

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
		{"status 429", custom(status(429)), "outage"},
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

func TestSignInWhileTheIssuerIsDownIsAnOutage(t *testing.T) {
	p, c := newIDP(t), newClock()
	p.docPage = status(http.StatusBadGateway)
	g := newGate(t, p, c)
	_, _, err := g.Begin(t.Context(), "corp", oidc.Ask{})
	wantOutage(t, err)
	_, err = g.Finish(t.Context(), oidc.Login{IDP: "corp", State: "s", Nonce: "n", Verifier: "v"}, url.Values{"state": {"s"}, "code": {"c"}})
	wantOutage(t, err)
	_, err = g.EndSession(t.Context(), "corp", "", "", "")
	wantOutage(t, err)
	for name, call := range map[string]func() error{
		"begin":  func() error { _, _, err := g.Begin(t.Context(), "nobody", oidc.Ask{}); return err },
		"logout": func() error { _, err := g.VerifyLogout(t.Context(), "nobody", ""); return err },
		"end":    func() error { _, err := g.EndSession(t.Context(), "nobody", "", "", ""); return err },
		"check":  func() error { return g.Check(t.Context(), "nobody") },
		"no redirect": func() error {
			_, _, err := newGate(t, newIDP(t), c, func(cfg *oidc.Config) { cfg.RedirectURL = "" }).Begin(t.Context(), "corp", oidc.Ask{})
			return err
		},
	} {
		if _, down := errors.AsType[*identity.Outage](call()); call() == nil || down {
			t.Errorf("%s: got %v", name, call())
		}
	}
}

func TestEndSession(t *testing.T) {
	p, c := newIDP(t), newClock()
	g := newGate(t, p, c)
	got, err := g.EndSession(t.Context(), "corp", "id-token", "https://chat.example/v1/logout/callback", "s-1")
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(got)
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{
		"realm": {"a"}, "client_id": {clientID}, "id_token_hint": {"id-token"}, "state": {"s-1"},
		"post_logout_redirect_uri": {"https://chat.example/v1/logout/callback"},
	}
	if diff := cmp.Diff(want, u.Query()); diff != "" || !strings.HasPrefix(got, p.URL+"/bye?") {
		t.Errorf("%s: %s", got, diff)
	}
	p.change(func() { delete(p.doc, "end_session_endpoint") })
	if got, err := newGate(t, p, c).EndSession(t.Context(), "corp", "", "", ""); got != "" || err != nil {
		t.Errorf("without the endpoint: got %q, %v", got, err)
	}
}
