package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/oauth2"
)

// The upstream client of the shop's own web site, whose ID tokens the shop holds and trades in.
const (
	shopClient   = "shop-web"
	shopSecret   = "shop-web-secret-that-only-the-shop-has"
	shopCallback = "http://localhost:1/callback" // never asked: the browser stops there
)

// startIssuer runs npm oidc-provider on a free port, or on port if it is not 0, and returns its
// issuer URL. It knows the shop's web site and the given clients.
func startIssuer(t testing.TB, port int, clients ...map[string]any) string {
	t.Helper()
	shop := map[string]any{"client_id": shopClient, "client_secret": shopSecret, "redirect_uris": []string{shopCallback}}
	options, err := json.Marshal(map[string]any{
		"port": port, "clients": append(clients, shop), "groups": map[string]any{"alice": []string{"gold"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	node := start(t, exec.Command("node", "op/main.mjs", string(options)))
	var started struct{ Issuer string }
	eventually(t, func() error { return json.Unmarshal([]byte(node.out.String()), &started) })
	return started.Issuer
}

// shopIDToken signs person in to the shop's own web site, by the authorization code flow with PKCE,
// and returns the ID token that the shop then holds.
func shopIDToken(t testing.TB, issuer, person string) string {
	t.Helper()
	shop := oauth2.Config{
		ClientID: shopClient, ClientSecret: shopSecret, RedirectURL: shopCallback, Scopes: []string{"openid", "email", "profile"},
		Endpoint: oauth2.Endpoint{AuthURL: issuer + "/auth", TokenURL: issuer + "/token", AuthStyle: oauth2.AuthStyleInHeader},
	}
	verifier := oauth2.GenerateVerifier()
	landed, _ := newBrowser(t).signIn(t, shop.AuthCodeURL("a-state", oauth2.S256ChallengeOption(verifier)), person)
	if !strings.HasPrefix(landed.String(), shopCallback) {
		t.Fatalf("signing in to the shop ended at %s", landed)
	}
	tokens, err := shop.Exchange(t.Context(), landed.Query().Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	idToken, _ := tokens.Extra("id_token").(string)
	if idToken == "" {
		t.Fatal("the issuer gave no ID token")
	}
	return idToken
}

// A browser keeps cookies and follows redirects, as far as the shop's callback.
type browser struct{ http.Client }

func newBrowser(t testing.TB) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{http.Client{
		Jar: trustingJar{jar},
		CheckRedirect: func(next *http.Request, _ []*http.Request) error {
			if strings.HasPrefix(next.URL.String(), shopCallback) {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}}
}

// trustingJar sends Secure cookies to plain http as well, as browsers do on localhost.
type trustingJar struct{ *cookiejar.Jar }

func (j trustingJar) SetCookies(u *url.URL, cookies []*http.Cookie) {
	j.Jar.SetCookies(asHTTPS(u), cookies)
}
func (j trustingJar) Cookies(u *url.URL) []*http.Cookie { return j.Jar.Cookies(asHTTPS(u)) }

func asHTTPS(u *url.URL) *url.URL {
	secure := *u
	secure.Scheme = "https"
	return &secure
}

var formAction = regexp.MustCompile(`<form[^>]* action="([^"]+)"`)

// signIn opens start, fills in the identity provider's form if it is shown, and returns where that
// led and what was shown there.
func (b *browser) signIn(t testing.TB, start, person string) (*url.URL, string) {
	t.Helper()
	landed, page := b.open(t, start)
	if strings.Contains(page, `name="login"`) {
		action := formAction.FindStringSubmatch(page)
		if action == nil {
			t.Fatalf("no form in %s", page)
		}
		landed, page = b.submit(t, action[1], url.Values{"prompt": {"login"}, "login": {person}, "password": {"any"}})
	}
	return landed, page
}

var formToken = regexp.MustCompile(`name="xsrf" value="([^"]+)"`)

// signOut ends the session at the identity provider itself.
func (b *browser) signOut(t testing.TB, issuer string) {
	t.Helper()
	_, page := b.open(t, issuer+"/session/end")
	action, token := formAction.FindStringSubmatch(page), formToken.FindStringSubmatch(page)
	if action == nil || token == nil {
		t.Fatalf("no form in %s", page)
	}
	b.submit(t, action[1], url.Values{"xsrf": {token[1]}, "logout": {"yes"}})
}

func (b *browser) open(t testing.TB, address string) (*url.URL, string) {
	t.Helper()
	resp, err := b.Get(address)
	return landing(t, resp, err)
}

func (b *browser) submit(t testing.TB, address string, form url.Values) (*url.URL, string) {
	t.Helper()
	resp, err := b.PostForm(address, form)
	return landing(t, resp, err)
}

func landing(t testing.TB, resp *http.Response, err error) (*url.URL, string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if stopped, err := resp.Location(); err == nil {
		return stopped, string(page)
	}
	return resp.Request.URL, string(page)
}

func port(t testing.TB, issuer string) int {
	t.Helper()
	u, err := url.Parse(issuer)
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if _, err := fmt.Sscan(u.Port(), &n); err != nil {
		t.Fatal(err)
	}
	return n
}
