package storetest

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"chatpass/exchange"
	"chatpass/keys"
)

// Keys tests every promise of [keys.Store].
func Keys(t *testing.T, open Opener[keys.Store]) {
	for name, promise := range map[string]func(*testing.T, Opened[keys.Store], *Clock){
		"a ring comes back as it was stored":       ringsComeBack,
		"a swap needs the version it was read at":  ringsNeedTheVersion,
		"one of many swaps, the first time too":    oneRacerSwapsRing,
		"a ring stays, however much time goes by":  ringsStay,
		"a destroyed private half does not return": destroyedKeysAreGone,
		"events are a chain":                       eventsAreAChain,
		"a lost swap leaves no event":              lostSwapsLeaveNoEvent,
		"that a ring was accepted is kept":         acceptanceIsKept,
	} {
		t.Run(name, func(t *testing.T) {
			clock := NewClock()
			promise(t, open(t, clock), clock)
		})
	}
}

// Salts tests every promise of [exchange.Store].
func Salts(t *testing.T, open Opener[exchange.Store]) {
	clock := NewClock()
	opened := open(t, clock)
	salts := make([][]byte, racers)
	for i, err := range race(func(racer int) (err error) {
		salts[racer], err = opened.Doors[racer%len(opened.Doors)].Salt(t.Context(), "support", fmt.Append(nil, "candidate ", racer))
		return err
	}) {
		if err != nil || !bytes.Equal(salts[i], salts[0]) || !bytes.HasPrefix(salts[i], []byte("candidate ")) {
			t.Errorf("racer %d: got %q, %v; racer 0 got %q", i, salts[i], err, salts[0])
		}
	}
	other, err := opened.Doors[0].Salt(t.Context(), "sales", []byte("other"))
	if err != nil || string(other) != "other" {
		t.Errorf("another sector: got %q, %v", other, err)
	}
	clock.Advance(50 * 365 * 24 * time.Hour)
	if err := opened.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, door := range opened.Doors {
		if got, err := door.Salt(t.Context(), "support", []byte("too late")); err != nil || !bytes.Equal(got, salts[0]) {
			t.Errorf("after fifty years: got %q, %v, want %q", got, err, salts[0])
		}
	}
}

func ringsComeBack(t *testing.T, opened Opened[keys.Store], clock *Clock) {
	wantRing(t, opened.Doors[0], clock, keys.Snapshot{})
	ring := keys.Snapshot{Keys: []keys.Record{fullKey("one", clock.Now()), fullKey("two", clock.Now()), {KID: "bare"}}}
	wantErr(t, opened.Doors[0].SwapRing(t.Context(), ring, nil), nil)
	ring.Version = 1
	for _, door := range opened.Doors {
		wantRing(t, door, clock, ring)
	}
}

func ringsNeedTheVersion(t *testing.T, opened Opened[keys.Store], clock *Clock) {
	store := opened.Doors[0]
	wantErr(t, store.SwapRing(t.Context(), keys.Snapshot{Version: 1}, nil), keys.ErrConflict)
	var ring keys.Snapshot
	for version := range int64(4) {
		for _, wrong := range []int64{0, version - 1, version + 1} {
			if wrong == version {
				continue
			}
			lost := keys.Snapshot{Version: wrong, Keys: []keys.Record{fullKey("lost", clock.Now())}}
			wantErr(t, store.SwapRing(t.Context(), lost, nil), keys.ErrConflict)
		}
		wantRing(t, store, clock, ring)
		ring.Keys = append(ring.Keys, fullKey(fmt.Sprint("kid", version), clock.Now()))
		wantErr(t, store.SwapRing(t.Context(), ring, nil), nil)
		ring.Version = version + 1
		wantRing(t, store, clock, ring)
	}
}

func oneRacerSwapsRing(t *testing.T, opened Opened[keys.Store], clock *Clock) {
	for version := range int64(5) {
		errs := race(func(racer int) error {
			mine := keys.Snapshot{Version: version, Keys: []keys.Record{fullKey(fmt.Sprint(racer), clock.Now())}}
			return opened.Doors[racer%len(opened.Doors)].SwapRing(t.Context(), mine, nil)
		})
		oneWinner(t, errs, keys.ErrConflict)
		for racer, err := range errs {
			if err == nil {
				won := keys.Snapshot{Version: version + 1, Keys: []keys.Record{fullKey(fmt.Sprint(racer), clock.Now())}}
				wantRing(t, opened.Doors[0], clock, won)
			}
		}
	}
}

func ringsStay(t *testing.T, opened Opened[keys.Store], clock *Clock) {
	ring := keys.Snapshot{Keys: []keys.Record{fullKey("one", clock.Now())}}
	wantErr(t, opened.Doors[0].SwapRing(t.Context(), ring, nil), nil)
	clock.Advance(50 * 365 * 24 * time.Hour)
	wantErr(t, opened.Sweep(t.Context()), nil)
	ring.Version = 1
	wantRing(t, opened.Doors[0], clock, ring)
}

func destroyedKeysAreGone(t *testing.T, opened Opened[keys.Store], clock *Clock) {
	ring := keys.Snapshot{Keys: []keys.Record{fullKey("one", clock.Now())}}
	wantErr(t, opened.Doors[0].SwapRing(t.Context(), ring, nil), nil)
	ring.Version, ring.Keys[0].Private = 1, nil
	wantErr(t, opened.Doors[0].SwapRing(t.Context(), ring, nil), nil)
	ring.Version = 2
	wantRing(t, opened.Doors[0], clock, ring)
}

