package keys_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"chatpass/identity"
	"chatpass/keys"
)

// memory is the store that replicas share. Whatever is written to it must obey the rules that hold
// for every ring; the first breach is kept in broken.
type memory struct {
	mu     sync.Mutex
	ring   keys.Snapshot
	events []keys.Event
	links  [][]byte // of the events
	used   bool     // it holds other things than a ring
	writes int
	broken error
	clock  func() time.Time // its own; nil: none
	// putBack: the ring was, so that it may not be what all the events say.
	putBack bool
}

func (m *memory) read() keys.Snapshot {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.ring
	s.Keys, s.Used = slices.Clone(m.ring.Keys), s.Version == 0 && m.used
	if m.clock != nil {
		s.Now = m.clock()
	}
	return s
}

// linkOf returns nil if there is no nth event, counted from 1.
func (m *memory) linkOf(n int64) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n > int64(len(m.links)) {
		return nil
	}
	return m.links[n-1]
}

func (m *memory) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.writes
}

func (m *memory) swap(s keys.Snapshot, events ...keys.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.Version != m.ring.Version || len(events) > 0 && s.End.Events != int64(len(m.events)) {
		return keys.ErrConflict
	}
	m.broken = cmpErr(m.broken, checkRing(s.Keys), checkChange(m.ring.Keys, s.Keys))
	s.Version, s.Keys, s.Now = s.Version+1, slices.Clone(s.Keys), time.Time{}
	for _, e := range events {
		link := sha256.Sum256(fmt.Append(s.End.Head, e))
		s.End = keys.Mark{Events: s.End.Events + 1, Head: link[:]}
		m.events, m.links = append(m.events, e), append(m.links, link[:])
	}
	m.ring = s
	m.writes++
	return nil
}

// tell is swap for a ring that says what it does.
func (m *memory) tell(s keys.Snapshot, events []keys.Event) error {
	if err := m.swap(s, events...); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ring.Version == s.Version+1 && !m.putBack {
		m.broken = cmpErr(m.broken, checkTold(s.Keys, m.events))
	}
	return nil
}

// checkTold holds a ring to I12: of every key, all that the events say has become of it is what the
// ring says, and nothing is in the ring that no event tells.
func checkTold(ring []keys.Record, events []keys.Event) error {
	told := map[string]map[keys.What]time.Time{}
	for _, e := range events {
		if told[e.KID] == nil {
			told[e.KID] = map[keys.What]time.Time{}
		}
		told[e.KID][e.What] = e.Time
	}
	for _, k := range ring {
		for what, at := range map[keys.What]time.Time{
			keys.KeyPublished: k.Published, keys.KeyActivated: k.Activated, keys.KeyDemoted: k.Demoted,
			keys.KeyDropped: k.Dropped, keys.KeyCompromised: k.Compromised,
		} {
			if !at.Equal(told[k.KID][what]) {
				return fmt.Errorf("key %s was %s at %v, by its events at %v", k.KID, what, at, told[k.KID][what])
			}
		}
	}
	return nil
}

func cmpErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// checkRing holds one version of a ring to I4 (one active key a class) and I5 (kids are unique).
func checkRing(ring []keys.Record) error {
	kids, active := map[string]bool{}, map[string]string{}
	for _, k := range ring {
		if kids[k.KID] {
			return fmt.Errorf("kid %s is in the ring twice", k.KID)
		}
		kids[k.KID] = true
		if k.Activated.IsZero() || !k.Demoted.IsZero() || !k.Compromised.IsZero() {
			continue
		}
		if active[k.Class] != "" {
			return fmt.Errorf("class %s has two active keys, %s and %s", k.Class, active[k.Class], k.KID)
		}
		active[k.Class] = k.KID
		if k.Private == nil {
			return fmt.Errorf("active key %s has no private half", k.KID)
		}
	}
	return nil
}

// checkChange allows a key to change only as its life goes: a time that is set stays, a private half
// that is gone stays gone, and only a dropped key leaves the ring.
func checkChange(before, after []keys.Record) error {
	for _, old := range before {
		i := slices.IndexFunc(after, func(k keys.Record) bool { return k.KID == old.KID })
		if i < 0 {
			if old.Dropped.IsZero() || old.Held {
				return fmt.Errorf("key %s left the ring without being dropped", old.KID)
			}
			continue
		}
		now := after[i]
		fixed := old.Class == now.Class && old.Algorithm == now.Algorithm && bytes.Equal(old.Public, now.Public) &&
			old.Created.Equal(now.Created) && old.Published.Equal(now.Published) && old.NotAfter.Equal(now.NotAfter)
		kept := stays(old.Activated, now.Activated) && stays(old.Demoted, now.Demoted) && stays(old.Dropped, now.Dropped)
		if left := now.Dropped.After(old.Dropped) || now.Compromised.After(old.Compromised); old.Held && now.Held && left { // I8
			return fmt.Errorf("held key %s was dropped or given up", old.KID)
		}
		if !fixed || !kept || old.Private == nil && now.Private != nil {
			return fmt.Errorf("key %s changed from %+v to %+v", old.KID, old, now)
		}
	}
	return nil
}

