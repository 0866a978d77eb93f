package keys_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"chatpass/identity"
	"chatpass/keys"
)

// A backup is a copy of a memory.
type backup struct {
	ring   keys.Snapshot
	events []keys.Event
	links  [][]byte
}

func (m *memory) backUp() backup {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := backup{m.ring, slices.Clone(m.events), slices.Clone(m.links)}
	b.ring.Keys = slices.Clone(m.ring.Keys)
	return b
}

// restore puts the ring back, with its events or without them.
func (m *memory) restore(b backup, events bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ring, m.putBack = b.ring, true
	m.ring.Keys = slices.Clone(b.ring.Keys)
	if events {
		m.events, m.links = slices.Clone(b.events), slices.Clone(b.links)
	}
}

// A ring in use, the key that signed and was given up, and a backup of before that.
type leaked struct {
	*clock
	store  *door
	cfg    keys.Config
	ring   *keys.Ring
	bad    string
	before backup
}

func newLeaked(t testing.TB) leaked {
	t.Helper()
	l := leaked{clock: newClock(), store: &door{memory: &memory{}}}
	l.cfg = l.config(l.store)
	l.ring = open(t, l.cfg)
	l.store.used = true
	l.advance(72 * time.Hour)
	tick(t, l.ring)
	l.bad, l.before = inState(l.ring, keys.Active)[0], l.store.backUp()
	if _, err := l.ring.Compromise(t.Context(), l.bad, operator); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l leaked) memory(t testing.TB) keys.Memory {
	t.Helper()
	memento, err := l.ring.Memento()
	if err != nil {
		t.Fatal(err)
	}
	r, err := keys.Remember(memento, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r.Memory()
}

// wantSound wants that nobody is served or signed for with the key that was given up.
func (l leaked) wantSound(t testing.TB, rings ...*keys.Ring) {
	t.Helper()
	for _, r := range rings {
		if token, err := r.Class("context").Sign(t.Context(), "at+jwt", []byte("{}")); err == nil && header(t, token)["kid"] == l.bad {
			t.Error("the key that was given up signs again")
		}
		if strings.Contains(string(r.KeySet().Body), l.bad) {
			t.Error("the key that was given up is served again")
		}
	}
}

// The ways in which an older ring comes back, and what who knows nothing and who remembers say of each.
var putBacks = map[string]struct {
	do                func(leaked)
	fresh, remembered error
}{
	"the ring alone":      {func(l leaked) { l.store.restore(l.before, false) }, keys.ErrBrokenChain, keys.ErrOlderRing},
	"all that there was":  {func(l leaked) { l.store.restore(l.before, true) }, nil, keys.ErrOlderRing},
	"nothing":             {func(l leaked) { l.store.restore(backup{}, true) }, keys.ErrNoRing, keys.ErrNoRing},
	"nothing but events":  {func(l leaked) { l.store.restore(backup{}, false) }, keys.ErrNoRing, keys.ErrNoRing},
	"the events alone":    {func(l leaked) { now := l.store.backUp().ring; l.store.restore(l.before, true); l.store.ring = now }, keys.ErrBrokenChain, keys.ErrBrokenChain},
	"and gone on from":    {goneOn, nil, keys.ErrOlderRing},
	"with another ending": {otherEnd, keys.ErrBrokenChain, keys.ErrBrokenChain},
}

// goneOn has somebody who remembers nothing go on with the older ring, further than it had come.
func goneOn(l leaked) {
	l.store.restore(l.before, true)
	for range 3 {
		s := l.store.read()
		if err := l.store.swap(s, keys.Event{What: keys.KeyHeld}, keys.Event{What: keys.KeyUnheld}); err != nil {
			panic(err)
		}
	}
}

func otherEnd(l leaked) {
	l.store.links[len(l.store.links)-1] = []byte("another")
}

// A process that runs goes on with what it has, writes nothing, and says what is wrong; one that starts with
// a memory does not start, and one that starts without does only where nothing can be seen. An operator looks,
// takes the ring as it is, and all go on: but never with the key that was given up.
func TestAnOlderRingIsRefusedUntilItIsAccepted(t *testing.T) {
	for name, way := range putBacks {
		t.Run(name, func(t *testing.T) {
			l := newLeaked(t)
			known, token, set := l.memory(t), sign(t, l.ring), l.ring.KeySet()
			way.do(l)
			writes := l.store.writes

			err := l.ring.Tick(t.Context())
			wantRefused(t, "tick", err, way.remembered)
			if l.ring.KeySet().ETag != set.ETag || header(t, sign(t, l.ring))["kid"] != header(t, token)["kid"] {
				t.Error("the last good ring is not in use")
			}
			wantCounted(t, l.ring, 1)
			l.cfg.Memory = known
			_, err = keys.Open(t.Context(), l.cfg)
			wantRefused(t, "open with a memory", err, way.remembered)
			seen, err := keys.Look(t.Context(), l.cfg)
			if err != nil {
				t.Fatal(err)
			}
			wantRefused(t, "look", seen.Wrong, way.remembered)
			l.cfg.Memory = keys.Memory{}
			if fresh, err := keys.Look(t.Context(), l.cfg); err != nil || !errors.Is(fresh.Wrong, way.fresh) {
				t.Errorf("look without a memory: %v, %v, want %v", fresh.Wrong, err, way.fresh)
			}
			if l.store.writes != writes {
				t.Error("something was written")
			}

			l.advance(l.cfg.Lease() + time.Second)
			wantOutage(t, l.ring.Ready())
			l.cfg.Memory = known
			if _, err := keys.Accept(t.Context(), l.cfg, seen.Version+1, operator); !errors.Is(err, keys.ErrConflict) {
				t.Errorf("accept another version: %v", err)
			}
			if events, err := keys.Accept(t.Context(), l.cfg, seen.Version, operator); err != nil || events[0].What != keys.RingAccepted {
				t.Fatalf("accept: %v, %v", events, err)
			}
			tick(t, l.ring)
			sign(t, l.ring)
			wantCounted(t, l.ring, 0)
			later := open(t, l.cfg)
			l.wantSound(t, l.ring, later)
			if l.ring.KeySet().ETag != later.KeySet().ETag {
				t.Error("who ran on shows another ring than who starts")
			}
			if look, err := keys.Look(t.Context(), l.cfg); err != nil || look.Wrong != nil || len(look.GivenUp) > 0 {
				t.Errorf("afterwards: %+v, %v", look, err)
			}
			if l.store.broken != nil {
				t.Error(l.store.broken)
			}
		})
	}
}

func wantRefused(t *testing.T, what string, err, want error) {
	t.Helper()
	if outage, ok := errors.AsType[*identity.Outage](err); ok || !errors.Is(err, want) {
		t.Errorf("%s: %v (outage %v), want %v", what, err, outage, want)
	}
}

func wantCounted(t *testing.T, ring *keys.Ring, want int) {
	t.Helper()
	if got := ring.Blocked(); got[keys.BlockedByHistory] != want || got[keys.BlockedByStore] != 0 {
		t.Errorf("blocked: %v, want %d by %s", got, want, keys.BlockedByHistory)
	}
}

// Whoever accepts a ring may know nothing: each replica that remembers brings back what it knows, a hold or not.
func TestWhatWasGivenUpComesBackFromEveryMemory(t *testing.T) {
	l := newLeaked(t)
	for i := range l.before.ring.Keys {
		k := &l.before.ring.Keys[i]
		k.Held = k.KID == l.bad
	}
	l.store.restore(l.before, true)
	if _, err := keys.Accept(t.Context(), l.cfg, l.before.ring.Version, operator); err != nil {
		t.Fatal(err)
	}
	ignorant := open(t, l.cfg)
	if inState(ignorant, keys.Active)[0] != l.bad {
		t.Fatal("nobody was to know")
	}
	tick(t, l.ring, ignorant)
	l.wantSound(t, l.ring, ignorant)
	if k := find(t, l.store, l.bad); k.Compromised.IsZero() || k.Held || k.Private != nil {
		t.Errorf("in the store: %+v", k)
	}
}

// The events of a ring that was put back without them know what was given up, though nobody else does.
func TestWhatWasGivenUpComesBackFromTheEvents(t *testing.T) {
	l := newLeaked(t)
	l.store.restore(l.before, false)
	seen, err := keys.Look(t.Context(), l.cfg)
	if err != nil || !slices.Equal(seen.GivenUp, []string{l.bad}) {
		t.Fatalf("given up: %v, %v", seen.GivenUp, err)
	}
	if _, err := keys.Accept(t.Context(), l.cfg, seen.Version, operator); err != nil {
		t.Fatal(err)
	}
	l.wantSound(t, open(t, l.cfg))
}

// An acceptance is good for once: not for a ring of before it, nor for another one that is put back later.
func TestAnAcceptanceIsNoLicence(t *testing.T) {
	l := newLeaked(t)
	l.store.restore(l.before, true)
	if _, err := keys.Accept(t.Context(), l.cfg, l.before.ring.Version, operator); err != nil {
		t.Fatal(err)
	}
	tick(t, l.ring)
	accepted := l.store.backUp()
	l.advance(l.cfg.Active)
	tick(t, l.ring)
	for name, b := range map[string]backup{"of before": l.before, "accepted": accepted} {
		l.store.restore(b, true)
		wantRefused(t, name, l.ring.Tick(t.Context()), keys.ErrOlderRing)
	}
}

// A clock that was set back keeps no operator from being heard.
func TestTheLastAcceptanceCounts(t *testing.T) {
	l := newLeaked(t)
	elapsed := l.now()
	l.cfg.Elapsed = func() time.Duration { return elapsed.Sub(epoch) }
	for range 3 {
		l.cfg.Memory = l.memory(t)
		l.store.restore(l.before, true)
		if _, err := keys.Accept(t.Context(), l.cfg, l.before.ring.Version, operator); err != nil {
			t.Fatal(err)
		}
		tick(t, l.ring)
		l.advance(-24 * time.Hour)
	}
}

// A new store is none to who remembers a ring: it would be as if every key were gone.
func TestANewStoreInPlaceOfAnotherIsNoticed(t *testing.T) {
	l := newLeaked(t)
	l.cfg.Memory, l.cfg.Store = l.memory(t), &door{memory: &memory{}}
	_, err := keys.Open(t.Context(), l.cfg)
	wantRefused(t, "open", err, keys.ErrNoRing)
	if _, err := keys.Accept(t.Context(), l.cfg, 0, operator); err != nil {
		t.Fatal(err)
	}
	l.wantSound(t, open(t, l.cfg))
}

// An old memory is no fault of a ring that has come further, nor is one that a version wrote which kept none.
func TestAnOldMemoryIsNoFault(t *testing.T) {
	l := newLeaked(t)
	old := l.memory(t)
	for range 30 {
		l.advance(l.cfg.Active)
		tick(t, l.ring)
	}
	for name, m := range map[string]keys.Memory{"old": old, "none": {}, "kids alone": {GivenUp: []string{"b", "a"}}} {
		l.cfg.Memory = m
		if _, err := keys.Open(t.Context(), l.cfg); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	r, err := keys.Remember(l.ring.KeySet().Body, nil)
	if err != nil || r.Memory().Version != 0 {
		t.Errorf("a key set alone: %+v, %v", r, err)
	}
}

// A memento is the key set, byte for byte, and leaves out what was given up since.
func TestAMementoIsTheKeySet(t *testing.T) {
	l := newLeaked(t)
	memento, err := l.ring.Memento()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range [][]byte{memento, bytes.Replace(memento, []byte(`"given_up":[`), []byte(`"given_up":["`+inState(l.ring, keys.Active)[0]+`",`), 1)} {
		r, err := keys.Remember(text, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := r.KeySet(l.now())
		if same := bytes.Equal(text, memento); same != bytes.Equal(got.Body, l.ring.KeySet().Body) {
			t.Errorf("got %s", got.Body)
		}
	}
}

// What looks like an older ring is none if others were just writing it.
func TestARaceIsNoBrokenChain(t *testing.T) {
	c, store := newClock(), &memory{}
	doors := []*door{{memory: store}, {memory: store}}
	slow, fast := open(t, c.config(doors[0])), open(t, c.config(doors[1]))
	for range 10 {
		c.advance(168 * time.Hour)
		doors[0].amid = func() { tick(t, fast) }
		tick(t, slow)
		if n := slow.Blocked()[keys.BlockedByHistory]; n != 0 || doors[0].amid != nil {
			t.Fatalf("%d are blocked", n)
		}
	}
}

// A refused ring is news of its own: once, whatever was wrong before.
func TestRunTellsARefusedRingOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, out := newLeaked(t), &bytes.Buffer{}
		cfg := usual(l.store, time.Now)
		cfg.Log = slog.New(slog.NewTextHandler(out, nil))
		l.store.memory = &memory{}
		ring := open(t, cfg)
		before := l.store.backUp()
		if _, err := ring.Rotate(t.Context(), operator); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		go func() { _ = ring.Run(ctx) }()
		time.Sleep(time.Minute)
		l.store.restore(before, false)
		time.Sleep(time.Minute)
		stop()
		synctest.Wait()
		if n := strings.Count(out.String(), "key ring in the store is refused"); n != 1 || strings.Contains(out.String(), "not up to date") {
			t.Errorf("told %d times: %s", n, out)
		}
	})
}

