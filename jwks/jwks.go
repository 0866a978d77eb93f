// Package jwks keeps somebody else's key set (RFC 7517): fetched through a guarded client, kept for a
// while, asked again at a bounded rate when an unknown key is named, and served stale for a while when
// its publisher cannot be reached. It never decides that a token is good; it only says which key fits.
package jwks

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	defaultTTL      = time.Hour
	defaultStale    = 24 * time.Hour
	defaultCooldown = 30 * time.Second
	firstCooldown   = 5 * time.Second
	// retryPause spaces the attempts made while there is no set at all.
	retryPause = time.Second
)

// Config says where a key set is and how long it is believed. Zero durations take the defaults.
type Config struct {
	// URL is the set's address, the `jwks_uri` of its publisher.
	URL string
	// Client fetches it; nil means NewClient(ClientConfig{}).
	Client *http.Client
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// TTL is how long a fetched set is used without asking again; default 1 h. A withdrawn key is
	// refused after that time at the latest, unless its publisher cannot be reached.
	TTL time.Duration
	// StaleIfError is how long after its fetch a set is still used while it cannot be fetched again;
	// default 24 h, never less than TTL.
	StaleIfError time.Duration
	// Cooldown is the shortest time between two fetches that unknown keys cause, default 30 s. None
	// happens within min(5 s, Cooldown) of any other fetch.
	Cooldown time.Duration
	// Report is called after each fetch, with nil if all was well. A [*SkippedError] means that the
	// set is in use without some of its keys. May be nil.
	Report func(error)
}

// A Set is one publisher's key set. It is safe for concurrent use.
type Set struct {
	cfg    Config
	static bool

	mu      sync.Mutex
	keys    []key
	fetched time.Time // start of the last good fetch
	tried   time.Time // start of the last fetch
	asked   time.Time // start of the last fetch that an unknown key caused
	failure error     // of the last fetch; nil if it was good
	flight  *flight   // the fetch that is under way
}

// A flight is one fetch, shared by everybody who waits for it. err is set before done is closed.
type flight struct {
	done chan struct{}
	err  error
}

// UnknownKeyError says that a set holds no key, or no single key, that fits.
type UnknownKeyError struct {
	// KID is the key id asked for; of a longer one 64 bytes and "…".
	KID string
	// CoolingDown says that the publisher was not asked again because it was asked a moment ago: the
	// key may exist, and a later try may find it.
	CoolingDown bool
}

func (e *UnknownKeyError) Error() string {
	text := "no single key fits key id " + strconv.Quote(e.KID)
	if e.CoolingDown {
		text += " (not asked again yet)"
	}
	return text
}

// New returns the set that cfg describes. It does no I/O: the first [Set.Key] fetches.
func New(cfg Config) *Set {
	if cfg.Client == nil {
		cfg.Client = NewClient(ClientConfig{})
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Report == nil {
		cfg.Report = func(error) {}
	}
	cfg.TTL = orDefault(cfg.TTL, defaultTTL)
	cfg.StaleIfError = max(cfg.TTL, orDefault(cfg.StaleIfError, defaultStale))
	cfg.Cooldown = orDefault(cfg.Cooldown, defaultCooldown)
	return &Set{cfg: cfg}
}

// Static returns a set of the keys in a JWK Set document, which is never fetched and never grows old.
// Unlike a fetched set it is refused for a single bad key, and when no key is usable. A nil now means
// time.Now.
func Static(document []byte, now func() time.Time) (*Set, error) {
	keys, err := parse(document)
	if err != nil {
		return nil, fmt.Errorf("read key set: %w", err)
	}
	if len(keys) == 0 {
		return nil, errors.New("read key set: no key in it can verify a signature")
	}
	s := New(Config{Now: now})
	s.static, s.keys, s.fetched = true, keys, s.cfg.Now()
	return s, nil
}

// Key returns the one key that may verify a signature made with alg (RFC 7518 §3.1) under the given key
// id. Without a key id (RFC 7515 §4.1.4 makes it optional) exactly one key must fit alg. An unknown id
// makes the set be fetched again, within the cool-down.
//
// The error is an [*UnknownKeyError] if the publisher's set has no such key; any other error means that
// the set could not be fetched, and says nothing about the key.
func (s *Set) Key(ctx context.Context, kid, alg string) (jose.JSONWebKey, error) {
	return s.key(ctx, want{kid: kid, alg: alg})
}

// KeyOf is [Set.Key] in a set that several issuers share: a key with a member `issuer` (Entra's common
// key set has it) fits only if isFor says that this issuer is the token's. One without it fits all.
func (s *Set) KeyOf(ctx context.Context, kid, alg string, isFor func(issuer string) bool) (jose.JSONWebKey, error) {
	return s.key(ctx, want{kid, alg, isFor})
}

func (s *Set) key(ctx context.Context, w want) (jose.JSONWebKey, error) {
	keys, err := s.current(ctx)
	if err != nil {
		return jose.JSONWebKey{}, err
	}
	if key, ok := find(keys, w); ok {
		return key, nil
	}
	f, failure := s.ask(ctx)
	if failure != nil {
		return jose.JSONWebKey{}, failure
	}
	if f == nil {
		return jose.JSONWebKey{}, &UnknownKeyError{KID: clip(w.kid), CoolingDown: !s.static}
	}
	if err := f.wait(ctx); err != nil {
		return jose.JSONWebKey{}, err
	}
	if key, ok := find(s.held(), w); ok {
		return key, nil
	}
	return jose.JSONWebKey{}, &UnknownKeyError{KID: clip(w.kid)}
}

// Usable returns how many of the keys held now may verify signatures made with alg. It never fetches.
func (s *Set) Usable(alg string) int {
	n := 0
	for _, key := range s.held() {
		if fits(key.JSONWebKey, alg) {
			n++
		}
	}
	return n
}

// URL is the set's address; empty for one that is not fetched.
func (s *Set) URL() string { return s.cfg.URL }

// Fetched returns when the set in use was asked for; zero if there is none yet.
func (s *Set) Fetched() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fetched
}

