package server_test

import (
	"encoding/base64"
	"fmt"
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

// A bare name without a credential is answered as the contract has it: CP-106 if nobody has it, CP-107 if
// its client must prove itself. Introspection, where everybody must, tells no name from another.
func TestBareNamesAreToldApartWhereTheyMustBe(t *testing.T) {
	h := newHouse(t)
	form := func(path, client string) *http.Request {
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(asksFor(h, client).Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return r
	}
	asked := func(path, client string) *http.Request {
		r := httptest.NewRequest(http.MethodGet, path+"?client_id="+client, nil)
		r.Header.Set("Origin", page)
		r.Header.Set("X-Chatpass-Client", "web/0")
		return r
	}
	for path, c := range map[string]struct {
		ask     func(path, client string) *http.Request
		unknown identity.Code
	}{
		"/oauth2/token":      {form, identity.ClientUnknown},
		"/oauth2/revoke":     {form, identity.ClientUnknown},
		"/oauth2/introspect": {form, identity.ClientAuthentication},
		"/v1/session":        {asked, identity.ClientUnknown},
	} {
		for client, want := range map[string]identity.Code{
			"nobody": c.unknown, "back": identity.ClientAuthentication, "signer": identity.ClientAuthentication, "orders-api": identity.ClientAuthentication,
		} {
			res := h.send(t, c.ask(path, client))
			wantCode(t, res, http.StatusUnauthorized, want)
			if res.data["error"] != "invalid_client" || strings.Contains(string(res.body), client) || res.Header.Get("WWW-Authenticate") != "" {
				t.Errorf("%s, %s: %s", path, client, res.body)
			}
		}
	}
}

// Whoever shows a credential hears the same at every endpoint, whatever the name.
func TestCredentialsOfNobodyAreAsWrongAsAnyones(t *testing.T) {
	h := newHouse(t)
	for _, path := range []string{"/oauth2/token", "/oauth2/revoke", "/oauth2/introspect"} {
		heard := map[string][]string{}
		for _, client := range []string{"nobody", "back", "signer", "orders-api", "web"} {
			r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(asksFor(h, "").Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.SetBasicAuth(client, "guessed")
			res := h.send(t, r)
			wantCode(t, res, http.StatusUnauthorized, identity.ClientAuthentication)
			for _, once := range []string{"decision", "request_id"} {
				delete(res.data, once)
			}
			said := fmt.Sprint(res.data, res.Header["Www-Authenticate"])
			heard[said] = append(heard[said], client)
		}
		if len(heard) != 1 {
			t.Errorf("%s tells clients apart: %v", path, heard)
		}
	}
}

// asksFor is a form that every endpoint of ours takes, of that client.
func asksFor(h *house, client string) url.Values {
	return url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "client_id": {client}, "subject_token": {h.values["ada"]},
		"subject_token_type": {"urn:ietf:params:oauth:token-type:id_token"}, "token": {h.values["ada"]},
	}
}

func TestFormOfTooManyParametersIsCalledThat(t *testing.T) {
	h := newHouse(t)
	b := newBrowser(t, h)
	for n, want := range map[int]identity.Code{99: identity.ParameterRepeated, 100: identity.TooLarge, 20_000: identity.TooLarge} {
		r := httptest.NewRequest(http.MethodPost, "/oauth2/token", strings.NewReader("a=b"+strings.Repeat("&c", n)))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		wantCode(t, b.do(r), http.StatusBadRequest, want)
	}
}
