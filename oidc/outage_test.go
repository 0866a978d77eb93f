package oidc_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chatpass/identity"
	"chatpass/jwks"
	"chatpass/oidc"
)

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "alice@example.com", code) }
}

func page(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }
}

// flood sends 50 MB, of which hardly anything may be read.
func flood(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprint(w, `{"issuer":"`)
	chunk := strings.Repeat("x", 1<<20)
	for range 50 {
		if _, err := fmt.Fprint(w, chunk); err != nil {
			return
		}
	}
}

// What an issuer may answer in place of a document, and what the operator then reads.
func TestIssuerThatAnswersBadlyIsAnOutageWithARemedy(t *testing.T) {
	silent := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	trickle := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			fmt.Fprint(w, " ")
			_ = http.NewResponseController(w).Flush()
		}
	}
	abroad := httptest.NewServer(page(`{}`))
	defer abroad.Close()
	rows := []struct {
		name                  string
		page                  http.HandlerFunc
		ofDocument, ofKeyPage string
		timeout               time.Duration
	}{
		{"status 500", status(500), "status 500 in place of its discovery document", "status 500", 0},
		{"status 404", status(404), "status 404 in place of its discovery document", "status 404", 0},
		{"HTML", page("<!doctype html><title>Sign in</title>"), "not a discovery document", "not a JSON object", 0},
		{"nothing", page(""), "not a discovery document", "not a JSON object", 0},
		{"50 MB", flood, "not a discovery document", "body of more than 524288 bytes", 0},
		{"redirect to another host", http.RedirectHandler(abroad.URL, http.StatusFound).ServeHTTP, "refused redirect to another host", "refused redirect to another host", 0},
		{"silence", silent, "cannot be reached", "could not be fetched", 500 * time.Millisecond},
		{"a trickle without end", trickle, "not a discovery document", "could not be fetched", 500 * time.Millisecond},
	}
	for _, row := range rows {
		for _, part := range []string{"discovery document", "key page"} {
			t.Run(row.name+" for its "+part, func(t *testing.T) {
				p, c, want := newIDP(t), newClock(), row.ofDocument
				if part == "key page" {
					p.keyPage, want = row.page, row.ofKeyPage
				} else {
					p.docPage = row.page
				}
				client := jwks.NewClient(jwks.ClientConfig{AllowPrivate: true, Timeout: row.timeout})
				t.Cleanup(client.CloseIdleConnections)
				g := newGate(t, p, c, func(cfg *oidc.Config) { cfg.Client = client })
				_, err := g.Verify(t.Context(), p.goodToken().sign(t), terms())
				wantOutage(t, err)
				err = g.Check(t.Context(), "corp")
				fault, ok := errors.AsType[*oidc.Fault](err)
				if !ok || !strings.Contains(err.Error(), want) || fault.Remedy == "" || fault.Name != "corp" {
					t.Errorf("check: got %v, want a fault with %q", err, want)
				}
				if strings.Contains(err.Error(), "alice") {
					t.Errorf("the answer's body is in the error: %v", err)
				}
				if stat := g.Stats()[0]; stat.Err == "" || stat.KeysAge >= 0 {
					t.Errorf("stat: %+v", stat)
				}
			})
		}
	}
}

