package server_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"chatpass/identity"
	"chatpass/server"
	"chatpass/session"
)

// acrossSites is a front door for pages on another site: the cookie of a sign-in never comes along from there.
func acrossSites(t *testing.T) *house {
	t.Helper()
	return newHouse(t, func(cfg *server.Config) { cfg.CrossSite = true })
}

// farCall is a call of a page on another site, with the cookies of that site's jar alone.
func (b *browser) farCall(path string, body map[string]any) reply {
	b.t.Helper()
	top := map[string]string{}
	for name, value := range b.cookies {
		if strings.HasPrefix(name, "__Host-chatpass-txn-") {
			top[name] = value
			delete(b.cookies, name)
		}
	}
	b.site = "cross-site"
	res := b.call(path, body)
	for name, value := range top {
		b.cookies[name] = value
	}
	return res
}

// codeIn finds the code that the window tells the page.
func codeIn(t *testing.T, res reply) string {
	t.Helper()
	found := regexp.MustCompile(`"code":"([A-Za-z0-9_-]{100,})"`).FindSubmatch(res.body)
	if found == nil {
		t.Fatalf("no code: %s\n%s", res.Status, res.body)
	}
	return string(found[1])
}

func TestPageOnAnotherSiteClaimsWithTheCode(t *testing.T) {
	b := newBrowser(t, acrossSites(t))
	in := b.start()
	code := codeIn(t, b.back(in))
	if len(b.cookies) > 0 {
		t.Errorf("the window keeps %v", b.cookies)
	}
	status := b.farCall("/v1/login/status", map[string]any{"txn": in.txn, "verifier": in.verifier})
	if status.data["status"] != "pending" {
		t.Errorf("without the code there is nothing to claim yet, and the page hears %v", status.data)
	}
	res := b.farCall("/v1/session", map[string]any{"txn": in.txn, "verifier": in.verifier, "code": code})
	if res.StatusCode != http.StatusCreated {
		t.Fatalf("claim: %s\n%s", res.Status, res.body)
	}
	cookie := res.Header.Get("Set-Cookie")
	for _, attribute := range []string{"__Host-chatpass-support=", "Path=/", "HttpOnly", "Secure", "SameSite=None", "Partitioned"} {
		if !strings.Contains(cookie, attribute) {
			t.Errorf("no %s in %q", attribute, cookie)
		}
	}
	if got := res.Header.Get("Cross-Origin-Resource-Policy"); got != "cross-origin" {
		t.Errorf("Cross-Origin-Resource-Policy: %s", got)
	}
	if res := b.farCall("/v1/context", map[string]any{}); res.StatusCode != http.StatusOK {
		t.Errorf("renewal: %s\n%s", res.Status, res.body)
	}
	wantCode(t, b.farCall("/v1/session", map[string]any{"txn": in.txn, "verifier": in.verifier, "code": code}), http.StatusGone, identity.SignInClaimed)
	out := b.farCall("/v1/logout", map[string]any{})
	if dropped := out.Header.Get("Set-Cookie"); !strings.Contains(dropped, "Max-Age=0") || !strings.Contains(dropped, "Partitioned") {
		t.Errorf("sign-out leaves the cookie in the site's jar: %q", dropped)
	}
}

// G18 across sites: what the attacker lacks is the code, and what the victim's page lacks is the verifier.
func TestStolenSignInAcrossSitesIsWorthless(t *testing.T) {
	h := acrossSites(t)
	attacker, victim := newBrowser(t, h), newBrowser(t, h)
	stolen := attacker.start()
	own := codeIn(t, attacker.back(attacker.startAs(stolen)))
	in := victim.start()
	cookie := victim.sealed(in)
	code := codeIn(t, victim.back(in))
	for name, body := range map[string]map[string]any{
		"no code":                {"txn": in.txn, "verifier": in.verifier},
		"somebody else's code":   {"txn": in.txn, "verifier": in.verifier, "code": own},
		"somebody else's txn":    {"txn": stolen.txn, "verifier": stolen.verifier, "code": code},
		"no verifier of its own": {"txn": in.txn, "verifier": stolen.verifier, "code": code},
		"a cookie for a code":    {"txn": in.txn, "verifier": in.verifier, "code": cookie},
		"half a code":            {"txn": in.txn, "verifier": in.verifier, "code": code[:len(code)/2]},
	} {
		if res := attacker.farCall("/v1/session", body); res.StatusCode == http.StatusCreated || res.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %s\n%s", name, res.Status, res.body)
		}
	}
	res := victim.farCall("/v1/session", map[string]any{"txn": in.txn, "verifier": in.verifier, "code": code})
	if res.StatusCode != http.StatusCreated {
		t.Errorf("the one who signed in: %s\n%s", res.Status, res.body)
	}
}