// Refresh fetches the set now, whatever the cool-down says, and joins a fetch that is under way. It is
// for tokens that came straight from the publisher, and for refreshing ahead of time. When it fails,
// the keys held stay in use. A static set has nothing to refresh.
func (s *Set) Refresh(ctx context.Context) error {
	if s.static {
		return nil
	}
	s.mu.Lock()
	f := s.start(ctx)
	s.mu.Unlock()
	return f.wait(ctx)
}

// current returns the keys to look in, after fetching them if they are missing or too old.
func (s *Set) current(ctx context.Context) ([]key, error) {
	f, keys, err := s.fresh(ctx)
	if f == nil {
		return keys, err
	}
	err = f.wait(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && !s.tolerable() {
		return nil, err
	}
	return s.keys, nil
}

// fresh returns the keys if they need not be fetched, an error if they were asked for in vain a moment
// ago, or else the fetch to wait for.
func (s *Set) fresh(ctx context.Context) (*flight, []key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, tolerable := s.cfg.Now(), s.tolerable()
	switch {
	case s.static || tolerable && now.Sub(s.fetched) < s.cfg.TTL:
		return nil, s.keys, nil
	case tolerable && s.failure != nil && now.Sub(s.tried) < s.cfg.Cooldown:
		return nil, s.keys, nil
	case !tolerable && s.failure != nil && now.Sub(s.tried) < min(retryPause, s.cfg.Cooldown):
		return nil, nil, s.failure
	}
	return s.start(ctx), nil, nil
}

// tolerable says whether the set may be used although it could not be fetched again. It needs s.mu.
func (s *Set) tolerable() bool {
	return !s.fetched.IsZero() && s.cfg.Now().Sub(s.fetched) < s.cfg.StaleIfError
}

// ask returns the fetch that an unknown key may cause or join; nil during the cool-down. Then its error is
// that of the last fetch: the key may be in the set that did not come.
func (s *Set) ask(ctx context.Context) (*flight, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.static || s.flight != nil {
		return s.flight, nil
	}
	now := s.cfg.Now()
	if now.Sub(s.asked) < s.cfg.Cooldown || now.Sub(s.tried) < min(firstCooldown, s.cfg.Cooldown) {
		return nil, s.failure
	}
	s.asked = now
	return s.start(ctx), nil
}

func (s *Set) held() []key {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys
}

// start begins a fetch, or returns the one under way. It needs s.mu. The fetch is shared, so it
// outlives the request that caused it.
func (s *Set) start(ctx context.Context) *flight {
	if s.flight != nil {
		return s.flight
	}
	s.tried = s.cfg.Now()
	s.flight = &flight{done: make(chan struct{})}
	go s.fly(context.WithoutCancel(ctx), s.flight, s.tried)
	return s.flight
}

func (s *Set) fly(ctx context.Context, f *flight, started time.Time) {
	ctx, cancel := context.WithTimeout(ctx, orDefault(s.cfg.Client.Timeout, defaultTimeout))
	defer cancel()
	keys, err := fetch(ctx, s.cfg.Client, s.cfg.URL)
	_, partly := errors.AsType[*SkippedError](err)

	s.mu.Lock()
	s.flight, s.failure = nil, nil
	if err == nil || partly {
		s.keys, s.fetched = keys, started
	} else {
		s.failure, f.err = err, err
	}
	s.mu.Unlock()
	s.cfg.Report(err)
	close(f.done)
}

func (f *flight) wait(ctx context.Context) error {
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return fmt.Errorf("wait for key set: %w", context.Cause(ctx))
	}
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return d
}

func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
