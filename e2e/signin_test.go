package e2e_test

import (
	"crypto/rand"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/oauth2"
)

// A sign-in belongs to the page that started it, in the browser that completed it. Whoever lures
// somebody through a sign-in of their own gets nothing, by either half of the way.
func TestNobodyClaimsAnothersSignIn(t *testing.T) {
	site, _ := newSiteWithIssuer(t)
	site.serve(t)
	for name, lure := range map[string]func(t *testing.T, attacker, victim visitor, start string){
		"the victim follows the attacker's link": func(t *testing.T, _, victim visitor, start string) {
			victim.signIn(t, start, "alice")
		},
		"the victim follows the attacker to the issuer": func(t *testing.T, attacker, victim visitor, start string) {
			started := http.Client{Jar: attacker.Jar, CheckRedirect: stay}
			resp, err := started.Get(start)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			victim.signIn(t, resp.Header.Get("Location"), "alice")
		},
		"the victim's own page is asked for it": func(t *testing.T, attacker, victim visitor, start string) {
			victim.signIn(t, start, "alice")
			attacker.Jar = victim.Jar // a page in the victim's browser that does not know the verifier
		},
	} {
		t.Run(name, func(t *testing.T) {
			attacker, victim := visitor{newBrowser(t), site}, visitor{newBrowser(t), site}
			txn, verifier := rand.Text(), oauth2.GenerateVerifier()
			lure(t, attacker, victim, site.signInURL(txn, verifier))
			if attacker.Jar == victim.Jar {
				verifier = oauth2.GenerateVerifier()
			}
			claim := attacker.call(t, "/v1/session", map[string]any{"txn": txn, "verifier": verifier})
			if claim.status < 400 || claim.Customer != "" || claim.Context.Token != "" {
				t.Errorf("claimed: status %d, customer %q", claim.status, claim.Customer)
			}
			attacker.call(t, "/v1/context", map[string]any{"activity": "active", "cause": "demand"}).want(t, http.StatusUnauthorized)
		})
	}
}

// Sign-in never sends a browser to a page that is not registered: such a request ends here.
func TestSignInStartsOnlyForRegisteredPages(t *testing.T) {
	site, _ := newSiteWithIssuer(t)
	site.serve(t)
	good := site.signInURL(rand.Text(), oauth2.GenerateVerifier())
	for name, start := range map[string]string{
		"foreign page":   strings.Replace(good, "page_origin=http%3A%2F%2Flocalhost%3A3999", "page_origin=https%3A%2F%2Fevil.example", 1),
		"unknown client": strings.Replace(good, "client_id=support-web", "client_id=nobody", 1),
		"foreign return": strings.Replace(good, "mode=popup", "mode=redirect&return_to=https%3A%2F%2Fevil.example", 1),
		"another issuer": good + "&idp=evil",
	} {
		t.Run(name, func(t *testing.T) {
			if start == good {
				t.Fatal("the test changed nothing")
			}
			resp, err := (&http.Client{CheckRedirect: stay}).Get(start)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode < 400 || resp.StatusCode > 499 || resp.Header.Get("Location") != "" || len(resp.Cookies()) > 0 {
				t.Errorf("status %d, Location %q, %d cookies; want a plain refusal", resp.StatusCode, resp.Header.Get("Location"), len(resp.Cookies()))
			}
		})
	}
}
