package server_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"

	"chatpass/identity"
	"chatpass/server"
)

const sessionName = "__Host-chatpass-support"

// hostileRedirects are the addresses in testdata/redirects.txt.
func hostileRedirects(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("testdata/redirects.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for line := range strings.SplitSeq(strings.TrimSuffix(string(text), "\n"), "\n") {
		if !strings.HasPrefix(line, "# ") {
			all = append(all, line)
		}
	}
	if len(all) < 60 {
		t.Fatalf("only %d addresses", len(all))
	}
	return all
}

func TestNoSignInLeadsWhereAStrangerWants(t *testing.T) {
	b := newBrowser(t, newHouse(t))
	b.start("mode", "redirect", "return_to", page+"/return") // the registered one is good
	for _, hostile := range hostileRedirects(t) {
		q := url.Values{
			"client_id": {"web"}, "txn": {strings.Repeat("t", 22)}, "challenge": {strings.Repeat("c", 43)}, "mode": {"redirect"},
			"page_origin": {page}, "return_to": {hostile},
		}
		if res := b.visit("/v1/login/start?" + q.Encode()); res.StatusCode != http.StatusBadRequest || res.Header.Get("Location") != "" || len(res.Cookies()) > 0 {
			t.Errorf("%q: %s, to %q", hostile, res.Status, res.Header.Get("Location"))
		}
		if hostile == page {
			continue
		}
		q.Set("return_to", page+"/return")
		q.Set("page_origin", hostile) // where the popup's word would go
		if res := b.visit("/v1/login/start?" + q.Encode()); res.StatusCode < 400 || res.Header.Get("Location") != "" {
			t.Errorf("page %q: %s, to %q", hostile, res.Status, res.Header.Get("Location"))
		}
	}
}

func TestNoSignOutLeadsWhereAStrangerWants(t *testing.T) {
	h := newHouse(t)
	for _, hostile := range hostileRedirects(t) {
		b := newBrowser(t, h)
		if res := b.call("/v1/logout", map[string]any{"scope": "global", "return_to": hostile}); res.StatusCode != http.StatusBadRequest {
			t.Errorf("%q: %s", hostile, res.Status)
		}
		for _, path := range []string{"/v1/logout/start?l=", "/v1/logout/callback?state="} {
			if res := b.visit(path + url.QueryEscape(hostile)); res.Header.Get("Location") != "" {
				t.Errorf("%s%q: to %q", path, hostile, res.Header.Get("Location"))
			}
		}
	}
}

// Login CSRF (RFC 6749 §10.12): an attacker signs in as himself and makes the victim's browser finish it,
// so that what the victim writes goes to the attacker's account.
func TestNobodyIsSignedInAsTheAttacker(t *testing.T) {
	h := newHouse(t)
	attacker, victim := newBrowser(t, h), newBrowser(t, h)
	in := attacker.start()
	if res := victim.back(in); res.StatusCode != http.StatusGone || len(victim.cookies) > 0 {
		t.Errorf("the attacker's answer in the victim's browser: %s, cookies %v", res.Status, victim.cookies)
	}
	attacker.back(in)
	wantCode(t, victim.claim(in), http.StatusGone, identity.SignInExpired) // though it is told txn and verifier
	if victim.cookies[sessionName] != "" {
		t.Error("the victim has a session")
	}
	if res := attacker.claim(in); res.StatusCode != http.StatusCreated {
		t.Errorf("the one who signed in: %s", res.Status)
	}
}

// Session fixation: what a browser held before a sign-in is worth nothing after it.
func TestSignInNeverAdoptsAPlantedSession(t *testing.T) {
	h := newHouse(t)
	attacker := signedIn(t, h)
	planted := attacker.cookies[sessionName]
	for _, value := range []string{planted, strings.Repeat("A", 43), ""} {
		victim := newBrowser(t, h)
		if value != "" {
			victim.cookies[sessionName] = value
		}
		in := victim.start()
		victim.back(in)
		if res := victim.claim(in); res.StatusCode != http.StatusCreated || victim.cookies[sessionName] == value {
			t.Fatalf("claim: %s, cookie kept: %v", res.Status, victim.cookies[sessionName] == value)
		}
		if value == "" || value == planted {
			continue
		}
		holder := newBrowser(t, h)
		holder.cookies[sessionName] = value
		wantCode(t, holder.call("/v1/context", map[string]any{}), http.StatusUnauthorized, identity.NoSession)
	}
}

// A stolen sign-in by redirect: the victim follows the attacker's start address and signs in. What comes
// back to the site, where the attacker may read it (an open redirect of the site's own), is the txn that
// he made himself, and no secret.
func TestStolenRedirectSignInIsWorthless(t *testing.T) {
	h := newHouse(t)
	attacker, victim := newBrowser(t, h), newBrowser(t, h)
	in := attacker.start("mode", "redirect", "return_to", page+"/return")
	sum := sha256.Sum256([]byte(in.verifier))
	q := url.Values{
		"client_id": {"web"}, "txn": {in.txn}, "challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "mode": {"redirect"},
		"page_origin": {page}, "return_to": {page + "/return"},
	}
	res := victim.visit("/v1/login/start?" + q.Encode())
	issuerURL, err := url.Parse(res.Header.Get("Location"))
	if err != nil || res.StatusCode != http.StatusFound {
		t.Fatalf("start: %s, %v", res.Status, err)
	}
	leads := victim.back(signIn{txn: in.txn, asked: issuerURL.Query()}).Header.Get("Location")
	if leads != page+"/return#chatpass_txn="+in.txn {
		t.Errorf("leads to %q", leads)
	}
	wantCode(t, attacker.claim(in), http.StatusGone, identity.SignInExpired)
	attacker.cookies = map[string]string{} // without a cookie of his own of that txn
	wantCode(t, attacker.claim(in), http.StatusGone, identity.SignInExpired)
}

