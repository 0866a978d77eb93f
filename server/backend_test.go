package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"chatpass/exchange"
	"chatpass/jwks"
	"chatpass/policy"
	"chatpass/verify"
)

// withBackends gives the support app a second service, a backend that signs, a verifier, and agents who
// may act for customers.
func withBackends(t testing.TB, h *house, apps []exchange.App) []exchange.App {
	t.Helper()
	var err error
	if h.signing, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	document, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: h.signing.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"}}})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := jwks.Static(document, nil)
	if err != nil {
		t.Fatal(err)
	}
	agents, err := policy.Compile(policy.Source{Admit: "'agents' in claims.groups"})
	if err != nil {
		t.Fatal(err)
	}
	support := &apps[0]
	support.Audience = append(support.Audience, "https://crm.example.com")
	support.Actors = []exchange.Actor{{Issuer: "corp", Accepts: []string{"agent-desk"}, Rules: agents, Scopes: []string{"chat:read"}, Lifetime: 2 * time.Minute}}
	support.Clients = append(
		support.Clients,
		exchange.Client{ID: "signer", Type: exchange.Backend, Accepts: support.Clients[0].Accepts, Keys: keys},
		exchange.Client{ID: "orders-api", Type: exchange.Inspector, Secret: []byte("0rders")},
	)
	return apps
}

// prepare makes the tokens that a transcript names and that only this house can give.
func (h *house) prepare(t testing.TB, request string) {
	t.Helper()
	for name, token := range map[string]func() string{
		"context": func() string { return h.context(t, nil) },
		"narrowed": func() string {
			return h.context(t, url.Values{"subject_token": {h.context(t, nil)}, "subject_token_type": {accessType}})
		},
		"elsewhere": func() string { return h.elsewhere(t) },
		"agent":     func() string { return h.agent(t) },
		"assertion": func() string { return h.assertion(t) },
	} {
		if strings.Contains(request, "{"+name+"}") {
			h.values[name] = token()
		}
	}
}

const (
	grantType  = "urn:ietf:params:oauth:grant-type:token-exchange"
	idType     = "urn:ietf:params:oauth:token-type:id_token"
	accessType = "urn:ietf:params:oauth:token-type:access_token"
	jwtBearer  = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
)

// post sends a form as the given client, a backend or a verifier.
func (h *house) post(t testing.TB, path, user, secret string, form url.Values) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, self+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if user != "" {
		r.SetBasicAuth(url.QueryEscape(user), url.QueryEscape(secret))
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// context is what the backend gets for Ada's ID token, or for what change says instead.
func (h *house) context(t testing.TB, change url.Values) string {
	t.Helper()
	form := url.Values{"grant_type": {grantType}, "subject_token": {h.values["ada"]}, "subject_token_type": {idType}}
	for name, values := range change {
		form[name] = values
	}
	res := h.post(t, "/oauth2/token", "back", "s3cret%", form)
	return member(t, res, "access_token")
}

// elsewhere is a context of the other app.
func (h *house) elsewhere(t testing.TB) string {
	t.Helper()
	form := url.Values{"grant_type": {grantType}, "client_id": {"sales-web"}, "subject_token": {h.values["ada"]}, "subject_token_type": {idType}}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, self+"/oauth2/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", "https://sales.example.com")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return member(t, w.Result(), "access_token")
}

func (h *house) agent(t testing.TB) string {
	t.Helper()
	return h.issuer.idToken(t, map[string]any{"sub": "bob", "aud": "agent-desk", "sid": "u9", "groups": []string{"agents"}})
}

func (h *house) assertion(t testing.TB) string {
	t.Helper()
	signer := &issuer{key: h.signing}
	return signer.sign(t, "JWT", map[string]any{
		"iss": "signer", "sub": "signer", "aud": self, "jti": rand.Text(), "exp": time.Now().Add(time.Minute).Unix(),
	})
}

func member(t testing.TB, res *http.Response, name string) string {
	t.Helper()
	body := answerOf(t, res)
	text, ok := body[name].(string)
	if !ok {
		t.Fatalf("no %s in %v", name, body)
	}
	return text
}

func answerOf(t testing.TB, res *http.Response) map[string]any {
	t.Helper()
	body := map[string]any{}
	if err := json.NewDecoder(res.Body).Decode(&body); err != nil {
		t.Fatalf("status %d: %v", res.StatusCode, err)
	}
	return body
}

// RoundTrip lets clients made for the network ask the house.
func (h *house) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result(), nil
}

