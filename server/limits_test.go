package server_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"chatpass/identity"
	"chatpass/server"
)

const (
	office   = "203.0.113.9:40000" // where a company's people, backend and attacker all come from
	neighbor = "203.0.113.10:40000"
)

// clock is a time that stands still until it is told to go on.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

// limitedHouse is a house with these limits, its clock, and proxies in three networks.
func limitedHouse(t testing.TB, limits server.Limits, changes ...func(*server.Config)) (*house, *clock) {
	c := &clock{time.Now()}
	return newHouse(t, append(changes, func(cfg *server.Config) {
		cfg.Limits, cfg.Now = limits, c.now
		cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("fe80::/10")}
	})...), c
}

// asks is an exchange of Ada's ID token; change replaces parameters, and client_id "" leaves it out.
func asks(h *house, change url.Values) *http.Request {
	form := url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "client_id": {"web"}, "subject_token": {h.values["ada"]},
		"subject_token_type": {"urn:ietf:params:oauth:token-type:id_token"},
	}
	for name, values := range change {
		form[name] = values
	}
	r := exchangeRequest(form.Encode())
	r.RemoteAddr = office
	return r
}

// backend is the same of a client that authenticates.
func backend(h *house, secret string, change url.Values) *http.Request {
	named := url.Values{"client_id": {""}}
	maps.Copy(named, change)
	r := asks(h, named)
	r.Header.Del("Origin")
	r.SetBasicAuth("back", url.QueryEscape(secret))
	return r
}

// forged is Ada's ID token with another signature.
func forged(h *house) string {
	token := h.values["ada"]
	return token[:len(token)-8] + "AAAAAAAA"
}

func (h *house) send(t testing.TB, r *http.Request) reply {
	t.Helper()
	return newBrowser(t, h).do(r)
}

// exhaust has the office refused until it is too much.
func (h *house) exhaust(t *testing.T) {
	t.Helper()
	for range 100 {
		if res := h.send(t, asks(h, url.Values{"client_id": {"nobody"}})); res.data["code"] == string(identity.LimitPerIP) {
			return
		}
	}
	t.Fatal("a hundred refusals are not too much")
}

func wantSlow(t *testing.T, res reply, code identity.Code) {
	t.Helper()
	wantCode(t, res, http.StatusTooManyRequests, code)
	seconds, err := strconv.Atoi(res.Header.Get("Retry-After"))
	if err != nil || seconds < 1 || res.data["retry"] != "later" || res.data["retry_after"] != float64(seconds) || res.data["error"] != "slow_down" {
		t.Errorf("Retry-After %q, body %s", res.Header.Get("Retry-After"), res.body)
	}
}

func TestRefusalsAreCountedByTheMinute(t *testing.T) {
	h, c := limitedHouse(t, server.Limits{RefusalsPerIP: 3})
	stranger := func() reply { return h.send(t, asks(h, url.Values{"client_id": {"nobody"}})) }
	for range 3 {
		wantCode(t, stranger(), http.StatusUnauthorized, identity.ClientUnknown)
	}
	wantSlow(t, stranger(), identity.LimitPerIP)
	c.at = c.at.Add(20 * time.Second)
	wantCode(t, stranger(), http.StatusUnauthorized, identity.ClientUnknown)
	wantSlow(t, stranger(), identity.LimitPerIP)
	c.at = c.at.Add(-time.Hour) // a clock that is set back locks nobody out for longer
	res := stranger()
	wantSlow(t, res, identity.LimitPerIP)
	if seconds, _ := strconv.Atoi(res.Header.Get("Retry-After")); seconds > 20 {
		t.Errorf("Retry-After %d", seconds)
	}
}

func TestLimitOfZeroIsNone(t *testing.T) {
	h, _ := limitedHouse(t, server.Limits{})
	for range 100 {
		wantCode(t, h.send(t, asks(h, url.Values{"client_id": {"nobody"}})), http.StatusUnauthorized, identity.ClientUnknown)
		if res := h.send(t, asks(h, nil)); res.StatusCode != http.StatusOK {
			t.Fatalf("got %s: %s", res.Status, res.body)
		}
	}
}

