package idp_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
)

// offline signs a person in with the scope offline_access, and returns the first refresh token.
func (b *bench) offline(sub string) string {
	b.t.Helper()
	b.oauth.Scopes = append(b.oauth.Scopes, "offline_access")
	tokens, err := b.redeem(b.signIn(sub).Get("code"))
	if err != nil || tokens.RefreshToken == "" {
		b.t.Fatalf("no refresh token: %v", err)
	}
	return tokens.RefreshToken
}

func (b *bench) refresh(token string) (*oauth2.Token, error) {
	return b.oauth.TokenSource(b.t.Context(), &oauth2.Token{RefreshToken: token}).Token()
}

func (b *bench) mustRefresh(token string) *oauth2.Token {
	b.t.Helper()
	tokens, err := b.refresh(token)
	if err != nil {
		b.t.Fatal(err)
	}
	return tokens
}

func TestRefreshTokensRotate(t *testing.T) {
	b := start(t)
	first := b.offline(ada)
	second := b.mustRefresh(first)
	raw, _ := second.Extra("id_token").(string)
	token, err := b.verifier.Verify(t.Context(), raw)
	if err != nil || token.Subject != ada || token.Nonce != "" || second.RefreshToken == first {
		t.Errorf("got %+v, %v", token, err)
	}
	if err := b.userinfo(second); err != nil {
		t.Errorf("the access token is no good: %v", err)
	}
	b.clock.advance(9 * time.Second) // the answer was lost: the same token once more
	third := b.mustRefresh(first)
	b.clock.advance(time.Hour)
	fourth := b.mustRefresh(third.RefreshToken)
	b.clock.advance(11 * time.Second)
	if _, err := b.refresh(third.RefreshToken); oauthError(err) != "invalid_grant" {
		t.Errorf("a token that was used before: %v", err)
	}
	if _, err := b.refresh(fourth.RefreshToken); oauthError(err) != "invalid_grant" {
		t.Errorf("what came from the sign-in was not taken back: %v", err)
	}
}

func TestARefreshTokenIsRefused(t *testing.T) {
	for name, before := range map[string]func(*bench, *string){
		"person disabled":    func(b *bench, _ *string) { b.operate("disable", ada) },
		"another client":     func(b *bench, _ *string) { b.oauth.ClientID, b.oauth.ClientSecret = "other", "secret" },
		"made up":            func(_ *bench, token *string) { *token = "x.y" },
		"of the same family": func(_ *bench, token *string) { *token, _, _ = strings.Cut(*token, "."); *token += ".x" },
		"too old":            func(b *bench, _ *string) { b.clock.advance(13 * time.Hour) },
		"given back":         func(b *bench, token *string) { b.revoke(*token) },
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t)
			token := b.offline(ada)
			before(b, &token)
			if _, err := b.refresh(token); oauthError(err) != "invalid_grant" {
				t.Errorf("got %v", err)
			}
		})
	}
}

// revoke gives a token back, known or not.
func (b *bench) revoke(token string) {
	b.t.Helper()
	var doc struct {
		Endpoint string `json:"revocation_endpoint"`
	}
	if err := b.provider.Claims(&doc); err != nil {
		b.t.Fatal(err)
	}
	form := url.Values{"token": {token}, "client_id": {"shop"}, "client_secret": {"s:e cret"}}
	if status, body, _ := b.press(doc.Endpoint, form); status != http.StatusOK {
		b.t.Errorf("revoke: status %d: %s", status, body)
	}
}

func TestNobodyElseGivesARefreshTokenBack(t *testing.T) {
	b := start(t)
	token := b.offline(ada)
	b.revoke("x.y")
	form := url.Values{"token": {token}, "client_id": {"other"}, "client_secret": {"secret"}}
	if status, _, _ := b.press(b.issuer+"/revoke", form); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
	if status, _, _ := b.press(b.issuer+"/revoke", url.Values{"token": {token}}); status != http.StatusUnauthorized {
		t.Errorf("a client that does not authenticate: status %d", status)
	}
	b.mustRefresh(token)
}

func TestASecondUseOfACodeTakesBackTheRefreshToken(t *testing.T) {
	b := start(t)
	b.oauth.Scopes = append(b.oauth.Scopes, "offline_access")
	code := b.signIn(ada).Get("code")
	tokens, err := b.redeem(code)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = b.redeem(code)
	if _, err := b.refresh(tokens.RefreshToken); oauthError(err) != "invalid_grant" {
		t.Errorf("got %v", err)
	}
}

func TestWithoutOfflineAccessThereIsNoRefreshToken(t *testing.T) {
	b := start(t)
	if tokens, err := b.redeem(b.signIn(ada).Get("code")); err != nil || tokens.RefreshToken != "" {
		t.Errorf("got %q, %v", tokens.RefreshToken, err)
	}
}

func (b *bench) outage(value string) {
	b.t.Helper()
	if status, body, _ := b.press(b.issuer+"/operator/outage", url.Values{"outage": {value}}); status != http.StatusSeeOther {
		b.t.Fatalf("outage %s: status %d: %s", value, status, body)
	}
}

func TestTheOperatorDisturbsTheTokenEndpoint(t *testing.T) {
	b := start(t)
	token := b.offline(ada)
	for _, c := range []struct{ outage, want string }{{"down", ""}, {"refuses", "invalid_client"}, {"loses", ""}} {
		b.outage(c.outage)
		_, page, _ := b.get(b.issuer + "/operator")
		if !strings.Contains(page, `value="`+c.outage+`" aria-current="true"`) {
			t.Errorf("%s: the page does not show it", c.outage)
		}
		if _, err := b.refresh(token); err == nil || oauthError(err) != c.want {
			t.Errorf("%s: got %v", c.outage, err)
		}
	}
	b.outage("slow")
	began := time.Now()
	next := b.mustRefresh(token) // whose answer was lost is good still
	if time.Since(began) < 200*time.Millisecond {
		t.Error("it was not slow")
	}
	b.outage("works")
	b.mustRefresh(next.RefreshToken)
	if status, _, _ := b.press(b.issuer+"/operator/outage", url.Values{"outage": {"x"}}); status != http.StatusBadRequest {
		t.Errorf("an outage that there is not: status %d", status)
	}
}
