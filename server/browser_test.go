package server_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"chatpass/identity"
	"chatpass/server"
)

// browser is a page of the shop and the cookies of its visitor.
type browser struct {
	t       testing.TB
	house   *house
	cookies map[string]string
	site    string // where the shop's page is, as browsers see it
	from    string // the site that leads a window here
}

func newBrowser(t testing.TB, h *house) *browser {
	return &browser{t: t, house: h, cookies: map[string]string{}, site: "same-site"}
}

// reply is an answer, read to its end.
type reply struct {
	*http.Response
	body []byte
	data map[string]any // of a JSON answer
}

func (b *browser) do(r *http.Request) reply {
	b.t.Helper()
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	b.house.ServeHTTP(w, r)
	res := w.Result()
	for _, c := range res.Cookies() {
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
			continue
		}
		b.cookies[c.Name] = c.Value
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	answer := reply{Response: res, body: body}
	if strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(body, &answer.data); err != nil {
			b.t.Fatalf("answer is not JSON: %v", err)
		}
	}
	return answer
}

// call is a script's call from the shop's page.
func (b *browser) call(path string, body map[string]any) reply {
	b.t.Helper()
	if body["client_id"] == nil {
		body["client_id"] = "web"
	}
	text, err := json.Marshal(body)
	if err != nil {
		b.t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(text))
	r.Header.Set("Origin", page)
	r.Header.Set("X-Chatpass-Client", "web/0")
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Sec-Fetch-Site", b.site)
	r.Header.Set("Sec-Fetch-Mode", "cors")
	return b.do(r)
}

// visit is a navigation of a window.
func (b *browser) visit(target string) reply {
	b.t.Helper()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.Header.Set("Sec-Fetch-Dest", "document")
	if b.from != "" {
		r.Header.Set("Sec-Fetch-Site", b.from)
	}
	return b.do(r)
}

// signIn is one sign-in on its way.
type signIn struct {
	txn, verifier string
	asked         url.Values // of the issuer
}

// start opens the sign-in window.
func (b *browser) start(more ...string) signIn {
	b.t.Helper()
	in := signIn{txn: rand.Text(), verifier: rand.Text() + rand.Text()}
	sum := sha256.Sum256([]byte(in.verifier))
	q := url.Values{
		"client_id": {"web"}, "txn": {in.txn}, "challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "mode": {"popup"}, "page_origin": {page},
	}
	for i := 0; i < len(more); i += 2 {
		q.Set(more[i], more[i+1])
	}
	res := b.visit("/v1/login/start?" + q.Encode())
	if res.StatusCode != http.StatusFound {
		b.t.Fatalf("start: %s\n%s", res.Status, res.body)
	}
	issuerURL, err := url.Parse(res.Header.Get("Location"))
	if err != nil || !strings.HasPrefix(res.Header.Get("Location"), b.house.issuer.URL+"/auth?") {
		b.t.Fatalf("start leads to %q, %v", res.Header.Get("Location"), err)
	}
	in.asked = issuerURL.Query()
	return in
}

// back is the issuer's answer; by default a good one.
func (b *browser) back(in signIn, more ...string) reply {
	b.t.Helper()
	q := url.Values{"state": {in.asked.Get("state")}, "code": {in.asked.Get("nonce")}, "iss": {b.house.issuer.URL}}
	for i := 0; i < len(more); i += 2 {
		q.Set(more[i], more[i+1])
	}
	return b.visit("/v1/login/callback/corp?" + q.Encode())
}

func (b *browser) claim(in signIn) reply {
	b.t.Helper()
	return b.call("/v1/session", map[string]any{"txn": in.txn, "verifier": in.verifier})
}

// signedIn is a browser that has signed in.
func signedIn(t *testing.T, h *house) *browser {
	t.Helper()
	b := newBrowser(t, h)
	in := b.start()
	if res := b.back(in); res.StatusCode != http.StatusOK {
		t.Fatalf("callback: %s\n%s", res.Status, res.body)
	}
	if res := b.claim(in); res.StatusCode != http.StatusCreated {
		t.Fatalf("claim: %s\n%s", res.Status, res.body)
	}
	return b
}

func wantCode(t *testing.T, res reply, status int, code identity.Code) {
	t.Helper()
	if res.StatusCode != status || res.data["code"] != string(code) {
		t.Errorf("got %s %v, want %d %s", res.Status, res.data["code"], status, code)
	}
}