func TestACompanyBehindOneAddressIsNotLockedOut(t *testing.T) {
	h, _ := limitedHouse(t, server.Limits{RefusalsPerIP: 3})
	atTheOffice := *h
	atTheOffice.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.RemoteAddr = office
		h.ServeHTTP(w, r)
	})
	before := signedIn(t, &atTheOffice)
	h.exhaust(t)

	if res := before.call("/v1/context", map[string]any{}); res.StatusCode != http.StatusOK {
		t.Errorf("a live session: %s\n%s", res.Status, res.body)
	}
	after := signedIn(t, &atTheOffice) // start, callback and claim
	in := newBrowser(t, &atTheOffice).start()
	if res := after.call("/v1/login/status", map[string]any{"txn": in.txn, "verifier": in.verifier}); res.data["status"] != "pending" {
		t.Errorf("the status of a sign-in: %s\n%s", res.Status, res.body)
	}
	if res := after.call("/v1/logout", map[string]any{}); res.StatusCode != http.StatusOK {
		t.Errorf("signing out: %s\n%s", res.Status, res.body)
	}
	h.values["ada"] = h.issuer.idToken(t, map[string]any{}) // the one of before is older than the sign-out
	if res := h.send(t, backend(h, "s3cret%", nil)); res.StatusCode != http.StatusOK {
		t.Errorf("a backend: %s\n%s", res.Status, res.body)
	}
	r := asks(h, nil)
	r.RemoteAddr = neighbor
	if res := h.send(t, r); res.StatusCode != http.StatusOK {
		t.Errorf("another address: %s\n%s", res.Status, res.body)
	}
	r = httptest.NewRequest(http.MethodPost, "/v1/backchannel-logout/corp", strings.NewReader("logout_token="+h.issuer.logoutToken(t)))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.RemoteAddr = office
	if res := h.send(t, r); res.StatusCode != http.StatusOK {
		t.Errorf("an issuer's logout token: %s\n%s", res.Status, res.body)
	}
	// Whoever has nothing to show waits, and hears that waiting helps.
	wantSlow(t, h.send(t, asks(h, nil)), identity.LimitPerIP)
	wantSlow(t, newBrowser(t, &atTheOffice).call("/v1/context", map[string]any{"cause": "load"}), identity.LimitPerIP)
}

// Which refusals count is seen from a house where the first one is too many.
func TestOnlyFaultsCount(t *testing.T) {
	call := func(change ...string) *http.Request { // of a script, with header, value pairs replaced
		r := httptest.NewRequest(http.MethodPost, "/v1/context", strings.NewReader(`{"client_id":"web"}`))
		for name, value := range map[string]string{"Origin": page, "X-Chatpass-Client": "web/0", "Content-Type": "application/json"} {
			r.Header.Set(name, value)
		}
		for i := 0; i < len(change); i += 2 {
			r.Header.Set(change[i], change[i+1])
		}
		return r
	}
	for name, c := range map[string]struct {
		ask    func(*house) *http.Request
		code   identity.Code
		counts bool
	}{
		"a parameter missing": {func(h *house) *http.Request { return asks(h, url.Values{"grant_type": {""}}) }, identity.ParameterMissing, true},
		"another method":      {func(*house) *http.Request { return httptest.NewRequest(http.MethodGet, "/oauth2/token", nil) }, identity.MethodNotAllowed, true},
		"a client unknown":    {func(h *house) *http.Request { return asks(h, url.Values{"client_id": {"nobody"}}) }, identity.ClientUnknown, true},
		"a wrong secret":      {func(h *house) *http.Request { return backend(h, "wrong", nil) }, identity.ClientAuthentication, true},
		"a foreign page":      {func(*house) *http.Request { return call("Origin", "https://evil.example") }, identity.OriginNotAllowed, true},
		"a forged call":       {func(*house) *http.Request { return call("X-Chatpass-Client", "") }, identity.CSRFFailed, true},
		"a bad signature": {func(h *house) *http.Request {
			return asks(h, url.Values{"subject_token": {forged(h)}})
		}, identity.SignatureInvalid, true},
		"an issuer unknown": {func(h *house) *http.Request {
			return asks(h, url.Values{"subject_token": {h.issuer.idToken(t, map[string]any{"iss": "https://nobody"})}})
		}, identity.IssuerNotTrusted, true},

		"a token expired":           {func(h *house) *http.Request { return asks(h, url.Values{"subject_token": {h.values["expired"]}}) }, identity.TokenExpired, false},
		"another client's token":    {func(h *house) *http.Request { return asks(h, url.Values{"subject_token": {h.values["stranger"]}}) }, identity.AudienceMismatch, false},
		"an audience not allowed":   {func(h *house) *http.Request { return asks(h, url.Values{"audience": {"https://evil"}}) }, identity.AudienceNotAllowed, false},
		"nobody signed in":          {func(*house) *http.Request { return call() }, identity.NoSession, false},
		"a session unknown":         {func(*house) *http.Request { return call("Cookie", "__Host-chatpass-support="+strings.Repeat("x", 43)) }, identity.NoSession, false},
		"a path that leads nowhere": {func(*house) *http.Request { return httptest.NewRequest(http.MethodGet, "/favicon.ico", nil) }, identity.MethodNotAllowed, false},
		"a sign-in gone wrong":      {func(*house) *http.Request { return httptest.NewRequest(http.MethodPost, "/v1/login/start", nil) }, identity.MethodNotAllowed, false},
		"a backend's bad signature": {func(h *house) *http.Request {
			return backend(h, "s3cret%", url.Values{"subject_token": {forged(h)}})
		}, identity.SignatureInvalid, false},
	} {
		t.Run(name, func(t *testing.T) {
			h, _ := limitedHouse(t, server.Limits{RefusalsPerIP: 1})
			for i := range 3 {
				r := c.ask(h)
				r.RemoteAddr = office
				want := c.code
				if i > 0 && c.counts {
					want = identity.LimitPerIP
				}
				if res := h.send(t, r); res.data["code"] != string(want) {
					t.Errorf("time %d: got %s %v, want %s", i, res.Status, res.data["code"], want)
				}
			}
		})
	}
}

