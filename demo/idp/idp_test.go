package idp_test

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"chatpass/demo/idp"
)

const (
	ada = "demo-1001"
	ben = "demo-1002"
)

// clock is a time that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// bench is a provider with one relying party, built of other people's libraries, and one browser.
type bench struct {
	t        *testing.T
	issuer   string
	clock    *clock
	handler  *idp.Provider
	browser  *http.Client
	oauth    oauth2.Config
	provider *gooidc.Provider
	verifier *gooidc.IDTokenVerifier
	rp       *httptest.Server
	told     chan string // logout tokens that the relying party got
}

func start(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, clock: &clock{now: time.Now().Truncate(time.Second)}, told: make(chan string, 9)}
	b.rp = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { b.told <- r.PostFormValue("logout_token") }))
	t.Cleanup(b.rp.Close)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.issuer = "http://" + ln.Addr().String()
	b.handler, err = idp.New(idp.Config{
		Issuer: b.issuer, IDTokenLifetime: 5 * time.Second, Slowness: 200 * time.Millisecond, Now: b.clock.Now,
		Clients: []idp.Client{
			{ID: "shop", Secret: "s:e cret", RedirectURIs: []string{"http://127.0.0.1:1/back?own=1"}, PostLogoutURIs: []string{"http://127.0.0.1:1/bye"}, BackchannelLogoutURI: b.rp.URL},
			{ID: "other", Secret: "secret", RedirectURIs: []string{"http://127.0.0.1:2/back"}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	srv := &httptest.Server{Listener: ln, Config: &http.Server{Handler: b.handler}}
	srv.Start()
	t.Cleanup(srv.Close)
	b.browser = newBrowser(t)
	b.provider, err = gooidc.NewProvider(t.Context(), b.issuer)
	if err != nil {
		t.Fatal(err)
	}
	b.verifier = b.provider.Verifier(&gooidc.Config{ClientID: "shop", Now: b.clock.Now})
	b.oauth = oauth2.Config{
		ClientID: "shop", ClientSecret: "s:e cret", RedirectURL: "http://127.0.0.1:1/back?own=1",
		Endpoint: b.provider.Endpoint(), Scopes: []string{"openid", "profile", "email", "phone"},
	}
	b.oauth.Endpoint.AuthStyle = oauth2.AuthStyleInHeader
	return b
}

// newBrowser keeps cookies and shows redirects instead of following them.
func newBrowser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

const verifier = "a-verifier-of-at-least-forty-three-characters"

func (b *bench) authorizeURL(options ...oauth2.AuthCodeOption) string {
	options = append([]oauth2.AuthCodeOption{oauth2.S256ChallengeOption(verifier), gooidc.Nonce("n-1")}, options...)
	return b.oauth.AuthCodeURL("st&te", options...)
}

// get answers the status, the body and where the browser is sent.
func (b *bench) get(address string) (int, string, *url.URL) {
	b.t.Helper()
	return b.read(b.browser.Get(address))
}

func (b *bench) press(address string, form url.Values) (int, string, *url.URL) {
	b.t.Helper()
	return b.read(b.browser.PostForm(address, form))
}

func (b *bench) read(res *http.Response, err error) (int, string, *url.URL) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	to, err := res.Location()
	if err != nil {
		to = &url.URL{}
	}
	return res.StatusCode, string(body), to
}

// signIn presses a person's button and returns the query that the relying party gets.
func (b *bench) signIn(sub string, options ...oauth2.AuthCodeOption) url.Values {
	b.t.Helper()
	address := b.authorizeURL(options...)
	_, q, _ := strings.Cut(address, "?")
	status, body, to := b.press(b.issuer+"/sign-in?"+q, url.Values{"person": {sub}})
	if status != http.StatusSeeOther {
		b.t.Fatalf("sign in: status %d: %s", status, body)
	}
	return to.Query()
}

func (b *bench) redeem(code string, options ...oauth2.AuthCodeOption) (*oauth2.Token, error) {
	return b.oauth.Exchange(b.t.Context(), code, append([]oauth2.AuthCodeOption{oauth2.VerifierOption(verifier)}, options...)...)
}

// idToken signs a person in and returns the raw ID token and the verified one.
func (b *bench) idToken(sub string) (string, *gooidc.IDToken) {
	b.t.Helper()
	tokens, err := b.redeem(b.signIn(sub).Get("code"))
	if err != nil {
		b.t.Fatal(err)
	}
	raw, _ := tokens.Extra("id_token").(string)
	token, err := b.verifier.Verify(b.t.Context(), raw)
	if err != nil {
		b.t.Fatal(err)
	}
	return raw, token
}

// oauthError is the error code of a token endpoint's answer.
func oauthError(err error) string {
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		return refused.ErrorCode
	}
	return ""
}

func TestACodeFlowSignsAPersonIn(t *testing.T) {
	b := start(t)
	signedInAt := b.clock.Now()
	back := b.signIn(ada)
	if diff := cmp.Diff(url.Values{"own": {"1"}, "state": {"st&te"}, "iss": {b.issuer}, "code": back["code"]}, back); diff != "" {
		t.Errorf("callback (-want +got):\n%s", diff)
	}
	b.clock.advance(2 * time.Second)
	tokens, err := b.redeem(back.Get("code"))
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := tokens.Extra("id_token").(string)
	token, err := b.verifier.Verify(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := token.VerifyAccessToken(tokens.AccessToken); err != nil {
		t.Error(err)
	}
	var claims map[string]any
	if err := token.Claims(&claims); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"iss": b.issuer, "aud": "shop", "sub": ada, "name": "Ada", "given_name": "Ada",
		"email": "ada@example.com", "email_verified": true, "phone_number": "+12025550101", "phone_number_verified": true,
		"groups": []any{"customers", "gold"}, "nonce": "n-1", "auth_time": float64(signedInAt.Unix()),
		"iat": float64(b.clock.Now().Unix()), "exp": float64(b.clock.Now().Add(5 * time.Second).Unix()),
		"acr": "urn:chatpass:demo:button", "amr": []any{"user"}, "sid": claims["sid"], "at_hash": claims["at_hash"],
	}
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	if sid, _ := claims["sid"].(string); len(sid) < 16 {
		t.Errorf("sid is guessable: %q", sid)
	}
	info, err := b.provider.UserInfo(t.Context(), oauth2.StaticTokenSource(tokens))
	if err != nil {
		t.Fatal(err)
	}
	if info.Subject != ada || info.Email != "ada@example.com" || !info.EmailVerified {
		t.Errorf("userinfo: %+v", info)
	}
}

func TestClaimsFollowTheScopes(t *testing.T) {
	b := start(t)
	b.oauth.Scopes = []string{"openid", "email"}
	_, token := b.idToken("demo-1003")
	var claims map[string]any
	if err := token.Claims(&claims); err != nil {
		t.Fatal(err)
	}
	if claims["email_verified"] != false || claims["name"] != nil || claims["phone_number"] != nil || claims["groups"] != nil {
		t.Errorf("claims of openid and email for somebody without a verified address: %v", claims)
	}
}

func TestDiscoveryIsTrue(t *testing.T) {
	b := start(t)
	var doc struct {
		Methods  []string `json:"token_endpoint_auth_methods_supported"`
		PKCE     []string `json:"code_challenge_methods_supported"`
		Iss      bool     `json:"authorization_response_iss_parameter_supported"`
		Logout   string   `json:"end_session_endpoint"`
		UserInfo string   `json:"userinfo_endpoint"`
		JWKS     string   `json:"jwks_uri"`
		Channel  bool     `json:"backchannel_logout_session_supported"`
	}
	if err := b.provider.Claims(&doc); err != nil {
		t.Fatal(err)
	}
	if !doc.Iss || !doc.Channel || !cmp.Equal(doc.PKCE, []string{"S256"}) {
		t.Errorf("discovery: %+v", doc)
	}
	for _, method := range doc.Methods {
		b.oauth.Endpoint.AuthStyle = map[string]oauth2.AuthStyle{"client_secret_basic": oauth2.AuthStyleInHeader, "client_secret_post": oauth2.AuthStyleInParams}[method]
		if _, err := b.redeem(b.signIn(ada).Get("code")); err != nil {
			t.Errorf("%s: %v", method, err)
		}
	}
	for _, address := range []string{doc.Logout, doc.JWKS} {
		if status, _, _ := b.get(address); status != http.StatusOK {
			t.Errorf("%s: status %d", address, status)
		}
	}
	if status, _, _ := b.get(doc.UserInfo); status != http.StatusUnauthorized {
		t.Errorf("userinfo without a token: status %d", status)
	}
}

func TestLoopbackOnly(t *testing.T) {
	for _, issuer := range []string{"http://192.0.2.1:9000", "https://localhost:9000", "http://idp.example.com", "http://localhost:9000/", "http://localhost:9000/x", "http://localhost:9000?x", "localhost:9000", "%"} {
		if _, err := idp.New(idp.Config{Issuer: issuer}); err == nil {
			t.Errorf("issuer %q was accepted", issuer)
		}
	}
	for name, c := range map[string]idp.Client{
		"redirect":     {ID: "x", Secret: "x", RedirectURIs: []string{"http://shop.example/back"}},
		"post logout":  {ID: "x", Secret: "x", PostLogoutURIs: []string{"http://shop.example/back"}},
		"back channel": {ID: "x", Secret: "x", BackchannelLogoutURI: "http://shop.example/back"},
		"no secret":    {ID: "x"},
	} {
		if _, err := idp.New(idp.Config{Issuer: "http://localhost:9000", Clients: []idp.Client{c}}); err == nil {
			t.Errorf("client with a bad %s was accepted", name)
		}
	}
	b := start(t)
	for name, change := range map[string]struct {
		peer, host string
		want       int
	}{
		"this computer":    {"127.0.0.1:5", strings.TrimPrefix(b.issuer, "http://"), http.StatusOK},
		"this one too":     {"[::1]:5", strings.TrimPrefix(b.issuer, "http://"), http.StatusOK},
		"another one":      {"192.0.2.7:5", strings.TrimPrefix(b.issuer, "http://"), http.StatusForbidden},
		"a name of theirs": {"127.0.0.1:5", "rebound.example", http.StatusMisdirectedRequest},
	} {
		r := httptest.NewRequest(http.MethodGet, "/operator", nil)
		r.RemoteAddr, r.Host = change.peer, change.host
		w := httptest.NewRecorder()
		b.handler.ServeHTTP(w, r)
		if w.Code != change.want {
			t.Errorf("%s: status %d, want %d", name, w.Code, change.want)
		}
	}
}

func TestOtherSitesPressNoButtons(t *testing.T) {
	b := start(t)
	_, q, _ := strings.Cut(b.authorizeURL(), "?")
	for _, path := range []string{"/sign-in?" + q, "/logout/confirm", "/operator/end", "/operator/disable", "/operator/rotate"} {
		for header, value := range map[string]string{"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:3000"} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.issuer+path, strings.NewReader("person="+ada))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set(header, value)
			if status, _, _ := b.read(b.browser.Do(r)); status != http.StatusForbidden {
				t.Errorf("%s with %s: status %d", path, header, status)
			}
		}
	}
}