func stays(before, after time.Time) bool { return before.IsZero() || before.Equal(after) }

var (
	errDown  = &identity.Outage{Code: identity.StoreUnavailable, Err: errors.New("store is down")}
	errCrash = errors.New("crashed")
)

// door is one replica's way to the memory, with its own misfortunes.
type door struct {
	*memory
	down bool
	// lose makes the next swap fail before it is written, lapse after.
	lose, lapse bool
	// amid runs once, after the next read of the ring, and between once that of its events has followed:
	// what other replicas do before this one writes.
	amid, between func()
	// onLook is called whenever this replica learns what the ring is now.
	onLook func()
}

func (d *door) Ring(context.Context) (keys.Snapshot, error) {
	if d.down {
		return keys.Snapshot{}, errDown
	}
	d.look()
	snap := d.read()
	once(&d.amid)
	return snap, nil
}

func once(f *func()) {
	if do := *f; do != nil {
		*f = nil
		do()
	}
}

func (d *door) Events(context.Context) ([]keys.Event, keys.Mark, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var end keys.Mark
	if n := len(d.links); n > 0 {
		end = keys.Mark{Events: int64(n), Head: d.links[n-1]}
	}
	return slices.Clone(d.events), end, nil
}

func (d *door) Link(_ context.Context, n int64) ([]byte, error) {
	if d.down {
		return nil, errDown
	}
	if link := d.linkOf(n); link != nil {
		return link, nil
	}
	once(&d.between)
	return nil, nil
}

func (d *door) SwapRing(_ context.Context, s keys.Snapshot, events []keys.Event) error {
	lose, lapse := d.lose, d.lapse
	d.lose, d.lapse = false, false
	if d.down {
		return errDown
	}
	if lose {
		return errCrash
	}
	err := d.tell(s, events)
	if lapse {
		return errCrash
	}
	if err == nil {
		d.look()
	}
	return err
}

func (d *door) look() {
	if d.onLook != nil {
		d.onLook()
	}
}

// epoch is when every test begins.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// clock is a time that tests move.
type clock struct{ t time.Time }

func newClock() *clock                           { return &clock{epoch} }
func (c *clock) now() time.Time                  { return c.t }
func (c *clock) advance(by time.Duration)        { c.t = c.t.Add(by) }
func (c *clock) config(s keys.Store) keys.Config { return usual(s, c.now) }

// usual is the configuration that the defaults make.
func usual(s keys.Store, now func() time.Time) keys.Config {
	return keys.Config{
		Algorithm: "ES256", Classes: []string{"context"},
		PublishAhead: 48 * time.Hour, Active: 168 * time.Hour, Retiring: 24 * time.Hour,
		JWKSMaxAge: 5 * time.Minute, LongestLifetime: time.Hour,
		Store: s, Now: now,
	}
}

// brisk is a schedule of seconds.
func brisk(s keys.Store, now func() time.Time) keys.Config {
	cfg := usual(s, now)
	cfg.Short = true
	cfg.PublishAhead, cfg.Active, cfg.Retiring = 3*time.Second, 8*time.Second, 10*time.Second
	cfg.JWKSMaxAge, cfg.LongestLifetime = time.Second, 3*time.Second
	return cfg
}

func open(t testing.TB, cfg keys.Config) *keys.Ring {
	t.Helper()
	ring, err := keys.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func tick(t testing.TB, rings ...*keys.Ring) {
	t.Helper()
	for _, r := range rings {
		if err := r.Tick(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

func sign(t testing.TB, ring *keys.Ring) string {
	t.Helper()
	token, err := ring.Class("context").Sign(context.Background(), "at+jwt", []byte(`{"sub":"a"}`))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// inState returns the kids of a class in a state, the oldest first.
func inState(ring *keys.Ring, state keys.State) []string {
	var kids []string
	for _, info := range ring.List() {
		if info.State == state && info.Class == "context" {
			kids = append(kids, info.KID)
		}
	}
	return kids
}