func TestOutageIsNobodysFault(t *testing.T) {
	h, _ := limitedHouse(t, server.Limits{RefusalsPerIP: 1})
	h.issuer.Close()
	for range 10 {
		wantCode(t, h.send(t, asks(h, nil)), http.StatusServiceUnavailable, identity.NoIssuerKey)
	}
	wantCode(t, h.send(t, asks(h, url.Values{"client_id": {"nobody"}})), http.StatusUnauthorized, identity.ClientUnknown)
}

// unread fails the test when somebody reads from it.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

func TestWhoWasRefusedTooOftenIsNotRead(t *testing.T) {
	h, _ := limitedHouse(t, server.Limits{RefusalsPerIP: 1})
	h.exhaust(t)
	for _, path := range []string{"/oauth2/token", "/v1/context", "/v1/logout"} {
		r := asks(h, nil)
		r.URL.Path, r.Body = path, io.NopCloser(unread{t})
		wantSlow(t, h.send(t, r), identity.LimitPerIP)
	}
}

func TestMadeUpCredentialsAreCutOff(t *testing.T) {
	h, _ := limitedHouse(t, server.Limits{RefusalsPerIP: 1})
	h.exhaust(t)
	wantSlow(t, h.send(t, backend(h, "wrong", nil)), identity.LimitPerIP)
	cookie := asks(h, nil)
	cookie.Header.Set("Cookie", "__Host-chatpass-support=made-up")
	wantSlow(t, h.send(t, cookie), identity.LimitPerIP)
	h.log.Reset()
	program := asks(h, nil) // it has no Origin, so the form has to be read; the signature is not
	program.Header.Del("Origin")
	wantSlow(t, h.send(t, program), identity.LimitPerIP)
}

func TestAStrangerCannotExhaustAPublicClient(t *testing.T) {
	h, c := limitedHouse(t, server.Limits{ExchangesPerClient: 2})
	for range 20 {
		wantCode(t, h.send(t, asks(h, url.Values{"subject_token": {h.values["expired"]}})), http.StatusBadRequest, identity.TokenExpired)
		wantCode(t, h.send(t, backend(h, "wrong", nil)), http.StatusUnauthorized, identity.ClientAuthentication)
	}
	for range 2 {
		if res := h.send(t, asks(h, nil)); res.StatusCode != http.StatusOK {
			t.Fatalf("got %s: %s", res.Status, res.body)
		}
	}
	wantSlow(t, h.send(t, asks(h, nil)), identity.LimitPerClient)
	if res := h.send(t, backend(h, "s3cret%", nil)); res.StatusCode != http.StatusOK {
		t.Errorf("another client: %s\n%s", res.Status, res.body)
	}
	c.at = c.at.Add(30 * time.Second)
	if res := h.send(t, asks(h, nil)); res.StatusCode != http.StatusOK {
		t.Errorf("half a minute later: %s\n%s", res.Status, res.body)
	}
}

