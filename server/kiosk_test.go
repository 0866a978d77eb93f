package server_test

import (
	"net/http"
	"testing"

	"chatpass/server"
)

// A device that many people share forgets its session when the browser is closed; others keep the cookie a
// little longer than the session, to hear why it ended.
func TestKioskCookieEndsWithTheBrowser(t *testing.T) {
	for kiosk, want := range map[bool]int{false: 4*60*60 + 300, true: 0} {
		h := newHouse(t, func(c *server.Config) {
			for _, app := range c.Exchanger.Apps() {
				app.Kiosk = kiosk
				app.SignIn.Unasked = 4 * 60 * 60 * 1e9
			}
		})
		b := newBrowser(t, h)
		in := b.start()
		b.back(in)
		res := b.claim(in)
		var held *http.Cookie
		for _, c := range res.Cookies() {
			if c.Name == "__Host-chatpass-support" {
				held = c
			}
		}
		if held == nil || held.MaxAge < want-2 || held.MaxAge > want || !held.Secure || !held.HttpOnly || held.SameSite != http.SameSiteStrictMode {
			t.Errorf("kiosk %t: got %v, want a life of %d s", kiosk, held, want)
		}
	}
}

// Whoever had planted a session id, or had got hold of the last one, holds nothing after a sign-in.
func TestSessionIDRotatesAtSignIn(t *testing.T) {
	h := newHouse(t)
	b := signedIn(t, h)
	seen := map[string]bool{b.cookies["__Host-chatpass-support"]: true}
	for range 2 {
		in := b.start()
		b.back(in)
		if res := b.claim(in); res.StatusCode != http.StatusCreated {
			t.Fatalf("claim: %s", res.Status)
		}
		now := b.cookies["__Host-chatpass-support"]
		if seen[now] || len(now) < 43 {
			t.Errorf("the cookie's value is %q again, or short", now)
		}
		seen[now] = true
	}
}
