package server_test

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// statusClaim is what a context says of where it can be looked up.
type statusClaim struct {
	SID    string `json:"sid"`
	Status struct {
		List struct {
			Index int    `json:"idx"`
			URI   string `json:"uri"`
		} `json:"status_list"`
	} `json:"status"`
}

// exchangeAda trades an ID token of Ada's for a context.
func exchangeAda(t *testing.T, h *house) (token string, claim statusClaim) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, asks(h, url.Values{"subject_token": {h.issuer.idToken(t, map[string]any{"jti": t.Name()})}}))
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != http.StatusOK {
		t.Fatalf("exchange: %d %s", w.Code, w.Body)
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(answer.Token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(payload, &claim); err != nil {
		t.Fatal(err)
	}
	return answer.Token, claim
}

// statusOf is the place of the session that a browser holds.
func statusOf(t *testing.T, b *browser) (claim statusClaim) {
	t.Helper()
	answer := b.call("/v1/context", map[string]any{})
	token, _ := answer.data["context"].(map[string]any)["token"].(string)
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(payload, &claim); err != nil {
		t.Fatal(err)
	}
	return claim
}

func get(h http.Handler, method, target string, header http.Header) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	r.Header = header
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// published is what verifiers hear of a session when the lists have followed the log.
func published(t *testing.T, h *house, claim statusClaim) bool {
	t.Helper()
	if err := h.lists.Follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	return bitOf(t, h, claim)
}

// bitOf reads a list as any verifier would: with the published key set.
func bitOf(t *testing.T, h *house, claim statusClaim) bool {
	t.Helper()
	w := get(h, http.MethodGet, claim.Status.List.URI, http.Header{})
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/statuslist+jwt" {
		t.Fatalf("list: %d %s", w.Code, w.Header().Get("Content-Type"))
	}
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(get(h, http.MethodGet, "/.well-known/jwks.json", http.Header{}).Body.Bytes(), &keys); err != nil {
		t.Fatal(err)
	}
	list, err := jose.ParseSignedCompact(w.Body.String(), []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	if typ := list.Signatures[0].Header.ExtraHeaders["typ"]; typ != "statuslist+jwt" {
		t.Errorf("typ %v", typ)
	}
	payload, err := list.Verify(keys)
	if err != nil {
		t.Fatal(err)
	}
	var body struct {
		Subject string `json:"sub"`
		List    struct {
			List string `json:"lst"`
		} `json:"status_list"`
	}
	if err := json.Unmarshal(payload, &body); err != nil {
		t.Fatal(err)
	}
	if body.Subject != claim.Status.List.URI {
		t.Errorf("sub %s of the list at %s", body.Subject, claim.Status.List.URI)
	}
	packed, err := base64.RawURLEncoding.DecodeString(body.List.List)
	if err != nil {
		t.Fatal(err)
	}
	unpack, err := zlib.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	bits, err := io.ReadAll(unpack)
	if err != nil {
		t.Fatal(err)
	}
	at := claim.Status.List.Index
	return bits[at/8]>>(at%8)&1 == 1
}

func TestASignOutReachesTheStatusList(t *testing.T) {
	h := newHouse(t)
	token, claim := exchangeAda(t, h)
	if want := self + "/status/support.1"; claim.Status.List.URI != want {
		t.Fatalf("uri %q, want %q", claim.Status.List.URI, want)
	}
	if bitOf(t, h, claim) {
		t.Fatal("a session that has just begun counts as ended")
	}
	r := httptest.NewRequest(http.MethodPost, "/oauth2/revoke", strings.NewReader(url.Values{"client_id": {"web"}, "token": {token}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", page)
	serveAll(t, h, r, http.StatusOK)
	if err := h.lists.Follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !bitOf(t, h, claim) {
		t.Error("the session has ended, and its bit is not set")
	}
}

func serveAll(t *testing.T, h http.Handler, r *http.Request, want int) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != want {
		t.Fatalf("%s: got %d, want %d: %s", r.URL.Path, w.Code, want, w.Body)
	}
}

func TestAllContextsOfASessionShareItsPlace(t *testing.T) {
	h := newHouse(t)
	token, first := exchangeAda(t, h)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, asks(h, url.Values{
		"subject_token": {token}, "subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"}, "scope": {"chat:read"},
	}))
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != http.StatusOK {
		t.Fatalf("narrow: %d %s", w.Code, w.Body)
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(answer.Token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var narrowed statusClaim
	if err := json.Unmarshal(payload, &narrowed); err != nil {
		t.Fatal(err)
	}
	if narrowed != first {
		t.Errorf("first %+v, narrowed %+v", first, narrowed)
	}
}

func TestAStatusListIsServedLikeAnyPublicFile(t *testing.T) {
	h := newHouse(t)
	_, claim := exchangeAda(t, h)
	list := strings.TrimPrefix(claim.Status.List.URI, self)
	full := get(h, http.MethodGet, list, http.Header{})
	etag := full.Header().Get("ETag")
	for _, c := range []struct {
		method, path string
		header       http.Header
		status       int
		body         bool
	}{
		{http.MethodGet, list, http.Header{"If-None-Match": {etag}}, http.StatusNotModified, false},
		{http.MethodGet, list, http.Header{"If-None-Match": {`"other", W/` + etag}}, http.StatusNotModified, false},
		{http.MethodHead, list, http.Header{"If-None-Match": {"*"}}, http.StatusNotModified, false},
		{http.MethodGet, list, http.Header{"If-None-Match": {`"other"`, strings.Trim(etag, `"`)}}, http.StatusOK, true},
		{http.MethodGet, list, http.Header{"Range": {"bytes=0-1"}, "If-Match": {`"other"`}}, http.StatusOK, true},
		{http.MethodHead, list, http.Header{}, http.StatusOK, false},
		{http.MethodPost, list, http.Header{}, http.StatusMethodNotAllowed, true},
		{http.MethodGet, "/status/support.2", http.Header{}, http.StatusNotFound, true},
	} {
		w := get(h, c.method, c.path, c.header)
		if w.Code != c.status || (w.Body.Len() > 0) != c.body || w.Header().Get("Access-Control-Allow-Origin") != "*" ||
			w.Header().Get("Cross-Origin-Resource-Policy") != "cross-origin" {
			t.Errorf("%s %s: %d with %d bytes, %v", c.method, c.path, w.Code, w.Body.Len(), w.Header())
		}
	}
	if got := full.Header().Get("Cache-Control"); got != "public, max-age=1" {
		t.Errorf("Cache-Control %q", got)
	}
}
