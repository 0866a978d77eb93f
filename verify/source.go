package verify

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"chatpass/jwks"
)

const (
	// refreshAge is the age at which keys are fetched again in the background: how long a key that was
	// withdrawn in an emergency may still be believed.
	refreshAge = time.Minute
	// maxAge is the age at which a request waits for a fetch, after nobody asked for a while.
	maxAge = 5 * time.Minute
	// staleIfError is how long keys serve while the issuer cannot be reached.
	staleIfError = 24 * time.Hour
	// cooldown is the shortest time between two fetches for unknown keys, or of two that failed.
	cooldown = 30 * time.Second
	// retryPause spaces the attempts to read the metadata.
	retryPause = time.Second
)

// A key verifies signatures of one algorithm.
type key struct {
	public crypto.PublicKey
	period period
}

// A source finds the issuer's keys and keeps them.
type source struct {
	issuer  string
	client  *http.Client
	now     func() time.Time
	periods *periods
	failing atomic.Bool              // the last fetch of keys failed
	refresh atomic.Int64             // when the keys may next be refreshed in the background, in Unix nanoseconds
	set     atomic.Pointer[jwks.Set] // nil until the metadata has been read

	turn    chan struct{} // held by the one that reads the metadata, guards the two below
	tried   time.Time
	failure error
}

func newSource(issuer string, client *http.Client, now func() time.Time) *source {
	return &source{issuer: issuer, client: client, now: now, periods: newPeriods(client), turn: make(chan struct{}, 1)}
}

// key returns the key of that id for that algorithm. Its error is an [*Error] if the issuer has none,
// else it wraps [ErrUnavailable].
func (s *source) key(ctx context.Context, kid, alg string) (key, error) {
	set, err := s.discovered(ctx)
	if err != nil {
		return key{}, unavailable(err)
	}
	s.refreshSoon(ctx, set)
	found, err := set.Key(ctx, kid, alg)
	if unknown, ok := errors.AsType[*jwks.UnknownKeyError](err); ok && !(unknown.CoolingDown && s.failing.Load()) {
		return key{}, &Error{Reason: UnknownKey, Err: err}
	}
	if err != nil {
		return key{}, unavailable(err)
	}
	if found.Algorithm != alg {
		return key{}, reject(UnknownKey, "the key names no algorithm")
	}
	return key{public: found.Key, period: s.periods.of(kid)}, nil
}

func unavailable(err error) error { return fmt.Errorf("%w: %w", ErrUnavailable, err) }

// discovered returns the key set, after reading the issuer's metadata if nobody has yet. Callers take
// turns: whoever's context ends leaves the reading to the next.
func (s *source) discovered(ctx context.Context) (*jwks.Set, error) {
	if set := s.set.Load(); set != nil {
		return set, nil
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if set := s.set.Load(); set != nil {
		return set, nil
	}
	if s.failure != nil && s.now().Sub(s.tried) < retryPause {
		return nil, s.failure
	}
	uri, err := discover(ctx, s.client, s.issuer)
	if err != nil {
		if ctx.Err() == nil {
			s.failure, s.tried = err, s.now()
		}
		return nil, err
	}
	s.set.Store(s.keySet(uri))
	return s.set.Load(), nil
}

func (s *source) keySet(uri string) *jwks.Set {
	client := *s.client
	client.Transport = s.periods
	return jwks.New(jwks.Config{
		URL: uri, Client: &client, Now: s.now, TTL: maxAge, StaleIfError: staleIfError, Cooldown: cooldown,
		Report: func(err error) {
			_, partly := errors.AsType[*jwks.SkippedError](err)
			s.failing.Store(err != nil && !partly)
		},
	})
}

// refreshSoon fetches keys that are no longer new, without making the request wait.
func (s *source) refreshSoon(ctx context.Context, set *jwks.Set) {
	fetched, now := set.Fetched(), s.now()
	if fetched.IsZero() || now.Sub(fetched) < refreshAge {
		return
	}
	due := s.refresh.Load()
	if now.UnixNano() < due || !s.refresh.CompareAndSwap(due, now.Add(cooldown).UnixNano()) {
		return
	}
	go set.Refresh(context.WithoutCancel(ctx)) // its failure is reported to the set's Report
}

// run refreshes the keys until ctx ends.
func (s *source) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			timer.Reset(s.renew(ctx))
		}
	}
}

// renew fetches the keys now and returns when to do so again: before anybody misses them, and not in
// step with the other verifiers.
func (s *source) renew(ctx context.Context) time.Duration {
	set, err := s.discovered(ctx)
	if err == nil {
		err = set.Refresh(ctx)
	}
	if err != nil {
		return cooldown/2 + rand.N(cooldown/2)
	}
	return refreshAge*3/4 + rand.N(refreshAge/8)
}
