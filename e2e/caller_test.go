package e2e_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"testing"

	"golang.org/x/oauth2"
)

// An answer is what any of our endpoints says, good or bad, in the contract's names.
type answer struct {
	status int
	header http.Header

	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int    `json:"expires_in"`
	RenewIn     int    `json:"renew_in"`
	Scope       string `json:"scope"`
	Customer    string `json:"customer_id"`
	SID         string `json:"sid"`

	Active  bool `json:"active"`
	Session struct {
		SID string `json:"sid"`
	} `json:"session"`
	Context struct {
		Token     string `json:"token"`
		JTI       string `json:"jti"`
		ExpiresIn int    `json:"expires_in"`
	} `json:"context"`

	Error       string `json:"error"`
	Description string `json:"error_description"`
	Code        string `json:"code"`
	Reason      string `json:"reason"`
	Retry       string `json:"retry"`
	Decision    string `json:"decision"`
}

// do sends a request and reads the answer; an error means that no whole answer came.
func do(client *http.Client, req *http.Request) (answer, error) {
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{status: resp.StatusCode, header: resp.Header}
	if len(body) == 0 {
		return a, nil // there is nothing to say to whoever has ended a session
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return a, fmt.Errorf("status %d, not JSON: %q", resp.StatusCode, body)
	}
	return a, nil
}

func (a answer) want(t testing.TB, status int) answer {
	t.Helper()
	if a.status != status {
		t.Fatalf("got status %d (%s %s: %s), want %d", a.status, a.Code, a.Error, a.Description, status)
	}
	return a
}

// exchangeRequest is an RFC 8693 request for idToken, before anybody authenticates.
func (s site) exchangeRequest(t testing.TB, idToken string) *http.Request {
	t.Helper()
	return s.tokenRequest(t, exchangeForm(idToken))
}

func exchangeForm(idToken string) url.Values {
	return url.Values{
		"grant_type":         {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"subject_token":      {idToken},
		"subject_token_type": {"urn:ietf:params:oauth:token-type:id_token"},
	}
}

func (s site) tokenRequest(t testing.TB, form url.Values) *http.Request {
	t.Helper()
	return s.formRequest(t, "/oauth2/token", form)
}

func (s site) formRequest(t testing.TB, path string, form url.Values) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.at+path, bytes.NewBufferString(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return req
}

// asBackend exchanges idToken as the backend client.
func (s site) asBackend(t testing.TB, idToken string) answer {
	t.Helper()
	return s.askAsBackend(t, s.exchangeRequest(t, idToken))
}

func (s site) askAsBackend(t testing.TB, req *http.Request) answer {
	t.Helper()
	req.SetBasicAuth(backend, secrets[1][len("BACKEND_SECRET="):])
	return s.ask(t, req)
}

// asPage exchanges idToken as a page of the given origin.
func (s site) asPage(t testing.TB, idToken, origin string) answer {
	t.Helper()
	form := exchangeForm(idToken)
	form.Set("client_id", webClient)
	req := s.tokenRequest(t, form)
	req.Header.Set("Origin", origin)
	return s.ask(t, req)
}

func (s site) ask(t testing.TB, req *http.Request) answer {
	t.Helper()
	return ask(t, http.DefaultClient, req)
}

// ask is for any goroutine of a test: without an answer the test fails, and goes on.
func ask(t testing.TB, client *http.Client, req *http.Request) answer {
	t.Helper()
	a, err := do(client, req)
	if err != nil {
		t.Error(err)
	}
	return a
}

// A visitor is somebody with a browser on a page of the shop.
type visitor struct {
	*browser
	site site
}

// call is what the SDK sends from the page.
func (v visitor) call(t testing.TB, path string, body map[string]any) answer {
	t.Helper()
	said := map[string]any{"client_id": webClient}
	maps.Copy(said, body)
	text, err := json.Marshal(said)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, v.site.at+path, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Origin", shopOrigin)
	req.Header.Set("X-Chatpass-Client", "web/e2e")
	return ask(t, &v.Client, req)
}

// renew asks for a context with the session cookie.
func (v visitor) renew(t testing.TB) answer {
	t.Helper()
	return v.call(t, "/v1/context", map[string]any{"activity": "active", "cause": "demand"})
}

// signInURL is where a page sends its popup; the page keeps txn and verifier.
func (s site) signInURL(txn, verifier string) string {
	return s.at + "/v1/login/start?" + url.Values{
		"client_id": {webClient}, "txn": {txn}, "challenge": {oauth2.S256ChallengeFromVerifier(verifier)},
		"mode": {"popup"}, "page_origin": {shopOrigin},
	}.Encode()
}

// signIn signs person in by popup and claims the session.
func (s site) signIn(t testing.TB, person string) (visitor, answer) {
	t.Helper()
	v, claim := s.comeBack(t, person)
	return v, v.call(t, "/v1/session", claim).want(t, http.StatusCreated)
}

// comeBack leads a new visitor by popup to the issuer and back, and returns what claims the session.
func (s site) comeBack(t testing.TB, person string) (visitor, map[string]any) {
	t.Helper()
	v := visitor{newBrowser(t), s}
	txn, verifier := rand.Text(), oauth2.GenerateVerifier()
	landed, page := v.browser.signIn(t, s.signInURL(txn, verifier), person)
	if landed.Path != "/v1/login/callback/corp" {
		t.Fatalf("signing in ended at %s: %s", landed, page)
	}
	return v, map[string]any{"txn": txn, "verifier": verifier}
}
