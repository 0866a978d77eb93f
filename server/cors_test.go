package server_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// A preflight does not say the client, so every app's pages may ask. What comes back is for the pages of
// the client's own app alone, be it a yes or a no.
func TestOnlyTheClientsOwnPagesReadAnswers(t *testing.T) {
	const own, other = page, "https://sales.example.com"
	h := newHouse(t)
	form := func(change url.Values) func(string) *http.Request {
		return func(origin string) *http.Request {
			r := asks(h, change)
			r.Header.Set("Origin", origin)
			return r
		}
	}
	script := func(method, path, body string) func(string) *http.Request {
		return func(origin string) *http.Request {
			r := httptest.NewRequest(method, path, strings.NewReader(body))
			for name, value := range map[string]string{"Origin": origin, "X-Chatpass-Client": "web/0", "Content-Type": "application/json"} {
				r.Header.Set(name, value)
			}
			return r
		}
	}
	for name, c := range map[string]struct {
		ask func(origin string) *http.Request
		own bool // the client's own pages may read the answer
	}{
		"a context":                  {form(nil), true},
		"an expired token":           {form(url.Values{"subject_token": {h.values["expired"]}}), true},
		"a parameter twice":          {form(url.Values{"scope": {"a", "b"}}), true},
		"a parameter unsupported":    {form(url.Values{"claims": {"x"}}), true},
		"a parameter missing":        {form(url.Values{"grant_type": {""}}), true},
		"an unknown client":          {form(url.Values{"client_id": {"nobody"}}), false},
		"no client":                  {form(url.Values{"client_id": {""}}), false},
		"a backend's name":           {form(url.Values{"client_id": {"back"}}), false},
		"no session":                 {script("POST", "/v1/context", `{"client_id":"web"}`), true},
		"a session asked for":        {script("GET", "/v1/session?client_id=web", ""), true},
		"a sign-in's status":         {script("POST", "/v1/login/status", `{"client_id":"web"}`), true},
		"a claim":                    {script("POST", "/v1/session", `{"client_id":"web"}`), true},
		"a sign-out":                 {script("POST", "/v1/logout", `{"client_id":"web"}`), true},
		"an unknown client's page":   {script("POST", "/v1/context", `{"client_id":"nobody"}`), false},
		"what is no JSON":            {script("POST", "/v1/context", `{`), false},
		"a method that is not there": {script("PUT", "/v1/context", `{"client_id":"web"}`), false},
	} {
		t.Run(name, func(t *testing.T) {
			for origin, may := range map[string]bool{own: c.own, other: false, "https://evil.example": false, "null": false} {
				res := h.send(t, c.ask(origin))
				want := ""
				if may {
					want = origin
				}
				if got := res.Header.Get("Access-Control-Allow-Origin"); got != want {
					t.Errorf("page of %s: %s allowed to %q, want %q", origin, res.Status, got, want)
				}
				credentials := strings.HasPrefix(c.ask(origin).URL.Path, "/v1/") && may
				if got := res.Header.Get("Access-Control-Allow-Credentials") == "true"; got != credentials {
					t.Errorf("page of %s: credentials %v", origin, got)
				}
				if may && !strings.Contains(res.Header.Get("Access-Control-Expose-Headers"), "Retry-After") {
					t.Errorf("page of %s: cannot read Retry-After", origin)
				}
				if !strings.Contains(res.Header.Get("Vary"), "Origin") {
					t.Errorf("page of %s: Vary is %q", origin, res.Header.Get("Vary"))
				}
			}
		})
	}
}

func TestPreflightIsAnsweredForThePagesOfAllApps(t *testing.T) {
	h := newHouse(t)
	for origin, may := range map[string]bool{page: true, "https://sales.example.com": true, "https://evil.example": false, page + ".evil.example": false, "null": false} {
		for path, credentials := range map[string]string{"/oauth2/token": "", "/v1/context": "true"} {
			r := httptest.NewRequest(http.MethodOptions, path, nil)
			r.Header.Set("Origin", origin)
			r.Header.Set("Access-Control-Request-Method", "POST")
			r.Header.Set("Access-Control-Request-Headers", "content-type,x-chatpass-client")
			res := h.send(t, r)
			want := map[bool]string{true: origin}[may]
			if got := res.Header.Get("Access-Control-Allow-Origin"); got != want {
				t.Errorf("%s from %s: allowed to %q, want %q", path, origin, got, want)
			}
			if got := res.Header.Get("Access-Control-Allow-Credentials"); may && got != credentials {
				t.Errorf("%s from %s: credentials %q, want %q", path, origin, got, credentials)
			}
		}
	}
}

func TestABackendsAnswersAreNoPagesBusiness(t *testing.T) {
	h := newHouse(t)
	for _, secret := range []string{"s3cret%", "wrong"} {
		r := backend(h, secret, nil)
		r.Header.Set("Origin", page)
		res := h.send(t, r)
		if got := res.Header.Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("%s: allowed to %q", res.Status, got)
		}
	}
}
