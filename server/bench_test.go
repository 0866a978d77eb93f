package server_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"chatpass/server"
)

// BenchmarkRenewal is E6 in process, through the whole front door: session, rules, ES256 signature.
func BenchmarkRenewal(b *testing.B) {
	h := newHouse(b)
	cookie := cookieOf(b, h)
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest(http.MethodPost, "/v1/context", strings.NewReader(`{"client_id":"web","activity":"passive","cause":"timer"}`))
		for name, value := range map[string]string{"Origin": page, "X-Chatpass-Client": "web/0", "Content-Type": "application/json", "Cookie": cookie} {
			r.Header.Set(name, value)
		}
		serveOK(b, h, r, http.StatusOK)
	}
}

// BenchmarkExchange is the token endpoint in process: an ES256 ID token in, an ES256 context out.
func BenchmarkExchange(b *testing.B) {
	h := newHouse(b)
	form := url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "client_id": {"web"}, "subject_token": {h.values["ada"]},
		"subject_token_type": {"urn:ietf:params:oauth:token-type:id_token"},
	}.Encode()
	b.ReportAllocs()
	for b.Loop() {
		serveOK(b, h, exchangeRequest(form), http.StatusOK)
	}
}

// BenchmarkKeySetRequest is the key set in process, through the whole front door: as verifiers fetch it,
// and as they ask whether it has changed. The bare handler writes the same bytes and nothing else.
func BenchmarkKeySetRequest(b *testing.B) {
	h := newHouse(b)
	whole := httptest.NewRecorder()
	h.ServeHTTP(whole, httptest.NewRequest(http.MethodGet, "/.well-known/jwks.json", nil))
	unchanged := http.Header{"If-None-Match": {whole.Header().Get("ETag")}}
	bare := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(whole.Body.Bytes()) })
	for _, c := range []struct {
		name    string
		handler http.Handler
		header  http.Header
		status  int
	}{{"bare handler", bare, nil, 0}, {"fetch", h, nil, http.StatusOK}, {"unchanged", h, unchanged, http.StatusNotModified}} {
		b.Run(c.name, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, "/.well-known/jwks.json", nil)
			r.Header = c.header
			b.ReportAllocs()
			for b.Loop() {
				w := &sink{header: http.Header{}}
				c.handler.ServeHTTP(w, r)
				if w.status != c.status {
					b.Fatalf("got %d, want %d", w.status, c.status)
				}
			}
		})
	}
}

// BenchmarkRefusalBeforeSignature is what it costs to say no before any signature is looked at, through
// the whole front door. The bare handler reads the same form and writes the same answer, and nothing
// else: on a machine that others use too, the ratio to it says more than the time.
func BenchmarkRefusalBeforeSignature(b *testing.B) {
	h := newHouse(b, func(cfg *server.Config) {
		cfg.Log = slog.New(slog.NewJSONHandler(io.Discard, nil))
		cfg.Limits = server.Limits{RefusalsPerIP: math.MaxInt32}
	})
	limited, _ := limitedHouse(b, server.Limits{RefusalsPerIP: 1})
	limited.send(b, asks(limited, url.Values{"client_id": {"nobody"}}))
	bare := &house{Handler: http.HandlerFunc(answerBare), values: h.values, log: h.log, issuer: h.issuer}
	for _, c := range []struct {
		name   string
		house  *house
		change url.Values
		status int
	}{
		{"bare handler", bare, nil, http.StatusBadRequest},
		{"household refused too often", limited, nil, http.StatusTooManyRequests},
		{"parameter missing", h, url.Values{"grant_type": {""}}, http.StatusBadRequest},
		{"three dots", h, url.Values{"subject_token": {"a.b.c.d"}}, http.StatusBadRequest},
		{"client unknown", h, url.Values{"client_id": {"nobody"}}, http.StatusUnauthorized},
		{"key id unknown", h, url.Values{"subject_token": {withKID(h.values["ada"], "k2")}}, http.StatusBadRequest},
		{"issuer unknown", h, url.Values{"subject_token": {h.issuer.idToken(b, map[string]any{"iss": "https://nobody"})}}, http.StatusBadRequest},
	} {
		b.Run(c.name, func(b *testing.B) {
			form := asks(h, c.change)
			body, err := io.ReadAll(form.Body)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				r := *form
				r.Body = io.NopCloser(bytes.NewReader(body))
				w := &sink{header: http.Header{}}
				c.house.ServeHTTP(w, &r)
				if w.status != c.status {
					b.Fatalf("got %d, want %d", w.status, c.status)
				}
				c.house.log.Reset()
			}
		})
	}
}

// withKID returns the token with another key id in its header.
func withKID(token, kid string) string {
	_, signed, _ := strings.Cut(token, ".")
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","typ":"JWT","kid":"`+kid+`"}`)) + "." + signed
}

// answerBare is the least that any handler does for a form and a JSON answer.
func answerBare(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	form, _ := url.ParseQuery(string(body))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"error": "invalid_request", "error_description": "the subject token's issuer is not one of this app's issuers", "code": "CP-201", "decision": rand.Text(),
		"reason": "issuer_not_trusted", "retry": "no", "retry_after": nil, "request_id": rand.Text(), "login": form["login"],
	})
}

// sink is a connection that costs nothing.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) Write(b []byte) (int, error) { return len(b), nil }
func (s *sink) WriteHeader(status int)      { s.status = status }

func exchangeRequest(form string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/oauth2/token", strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", page)
	return r
}

func serveOK(b *testing.B, h *house, r *http.Request, want int) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != want {
		b.Fatalf("got %d, want %d: %s", w.Code, want, w.Body)
	}
	h.log.Reset()
}

// cookieOf signs somebody in and returns the session's cookie header.
func cookieOf(b *testing.B, h *house) string {
	b.Helper()
	visitor := newBrowser(b, h)
	in := visitor.start()
	visitor.back(in)
	if res := visitor.claim(in); res.StatusCode != http.StatusCreated {
		b.Fatalf("claim: %s", res.Status)
	}
	return "__Host-chatpass-support=" + visitor.cookies["__Host-chatpass-support"]
}