func eventsAreAChain(t *testing.T, opened Opened[keys.Store], clock *Clock) {
	wantEvents(t, opened.Doors[0])
	var all []keys.Event
	for version := range int64(130) { // more than one page
		fresh := []keys.Event{anEvent(2*version, clock.Now()), anEvent(2*version+1, clock.Now())}
		door := opened.Doors[int(version)%len(opened.Doors)]
		at, err := door.Ring(t.Context())
		wantErr(t, err, nil)
		wantErr(t, door.SwapRing(t.Context(), at, fresh), nil)
		all = append(all, fresh...)
		wantLinked(t, door, 2*version+2)
	}
	clock.Advance(50 * 365 * 24 * time.Hour)
	wantErr(t, opened.Sweep(t.Context()), nil)
	for _, door := range opened.Doors {
		wantEvents(t, door, all...)
	}
}

func lostSwapsLeaveNoEvent(t *testing.T, opened Opened[keys.Store], clock *Clock) {
	one, lost := anEvent(1, clock.Now()), anEvent(2, clock.Now())
	wantErr(t, opened.Doors[0].SwapRing(t.Context(), keys.Snapshot{}, []keys.Event{one}), nil)
	wantErr(t, opened.Doors[0].SwapRing(t.Context(), keys.Snapshot{}, []keys.Event{lost}), keys.ErrConflict)
	wantErr(t, opened.Doors[0].SwapRing(t.Context(), keys.Snapshot{Version: 1}, []keys.Event{lost}), keys.ErrConflict) // its place is taken
	for version := int64(1); version < 5; version++ {
		at, err := opened.Doors[0].Ring(t.Context())
		wantErr(t, err, nil)
		oneWinner(t, race(func(racer int) error {
			return opened.Doors[racer%len(opened.Doors)].SwapRing(t.Context(), at, []keys.Event{anEvent(version, clock.Now())})
		}), keys.ErrConflict)
	}
	wantEvents(t, opened.Doors[0], one, anEvent(1, clock.Now()), anEvent(2, clock.Now()), anEvent(3, clock.Now()), anEvent(4, clock.Now()))
}

// wantLinked wants n events, the last of which is the end that the ring knows.
func wantLinked(t *testing.T, store keys.Store, n int64) {
	t.Helper()
	at, err := store.Ring(t.Context())
	wantErr(t, err, nil)
	link, err := store.Link(t.Context(), n)
	wantErr(t, err, nil)
	if at.End.Events != n || link == nil || !bytes.Equal(link, at.End.Head) {
		t.Errorf("the ring ends with event %d and link %x, want %d and %x", at.End.Events, at.End.Head, n, link)
	}
	if beyond, err := store.Link(t.Context(), n+1); beyond != nil || err != nil {
		t.Errorf("event %d: link %x, %v", n+1, beyond, err)
	}
}

// acceptanceIsKept wants a ring that was accepted to stay so, and go on where the swap says.
func acceptanceIsKept(t *testing.T, opened Opened[keys.Store], clock *Clock) {
	store, when := opened.Doors[0], clock.Now().UTC()
	wantErr(t, store.SwapRing(t.Context(), keys.Snapshot{}, []keys.Event{anEvent(1, when), anEvent(2, when)}), nil)
	_, end, err := store.Events(t.Context())
	wantErr(t, err, nil)
	wantErr(t, store.SwapRing(t.Context(), keys.Snapshot{Version: 1, End: end, Accepted: when}, []keys.Event{anEvent(3, when)}), nil)
	wantLinked(t, store, 3)
	if at, err := opened.Doors[1].Ring(t.Context()); err != nil || !at.Accepted.Equal(when) {
		t.Errorf("accepted at %v, %v, want %v", at.Accepted, err, when)
	}
}

func anEvent(n int64, now time.Time) keys.Event {
	return keys.Event{
		Time: now, What: keys.KeyActivated, KID: fmt.Sprint("kid", n), Class: "context", Algorithm: "ES256",
		Public: []byte("public half"), By: "ops@host", Why: "drill \x00 \u2028",
	}
}

func wantEvents(t *testing.T, store keys.Store, want ...keys.Event) {
	t.Helper()
	got, _, err := store.Events(t.Context())
	if err != nil {
		t.Errorf("read events: %v", err)
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// wantRing wants that ring, and the time of the store's clock.
func wantRing(t *testing.T, store keys.Store, clock *Clock, want keys.Snapshot) {
	t.Helper()
	want.Now = clock.Now()
	got, err := store.Ring(t.Context())
	if err != nil {
		t.Errorf("read ring: %v", err)
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ring (-want +got):\n%s", diff)
	}
}

func fullKey(kid string, now time.Time) keys.Record {
	return keys.Record{
		KID: kid, Class: "context", Algorithm: "ES256",
		Public: []byte("public half of " + kid), Private: []byte("private half of " + kid),
		Created: now, Published: now.Add(1), Activated: now.Add(2), Demoted: now.Add(3), Dropped: now.Add(4),
		NotAfter: now.Add(time.Hour), Compromised: now.Add(5), Held: true,
	}
}