func TestSignInGivesSessionAndContext(t *testing.T) {
	h := newHouse(t)
	b := newBrowser(t, h)
	if res := b.call("/v1/context", map[string]any{"cause": "load"}); res.StatusCode != http.StatusOK || res.data["active"] != false {
		t.Errorf("before: %s %v, want an answer and no error", res.Status, res.data)
	}
	in := b.start("max_age", "600", "login_hint", "ada")
	for name, want := range map[string]string{
		"client_id": "chatpass", "response_type": "code", "code_challenge_method": "S256", "max_age": "600", "login_hint": "ada",
		"redirect_uri": self + "/v1/login/callback/corp",
	} {
		if got := in.asked.Get(name); got != want {
			t.Errorf("issuer is asked with %s=%q, want %q", name, got, want)
		}
	}
	if res := b.call("/v1/login/status", map[string]any{"txn": in.txn, "verifier": in.verifier}); res.data["status"] != "pending" {
		t.Errorf("status before: %v", res.data)
	}
	res := b.back(in)
	if res.StatusCode != http.StatusOK || !strings.Contains(string(res.body), "You are signed in") {
		t.Fatalf("callback: %s\n%s", res.Status, res.body)
	}
	if b.cookies["__Host-chatpass-support"] != "" {
		t.Error("the callback set a session: whoever completes a sign-in need not be who started it")
	}
	if res := b.call("/v1/login/status", map[string]any{"txn": in.txn, "verifier": in.verifier}); res.data["status"] != "complete" {
		t.Errorf("status after: %v", res.data)
	}
	res = b.claim(in)
	if res.StatusCode != http.StatusCreated || res.data["customer_id"] == "" || res.data["context"] == nil {
		t.Fatalf("claim: %s\n%s", res.Status, res.body)
	}
	if len(b.cookies) != 1 || b.cookies["__Host-chatpass-support"] == "" {
		t.Errorf("cookies after the claim: %v", b.cookies)
	}
	customer := res.data["customer_id"]
	res = b.call("/v1/context", map[string]any{"conversation": "42"})
	if res.StatusCode != http.StatusOK || res.data["active"] != true || res.data["customer_id"] != customer {
		t.Errorf("context: %s %v", res.Status, res.data)
	}
	wantCode(t, b.claim(in), http.StatusGone, identity.SignInExpired) // its cookie is gone
}

func TestFirstContextIsWhatThePageAskedFor(t *testing.T) {
	b := newBrowser(t, newHouse(t))
	in := b.start()
	b.back(in)
	res := b.call("/v1/session", map[string]any{"txn": in.txn, "verifier": in.verifier, "scope": "chat:read", "conversation": "42", "audience": "https://evil"})
	wantCode(t, res, http.StatusBadRequest, identity.AudienceNotAllowed)
	res = b.call("/v1/session", map[string]any{"txn": in.txn, "verifier": in.verifier, "scope": "chat:read", "conversation": "42", "audience": "https://api.example.com"})
	if res.StatusCode != http.StatusCreated {
		t.Fatalf("claim: %s\n%s", res.Status, res.body)
	}
	token, _ := res.data["context"].(map[string]any)["token"].(string)
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil || !strings.Contains(string(payload), `"conversation":"42"`) || !strings.Contains(string(payload), `"scope":"chat:read"`) {
		t.Errorf("context: %s, %v", payload, err)
	}
	if said := fmt.Sprintf(`"exp":%.0f,`, res.data["context"].(map[string]any)["expires_at"]); !strings.Contains(string(payload), said) {
		t.Errorf("context: %s, want the expires_at of its answer: %s", payload, said)
	}
}

func TestRedirectModeLeadsBackWithNoSecret(t *testing.T) {
	b := newBrowser(t, newHouse(t))
	in := b.start("mode", "redirect", "return_to", page+"/return")
	res := b.back(in)
	if res.StatusCode != http.StatusFound || res.Header.Get("Location") != page+"/return#chatpass_txn="+in.txn {
		t.Errorf("leads to %q", res.Header.Get("Location"))
	}
	if res := b.claim(in); res.StatusCode != http.StatusCreated {
		t.Errorf("claim: %s", res.Status)
	}
}

