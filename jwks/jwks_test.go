package jwks_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"

	"chatpass/jwks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// publisher is somebody else's key endpoint.
type publisher struct {
	*httptest.Server
	mu      sync.Mutex
	body    string
	status  int
	gate    chan struct{} // when set, answers wait for it
	fetches atomic.Int64
}

func newPublisher(t *testing.T, keys ...jose.JSONWebKey) *publisher {
	p := &publisher{status: http.StatusOK}
	p.publish(t, keys...)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p.fetches.Add(1)
		p.mu.Lock()
		body, status, gate := p.body, p.status, p.gate
		p.mu.Unlock()
		if gate != nil {
			<-gate
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *publisher) publish(t *testing.T, keys ...jose.JSONWebKey) {
	body, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	p.answer(http.StatusOK, string(body))
}

func (p *publisher) answer(status int, body string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status, p.body = status, body
}

func (p *publisher) hold(gate chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gate = gate
}

func (p *publisher) wantFetches(t *testing.T, want int64) {
	t.Helper()
	if got := p.fetches.Load(); got != want {
		t.Errorf("fetches: got %d, want %d", got, want)
	}
}

// clock is a settable clock.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ns.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()) }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

func newSet(t *testing.T, p *publisher, c *clock) *jwks.Set {
	client := jwks.NewClient(jwks.ClientConfig{AllowPrivate: true})
	t.Cleanup(client.CloseIdleConnections)
	return jwks.New(jwks.Config{URL: p.URL, Client: client, Now: c.now})
}

func ecKey(t testing.TB, kid string, curve elliptic.Curve) jose.JSONWebKey {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return jose.JSONWebKey{Key: key.Public(), KeyID: kid, Use: "sig"}
}

func edKey(t testing.TB, kid string) jose.JSONWebKey {
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return jose.JSONWebKey{Key: public, KeyID: kid, Use: "sig"}
}

func rsaKey(t testing.TB, kid string) jose.JSONWebKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return jose.JSONWebKey{Key: key.Public(), KeyID: kid, Use: "sig"}
}

func wantKey(t *testing.T, s *jwks.Set, kid string) {
	t.Helper()
	if key, err := s.Key(t.Context(), kid, "ES256"); err != nil || key.KeyID != kid {
		t.Errorf("key %q: got %q, %v", kid, key.KeyID, err)
	}
}

func wantUnknown(t *testing.T, s *jwks.Set, kid string, cooling bool) {
	t.Helper()
	_, err := s.Key(t.Context(), kid, "ES256")
	unknown, ok := errors.AsType[*jwks.UnknownKeyError](err)
	if !ok || unknown.CoolingDown != cooling || unknown.KID != kid {
		t.Errorf("key %q: got %v, want unknown with cooling down %v", kid, err, cooling)
	}
}

func wantOutage(t *testing.T, s *jwks.Set, kid string) {
	t.Helper()
	_, err := s.Key(t.Context(), kid, "ES256")
	if _, ok := errors.AsType[*jwks.UnknownKeyError](err); err == nil || ok {
		t.Errorf("key %q: got %v, want an error that is not about the key", kid, err)
	}
}

func TestOneFetchServesUntilTTL(t *testing.T) {
	p, c := newPublisher(t, ecKey(t, "a", elliptic.P256())), newClock()
	s := newSet(t, p, c)
	p.wantFetches(t, 0)
	for range 100 {
		wantKey(t, s, "a")
		c.advance(30 * time.Second)
	}
	p.wantFetches(t, 1)
	c.advance(10 * time.Minute)
	wantKey(t, s, "a")
	p.wantFetches(t, 2)
}

func TestWithdrawnKeyIsRefusedAfterTTL(t *testing.T) {
	p, c := newPublisher(t, ecKey(t, "a", elliptic.P256()), ecKey(t, "b", elliptic.P256())), newClock()
	s := newSet(t, p, c)
	wantKey(t, s, "a")
	p.publish(t, ecKey(t, "b", elliptic.P256()))
	c.advance(59 * time.Minute)
	wantKey(t, s, "a")
	c.advance(time.Minute)
	wantUnknown(t, s, "a", true)
	wantKey(t, s, "b")
}

