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
		"logout": func() error { _, err := g.VerifyLogout(t.Context(), "nobody", "", nil); return err },
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