func TestEveryPageWarnsAndRunsNoScript(t *testing.T) {
	b := start(t)
	attack := oauth2.SetAuthURLParam("login_hint", `"><script>alert(1)</script>`)
	b.signIn(ada)
	second := oauth2.SetAuthURLParam("acr_values", "urn:chatpass:demo:second-factor")
	for _, address := range []string{b.authorizeURL(second), b.authorizeURL(attack, oauth2.SetAuthURLParam("prompt", "login")), b.issuer + "/operator", b.issuer + "/logout", b.issuer + "/authorize"} {
		res, err := b.browser.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		policy := res.Header.Get("Content-Security-Policy")
		_, body, _ := b.read(res, nil)
		if !strings.Contains(body, "no passwords, this computer only") {
			t.Errorf("%s does not warn", address)
		}
		if !strings.HasPrefix(policy, "default-src 'none'; style-src 'self'") || strings.Contains(policy, "script-src") || strings.Contains(body, "<script") {
			t.Errorf("%s: policy %q, body %s", address, policy, body)
		}
	}
}

func TestTheLogTellsInPlainLines(t *testing.T) {
	var lines []string
	p, err := idp.New(idp.Config{Issuer: "http://localhost:9000", Log: func(line string) { lines = append(lines, line) }})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/operator", nil)
	r.RemoteAddr = "192.0.2.7:5"
	p.ServeHTTP(httptest.NewRecorder(), r)
	want := []string{
		"the demo identity provider at http://localhost:9000 knows no passwords: it is for this computer only",
		`refused a request from "192.0.2.7": the demo identity provider is for this computer only`,
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func decode(t *testing.T, body string, to any) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), to); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
}