func TestCancelledSignInIsToldAndMayStillSucceed(t *testing.T) {
	b := newBrowser(t, newHouse(t))
	in := b.start()
	res := b.visit("/v1/login/callback/corp?" + url.Values{"state": {in.asked.Get("state")}, "error": {"access_denied"}, "iss": {b.house.issuer.URL}}.Encode())
	if !strings.Contains(string(res.body), "access_denied") || !strings.Contains(string(res.body), "not signed in") {
		t.Errorf("page: %s", res.body)
	}
	if res := b.call("/v1/login/status", map[string]any{"txn": in.txn, "verifier": in.verifier}); res.data["status"] != "failed" || res.data["error"] != "access_denied" {
		t.Errorf("status: %v", res.data)
	}
	b.back(in)
	if res := b.claim(in); res.StatusCode != http.StatusCreated {
		t.Errorf("claim after going back: %s", res.Status)
	}
}

func TestStolenSignInIsWorthless(t *testing.T) {
	h := newHouse(t)
	attacker, victim := newBrowser(t, h), newBrowser(t, h)
	in := attacker.start()
	// The victim follows the attacker's link to the issuer and signs in; the answer arrives without
	// the transaction's cookie.
	if res := victim.back(in); res.StatusCode != http.StatusGone {
		t.Errorf("callback in the victim's browser: %s, want 410", res.Status)
	}
	// The attacker makes the victim start with the attacker's txn and challenge.
	victim2 := newBrowser(t, h)
	sum := sha256.Sum256([]byte(in.verifier))
	q := url.Values{"client_id": {"web"}, "txn": {in.txn}, "challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "mode": {"popup"}, "page_origin": {page}}
	res := victim2.visit("/v1/login/start?" + q.Encode())
	issuerURL, err := url.Parse(res.Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	victim2.back(signIn{txn: in.txn, asked: issuerURL.Query()})
	// The attacker knows txn and verifier, and has a cookie of the same txn, but of his own browser: he
	// would get what the victim completed.
	if res := attacker.claim(in); res.StatusCode == http.StatusCreated {
		t.Error("the attacker claimed the victim's sign-in")
	}
}

func TestCallbackIsNotReplayed(t *testing.T) {
	h := newHouse(t)
	b := newBrowser(t, h)
	in := b.start()
	b.back(in)
	if res := b.back(in); res.StatusCode != http.StatusGone {
		t.Errorf("second callback: %s, want 410", res.Status)
	}
	other := b.start()
	if res := b.back(other, "state", in.asked.Get("state")+"x"); res.StatusCode != http.StatusGone {
		t.Errorf("foreign state: %s", res.Status)
	}
	if res := b.back(other, "state", ""); res.StatusCode != http.StatusGone {
		t.Errorf("empty state: %s", res.Status)
	}
	if res := b.back(other, "iss", "https://evil"); res.StatusCode != http.StatusBadRequest {
		t.Errorf("foreign iss: %s, want 400", res.Status)
	}
}

func TestSignOutEndsTheSessionHereAndLeadsToTheIssuer(t *testing.T) {
	b := signedIn(t, newHouse(t))
	secret := b.cookies["__Host-chatpass-support"]
	res := b.call("/v1/logout", map[string]any{"scope": "global", "return_to": page + "/return"})
	start, _ := res.data["end_session_url"].(string)
	if res.StatusCode != http.StatusOK || !strings.HasPrefix(start, self+"/v1/logout/start?l=") {
		t.Fatalf("logout: %s\n%s", res.Status, res.body)
	}
	if len(b.cookies) != 0 {
		t.Errorf("cookies after sign-out: %v", b.cookies)
	}
	b.cookies["__Host-chatpass-support"] = secret // a thief kept it
	wantCode(t, b.call("/v1/context", map[string]any{}), http.StatusUnauthorized, identity.SignedOut)

	res = b.visit(strings.TrimPrefix(start, self))
	issuerURL, err := url.Parse(res.Header.Get("Location"))
	if err != nil || !strings.HasPrefix(issuerURL.String(), b.house.issuer.URL+"/logout?") || issuerURL.Query().Get("id_token_hint") == "" {
		t.Fatalf("leads to %q", res.Header.Get("Location"))
	}
	if again := b.visit(strings.TrimPrefix(start, self)); again.StatusCode == http.StatusFound {
		t.Error("the ticket works twice")
	}
	if res := b.visit("/v1/logout/start?l=" + url.QueryEscape(issuerURL.Query().Get("state"))); res.StatusCode == http.StatusFound {
		t.Error("what the issuer hands back works as a ticket")
	}
	res = b.visit("/v1/logout/callback?state=" + url.QueryEscape(issuerURL.Query().Get("state")))
	if res.Header.Get("Location") != page+"/return" {
		t.Errorf("sign-out ends at %q", res.Header.Get("Location"))
	}
	if res := b.visit("/v1/logout/callback?state=forged"); res.StatusCode != http.StatusOK || res.Header.Get("Location") != "" {
		t.Errorf("forged state: %s to %q", res.Status, res.Header.Get("Location"))
	}
	if res := b.call("/v1/logout", map[string]any{}); res.StatusCode != http.StatusOK {
		t.Errorf("signing out twice: %s", res.Status)
	}
}

func TestBackchannelLogoutEndsTheSession(t *testing.T) {
	h := newHouse(t)
	b := signedIn(t, h)
	token := h.issuer.logoutToken(t)
	send := func(body string) reply {
		r := httptest.NewRequest(http.MethodPost, "/v1/backchannel-logout/corp", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return newBrowser(t, h).do(r)
	}
	if res := send("logout_token=" + token); res.StatusCode != http.StatusOK || len(res.body) != 0 {
		t.Fatalf("logout token: %s\n%s", res.Status, res.body)
	}
	wantCode(t, b.call("/v1/context", map[string]any{}), http.StatusUnauthorized, identity.EndedByIssuer)
	if res := send("logout_token=" + token); res.StatusCode != http.StatusBadRequest || res.data["error"] != "invalid_request" {
		t.Errorf("replayed: %s\n%s", res.Status, res.body)
	}
	if res := send("logout_token=" + h.values["ada"]); res.StatusCode != http.StatusBadRequest {
		t.Errorf("an ID token: %s", res.Status)
	}
	if res := send(""); res.StatusCode != http.StatusBadRequest {
		t.Errorf("nothing: %s", res.Status)
	}
}

func TestFrontchannelLogoutEndsTheSessionItNames(t *testing.T) {
	h := newHouse(t)
	b := signedIn(t, h)
	in := func(iss, sid string) reply {
		return newBrowser(t, h).visit("/v1/frontchannel-logout/corp?" + url.Values{"iss": {iss}, "sid": {sid}}.Encode())
	}
	for what, q := range map[string][2]string{"another issuer": {"https://evil.example", "u1"}, "no issuer": {"", "u1"}, "no session": {h.issuer.URL, ""}, "a long session": {h.issuer.URL, strings.Repeat("u", 513)}} {
		if res := in(q[0], q[1]); res.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", what, res.Status)
		}
	}
	guessed := in(h.issuer.URL, "u2")
	if res := b.call("/v1/context", map[string]any{}); res.StatusCode != http.StatusOK {
		t.Fatalf("ended by a guess: %s", res.Status)
	}
	claim := statusOf(t, b)
	if published(t, h, claim) {
		t.Error("ended for verifiers before it has ended")
	}
	known := in(h.issuer.URL, "u1")
	if !published(t, h, claim) {
		t.Error("verifiers do not hear of it")
	}
	wantCode(t, b.call("/v1/context", map[string]any{}), http.StatusUnauthorized, identity.EndedByIssuer)
	if csp := known.Header.Get("Content-Security-Policy"); !strings.HasSuffix(csp, "frame-ancestors *") || known.Header.Get("X-Frame-Options") != "" {
		t.Errorf("no frame can hold it: %q", csp)
	}
	nonce := regexp.MustCompile(`nonce="[^"]+"`)
	if guessed.StatusCode != http.StatusOK || nonce.ReplaceAllString(string(guessed.body), "") != nonce.ReplaceAllString(string(known.body), "") {
		t.Error("the answer tells whether a session was there")
	}
	if res := in(h.issuer.URL, "u1"); res.StatusCode != http.StatusOK {
		t.Errorf("a second time: %s", res.Status)
	}
}

// Else anybody could lock somebody out, and fill the store.
func TestFrontchannelLogoutOfNobodyLeavesNoTrace(t *testing.T) {
	h := newHouse(t)
	signed := h.values["ada"]
	newBrowser(t, h).visit("/v1/frontchannel-logout/corp?" + url.Values{"iss": {h.issuer.URL}, "sid": {"u1"}}.Encode())
	h.values["ada"] = signed
	if w := h.exchange(nil); w.Code != http.StatusOK {
		t.Errorf("afterwards: %d %s", w.Code, w.Body)
	}
}

func TestWhoGuessesFrontchannelSessionsIsTurnedAway(t *testing.T) {
	h := newHouse(t, func(c *server.Config) { c.Limits.RefusalsPerIP = 20 })
	last := 0
	for range 30 {
		last = newBrowser(t, h).visit("/v1/frontchannel-logout/corp?" + url.Values{"iss": {h.issuer.URL}, "sid": {rand.Text()}}.Encode()).StatusCode
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("the 30th guess in a minute: %d", last)
	}
}

func TestLogoutTokenForNobodyIsRefused(t *testing.T) {
	h := newHouse(t)
	r := httptest.NewRequest(http.MethodPost, "/v1/backchannel-logout/nobody", strings.NewReader("logout_token="+h.issuer.logoutToken(t)))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	wantCode(t, newBrowser(t, h).do(r), http.StatusBadRequest, identity.IssuerNotTrusted)
}

func TestHeadDoesNothing(t *testing.T) {
	b := newBrowser(t, newHouse(t))
	in := b.start()
	q := url.Values{"state": {in.asked.Get("state")}, "code": {in.asked.Get("nonce")}, "iss": {b.house.issuer.URL}}
	res := b.do(httptest.NewRequest(http.MethodHead, "/v1/login/callback/corp?"+q.Encode(), nil))
	if res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("got %s, want 405", res.Status)
	}
	if res := b.do(httptest.NewRequest(http.MethodHead, "/.well-known/jwks.json", nil)); res.StatusCode != http.StatusOK || len(res.body) != 0 {
		t.Errorf("key set: %s with %d bytes", res.Status, len(res.body))
	}
}

func TestRefusedClaimLeavesThePreviousCustomerSignedIn(t *testing.T) {
	h := newHouse(t)
	b := signedIn(t, h)
	in := b.start()
	b.back(in)
	cookie := b.cookies["__Host-chatpass-support"]
	res := b.call("/v1/session", map[string]any{"txn": in.txn, "verifier": in.verifier, "expected_customer": "another"})
	wantCode(t, res, http.StatusConflict, identity.CustomerMismatch)
	if b.cookies["__Host-chatpass-support"] != cookie {
		t.Error("a refused claim changed the session's cookie")
	}
	if res := b.call("/v1/context", map[string]any{}); res.StatusCode != http.StatusOK {
		t.Errorf("afterwards: %s", res.Status)
	}
}

func TestOnlyThePageItselfIsServed(t *testing.T) {
	b := signedIn(t, newHouse(t))
	for name, c := range map[string]struct {
		change func(*http.Request)
		status int
		code   identity.Code
	}{
		"foreign origin":           {func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }, 403, identity.OriginNotAllowed},
		"another app's origin":     {func(r *http.Request) { r.Header.Set("Origin", "https://sales.example.com") }, 403, identity.OriginNotAllowed},
		"null origin":              {func(r *http.Request) { r.Header.Set("Origin", "null") }, 403, identity.OriginNotAllowed},
		"no origin":                {func(r *http.Request) { r.Header.Del("Origin") }, 403, identity.OriginNotAllowed},
		"two origins":              {func(r *http.Request) { r.Header.Add("Origin", "https://evil.example") }, 403, identity.OriginNotAllowed},
		"no header of the SDK":     {func(r *http.Request) { r.Header.Del("X-Chatpass-Client") }, 403, identity.CSRFFailed},
		"a form's content type":    {func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, 403, identity.CSRFFailed},
		"call from another site":   {func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403, identity.CSRFFailed},
		"a navigation":             {func(r *http.Request) { r.Header.Set("Sec-Fetch-Mode", "navigate") }, 403, identity.CSRFFailed},
		"a backend's client_id":    {func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(`{"client_id":"back"}`)) }, 401, identity.ClientAuthentication},
		"nobody's client_id":       {func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(`{"client_id":"x"}`)) }, 401, identity.ClientUnknown},
		"no JSON":                  {func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(`{`)) }, 400, identity.ParameterMissing},
		"a body of 64 KiB and one": {func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(strings.Repeat(" ", 64<<10+1))) }, 400, identity.TooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/v1/context", strings.NewReader(`{"client_id":"web"}`))
			r.Header.Set("Origin", page)
			r.Header.Set("X-Chatpass-Client", "web/0")
			r.Header.Set("Content-Type", "application/json")
			c.change(r)
			res := b.do(r)
			wantCode(t, res, c.status, c.code)
			if c.code == identity.OriginNotAllowed && res.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Error("a page that may not ask may read the answer")
			}
			known := name != "a form's content type" // what is no JSON is not read, so nobody knows its client
			if c.code == identity.CSRFFailed && known && res.Header.Get("Access-Control-Allow-Origin") != page {
				t.Error("a registered page cannot read what it did wrong")
			}
		})
	}
}

