package idp_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
)

func TestACodeIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		before func(*bench)
		change []oauth2.AuthCodeOption
		want   string
	}{
		"wrong verifier":       {change: []oauth2.AuthCodeOption{with("code_verifier", strings.Repeat("x", 43))}, want: "invalid_grant"},
		"no verifier":          {change: []oauth2.AuthCodeOption{with("code_verifier", "")}, want: "invalid_grant"},
		"another redirect_uri": {change: []oauth2.AuthCodeOption{with("redirect_uri", "http://127.0.0.1:1/back")}, want: "invalid_grant"},
		"another code":         {change: []oauth2.AuthCodeOption{with("code", "x")}, want: "invalid_grant"},
		"another grant type":   {change: []oauth2.AuthCodeOption{with("grant_type", "password")}, want: "unsupported_grant_type"},
		"too late":             {before: func(b *bench) { b.clock.advance(61 * time.Second) }, want: "invalid_grant"},
		"another client":       {before: func(b *bench) { b.oauth.ClientID, b.oauth.ClientSecret = "other", "secret" }, want: "invalid_grant"},
		"wrong secret":         {before: func(b *bench) { b.oauth.ClientSecret = "x" }, want: "invalid_client"},
		"unknown client":       {before: func(b *bench) { b.oauth.ClientID, b.oauth.ClientSecret = "x", "" }, want: "invalid_client"},
		"person disabled":      {before: func(b *bench) { b.operate("disable", ada) }, want: "invalid_grant"},
		"session ended":        {before: func(b *bench) { b.operate("end", ada) }, want: "invalid_grant"},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t)
			code := b.signIn(ada).Get("code")
			if c.before != nil {
				c.before(b)
			}
			if _, err := b.redeem(code, c.change...); oauthError(err) != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func (b *bench) operate(action, sub string) {
	b.t.Helper()
	if status, body, _ := b.press(b.issuer+"/operator/"+action, url.Values{"person": {sub}}); status != http.StatusSeeOther {
		b.t.Fatalf("%s: status %d: %s", action, status, body)
	}
}

func (b *bench) userinfo(token *oauth2.Token) error {
	_, err := b.provider.UserInfo(b.t.Context(), oauth2.StaticTokenSource(token))
	return err
}

func TestAFailedRedemptionUsesTheCodeUp(t *testing.T) {
	b := start(t)
	code := b.signIn(ada).Get("code")
	if _, err := b.redeem(code, with("code_verifier", strings.Repeat("x", 43))); err == nil {
		t.Fatal("a wrong verifier was accepted")
	}
	if _, err := b.redeem(code); oauthError(err) != "invalid_grant" {
		t.Errorf("the right verifier, later: %v", err)
	}
}

func TestASecondUseOfACodeTakesBackTheFirst(t *testing.T) {
	b := start(t)
	code := b.signIn(ada).Get("code")
	tokens, err := b.redeem(code)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.userinfo(tokens); err != nil {
		t.Fatal(err)
	}
	if _, err := b.redeem(code); oauthError(err) != "invalid_grant" {
		t.Errorf("second use: %v", err)
	}
	if err := b.userinfo(tokens); err == nil {
		t.Error("the access token of the first use still works")
	}
}

func TestAnAccessTokenEnds(t *testing.T) {
	for name, end := range map[string]func(*bench){
		"with its time":    func(b *bench) { b.clock.advance(5 * time.Minute) },
		"with its session": func(b *bench) { b.operate("end", ada) },
		"with its person":  func(b *bench) { b.operate("disable", ada) },
	} {
		b := start(t)
		tokens, err := b.redeem(b.signIn(ada).Get("code"))
		if err != nil {
			t.Fatal(err)
		}
		end(b)
		if err := b.userinfo(tokens); err == nil {
			t.Errorf("%s: it still works", name)
		}
	}
}

func TestCredentialsAreGivenOnce(t *testing.T) {
	b := start(t)
	for name, form := range map[string]url.Values{
		"secret in header and body": {"client_secret": {"s:e cret"}},
		"two clients":               {"client_id": {"other"}},
	} {
		form.Set("grant_type", "authorization_code")
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.issuer+"/token", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth("shop", "s%3Ae+cret")
		status, body, _ := b.read(b.browser.Do(r))
		if status != http.StatusUnauthorized || !strings.Contains(body, "invalid_client") {
			t.Errorf("%s: status %d: %s", name, status, body)
		}
	}
	if status, body, _ := b.press(b.issuer+"/token", url.Values{"code": {"a", "b"}}); status != http.StatusBadRequest {
		t.Errorf("repeated parameter: status %d: %s", status, body)
	}
}

func TestADisabledPersonCannotSignIn(t *testing.T) {
	b := start(t)
	_, q, _ := strings.Cut(b.authorizeURL(), "?")
	try := func(sub string) int {
		status, _, _ := b.press(b.issuer+"/sign-in?"+q, url.Values{"person": {sub}})
		return status
	}
	if got := try("demo-1004"); got != http.StatusForbidden {
		t.Errorf("disabled from the start: status %d", got)
	}
	b.operate("enable", "demo-1004")
	if got := try("demo-1004"); got != http.StatusSeeOther {
		t.Errorf("enabled: status %d", got)
	}
	b.operate("disable", "demo-1004")
	if got := try("demo-1004"); got != http.StatusForbidden {
		t.Errorf("disabled again: status %d", got)
	}
	if got := try("nobody"); got != http.StatusBadRequest {
		t.Errorf("nobody: status %d", got)
	}
}

func TestRotationStrandsNoToken(t *testing.T) {
	b := start(t)
	old, _ := b.idToken(ada)
	kids := func() (all []string) {
		var set struct {
			Keys []struct{ Kid, Use, D string }
		}
		_, body, _ := b.get(b.issuer + "/jwks.json")
		decode(t, body, &set)
		for _, key := range set.Keys {
			if key.D != "" || key.Use != "sig" {
				t.Errorf("published key: %+v", key)
			}
			all = append(all, key.Kid)
		}
		return all
	}
	first := kids()
	if status, _, _ := b.press(b.issuer+"/operator/rotate", nil); status != http.StatusSeeOther {
		t.Fatalf("status %d", status)
	}
	if now := kids(); len(now) != 2 || now[1] != first[0] || now[0] == first[0] {
		t.Errorf("keys %v, before %v", now, first)
	}
	if _, err := b.verifier.Verify(t.Context(), old); err != nil {
		t.Errorf("the token of the old key: %v", err)
	}
	b.idToken(ben)
	b.clock.advance(11 * time.Minute)
	if now := kids(); len(now) != 1 || now[0] == first[0] {
		t.Errorf("keys %v ten minutes later", now)
	}
}