func TestNewKeyIsFoundAfterTheFirstFiveSeconds(t *testing.T) {
	p, c := newPublisher(t, ecKey(t, "a", elliptic.P256())), newClock()
	s := newSet(t, p, c)
	wantKey(t, s, "a")
	p.publish(t, ecKey(t, "a", elliptic.P256()), ecKey(t, "b", elliptic.P256()))
	c.advance(4 * time.Second)
	wantUnknown(t, s, "b", true)
	c.advance(time.Second)
	wantKey(t, s, "b")
	p.wantFetches(t, 2)
	wantUnknown(t, s, "c", true)
}

func TestUnknownKidsCauseAtMostTwoFetchesAMinute(t *testing.T) {
	p, c := newPublisher(t, ecKey(t, "a", elliptic.P256())), newClock()
	s := newSet(t, p, c)
	wantKey(t, s, "a")
	const minutes = 5
	for i := range minutes * 10_000 {
		c.advance(time.Minute / 10_000)
		if _, err := s.Key(t.Context(), fmt.Sprint("stranger-", i), "ES256"); err == nil {
			t.Fatal("a stranger's key was found")
		}
	}
	if got := p.fetches.Load() - 1; got < minutes || got > 2*minutes {
		t.Errorf("got %d fetches in %d minutes, want 1 to 2 a minute", got, minutes)
	}
}

func TestParallelCallersShareOneFetch(t *testing.T) {
	p, c := newPublisher(t, ecKey(t, "a", elliptic.P256())), newClock()
	s := newSet(t, p, c)
	gate := make(chan struct{})
	p.hold(gate)
	var callers sync.WaitGroup
	for range 50 {
		callers.Go(func() { wantKey(t, s, "a") })
	}
	close(gate)
	callers.Wait()
	p.wantFetches(t, 1)
}

func TestCancelledCallerDoesNotCancelTheSharedFetch(t *testing.T) {
	p, c := newPublisher(t, ecKey(t, "a", elliptic.P256())), newClock()
	s := newSet(t, p, c)
	gate := make(chan struct{})
	p.hold(gate)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Key(ctx, "a", "ES256"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled caller: got %v", err)
	}
	close(gate)
	wantKey(t, s, "a")
	p.wantFetches(t, 1)
}

func TestLastGoodSetServesForADayWhenFetchesFail(t *testing.T) {
	p, c := newPublisher(t, ecKey(t, "a", elliptic.P256())), newClock()
	s := newSet(t, p, c)
	wantKey(t, s, "a")
	good := s.Fetched()
	p.answer(http.StatusBadGateway, "")
	for range 23 {
		c.advance(time.Hour)
		wantKey(t, s, "a")
		wantKey(t, s, "a")
	}
	p.wantFetches(t, 1+23)
	if !s.Fetched().Equal(good) {
		t.Errorf("fetched: got %v, want the last good fetch %v", s.Fetched(), good)
	}
	c.advance(time.Hour)
	wantOutage(t, s, "a")
	c.advance(time.Second)
	p.publish(t, ecKey(t, "b", elliptic.P256()))
	wantKey(t, s, "b")
}

func TestFailureIsAnOutageAndNotRemembered(t *testing.T) {
	p, c := newPublisher(t), newClock()
	s := newSet(t, p, c)
	for _, body := range []string{"<html>sign in</html>", `{}`, `{"keys":7}`, `{"keys":[]}x`, ``, `{"keys":[],"keys":[]}`} {
		p.answer(http.StatusOK, body)
		wantOutage(t, s, "a")
		c.advance(time.Second)
	}
	p.answer(http.StatusServiceUnavailable, `{"keys":[]}`)
	wantOutage(t, s, "a")
	c.advance(time.Second)
	p.publish(t, ecKey(t, "a", elliptic.P256()))
	wantKey(t, s, "a")
}

func TestWithoutASetItIsAskedForOnceASecond(t *testing.T) {
	p, c := newPublisher(t), newClock()
	s := newSet(t, p, c)
	p.answer(http.StatusInternalServerError, "")
	for range 1000 {
		wantOutage(t, s, "a")
		c.advance(10 * time.Millisecond)
	}
	p.wantFetches(t, 10)
}