// Code injection (RFC 9700 §4.5): the attacker's code with the victim's state is a token for another nonce.
func TestInjectedCodeSignsNobodyIn(t *testing.T) {
	h := newHouse(t)
	attacker, victim := newBrowser(t, h), newBrowser(t, h)
	stolen, in := attacker.start(), victim.start()
	if res := victim.back(in, "code", stolen.asked.Get("nonce")); res.StatusCode != http.StatusBadRequest || !strings.Contains(string(res.body), string(identity.NonceMismatch)) {
		t.Errorf("%s\n%s", res.Status, res.body)
	}
	if res := victim.claim(in); res.StatusCode == http.StatusCreated {
		t.Error("claimed")
	}
}

// Mix-up (RFC 9700 §4.4): an answer counts at the address of the issuer that was asked, and if it says who
// answers, it is that one.
func TestAnswerOfAnotherIssuerIsNotTaken(t *testing.T) {
	b := newBrowser(t, newHouse(t))
	in := b.start()
	q := url.Values{"state": {in.asked.Get("state")}, "code": {in.asked.Get("nonce")}}
	if res := b.visit("/v1/login/callback/other?" + q.Encode()); res.StatusCode != http.StatusGone {
		t.Errorf("at another issuer's address: %s", res.Status)
	}
	if res := b.back(in, "iss", "https://other.example"); res.StatusCode != http.StatusBadRequest {
		t.Errorf("of another issuer: %s", res.Status)
	}
	if res := b.back(in); res.StatusCode != http.StatusOK { // neither has used it up
		t.Errorf("of the issuer itself: %s", res.Status)
	}
}

// A sibling host can send cookies along, in front of ours or under names that look like ours. No browser
// lets it use the prefix __Host-; and what comes twice is not guessed at.
func TestTossedCookiesAreNotTaken(t *testing.T) {
	h := newHouse(t)
	attacker := signedIn(t, h)
	theirs := attacker.cookies[sessionName]
	ask := func(cookies string) reply {
		r := httptest.NewRequest(http.MethodPost, "/v1/context", strings.NewReader(`{"client_id":"web"}`))
		for name, value := range map[string]string{"Origin": page, "X-Chatpass-Client": "web/0", "Content-Type": "application/json", "Cookie": cookies} {
			r.Header.Set(name, value)
		}
		return newBrowser(t, h).do(r)
	}
	if res := ask(sessionName + "=" + theirs); res.StatusCode != http.StatusOK {
		t.Fatalf("alone: %s", res.Status)
	}
	ours := signedIn(t, h).cookies[sessionName]
	for _, cookies := range []string{
		"chatpass-support=" + theirs, "__host-chatpass-support=" + theirs, "__Secure-chatpass-support=" + theirs, sessionName + "2=" + theirs,
		" =" + sessionName + "=" + theirs, sessionName + "=" + theirs + "; " + sessionName + "=" + ours,
	} {
		wantCode(t, ask(cookies), http.StatusUnauthorized, identity.NoSession)
	}
}

// A page of another origin is registered for sign-out. What reads its address must not hear of a sign-in.
func TestSignInEndsOnTheOriginThatStartsIt(t *testing.T) {
	for name, h := range map[string]*house{"one site": newHouse(t), "across sites": acrossSites(t)} {
		for parameter, mode := range map[string]string{"return_to": "redirect", "relay_uri": "popup"} {
			q := url.Values{
				"client_id": {"web"}, "txn": {strings.Repeat("t", 22)}, "challenge": {strings.Repeat("c", 43)}, "mode": {mode}, "page_origin": {page}, parameter: {farPage},
			}
			res := newBrowser(t, h).visit("/v1/login/start?" + q.Encode())
			ignored := name == "one site" && mode == "popup" // no code travels there, and nothing goes to a relay
			if refused := res.StatusCode == http.StatusBadRequest && res.Header.Get("Location") == ""; refused == ignored {
				t.Errorf("%s, %s: %s to %q", name, parameter, res.Status, res.Header.Get("Location"))
			}
		}
	}
}

// Windows that a stranger's page opens may come and go: the person's own sign-in is finished.
func TestStrangersWindowsPushOutNoSignIn(t *testing.T) {
	b := newBrowser(t, newHouse(t))
	in := b.start()
	b.from = "cross-site"
	for range 12 {
		b.start()
	}
	b.back(in)
	if res := b.claim(in); res.StatusCode != http.StatusCreated {
		t.Errorf("claim: %s\n%s", res.Status, res.body)
	}
}

// A hostile page makes visitors send what it likes, and not what counts against their neighbours.
func TestAStrangersPageUsesUpNobodysLimit(t *testing.T) {
	h := newHouse(t, func(cfg *server.Config) { cfg.Limits.RefusalsPerIP = 5 })
	for range 20 {
		r := httptest.NewRequest(http.MethodPost, "/oauth2/token", strings.NewReader("grant_type=x"))
		r.Header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Origin": {"https://evil.example"}, "Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"no-cors"}}
		wantCode(t, newBrowser(t, h).do(r), http.StatusForbidden, identity.CSRFFailed)
	}
	wantCode(t, newBrowser(t, h).call("/v1/context", map[string]any{}), http.StatusUnauthorized, identity.NoSession)
}
