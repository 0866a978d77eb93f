package idp_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/oauth2"
)

const secondFactor = "urn:chatpass:demo:second-factor"

// answerSecond signs ada in where a second factor is asked for, and presses a button there.
func (b *bench) answerSecond(button string) url.Values {
	b.t.Helper()
	_, q, _ := strings.Cut(b.authorizeURL(with("acr_values", secondFactor)), "?")
	if status, body, _ := b.press(b.issuer+"/sign-in?"+q, url.Values{"person": {ada}}); status != http.StatusOK || !strings.Contains(body, "Is it you, Ada?") {
		b.t.Fatalf("status %d: %s", status, body)
	}
	status, body, to := b.press(b.issuer+"/second-factor?"+q, url.Values{"second": {button}})
	if status != http.StatusSeeOther {
		b.t.Fatalf("status %d: %s", status, body)
	}
	return to.Query()
}

func (b *bench) level(code string) (acr string, amr []string) {
	b.t.Helper()
	tokens, err := b.redeem(code)
	if err != nil {
		b.t.Fatal(err)
	}
	raw, _ := tokens.Extra("id_token").(string)
	token, err := b.verifier.Verify(b.t.Context(), raw)
	if err != nil {
		b.t.Fatal(err)
	}
	var claims struct {
		ACR string   `json:"acr"`
		AMR []string `json:"amr"`
	}
	if err := token.Claims(&claims); err != nil {
		b.t.Fatal(err)
	}
	return claims.ACR, claims.AMR
}

func TestASecondFactorIsAskedForAndStated(t *testing.T) {
	for button, want := range map[string]string{"confirm": secondFactor, "none": "urn:chatpass:demo:button"} {
		b := start(t)
		if acr, amr := b.level(b.answerSecond(button).Get("code")); acr != want || (len(amr) == 2) != (button == "confirm") {
			t.Errorf("%s: acr %s, amr %v", button, acr, amr)
		}
	}
	b := start(t)
	if got := b.answerSecond("cancel").Get("error"); got != "access_denied" {
		t.Errorf("cancel: got %q", got)
	}
}

func TestASecondFactorIsAskedForOnce(t *testing.T) {
	b := start(t)
	b.signIn(ada)
	ask := []oauth2.AuthCodeOption{with("acr_values", secondFactor)}
	if _, body, to := b.get(b.authorizeURL(ask...)); !strings.Contains(body, "Is it you, Ada?") || to.Query().Has("code") {
		t.Errorf("whoever is signed in was not asked: %s", body)
	}
	if _, _, to := b.get(b.authorizeURL(append(ask, with("prompt", "none"))...)); !to.Query().Has("code") {
		t.Error("a client that allows no question gets no answer")
	}
	b.answerSecond("confirm")
	_, _, to := b.get(b.authorizeURL(ask...))
	if acr, _ := b.level(to.Query().Get("code")); acr != secondFactor {
		t.Errorf("asked again, or acr %s", acr)
	}
	if acr, _ := b.level(b.signIn(ada).Get("code")); acr == secondFactor {
		t.Error("a new sign-in has the level of the old one")
	}
}

func TestNobodyShowsASecondFactorWithoutASession(t *testing.T) {
	b := start(t)
	_, q, _ := strings.Cut(b.authorizeURL(with("acr_values", secondFactor)), "?")
	if status, body, _ := b.press(b.issuer+"/second-factor?"+q, url.Values{"second": {"confirm"}}); status != http.StatusOK || !strings.Contains(body, "Who are you today?") {
		t.Errorf("status %d: %s", status, body)
	}
}