// TestContextIsIssuedExchangedAndVerified goes the whole way with real keys: what comes out of each trade
// is believed by a service that knows the issuer's URL alone, and only by the one it is for.
func TestContextIsIssuedExchangedAndVerified(t *testing.T) {
	h := newHouse(t)
	both := url.Values{"audience": {"https://api.example.com", "https://crm.example.com"}}
	wide := h.context(t, both)
	narrow := h.context(t, url.Values{
		"subject_token": {wide}, "subject_token_type": {accessType}, "audience": {"https://crm.example.com"}, "scope": {"chat:read"}, "conversation": {"42"},
	})
	acting := h.context(t, url.Values{
		"subject_token": {wide}, "subject_token_type": {accessType}, "audience": {"https://crm.example.com"},
		"actor_token": {h.agent(t)}, "actor_token_type": {idType},
	})
	verifier := func(audience string) *verify.Verifier {
		v, err := verify.New(self, audience, verify.WithHTTPClient(&http.Client{Transport: h}))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	crm, api := verifier("https://crm.example.com"), verifier("https://api.example.com")
	first, err := crm.Verify(t.Context(), wide)
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{"narrowed": narrow, "delegated": acting} {
		got, err := crm.Verify(t.Context(), token)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got.Customer != first.Customer || got.SID != first.SID || !slices.Equal(got.Scope, []string{"chat:read"}) || got.Expires.After(first.Expires) {
			t.Errorf("%s: %+v", name, got)
		}
		if _, err := api.Verify(t.Context(), token); err == nil {
			t.Errorf("%s: another service believes it", name)
		}
	}
	got, err := crm.Verify(t.Context(), acting)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&verify.Actor{Issuer: h.issuer.URL, Subject: "bob"}, got.Actor); diff != "" {
		t.Errorf("actor (-want +got):\n%s", diff)
	}
}

func TestIntrospectionAnswersUntilTheSessionIsRevoked(t *testing.T) {
	h := newHouse(t)
	token := h.context(t, nil)
	introspect := func() map[string]any {
		return answerOf(t, h.post(t, "/oauth2/introspect", "orders-api", "0rders", url.Values{"token": {token}, "token_type_hint": {"refresh_token"}}))
	}
	if before := introspect(); before["active"] != true || before["sub"] == "" || before["token_type"] != "Bearer" {
		t.Fatalf("before: %v", before)
	}
	res := h.post(t, "/oauth2/revoke", "back", "s3cret%", url.Values{"token": {h.values["ada"]}, "token_type_hint": {"id_token"}})
	if res.StatusCode != http.StatusOK {
		t.Fatalf("revoke: %v", answerOf(t, res))
	}
	if diff := cmp.Diff(map[string]any{"active": false}, introspect()); diff != "" {
		t.Errorf("after (-want +got):\n%s", diff)
	}
	res = h.post(t, "/oauth2/token", "back", "s3cret%", url.Values{"grant_type": {grantType}, "subject_token": {h.values["ada"]}, "subject_token_type": {idType}})
	if body := answerOf(t, res); body["code"] != "CP-406" {
		t.Errorf("the ID token once more: %v", body)
	}
}

func TestAssertionWorksOnceAtEveryEndpoint(t *testing.T) {
	h := newHouse(t)
	token := h.context(t, nil)
	for path, form := range map[string]url.Values{
		"/oauth2/token":      {"grant_type": {grantType}, "subject_token": {h.values["ada"]}, "subject_token_type": {idType}},
		"/oauth2/introspect": {"token": {token}},
		"/oauth2/revoke":     {"token": {"nothing"}},
	} {
		form.Set("client_assertion_type", jwtBearer)
		form.Set("client_assertion", h.assertion(t))
		if res := h.post(t, path, "", "", form); res.StatusCode != http.StatusOK {
			t.Errorf("%s: %v", path, answerOf(t, res))
		}
		res := h.post(t, path, "", "", form)
		if body := answerOf(t, res); res.StatusCode != http.StatusUnauthorized || body["code"] != "CP-107" {
			t.Errorf("%s again: %d %v", path, res.StatusCode, body)
		}
	}
}

// TestAnAnswerIsAlwaysJSONWithCodeAndDecision sends what nobody should to the endpoints of backends.
func TestAnAnswerIsAlwaysJSONWithCodeAndDecision(t *testing.T) {
	h := newHouse(t)
	for _, path := range []string{"/oauth2/token", "/oauth2/introspect", "/oauth2/revoke"} {
		for name, form := range map[string]url.Values{
			"nothing":              {},
			"a parameter twice":    {"token": {"a", "b"}, "subject_token": {"a", "b"}},
			"an unsupported one":   {"requested_subject": {"bob"}},
			"a secret in the body": {"client_id": {"back"}, "client_secret": {"s3cret%"}},
			"an unknown client":    {"client_id": {"nobody"}, "token": {"x"}, "grant_type": {grantType}, "subject_token": {"a.b.c"}, "subject_token_type": {idType}},
			"half an assertion":    {"client_assertion": {"x"}},
			"the other half":       {"client_assertion_type": {jwtBearer}},
			"a foreign assertion":  {"client_assertion": {"x"}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:saml2-bearer"}},
		} {
			res := h.post(t, path, "", "", form)
			body := answerOf(t, res)
			if res.StatusCode < 400 || res.StatusCode >= 500 || body["code"] == nil || body["decision"] == "" || body["error"] == "" {
				t.Errorf("%s %s: %d %v", path, name, res.StatusCode, body)
			}
		}
	}
}
