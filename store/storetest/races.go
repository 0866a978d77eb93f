package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"chatpass/session"
)

func oneRacerPuts(t *testing.T, open Opener[session.Store]) {
	clock := NewClock()
	opened := open(t, clock)
	for range 10 {
		expires := clock.Now().Add(time.Minute)
		oneWinner(t, race(func(racer int) error {
			return door(opened, racer).PutOnce(t.Context(), "space", "value", expires)
		}), session.ErrExists)
		clock.Advance(time.Minute) // the next round finds it expired, and not swept
	}
}

func oneRacerTakes(t *testing.T, open Opener[session.Store]) {
	clock := NewClock()
	opened := open(t, clock)
	for round := range 10 {
		txn := fmt.Sprint("txn", round)
		putResult(t, opened.Doors[0], txn, clock.Now())
		oneWinner(t, race(func(racer int) error {
			s := plain(clock.Now(), fmt.Sprint(txn, "-", racer))
			b := birth(s)
			b.Txn = txn
			return door(opened, racer).Insert(t.Context(), s, b)
		}), session.ErrTaken)
	}
	found, err := bySID(opened.Doors[0].ByCustomer(t.Context(), "support", "c-alice"))
	if err != nil || len(found) != 10 {
		t.Errorf("%d sessions of 10 results, %v", len(found), err)
	}
}

func oneRacerInserts(t *testing.T, open Opener[session.Store]) {
	clock := NewClock()
	opened := open(t, clock)
	for round := range 10 {
		shared := session.Birth{Handle: handleOf(fmt.Sprint(round)), Until: clock.Now().Add(time.Hour)}
		oneWinner(t, race(func(racer int) error {
			s := plain(clock.Now(), fmt.Sprint(round, "-", racer))
			return door(opened, racer).Insert(t.Context(), s, shared)
		}), session.ErrExists)
	}
}

func oneRacerSwaps(t *testing.T, open Opener[session.Store]) {
	clock := NewClock()
	opened := open(t, clock)
	s := plain(clock.Now(), "s")
	insert(t, opened.Doors[0], s)
	for version := int64(1); version <= 10; version++ {
		oneWinner(t, race(func(racer int) error {
			mine := s
			mine.Version, mine.IDToken = version, fmt.Sprint(racer)
			return door(opened, racer).Swap(t.Context(), mine)
		}), session.ErrConflict)
	}
	got, err := opened.Doors[0].Session(t.Context(), "s")
	if err != nil || got.Version != 11 {
		t.Errorf("version %d, %v, want 11", got.Version, err)
	}
}

// Somebody signs out everywhere while sessions of hers begin on all replicas: each either is refused or
// is seen by the one who ends them.
func nobodySlipsThrough(t *testing.T, open Opener[session.Store]) {
	clock := NewClock()
	opened := open(t, clock)
	for round := range 10 {
		subject := fmt.Sprint("alice", round)
		m := session.Marker{
			Issuer: corp, Subject: subject, Before: clock.Now(), Expires: clock.Now().Add(time.Hour),
		}
		race(func(racer int) error {
			if racer == racers/2 {
				signOut(t, door(opened, round), m)
				return nil
			}
			s := plain(clock.Now(), fmt.Sprint(subject, "-", racer))
			s.Identity.UpstreamSubject = subject
			err := door(opened, racer).Insert(t.Context(), s, birth(s))
			if err != nil && !errors.Is(err, session.ErrSignedOut) {
				t.Errorf("insert: %v", err)
			}
			return nil
		})
		found, err := bySID(opened.Doors[0].ByUpstream(t.Context(), m))
		if err != nil {
			t.Fatal(err)
		}
		for sid, s := range found {
			if s.Ended.IsZero() {
				t.Errorf("session %s slipped through", sid)
			}
		}
	}
}

func signOut(t *testing.T, store session.Store, m session.Marker) {
	wantErr(t, store.Mark(t.Context(), m), nil)
	for s, err := range store.ByUpstream(t.Context(), m) {
		if err != nil {
			t.Errorf("list: %v", err)
			return
		}
		s.Ended = m.Before
		wantErr(t, store.Swap(t.Context(), s), nil)
	}
}

func door(opened Opened[session.Store], n int) session.Store {
	return opened.Doors[n%len(opened.Doors)]
}
