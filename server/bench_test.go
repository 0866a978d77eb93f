package server_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
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

// BenchmarkRefusalBeforeSignature is a token of an issuer that nobody trusts.
func BenchmarkRefusalBeforeSignature(b *testing.B) {
	h := newHouse(b)
	form := url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "client_id": {"web"},
		"subject_token":      {h.issuer.idToken(b, map[string]any{"iss": "https://nobody"})},
		"subject_token_type": {"urn:ietf:params:oauth:token-type:id_token"},
	}.Encode()
	b.ReportAllocs()
	for b.Loop() {
		serveOK(b, h, exchangeRequest(form), http.StatusBadRequest)
	}
}

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