// Whatever is put back, in whatever order, with or without operators who know nothing: no process that ever
// saw a key given up serves it or signs with it again.
func TestNoKeyComesBackToWhoSawItGivenUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &history{T: t, clock: newClock(), store: &door{memory: &memory{}}}
		for range rapid.IntRange(1, 4).Draw(t, "processes") {
			m.processes = append(m.processes, &process{given: map[string]bool{}})
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			m.step()
			m.check()
		}
	})
}

// A history is that of some processes and a store that somebody writes to.
type history struct {
	*rapid.T
	*clock
	store     *door
	processes []*process
	backups   []backup
}

// A process has a ring while it runs, and what it left behind; it knows what it saw given up.
type process struct {
	ring   *keys.Ring
	memory keys.Memory
	given  map[string]bool
}

func (h *history) step() {
	p := rapid.SampledFrom(h.processes).Draw(h.T, "process")
	cfg := h.config(h.store)
	cfg.Memory = p.memory
	switch rapid.SampledFrom([]string{"tick", "tick", "tick", "wait", "start", "give up", "give up", "back up", "put back", "accept"}).Draw(h.T, "step") {
	case "tick":
		if p.ring != nil {
			h.allow(p.ring.Tick(h.Context()))
		}
	case "wait":
		h.advance(part(h.T, cfg))
	case "start":
		ring, err := keys.Open(h.Context(), cfg)
		h.allow(err)
		if p.ring = ring; err != nil {
			p.ring = nil
		}
		h.store.used = true
	case "give up":
		h.giveUp(p)
	case "back up":
		h.backups = append(h.backups, h.store.backUp())
	case "put back":
		if len(h.backups) > 0 {
			h.store.restore(rapid.SampledFrom(h.backups).Draw(h.T, "backup"), rapid.Bool().Draw(h.T, "with events"))
		}
	case "accept":
		seen, err := keys.Look(h.Context(), cfg)
		if err != nil {
			h.Fatal(err)
		}
		if rapid.Bool().Draw(h.T, "elsewhere") {
			cfg.Memory = keys.Memory{}
		}
		_, err = keys.Accept(h.Context(), cfg, seen.Version, operator)
		h.allow(err)
	}
}