func TestEveryAnswerIsGuarded(t *testing.T) {
	h := newHouse(t)
	for _, target := range []string{
		"GET /", "GET /nowhere", "GET /oauth2/token", "POST /oauth2/token", "POST /v1/context", "GET /v1/session?client_id=web", "PUT /v1/session",
		"GET /v1/login/start", "GET /v1/login/callback/corp", "GET /v1/login/callback/nobody", "GET /v1/logout/start", "GET /v1/logout/callback",
		"POST /v1/backchannel-logout/nobody", "GET /v1/frontchannel-logout/corp", "GET /.well-known/jwks.json", "GET /.well-known/openid-configuration", "GET /sdk/v1/nothing.js", "GET /sdk/v1/chatpass.js",
	} {
		method, path, _ := strings.Cut(target, " ")
		res := newBrowser(t, h).do(httptest.NewRequest(method, path, nil))
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Strict-Transport-Security": "max-age=31536000"} {
			if got := res.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", target, name, got, want)
			}
		}
		if res.Header.Get("X-Request-Id") == "" {
			t.Errorf("%s: no X-Request-Id", target)
		}
		if res.StatusCode < 400 {
			continue
		}
		if res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %s may be cached", target, res.Status)
		}
		if strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
			if csp := res.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") {
				t.Errorf("%s: page with policy %q", target, csp)
			}
			continue
		}
		for _, member := range []string{"error", "error_description", "code", "decision", "reason", "retry", "request_id"} {
			if text, _ := res.data[member].(string); text == "" {
				t.Errorf("%s: %s without %s: %s", target, res.Status, member, res.body)
			}
		}
	}
}