func TestABackendIsLimitedByWhatItAsks(t *testing.T) {
	h, _ := limitedHouse(t, server.Limits{ExchangesPerClient: 2})
	for range 2 {
		wantCode(t, h.send(t, backend(h, "s3cret%", url.Values{"subject_token": {h.values["expired"]}})), http.StatusBadRequest, identity.TokenExpired)
	}
	wantSlow(t, h.send(t, backend(h, "s3cret%", nil)), identity.LimitPerClient)
	wantCode(t, h.send(t, backend(h, "wrong", nil)), http.StatusUnauthorized, identity.ClientAuthentication) // tells nothing
	if res := h.send(t, asks(h, nil)); res.StatusCode != http.StatusOK {
		t.Errorf("another client: %s\n%s", res.Status, res.body)
	}
}

func TestLimitSignsNobodyOut(t *testing.T) {
	h, c := limitedHouse(t, server.Limits{ContextsPerSession: 1})
	b := signedIn(t, h)
	cookie := b.cookies["__Host-chatpass-support"]
	if res := b.call("/v1/context", map[string]any{}); res.StatusCode != http.StatusOK {
		t.Fatalf("first: %s", res.Status)
	}
	wantSlow(t, b.call("/v1/context", map[string]any{"cause": "load"}), identity.LimitPerSession)
	if b.cookies["__Host-chatpass-support"] != cookie {
		t.Error("the cookie is gone")
	}
	c.at = c.at.Add(time.Minute)
	if res := b.call("/v1/context", map[string]any{}); res.StatusCode != http.StatusOK {
		t.Errorf("a minute later: %s", res.Status)
	}
}

// Whoever has an ID token could otherwise use up what everybody gets through a public client.
func TestOnePersonCannotExhaustAPublicClient(t *testing.T) {
	h, c := limitedHouse(t, server.Limits{ContextsPerSession: 2})
	for range 3 { // the first begins the session
		if res := h.send(t, asks(h, nil)); res.StatusCode != http.StatusOK {
			t.Fatalf("within the limit: %s", res.Status)
		}
	}
	wantSlow(t, h.send(t, asks(h, nil)), identity.LimitPerSession)
	c.at = c.at.Add(time.Minute)
	if res := h.send(t, asks(h, nil)); res.StatusCode != http.StatusOK {
		t.Errorf("a minute later: %s", res.Status)
	}
}

// A client that hangs up is no failure of ours, whatever we could not ask any more.
func TestHangingUpIsNoFailure(t *testing.T) {
	for name, ask := range map[string]func(*house) *http.Request{
		"exchange": func(h *house) *http.Request { return asks(h, nil) },
		"sign-in": func(h *house) *http.Request {
			b := newBrowser(t, h)
			in := b.start()
			q := url.Values{"state": {in.asked.Get("state")}, "code": {in.asked.Get("nonce")}, "iss": {h.issuer.URL}}
			r := httptest.NewRequest(http.MethodGet, "/v1/login/callback/corp?"+q.Encode(), nil)
			for name, value := range b.cookies {
				r.AddCookie(&http.Cookie{Name: name, Value: value})
			}
			return r
		},
	} {
		t.Run(name, func(t *testing.T) {
			var statuses []int
			h := newHouse(t, func(cfg *server.Config) {
				cfg.Report = func(_ string, status int, _ time.Duration) { statuses = append(statuses, status) }
			})
			r := ask(h)
			h.log.Reset()
			ctx, hangUp := context.WithCancelCause(t.Context())
			hangUp(errors.New("closed the window"))
			h.ServeHTTP(httptest.NewRecorder(), r.WithContext(ctx))
			if log := h.log.String(); !strings.Contains(log, "outcome=abandoned") || strings.Contains(log, "outcome=failed") || strings.Contains(log, "CP-90") || strings.Contains(log, "level=ERROR") {
				t.Errorf("log: %s", log)
			}
			if last := statuses[len(statuses)-1]; name == "exchange" && last != 499 {
				t.Errorf("reported as %d", last)
			}
		})
	}
}
