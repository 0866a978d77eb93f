package server_test

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"

	"chatpass/identity"
)

// A sign-out leads back to pages of the app alone, and one that is refused signs nobody out.
func TestSignOutIsHeldAgainstTheApp(t *testing.T) {
	b := signedIn(t, newHouse(t))
	wantCode(t, b.call("/v1/logout", map[string]any{"return_to": "https://evil.example/"}), http.StatusBadRequest, identity.ParameterUnsupported)
	wantCode(t, b.call("/v1/logout", map[string]any{"client_id": "nobody"}), http.StatusUnauthorized, identity.ClientUnknown)
	wantCode(t, b.call("/v1/logout", map[string]any{"scope": 7}), http.StatusBadRequest, identity.ParameterMissing)
	if res := b.call("/v1/context", map[string]any{}); res.StatusCode != http.StatusOK || res.data["active"] != true {
		t.Fatalf("a refused sign-out ended the session: %s\n%s", res.Status, res.body)
	}
	res := b.call("/v1/logout", map[string]any{})
	if address, there := res.data["end_session_url"]; res.StatusCode != http.StatusOK || !there || address != nil {
		t.Errorf("sign-out of the chat alone: %s\n%s", res.Status, res.body)
	}
}

// A sign-out that is not stored is told: the person must not go away believing in it.
func TestSignOutThatIsNotStoredIsNoSuccess(t *testing.T) {
	tg := newTarget(t)
	cookie := tg.signIn(t)
	if err := tg.store.Close(); err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, "/v1/logout", strings.NewReader(`{"client_id":"web"}`))
	r.Header = http.Header{"Origin": {shopPage}, "X-Chatpass-Client": {"web/0"}, "Content-Type": {"application/json"}, "Cookie": {"__Host-chatpass-support=" + cookie}}
	w := httptest.NewRecorder()
	tg.ServeHTTP(w, r)
	if got, _ := readAnswer(w); got.status != http.StatusServiceUnavailable || got.code != string(identity.StoreUnavailable) {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestLogoutTokenComesInAForm(t *testing.T) {
	b := newBrowser(t, newHouse(t))
	send := func(kind, body string) reply {
		r := httptest.NewRequest(http.MethodPost, "/v1/backchannel-logout/corp", strings.NewReader(body))
		r.Header.Set("Content-Type", kind)
		return b.do(r)
	}
	wantCode(t, send("application/json", `{}`), http.StatusUnsupportedMediaType, identity.MethodNotAllowed)
	wantCode(t, send("application/x-www-form-urlencoded", "sub=x"), http.StatusBadRequest, identity.ParameterMissing)
}

func TestRequestThatEndsEarlyIsNotActedOn(t *testing.T) {
	b := newBrowser(t, newHouse(t))
	form := url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "client_id": {"web"}, "subject_token": {b.house.values["ada"]},
		"subject_token_type": {"urn:ietf:params:oauth:token-type:id_token"},
	}
	r := httptest.NewRequest(http.MethodPost, "/oauth2/token", io.MultiReader(strings.NewReader(form.Encode()), iotest.ErrReader(io.ErrUnexpectedEOF)))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", page)
	wantCode(t, b.do(r), http.StatusBadRequest, identity.ParameterMissing)
}

// An installed app needs no Origin at the token endpoint; where the cookie counts nobody goes without.
func TestNobodyUsesTheCookieWithoutAnOrigin(t *testing.T) {
	tg := newTarget(t)
	r := httptest.NewRequest(http.MethodPost, "/v1/context", strings.NewReader(`{"client_id":"ios"}`))
	r.Header = http.Header{"X-Chatpass-Client": {"web/0"}, "Content-Type": {"application/json"}, "Cookie": {"__Host-chatpass-support=" + tg.signIn(t)}}
	w := httptest.NewRecorder()
	tg.ServeHTTP(w, r)
	if got, _ := readAnswer(w); got.code != string(identity.OriginNotAllowed) {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

// What comes with a backend's credentials is for no page to read, also if it names a page's client.
func TestPageCannotReadWhatCredentialsBring(t *testing.T) {
	b := newBrowser(t, newHouse(t))
	for credentials, readable := range map[string]bool{"": true, "Basic " + base64.StdEncoding.EncodeToString([]byte("web:x")): false} {
		r := httptest.NewRequest(http.MethodPost, "/oauth2/token", strings.NewReader("client_id=web"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", page)
		if credentials != "" {
			r.Header.Set("Authorization", credentials)
		}
		if got := b.do(r).Header.Get("Access-Control-Allow-Origin") != ""; got != readable {
			t.Errorf("Authorization %q: readable %t", credentials, got)
		}
	}
}

// Visitors without a session have none to share the limit of.
func TestVisitorsWithoutASessionAreNotOne(t *testing.T) {
	b := newBrowser(t, newHouse(t))
	for range 61 { // the house allows a session 60
		if res := b.call("/v1/context", map[string]any{"cause": "load"}); res.StatusCode != http.StatusOK {
			t.Fatalf("%s\n%s", res.Status, res.body)
		}
	}
}

// A page on our own origin sends no Origin with a GET, and with nothing else. What another site makes its
// visitor's browser send has none either, at times; the browser says where that comes from.
func TestOnlyAGetOfOurOwnOriginGoesWithoutOne(t *testing.T) {
	h := newHouse(t)
	for _, row := range []struct {
		method, site string
		status       int
	}{
		{http.MethodGet, "", http.StatusOK},
		{http.MethodGet, "same-origin", http.StatusOK},
		{http.MethodGet, "same-site", http.StatusForbidden},
		{http.MethodGet, "cross-site", http.StatusForbidden},
		{http.MethodGet, "none", http.StatusForbidden},
		{http.MethodPost, "", http.StatusForbidden},
		{http.MethodPost, "same-origin", http.StatusForbidden},
	} {
		r := httptest.NewRequest(row.method, "/v1/session?client_id=sales-web", strings.NewReader(`{"client_id":"sales-web"}`))
		r.Header = http.Header{"X-Chatpass-Client": {"web/0"}, "Content-Type": {"application/json"}}
		if row.site != "" {
			r.Header.Set("Sec-Fetch-Site", row.site)
		}
		res := newBrowser(t, h).do(r)
		if res.StatusCode != row.status {
			t.Errorf("%s %q: %s", row.method, row.site, res.Status)
		}
		if _, there := res.Header["Access-Control-Allow-Origin"]; there {
			t.Errorf("%s %q: lets a page read that is not named", row.method, row.site)
		}
	}
}

// Who signs out of one app goes on signing in to another.
func TestSignOutDropsOnlyItsOwnAppsSignIns(t *testing.T) {
	b := signedIn(t, newHouse(t))
	own := b.start()
	other := b.start("client_id", "sales-web", "page_origin", "https://sales.example.com")
	if res := b.call("/v1/logout", map[string]any{}); res.StatusCode != http.StatusOK {
		t.Fatal(res.Status)
	}
	if res := b.back(own); res.StatusCode != http.StatusGone {
		t.Errorf("a sign-in to the app that was left: %s", res.Status)
	}
	if res := b.back(other); res.StatusCode != http.StatusOK {
		t.Errorf("a sign-in to another app: %s", res.Status)
	}
}
