// Package status tells verifiers that are offline which sessions have ended. It gives each session a
// place in a list, and renders the lists as Token Status Lists (draft-ietf-oauth-status-list-20, approved,
// without a number yet): one bit for a session, set when it has ended.
package status

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// Size is how many places a list has.
	Size = 1 << 20
	// Life is how long a rendered list may be used when no newer one can be had: its `exp`.
	Life = 24 * time.Hour

	// keep is how long a list is served after the last session in it can have had a valid context: as
	// long as a verifier may go on with an old copy, and a little for clocks.
	keep = Life + 10*time.Minute
	// interval is how often lists are rendered, changed or not: the time of a change then tells nothing.
	interval = time.Second
	// lookPause is the shortest time between two looks that are made because somebody asks.
	lookPause = 100 * time.Millisecond
	// followTime bounds one look into the store.
	followTime = 5 * time.Second
	// overlap is how much of the log is read again each time: entries become visible in another order
	// than that of their times.
	overlap = 10 * time.Second
)

// ErrConflict is returned by [Store.SwapShelf] when another replica changed the shelf first.
var ErrConflict = errors.New("status lists changed meanwhile")

// A Store keeps which lists there are, and knows which sessions have ended.
type Store interface {
	// Shelf returns all lists. Before the first swap it is empty, at version 0.
	Shelf(ctx context.Context) (Shelf, error)
	// SwapShelf replaces the shelf if its stored version still equals s.Version, and stores it with
	// s.Version+1; else [ErrConflict].
	SwapShelf(ctx context.Context, s Shelf) error
	// Ended returns the sessions with a place whose end was entered in the log of revocations at from or
	// later.
	Ended(ctx context.Context, from time.Time) ([]Ended, error)
	// Clock returns the time of the log.
	Clock(ctx context.Context) (time.Time, error)
}

// A Signer turns a payload into a signed JWT.
type Signer interface {
	// Sign returns the compact serialisation (RFC 7515 §3.1) of claims, a JSON object, under the given `typ`.
	Sign(ctx context.Context, typ string, claims []byte) (token string, err error)
}

// An Ended is a session that has ended before its time.
type Ended struct {
	List  string
	Index int
	// Until is when no context of the session can verify any more.
	Until time.Time
}

// Config is what [Lists] are made of.
type Config struct {
	Store  Store
	Signer Signer
	Log    *slog.Logger
	// URI is what the name of a list is appended to, for its address.
	URI    string
	Issuer string // `iss`
	// TTL is how long a verifier may use a list before it asks for a newer one.
	TTL time.Duration
	// Secret returns a key of 32 bytes, the same for a list on every replica, that nobody outside knows.
	Secret func(list string) []byte
	Now    func() time.Time
}

// Lists are the status lists of all apps. They are safe for concurrent use.
type Lists struct {
	cfg    Config
	served atomic.Pointer[map[string]Rendered]

	placing sync.Mutex
	blocks  map[string]*block // by app
	failure error             // why no block could be taken last, and when
	failed  time.Time

	finding sync.Mutex
	looked  time.Time // when somebody's question made us look into the store

	mu    sync.Mutex // for what follows: one look at a time
	lists map[string]*list
	upTo  time.Time // the log has been read up to here, by the store's clock
	read  time.Time // when that was, by ours
}

// A Rendered is a list as it is served.
type Rendered struct {
	Token []byte // a JWT of typ statuslist+jwt
	// Read is its `iat`: when the log of revocations was read for it.
	Read time.Time
}

// New returns the lists kept in cfg.Store. It reads nothing: see [Lists.Follow].
func New(cfg Config) *Lists {
	l := &Lists{cfg: cfg, blocks: map[string]*block{}, lists: map[string]*list{}}
	l.served.Store(&map[string]Rendered{})
	return l
}

// List returns a list as it was rendered last. It comes from memory, with the store dead too.
func (l *Lists) List(name string) (Rendered, bool) {
	r, ok := (*l.served.Load())[name]
	return r, ok
}

// Find is [Lists.List] for somebody who has come by the name: another replica may have made the list just
// now, so the store is asked for one that is not known. Who asks waits for a look that begins later; one
// does not follow another at once, whatever strangers ask for.
func (l *Lists) Find(ctx context.Context, name string) (Rendered, bool) {
	if r, ok := l.List(name); ok {
		return r, true
	}
	asked := l.cfg.Now()
	l.finding.Lock()
	defer l.finding.Unlock()
	if l.looked.Before(asked) {
		if wait := lookPause - l.cfg.Now().Sub(l.looked); wait > 0 && wait <= lookPause {
			time.Sleep(wait)
		}
		l.looked = l.cfg.Now()
		_ = l.Follow(ctx) // what fails is tried again every second, and told
	}
	return l.List(name)
}

// Run keeps the lists up to date until ctx ends, and returns nil then.
func (l *Lists) Run(ctx context.Context) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		err := l.Follow(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !failing:
			l.cfg.Log.Error("status lists are not up to date: the last ones are served", "err", err)
		case err == nil && failing:
			l.cfg.Log.Info("status lists are up to date again")
		}
		failing = err != nil
	}
}

// Follow reads which lists there are and which sessions have ended, and renders every list. When it
// fails, the lists stay as they were.
func (l *Lists) Follow(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, followTime)
	defer cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.look(ctx); err != nil {
		return err
	}
	return l.render(ctx)
}

// look reads what has changed in the store.
func (l *Lists) look(ctx context.Context) error {
	asked := l.cfg.Now()
	clock, err := l.cfg.Store.Clock(ctx)
	if err != nil {
		return fmt.Errorf("ask the store's clock: %w", err)
	}
	shelf, err := l.cfg.Store.Shelf(ctx)
	if err != nil {
		return fmt.Errorf("read status lists: %w", err)
	}
	from := time.Time{}
	if !l.upTo.IsZero() {
		from = l.upTo.Add(-overlap)
	}
	ended, err := l.cfg.Store.Ended(ctx, from)
	if err != nil {
		return fmt.Errorf("read revocations: %w", err)
	}
	l.shelve(shelf, clock)
	for _, e := range ended {
		if at := l.lists[e.List]; at != nil && e.Index >= 0 && e.Index < Size {
			at.end(e.Index, e.Until)
		}
	}
	for _, at := range l.lists {
		at.forget(clock)
	}
	l.upTo, l.read = clock, asked
	return nil
}

// shelve makes room for new lists and forgets old ones.
func (l *Lists) shelve(shelf Shelf, now time.Time) {
	there := map[string]bool{}
	for _, at := range shelf.Lists {
		if name := at.name(); at.served(now) {
			there[name] = true
			if l.lists[name] == nil {
				l.lists[name] = newList(permutation(l.cfg.Secret(name)))
			}
		}
	}
	for name := range l.lists {
		if !there[name] {
			delete(l.lists, name)
		}
	}
}