func TestGarbageInDiscoveryIsTold(t *testing.T) {
	rows := []struct {
		name, member string
		value        any
		want         string
	}{
		{"another issuer", "issuer", "https://other.example", `that of issuer "https://other.example"`},
		{"no issuer", "issuer", "", `that of issuer ""`},
		{"more than 512 KiB", "pad", strings.Repeat("x", 512<<10), "not a discovery document"},
		{"no jwks_uri", "jwks_uri", "", "jwks_uri in its discovery document is missing"},
		{"keys by http", "jwks_uri", "http://idp.example/keys", "jwks_uri in its discovery document is not https"},
		{"token endpoint relative", "token_endpoint", "/token", "token_endpoint in its discovery document is not an absolute URL"},
		{"authorization endpoint by script", "authorization_endpoint", "javascript://x/alert(1)", "authorization_endpoint in its discovery document is not https"},
		{"token endpoint with a user", "token_endpoint", "https://a:b@idp.example/token", "token_endpoint in its discovery document is not an absolute URL"},
		{"sign-out by http", "end_session_endpoint", "http://idp.example/bye", "end_session_endpoint in its discovery document is not https"},
		{"methods of the wrong type", "token_endpoint_auth_methods_supported", "client_secret_basic", "wrong type"},
		{"no way to authenticate", "token_endpoint_auth_methods_supported", []string{"private_key_jwt"}, "neither client_secret_basic nor client_secret_post"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			p := newIDP(t)
			g := newGate(t, p, newClock())
			if err := g.Check(t.Context(), "corp"); err != nil {
				t.Fatalf("good document: %v", err)
			}
			p.change(func() { p.doc[row.member] = row.value })
			err := g.Check(t.Context(), "corp")
			fault, ok := errors.AsType[*oidc.Fault](err)
			if !ok || !strings.Contains(fault.Problem, row.want) || fault.Remedy == "" {
				t.Errorf("got %v, want a fault with %q", err, row.want)
			}
		})
	}
	t.Run("a member twice", func(t *testing.T) {
		p := newIDP(t)
		p.docPage = page(fmt.Sprintf(`{"issuer":%q,"jwks_uri":"https://a.example","jwks_uri":"https://b.example"}`, p.URL))
		if err := newGate(t, p, newClock()).Check(t.Context(), "corp"); err == nil || !strings.Contains(err.Error(), "repeats a member") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("the right issuer in another case only", func(t *testing.T) {
		p := newIDP(t)
		p.docPage = page(fmt.Sprintf(`{"issuer":"https://evil.example","Issuer":%q}`, p.URL))
		if err := newGate(t, p, newClock()).Check(t.Context(), "corp"); err == nil || !strings.Contains(err.Error(), `that of issuer "https://evil.example"`) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("no key of an accepted algorithm", func(t *testing.T) {
		p := newIDP(t)
		g := newGate(t, p, newClock(), func(cfg *oidc.Config) { cfg.Algorithms = []string{"ES384"} })
		if err := g.Check(t.Context(), "corp"); err == nil || !strings.Contains(err.Error(), "no key for ES384") || !strings.Contains(err.Error(), "it announces") {
			t.Errorf("got %v", err)
		}
	})
}

func TestHTTPSIssuerMayNotPointToPlainHTTP(t *testing.T) {
	p := newIDP(t)
	secure := httptest.NewTLSServer(p.handler())
	defer secure.Close()
	p.change(func() { p.doc["issuer"] = secure.URL })
	g := newGate(t, p, newClock(), func(cfg *oidc.Config) { cfg.Issuer, cfg.Client = secure.URL, secure.Client() })
	if err := g.Check(t.Context(), "corp"); err == nil || !strings.Contains(err.Error(), "is not https") {
		t.Errorf("got %v", err)
	}
}

func TestStartsWhileTheIssuerIsDownAndServesWhenItComesUp(t *testing.T) {
	p, c := newIDP(t), newClock()
	p.docPage = status(http.StatusBadGateway)
	g := newGate(t, p, c)
	raw := p.goodToken().sign(t)
	for range 100 {
		_, err := g.Verify(t.Context(), raw, terms())
		wantOutage(t, err)
	}
	if got := p.discoveries.Load(); got != 1 {
		t.Errorf("100 requests within a second: got %d discoveries, want 1", got)
	}
	if stat := g.Stats()[0]; stat.Discovered || stat.Name != "corp" || !strings.Contains(stat.Err, "status 502") {
		t.Errorf("stat while down: %+v", stat)
	}
	p.change(func() { p.docPage = nil })
	c.advance(time.Second)
	if _, err := g.Verify(t.Context(), raw, terms()); err != nil {
		t.Errorf("after it came up: %v", err)
	}
	if stat := g.Stats()[0]; !stat.Discovered || stat.Err != "" || stat.KeysAge != 0 {
		t.Errorf("stat: %+v", stat)
	}
}

func TestParallelRequestsShareOneDiscovery(t *testing.T) {
	p, c := newIDP(t), newClock()
	g := newGate(t, p, c)
	gate, raw := make(chan struct{}), p.goodToken().sign(t)
	p.docPage = func(w http.ResponseWriter, r *http.Request) {
		<-gate
		p.change(func() { p.docPage = nil })
		p.answer(w, r, func() (http.HandlerFunc, any) { return nil, p.doc })
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // the first to ask goes away, and the others are not hurt
	if _, err := g.Verify(ctx, raw, terms()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled request: %v", err)
	}
	var requests sync.WaitGroup
	for range 20 {
		requests.Go(func() {
			if _, err := g.Verify(t.Context(), raw, terms()); err != nil {
				t.Error(err)
			}
		})
	}
	close(gate)
	requests.Wait()
	if p.discoveries.Load() != 1 || p.keyFetches.Load() != 1 {
		t.Errorf("got %d discoveries, %d key fetches, want one each", p.discoveries.Load(), p.keyFetches.Load())
	}
}

func TestKnownIssuerServesOnFromItsLastKeysWhileDown(t *testing.T) {
	p, c := newIDP(t), newClock()
	g := newGate(t, p, c)
	raw := p.goodToken().sign(t)
	if _, err := g.Verify(t.Context(), raw, terms()); err != nil {
		t.Fatal(err)
	}
	p.change(func() { p.keyPage, p.docPage = status(500), status(500) })
	c.advance(20 * time.Hour)
	fresh := p.goodToken().with(map[string]any{"iat": c.now().Unix(), "exp": c.now().Unix() + 60})
	if _, err := g.Verify(t.Context(), fresh.sign(t), terms()); err != nil {
		t.Errorf("20 h into the outage: %v", err)
	}
	bad := p.goodToken()
	bad.token = func(s string) string { return s[:len(s)-8] + "AAAAAAAA" }
	_, err := g.Verify(t.Context(), bad.sign(t), terms())
	if !errors.Is(err, identity.ErrRejected) {
		t.Errorf("a bad signature during the outage: got %v, want a rejection", err)
	}
	c.advance(5 * time.Hour)
	_, err = g.Verify(t.Context(), fresh.sign(t), terms())
	wantOutage(t, err)
}

func TestUnknownKeyInTheCooldownSaysThatLaterMayHelp(t *testing.T) {
	p, c := newIDP(t), newClock()
	g := newGate(t, p, c)
	if _, err := g.Verify(t.Context(), p.goodToken().sign(t), terms()); err != nil {
		t.Fatal(err)
	}
	rotated := newKey(t, "new", "ES256")
	p.change(func() { p.keys = append(p.keys, rotated) })
	f := p.goodToken().signedBy(rotated)
	_, err := g.Verify(t.Context(), f.sign(t), terms())
	wantCode(t, err, identity.KeyUnknown)
	if unknown, ok := errors.AsType[*jwks.UnknownKeyError](err); !ok || !unknown.CoolingDown {
		t.Errorf("got %v, want one that says the cool-down", err)
	}
	c.advance(5 * time.Second)
	if _, err := g.Verify(t.Context(), f.sign(t), terms()); err != nil {
		t.Error(err)
	}
}

func TestMovedKeySetIsAdoptedOnlyWhenItAnswers(t *testing.T) {
	p, c := newIDP(t), newClock()
	g := newGate(t, p, c)
	if err := g.Check(t.Context(), "corp"); err != nil {
		t.Fatal(err)
	}
	if err := g.Check(t.Context(), "corp"); err != nil || p.keyFetches.Load() != 2 {
		t.Errorf("second check: %v after %d key fetches, want one a check", err, p.keyFetches.Load())
	}
	raw := p.goodToken().sign(t)
	p.change(func() { p.doc["jwks_uri"] = p.URL + "/nowhere" })
	if err := g.Check(t.Context(), "corp"); err == nil {
		t.Error("check of a missing key set: got no error")
	}
	if _, err := g.Verify(t.Context(), raw, terms()); err != nil {
		t.Errorf("with the keys known before: %v", err)
	}
	p.change(func() { p.doc["jwks_uri"] = p.URL + "/keys?moved"; p.keys = p.keys[1:] })
	if err := g.Check(t.Context(), "corp"); err != nil {
		t.Error(err)
	}
	_, err := g.Verify(t.Context(), raw, terms())
	wantCode(t, err, identity.KeyUnknown)
}

func TestStaticKeysNeedNoIssuer(t *testing.T) {
	key := newKey(t, "es", "ES256")
	public, _ := key.public().MarshalJSON()
	cfg := oidc.Config{Name: "corp", Issuer: "https://idp.invalid", ClientID: clientID, JWKS: fmt.Appendf(nil, `{"keys":[%s]}`, public), Now: start}
	g, err := oidc.New([]oidc.Config{cfg})
	if err != nil {
		t.Fatal(err)
	}
	f := (&idp{keys: []signingKey{key}, Server: &httptest.Server{URL: cfg.Issuer}}).goodToken()
	if _, err := g.Verify(t.Context(), f.sign(t), terms()); err != nil {
		t.Error(err)
	}
	if err := g.Check(t.Context(), "corp"); err != nil {
		t.Error(err)
	}
	if err := g.Run(t.Context()); err != nil {
		t.Error(err)
	}
	if stat := g.Stats()[0]; stat.KeysAge != 0 || stat.Err != "" {
		t.Errorf("stat: %+v", stat)
	}
}

// inMemory answers requests without a network, so that virtual time can pass.
type inMemory struct{ handler http.Handler }

func (m inMemory) RoundTrip(req *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	m.handler.ServeHTTP(recorder, req)
	return recorder.Result(), nil
}

func TestRunDiscoversAndKeepsKeysFresh(t *testing.T) {
	p := newIDP(t)
	p.docPage = status(http.StatusServiceUnavailable)
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		good, bad := 0, 0
		g, err := oidc.New([]oidc.Config{{
			Name: "corp", Issuer: p.URL, ClientID: clientID, Client: &http.Client{Transport: inMemory{p.handler()}},
			Report: func(name string, err error) {
				mu.Lock()
				defer mu.Unlock()
				if bad++; err == nil {
					good, bad = good+1, bad-1
				}
				if name != "corp" {
					t.Errorf("report of %q", name)
				}
			},
		}})
		if err != nil {
			t.Fatal(err)
		}
		go func() { _ = g.Run(t.Context()) }()
		time.Sleep(10 * time.Minute)
		if got := p.discoveries.Load(); got < 14 || got > 30 {
			t.Errorf("10 min down: got %d attempts, want them spaced 1 s to 60 s", got)
		}
		p.change(func() { p.docPage = nil })
		time.Sleep(time.Minute)
		if stat := g.Stats()[0]; !stat.Discovered || stat.KeysAge < 0 {
			t.Errorf("a minute after it came up: %+v", stat)
		}
		for range 48 {
			time.Sleep(30 * time.Minute)
			if stat := g.Stats()[0]; stat.KeysAge > time.Hour {
				t.Errorf("keys are %v old", stat.KeysAge)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if good < 48 || bad < 14 {
			t.Errorf("got %d good and %d bad reports", good, bad)
		}
	})
}