// The victim follows the attacker's start address. The code goes where the app's own pages are, in the victim's
// browser, or to a page of the registered origin: never to the one who opened the window.
func TestCodeGoesToRegisteredPagesAlone(t *testing.T) {
	h := acrossSites(t)
	for _, far := range hostileRedirects(t) {
		for _, name := range []string{"relay_uri", "return_to"} {
			q := url.Values{"client_id": {"web"}, "txn": {rand.Text()}, "challenge": {strings.Repeat("c", 43)}, "mode": {"popup"}, "page_origin": {page}, "relay_uri": {far}}
			if name == "return_to" {
				q.Del("relay_uri")
				q.Set("mode", "redirect")
				q.Set("return_to", far)
			}
			if res := newBrowser(t, h).visit("/v1/login/start?" + q.Encode()); res.StatusCode != http.StatusBadRequest || res.Header.Get("Location") != "" {
				t.Errorf("%s=%q: %s to %q", name, far, res.Status, res.Header.Get("Location"))
			}
		}
	}
	b := newBrowser(t, h)
	in := b.start("mode", "redirect", "return_to", page+"/return")
	leads, err := url.Parse(b.back(in).Header.Get("Location"))
	if err != nil || !strings.HasPrefix(leads.String(), page+"/return#") || leads.RawQuery != "" {
		t.Fatalf("leads to %q, %v", leads, err)
	}
	if said, err := url.ParseQuery(leads.Fragment); err != nil || said.Get("chatpass_txn") != in.txn || len(said.Get("chatpass_code")) < 100 {
		t.Errorf("says %v, %v", said, err)
	}
}

// A page that isolates itself from its windows hears of the sign-in from a page of its own origin.
func TestWindowThatLostItsPageGoesToTheRelay(t *testing.T) {
	h := acrossSites(t)
	b := newBrowser(t, h)
	related := b.back(b.start("relay_uri", page+"/return"))
	if !regexp.MustCompile(`else location\.replace\("https:\\?/\\?/shop\.example\.com\\?/return#chatpass_code=`).Match(related.body) {
		t.Errorf("does not lead to the relay:\n%s", related.body)
	}
	alone := b.back(b.start())
	if !strings.Contains(string(alone.body), "The chat cannot hear this window") || strings.Contains(string(alone.body), "location.replace") {
		t.Errorf("does not say that nobody hears it:\n%s", alone.body)
	}
	cancelled := b.back(b.start("relay_uri", page+"/return"), "error", "access_denied")
	if strings.Contains(string(cancelled.body), "location.replace") || strings.Contains(string(cancelled.body), `"code"`) {
		t.Errorf("a sign-in that failed has a code:\n%s", cancelled.body)
	}
	same := newBrowser(t, newHouse(t))
	if res := same.back(same.start("relay_uri", "https://evil.example")); strings.Contains(string(res.body), "evil") || strings.Contains(string(res.body), `"code"`) {
		t.Errorf("on one site no code travels, and no relay is needed:\n%s", res.body)
	}
}

// On one site a code is no proof, even one that we made ourselves before the configuration changed: the cookie is.
func TestCodeProvesNothingOnOneSite(t *testing.T) {
	var sessions *session.Sessions
	b := newBrowser(t, newHouse(t, func(cfg *server.Config) { sessions = cfg.Sessions }))
	in := b.start()
	begun, err := sessions.OpenTransaction(b.sealed(in))
	if err != nil {
		t.Fatal(err)
	}
	code, err := sessions.SealCode(begun)
	if err != nil {
		t.Fatal(err)
	}
	b.back(in)
	b.cookies = map[string]string{}
	wantCode(t, b.call("/v1/session", map[string]any{"txn": in.txn, "verifier": in.verifier, "code": code}), http.StatusGone, identity.SignInExpired)
}

func TestOnlyWherePagesAreFarAwayMayTheyCallFromThere(t *testing.T) {
	b := newBrowser(t, newHouse(t))
	wantCode(t, b.farCall("/v1/context", map[string]any{}), http.StatusForbidden, identity.CSRFFailed)
	far := newBrowser(t, acrossSites(t))
	wantCode(t, far.farCall("/v1/context", map[string]any{}), http.StatusUnauthorized, identity.NoSession)
	far.site = "none"
	wantCode(t, far.call("/v1/context", map[string]any{}), http.StatusForbidden, identity.CSRFFailed)
}

// startAs begins a sign-in with the values of another one.
func (b *browser) startAs(in signIn) signIn {
	b.t.Helper()
	sum := sha256.Sum256([]byte(in.verifier))
	again := b.start("txn", in.txn, "challenge", base64.RawURLEncoding.EncodeToString(sum[:]))
	again.txn, again.verifier = in.txn, in.verifier
	return again
}

// sealed is the cookie of a sign-in.
func (b *browser) sealed(in signIn) string {
	b.t.Helper()
	sum := sha256.Sum256([]byte(in.txn))
	return b.cookies["__Host-chatpass-txn-"+base64.RawURLEncoding.EncodeToString(sum[:])[:8]]
}