func (h *history) giveUp(p *process) {
	if p.ring == nil {
		return
	}
	kid := rapid.SampledFrom(p.ring.List()).Draw(h.T, "key").KID
	if _, err := p.ring.Compromise(h.Context(), kid, operator); !errors.Is(err, keys.ErrGone) && !errors.Is(err, keys.ErrUnknownKey) {
		h.allow(err)
	}
}

func (h *history) allow(err error) {
	if err != nil && !errors.Is(err, keys.ErrOlderRing) && !errors.Is(err, keys.ErrBrokenChain) && !errors.Is(err, keys.ErrNoRing) {
		h.Fatal(err)
	}
}

// check looks at every process, as its clients would, and lets it remember what it has seen.
func (h *history) check() {
	if h.store.broken != nil && !h.store.putBack {
		h.Fatal(h.store.broken)
	}
	for _, p := range h.processes {
		if p.ring == nil {
			continue
		}
		signer := ""
		if token, err := p.ring.Class("context").Sign(h.Context(), "at+jwt", []byte("{}")); err == nil {
			signer = header(h.T, token)["kid"].(string)
		}
		for kid := range p.given {
			if signer == kid || strings.Contains(string(p.ring.KeySet().Body), kid) {
				h.Fatalf("key %s, which was given up, signs (%v) or is served", kid, signer == kid)
			}
		}
		for _, k := range p.ring.List() {
			if k.State == keys.Compromised {
				p.given[k.KID] = true
			}
		}
		p.memory = h.remember(p.ring)
	}
}

func (h *history) remember(ring *keys.Ring) keys.Memory {
	memento, err := ring.Memento()
	if err != nil {
		h.Fatal(err)
	}
	r, err := keys.Remember(memento, nil)
	if err != nil {
		h.Fatal(err)
	}
	return r.Memory()
}