func TestManySignInsDoNotOutgrowAHeader(t *testing.T) {
	b := newBrowser(t, newHouse(t))
	var last signIn
	for range 12 {
		last = b.start()
	}
	if len(b.cookies) > 5 {
		t.Errorf("%d transaction cookies", len(b.cookies))
	}
	if res := b.back(last); res.StatusCode != http.StatusOK {
		t.Errorf("the newest sign-in: %s", res.Status)
	}
}

func TestOneSessionCannotFlood(t *testing.T) {
	b := signedIn(t, newHouse(t))
	for i := range 61 {
		res := b.call("/v1/context", map[string]any{})
		if i < 60 && res.StatusCode != http.StatusOK {
			t.Fatalf("call %d: %s", i, res.Status)
		}
		if i == 60 {
			wantCode(t, res, http.StatusTooManyRequests, identity.LimitPerSession)
			if res.Header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		}
	}
}

func TestIssuerOutageIsNoRefusal(t *testing.T) {
	h := newHouse(t)
	h.issuer.Close()
	b := newBrowser(t, h)
	q := url.Values{"client_id": {"web"}, "txn": {rand.Text()}, "challenge": {strings.Repeat("c", 43)}, "mode": {"popup"}, "page_origin": {page}}
	res := b.visit("/v1/login/start?" + q.Encode())
	if res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(res.body), "Try again") {
		t.Errorf("popup: %s\n%s", res.Status, res.body)
	}
	q.Set("mode", "redirect")
	q.Set("return_to", page+"/return")
	res = b.visit("/v1/login/start?" + q.Encode())
	if !strings.Contains(res.Header.Get("Location"), "chatpass_error=temporarily_unavailable") {
		t.Errorf("redirect: %s to %q", res.Status, res.Header.Get("Location"))
	}
	r := httptest.NewRequest(http.MethodPost, "/oauth2/token", strings.NewReader(url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "client_id": {"web"}, "subject_token": {h.values["ada"]},
		"subject_token_type": {"urn:ietf:params:oauth:token-type:id_token"},
	}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", page)
	wantCode(t, b.do(r), http.StatusServiceUnavailable, identity.NoIssuerKey)
}

func TestLogHoldsNoSecret(t *testing.T) {
	h := newHouse(t)
	b := signedIn(t, h)
	secret := b.cookies["__Host-chatpass-support"]
	context := b.call("/v1/context", map[string]any{}).data["context"].(map[string]any)["token"].(string)
	b.call("/v1/logout", map[string]any{"scope": "global"})
	for what, text := range map[string]string{"cookie": secret, "context": context, "e-mail": "ada@example.com", "upstream subject": "sub=ada"} {
		if strings.Contains(h.log.String(), text) {
			t.Errorf("the log holds the %s", what)
		}
	}
}
