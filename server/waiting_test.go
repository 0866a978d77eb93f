package server_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"chatpass/decision"
	"chatpass/keys"
	"chatpass/server"
)

// waiting is a front door without rooms, whose issuer has a path.
func waiting(t *testing.T, set func() (keys.KeySet, bool)) http.Handler {
	t.Helper()
	h, err := server.NewWaiting(server.Config{
		Issuer: self + "/chat", Log: slog.New(slog.DiscardHandler), JWKSMaxAge: 5 * time.Minute, Now: time.Now,
		Audit: func(*http.Request, *decision.Decision) {}, NewID: func() string { return "id" }, Random: func() float64 { return 0.5 },
	}, []string{page}, set)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func ask(h http.Handler, method, path string, header http.Header) *http.Response {
	r, w := httptest.NewRequest(method, path, nil), httptest.NewRecorder()
	r.Header = header
	h.ServeHTTP(w, r)
	return w.Result()
}

// A front door that waits serves the key set as always.
func TestTheWaitingDoorServesTheKeySet(t *testing.T) {
	const path = "/chat/.well-known/jwks.json"
	h := waiting(t, func() (keys.KeySet, bool) { return keys.KeySet{Body: []byte(`{"keys":[]}`), ETag: `"x"`}, true })
	for name, test := range map[string]struct {
		method string
		header http.Header
		status int
		length string
	}{
		"GET":              {"GET", http.Header{"Origin": {"https://anywhere.example"}}, 200, "11"},
		"HEAD":             {"HEAD", http.Header{}, 200, "11"},
		"known already":    {"GET", http.Header{"If-None-Match": {`"x"`}}, 304, ""},
		"not known":        {"GET", http.Header{"If-None-Match": {`"y"`}}, 200, "11"},
		"without a method": {"POST", http.Header{}, 405, ""},
	} {
		res := ask(h, test.method, path, test.header)
		got := res.Header
		if res.StatusCode != test.status || got.Get("Access-Control-Allow-Origin") != "*" || test.length != "" && got.Get("Content-Length") != test.length {
			t.Errorf("%s: got %d %v", name, res.StatusCode, got)
		}
		if test.status == 200 && (got.Get("ETag") != `"x"` || got.Get("Cache-Control") != "public, max-age=300, stale-while-revalidate=60, stale-if-error=3600" ||
			got.Get("Content-Type") != "application/jwk-set+json") {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

// Whatever else is asked is an outage, which the pages of our apps may read, and no one else's.
func TestTheWaitingDoorAnswersOutages(t *testing.T) {
	h := waiting(t, func() (keys.KeySet, bool) { return keys.KeySet{}, false })
	for _, path := range []string{"/chat/.well-known/jwks.json", "/chat/v1/context", "/chat/oauth2/token", "/chat/sdk/v1/chatpass.js", "/", "/.well-known/jwks.json"} {
		for _, method := range []string{"GET", "POST"} {
			if method == "POST" && strings.HasPrefix(path, "/chat/.well") {
				continue // not served, ever
			}
			res := ask(h, method, path, http.Header{"Origin": {page}})
			var body struct{ Error, Code, Retry, Decision string }
			err := json.NewDecoder(res.Body).Decode(&body)
			if err != nil || res.StatusCode != 503 || res.Header.Get("Retry-After") != "6" || body.Code != "CP-901" ||
				body.Error != "temporarily_unavailable" || body.Retry != "later" || body.Decision == "" || res.Header.Get("X-Request-Id") == "" {
				t.Errorf("%s %s: got %d %v %+v, %v", method, path, res.StatusCode, res.Header, body, err)
			}
			if origin := res.Header.Get("Access-Control-Allow-Origin"); origin != page && origin != "*" {
				t.Errorf("%s %s: the page cannot read it", method, path)
			}
		}
	}
	if got := ask(h, "POST", "/chat/v1/context", http.Header{"Origin": {"https://evil.example"}}).Header; got.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a foreign page may read it: %v", got)
	}
	preflight := http.Header{"Origin": {page}, "Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"content-type,x-chatpass-client"}}
	if res := ask(h, "OPTIONS", "/chat/v1/context", preflight); res.StatusCode != 204 || res.Header.Get("Access-Control-Allow-Origin") != page {
		t.Errorf("preflight: got %d %v", res.StatusCode, res.Header)
	}
}
