// Package store is the one narrow persistence of the service. An engine keeps records and knows a few
// conditional writes; everything else here is engine-neutral: typed views for sessions, keys and
// salts, sealing of every value, and hashing of every personal key.
package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"chatpass/exchange"
	"chatpass/identity"
	"chatpass/keys"
	"chatpass/seal"
	"chatpass/session"
	"chatpass/status"
)

// Config is what a [Store] is made of.
type Config struct {
	// URL says where the data is: sqlite:PATH, the path of a file in a directory that exists, or
	// postgres://USER@HOST/DATABASE with the parameters of package pgxpool.
	URL string
	// Sealer seals every value; another one than the store was made with is [ErrWrongMasterKey].
	Sealer *seal.Sealer
	// Join opens a store beside the service that made it, for a look or an order: none is made, and none of
	// an earlier version is changed.
	Join bool
	// Now is the clock by which records expire. nil: the store's own, which is this machine's for a
	// file, and the server's for a server.
	Now func() time.Time
	// Report is called after every operation with its name (one of about fifteen), how long it took
	// and its error: nil, an answer such as [session.ErrNotFound], or an [identity.Outage]. It must
	// be quick and may be called concurrently. nil: nobody listens.
	Report func(op string, d time.Duration, err error)
}

// A Store keeps what the service must remember. It is safe for concurrent use, and other processes may
// use the same data at the same time.
//
// Every method of it and of its views returns an [identity.Outage] with [identity.StoreUnavailable]
// if the data could not be asked: also when the context ended first. A write that ended so may or may
// not have been done; one that returned nil is durable.
type Store struct {
	cfg    Config
	engine engine
	bell   bell

	// resealed and left are for [Stats].
	resealed, left atomic.Int64
}

// sweepEvery is the pause between two sweeps, half of it to one and a half, so that replicas do not
// sweep in step. sweepBatch is what one deletes at a time, and sweepPause the longest pause after it, so
// that sign-ins never wait long behind it.
const (
	sweepEvery = time.Minute
	sweepBatch = 500
	sweepPause = 20 * time.Millisecond
)

var errURL = errors.New("store must be sqlite:PATH, such as sqlite:/var/lib/chatpass/chatpass.db, or postgres://USER@HOST/DATABASE")

// Open opens the store, makes it if it does not exist yet and brings its schema up to date. Its error
// names what is wrong and what to do: [ErrWrongMasterKey], [ErrNewerSchema], to join [ErrNoStore] or [ErrOlderSchema], a path that cannot be
// used, or an [identity.Outage]. Whether the store is ours is checked before anything in it is changed.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Report == nil {
		cfg.Report = func(string, time.Duration, error) {}
	}
	s := &Store{cfg: cfg}
	name, err := s.connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", name, err)
	}
	if err := s.keepCanary(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", name, err), s.engine.close())
	}
	return s, nil
}

// connect opens the engine that the URL's scheme names. name is what to call the store in errors: never
// all of the URL, which may hold a password.
func (s *Store) connect(ctx context.Context) (name string, err error) {
	scheme, rest, _ := strings.Cut(s.cfg.URL, ":")
	switch {
	case scheme == "sqlite" && rest != "":
		engine, err := openSQLite(ctx, sqliteConfig{path: rest, now: s.cfg.Now, check: s.checkCanary, join: s.cfg.Join})
		s.engine = engine
		return rest, err
	case scheme == "postgres" || scheme == "postgresql":
		engine, err := openPostgres(ctx, postgresConfig{url: s.cfg.URL, now: s.cfg.Now, check: s.checkCanary, join: s.cfg.Join})
		s.engine = engine
		return postgresName(s.cfg.URL), err
	}
	return "", errURL
}

// Sessions is the view of the session room.
func (s *Store) Sessions() session.Store { return sessions{s} }

// Keys is the view of the key vault.
func (s *Store) Keys() keys.Store { return ring{s} }

