package verify_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"chatpass/verify"
)

// An answer is what matters of an HTTP answer.
type answer struct {
	Status     int
	Challenge  string
	RetryAfter string
	Error      string
	Body       string // of the handler
}

func ask(t *testing.T, h http.Handler, r *http.Request) answer {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	a := answer{Status: w.Code, Challenge: strings.Join(w.Result().Header.Values("WWW-Authenticate"), " | "), RetryAfter: w.Header().Get("Retry-After")}
	if w.Code == http.StatusOK {
		a.Body = w.Body.String()
		return a
	}
	if w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("a refusal may be cached: %v", w.Header())
	}
	if w.Body.Len() == 0 {
		return a
	}
	var body struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body.Description == "" || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("body %q: %v", w.Body, err)
	}
	a.Error = body.Error
	return a
}

func whoami(w http.ResponseWriter, r *http.Request) {
	c, ok := verify.FromContext(r.Context())
	fmt.Fprint(w, ok, " ", c.Customer)
}

func TestMiddlewareAnswersAsRFC6750Says(t *testing.T) {
	key := newSigner(t, "k1", "EdDSA")
	good := key.good(t, claims(home, start()))
	expired := key.good(t, with(claims(home, start()), "exp", 1))
	invalid := func(reason string) answer {
		return answer{
			Status: 401, Error: "invalid_token",
			Challenge: `Bearer error="invalid_token", error_description="the token is not accepted: ` + reason + `"`,
		}
	}
	none := answer{Status: 401, Challenge: "Bearer"}
	twice := answer{
		Status: 400, Error: "invalid_request",
		Challenge: `Bearer error="invalid_request", error_description="the token was sent more than once"`,
	}
	tests := []struct {
		name        string
		query       string
		credentials []string
		want        answer
	}{
		{"good", "", []string{"Bearer " + good}, answer{Status: 200, Body: "true c-1"}},
		{"scheme in lower case", "", []string{"bearer " + good}, answer{Status: 200, Body: "true c-1"}},
		{"two spaces", "", []string{"Bearer  " + good}, answer{Status: 200, Body: "true c-1"}},
		{"no credentials", "", nil, none},
		{"credentials of another scheme", "", []string{"Basic YTpi"}, none},
		{"empty header", "", []string{""}, none},
		{"token in the query alone", "?access_token=" + good, nil, none},
		{"scheme alone", "", []string{"Bearer"}, invalid("malformed")},
		{"scheme and space", "", []string{"Bearer "}, invalid("malformed")},
		{"not a token", "", []string{"Bearer \"<script>"}, invalid("malformed")},
		{"two tokens in one header", "", []string{"Bearer " + good + ", Bearer " + good}, invalid("malformed")},
		{"tail", "", []string{"Bearer " + good + " x"}, invalid("malformed")},
		{"too large", "", []string{"Bearer " + strings.Repeat("a", 20_000)}, invalid("too_large")},
		{"expired", "", []string{"Bearer " + expired}, invalid("expired")},
		{"unknown key", "", []string{"Bearer " + newSigner(t, "k9", "EdDSA").good(t, claims(home, start()))}, invalid("unknown_key")},
		{"two headers", "", []string{"Bearer " + good, "Bearer " + good}, twice},
		{"header and query", "?access_token=x", []string{"Bearer " + good}, twice},
		{"header and escaped query", "?a=b&access%5Ftoken=x", []string{"Bearer " + good}, twice},
		{"a query that only looks like it", "?not_access_token=x", []string{"Bearer " + good}, answer{Status: 200, Body: "true c-1"}},
	}
	h := verifier(t, newIssuer(t, home, key)).Middleware(http.HandlerFunc(whoami), "chat:read")
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/balance"+test.query, nil)
			r.Header["Authorization"] = test.credentials
			if diff := cmp.Diff(test.want, ask(t, h, r)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMiddlewareNamesTheMissingScope(t *testing.T) {
	key := newSigner(t, "k1", "EdDSA")
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+key.good(t, claims(home, start())))
	insufficient := func(scopes string) answer {
		return answer{
			Status: 403, Error: "insufficient_scope",
			Challenge: `Bearer error="insufficient_scope", error_description="the token lacks a scope", scope="` + scopes + `"`,
		}
	}
	tests := []struct {
		always, here []string
		want         answer
	}{
		{nil, nil, answer{Status: 200, Body: "true c-1"}},
		{[]string{"chat:read"}, []string{"chat:write"}, answer{Status: 200, Body: "true c-1"}},
		{nil, []string{"chat:read", "admin"}, insufficient("chat:read admin")},
		{[]string{"admin"}, []string{"chat:read"}, insufficient("admin chat:read")},
		{nil, []string{"admin", "a\"\r\nSet-Cookie: x=y", "é"}, insufficient("admin")},
	}
	for _, test := range tests {
		v := verifier(t, newIssuer(t, home, key), verify.WithRequiredScopes(test.always...))
		if diff := cmp.Diff(test.want, ask(t, v.Middleware(http.HandlerFunc(whoami), test.here...), r)); diff != "" {
			t.Errorf("%v, %v: %s", test.always, test.here, diff)
		}
	}
}

func TestMiddlewareAnswersAnOutageWith503(t *testing.T) {
	key := newSigner(t, "k1", "EdDSA")
	i := newIssuer(t, home, key)
	i.down = true
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+key.good(t, claims(home, start())))
	want := answer{Status: 503, RetryAfter: "5", Error: "temporarily_unavailable"}
	if diff := cmp.Diff(want, ask(t, verifier(t, i).Middleware(http.HandlerFunc(whoami)), r)); diff != "" {
		t.Error(diff)
	}
}

func TestNoContextWithoutTheMiddleware(t *testing.T) {
	if c, ok := verify.FromContext(t.Context()); ok || c != nil {
		t.Errorf("got %v", c)
	}
}