func TestUnknownKidWhilePublisherIsDownIsAnOutage(t *testing.T) {
	p, c := newPublisher(t, ecKey(t, "a", elliptic.P256())), newClock()
	s := newSet(t, p, c)
	wantKey(t, s, "a")
	p.answer(http.StatusInternalServerError, "")
	c.advance(time.Minute)
	wantOutage(t, s, "b")
	wantOutage(t, s, "b") // also while the publisher is not asked again: it may have the key
	wantOutage(t, s, "c")
	wantKey(t, s, "a")
	p.publish(t, ecKey(t, "a", elliptic.P256()))
	c.advance(time.Minute)
	wantUnknown(t, s, "b", false)
}

func TestRefreshIgnoresTheCooldown(t *testing.T) {
	p, c := newPublisher(t, ecKey(t, "a", elliptic.P256())), newClock()
	s := newSet(t, p, c)
	wantKey(t, s, "a")
	p.publish(t, ecKey(t, "b", elliptic.P256()))
	if err := s.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantKey(t, s, "b")
	wantUnknown(t, s, "a", true)
	p.answer(http.StatusNotFound, "")
	if err := s.Refresh(t.Context()); err == nil {
		t.Error("refresh from a missing page: got no error")
	}
	wantKey(t, s, "b")
}

func TestWithoutKidExactlyOneKeyMustFit(t *testing.T) {
	p, c := newPublisher(t, ecKey(t, "a", elliptic.P256()), edKey(t, "b"), edKey(t, "c")), newClock()
	s := newSet(t, p, c)
	if key, err := s.Key(t.Context(), "", "ES256"); err != nil || key.KeyID != "a" {
		t.Errorf("single ES256 key: got %q, %v", key.KeyID, err)
	}
	for _, alg := range []string{"EdDSA", "RS256", "none", ""} {
		if _, err := s.Key(t.Context(), "", alg); err == nil {
			t.Errorf("%q without kid: got a key", alg)
		}
	}
}

func TestKeyMustFitTheAlgorithm(t *testing.T) {
	pinned := rsaKey(t, "pinned")
	pinned.Algorithm = "RS256"
	p, c := newPublisher(t, ecKey(t, "p256", elliptic.P256()), ecKey(t, "p384", elliptic.P384()),
		ecKey(t, "p521", elliptic.P521()), edKey(t, "ed"), rsaKey(t, "rsa"), pinned), newClock()
	s := newSet(t, p, c)
	want := map[string]string{
		"p256": "ES256", "p384": "ES384", "p521": "ES512", "ed": "EdDSA", "pinned": "RS256",
		"rsa": "RS256 RS384 RS512 PS256 PS384 PS512",
	}
	algs := strings.Fields("RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA ES256K HS256 none rs256")
	for kid, fit := range want {
		for _, alg := range algs {
			_, err := s.Key(t.Context(), kid, alg)
			fits := strings.Contains(" "+fit+" ", " "+alg+" ")
			if (err == nil) != fits {
				t.Errorf("key %s with %s: got %v, want fit %v", kid, alg, err, fits)
			}
		}
	}
	if got := s.Usable("RS256"); got != 2 {
		t.Errorf("usable RS256 keys: got %d, want 2", got)
	}
}

func TestReportHearsOfEachFetch(t *testing.T) {
	p, c := newPublisher(t, ecKey(t, "a", elliptic.P256())), newClock()
	var heard []error
	client := jwks.NewClient(jwks.ClientConfig{AllowPrivate: true})
	t.Cleanup(client.CloseIdleConnections)
	s := jwks.New(jwks.Config{URL: p.URL, Client: client, Now: c.now, Report: func(err error) { heard = append(heard, err) }})
	wantKey(t, s, "a")
	p.answer(http.StatusInternalServerError, "")
	_ = s.Refresh(t.Context())
	if len(heard) != 2 || heard[0] != nil || heard[1] == nil {
		t.Errorf("got reports %v, want nil and an error", heard)
	}
}

func TestStaticNeverFetchesNorGrowsOld(t *testing.T) {
	body, _ := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{ecKey(t, "a", elliptic.P256())}})
	c := newClock()
	s, err := jwks.Static(body, c.now)
	if err != nil {
		t.Fatal(err)
	}
	c.advance(1000 * time.Hour)
	wantKey(t, s, "a")
	wantUnknown(t, s, "b", false)
	if err := s.Refresh(t.Context()); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "[]", `{"keys":[]}`, `{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`} {
		if _, err := jwks.Static([]byte(bad), c.now); err == nil {
			t.Errorf("static %q: got no error", bad)
		}
	}
}