// Exchange is the view of the exchange.
func (s *Store) Exchange() exchange.Store { return trades{s} }

// Status is the view of the status lists.
func (s *Store) Status() status.Store { return shelf{s} }

// Ping returns nil if the store answers.
func (s *Store) Ping(ctx context.Context) error {
	return s.observe("ping", func() error {
		if err := s.engine.ping(ctx); err != nil {
			return outage("ping", err)
		}
		return nil
	})
}

// Run deletes expired records about once a minute until ctx ends, then returns nil. What goes wrong is
// reported as operation "sweep" and tried again. Meanwhile it passes on the hints of other processes, and
// seals anew what is sealed under an old key, as [Store.Reseal] does.
func (s *Store) Run(ctx context.Context) error {
	var beside sync.WaitGroup
	beside.Go(func() { s.engine.listen(ctx, s.bell.ring) })
	beside.Go(func() { s.keepResealing(ctx) })
	defer beside.Wait()
	for wait(ctx, sweepEvery/2+rand.N(sweepEvery)) {
		_, _ = s.Sweep(ctx)
	}
	return nil
}

// wait waits for d, and tells whether ctx has not ended before.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// Sweep deletes the records that have expired, and returns how many they were.
func (s *Store) Sweep(ctx context.Context) (int, error) {
	total := 0
	for {
		var n int
		err := s.observe("sweep", func() (err error) {
			if n, err = s.engine.sweep(ctx, sweepBatch); err != nil {
				return outage("sweep", err)
			}
			return nil
		})
		total += n
		if err != nil || n < sweepBatch || !wait(ctx, rand.N(sweepPause)) {
			return total, err
		}
	}
}

// Stats counts what has been written since the store was opened.
type Stats struct {
	// Writes is the number of units written, Commits the number of transactions that it took: with
	// many writers at once they share one.
	Writes, Commits int64
	// Resealed is the number of values sealed anew under the current key, Left what the last whole pass
	// had to leave under an old one.
	Resealed, Left int64
}

// Stats returns the counts so far.
func (s *Store) Stats() Stats {
	all := s.engine.stats()
	all.Resealed, all.Left = s.resealed.Load(), s.left.Load()
	return all
}

// Close ends the store. Writes that have begun are finished; later calls of any method are outages.
func (s *Store) Close() error {
	if err := s.engine.close(); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// get returns the live record of a key, its value opened, and whether there is one.
func (s *Store) get(ctx context.Context, k kind, key []byte) (found record, ok bool, err error) {
	name := "get_" + string(k)
	err = s.observe(name, func() error {
		if found, ok, err = s.engine.get(ctx, k, key); err != nil {
			return outage(name, err)
		}
		return nil
	})
	return found, ok, err
}

// apply does all ops or none; its error is the otherwise of the first op that could not be done.
func (s *Store) apply(ctx context.Context, name string, ops ...op) error {
	return s.observe(name, func() error {
		unmet, err := s.engine.apply(ctx, ops)
		if err != nil {
			return outage(name, err)
		}
		if unmet >= 0 {
			return ops[unmet].otherwise
		}
		return nil
	})
}

func (s *Store) list(ctx context.Context, name string, p page) (found []record, err error) {
	err = s.observe(name, func() error {
		if found, err = s.engine.list(ctx, p); err != nil {
			return outage(name, err)
		}
		return nil
	})
	return found, err
}

func (s *Store) since(ctx context.Context, name string, p logPage) (found []record, err error) {
	err = s.observe(name, func() error {
		if found, err = s.engine.since(ctx, p); err != nil {
			return outage(name, err)
		}
		return nil
	})
	return found, err
}

func (s *Store) observe(name string, do func() error) error {
	start := time.Now()
	err := do()
	s.cfg.Report(name, time.Since(start), err)
	return err
}

func outage(name string, err error) error {
	return &identity.Outage{Code: identity.StoreUnavailable, Err: fmt.Errorf("%s: %w", name, err)}
}
