package storetest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"chatpass/identity"
	"chatpass/session"
)

func endsAreLogged(t *testing.T, open Opener[session.Store]) {
	clock := NewClock()
	opened := open(t, clock)
	store := opened.Doors[0]
	s := rich(clock.Now())
	insert(t, store, s)
	for _, wrong := range []int64{0, 2} {
		s.Version = wrong
		wantErr(t, store.End(t.Context(), s), session.ErrConflict)
	}
	wantErr(t, store.End(t.Context(), plain(clock.Now(), "unknown")), session.ErrConflict)
	wantNoSession(t)(store.Session(t.Context(), "unknown"))
	s.Version = 1
	wantSession(t, s)(store.Session(t.Context(), s.SID))
	wantLog(t, store, time.Time{})

	clock.Advance(time.Minute)
	s.Ended, s.Cause = clock.Now(), identity.SignedOut
	wantErr(t, store.End(t.Context(), s), nil)
	wantErr(t, store.End(t.Context(), s), session.ErrConflict)
	s.Version = 2
	for _, door := range opened.Doors {
		wantSession(t, s)(door.Session(t.Context(), s.SID))
		wantLog(t, door, time.Time{}, entryOf(s, clock.Now()))
	}
}

// What has ended cannot end: the session is not even changed.
func endsAreLoggedOnce(t *testing.T, open Opener[session.Store]) {
	clock := NewClock()
	store := open(t, clock).Doors[0]
	s := plain(clock.Now(), "s")
	insert(t, store, s)
	s.Version, s.Ended = 1, clock.Now()
	wantErr(t, store.End(t.Context(), s), nil)
	s.Version = 2
	again := s
	again.Ended, again.Cause = clock.Now().Add(time.Second), identity.Revoked
	wantErr(t, store.End(t.Context(), again), session.ErrConflict)
	wantSession(t, s)(store.Session(t.Context(), "s"))
	wantLog(t, store, time.Time{}, entryOf(s, clock.Now()))
}

func logIsInOrder(t *testing.T, open Opener[session.Store]) {
	clock := NewClock()
	opened := open(t, clock)
	var all []session.Revocation
	for i := range 6 {
		s := plain(clock.Now(), fmt.Sprint("s", 9-i)) // not the order of the names
		insert(t, door(opened, i), s)
		all = append(all, endNow(t, door(opened, i+1), s, clock))
		clock.Advance(time.Second)
	}
	for _, door := range opened.Doors {
		wantLog(t, door, time.Time{}, all...)
		wantLog(t, door, all[2].Logged, all[2:]...)
		wantLog(t, door, all[2].Logged.Add(1), all[3:]...)
		wantLog(t, door, clock.Now())
	}
}

func logExpires(t *testing.T, open Opener[session.Store]) {
	clock := NewClock()
	opened := open(t, clock)
	short, long := plain(clock.Now(), "short"), plain(clock.Now(), "long")
	long.Expires = short.Expires.Add(time.Hour)
	insert(t, opened.Doors[0], short)
	insert(t, opened.Doors[0], long)
	first := endNow(t, opened.Doors[0], short, clock)
	clock.Advance(short.Expires.Sub(clock.Now()) - 1)
	second := endNow(t, opened.Doors[0], long, clock)
	wantErr(t, opened.Sweep(t.Context()), nil)
	wantLog(t, opened.Doors[0], time.Time{}, first, second)
	clock.Advance(1)
	wantLog(t, opened.Doors[0], time.Time{}, second)
	wantErr(t, opened.Sweep(t.Context()), nil)
	wantLog(t, opened.Doors[0], time.Time{}, second)
}

// Many sessions end in the same instant, as when a whole company signs out.
func longLogsAreWhole(t *testing.T, open Opener[session.Store]) {
	const many = 250
	clock := NewClock()
	opened := open(t, clock)
	var all []session.Revocation
	for i := range many {
		s := plain(clock.Now(), fmt.Sprintf("s%03d", i))
		insert(t, opened.Doors[0], s)
		all = append(all, endNow(t, opened.Doors[0], s, clock))
		if i == many/2 {
			clock.Advance(time.Second)
		}
	}
	for _, door := range opened.Doors {
		wantLog(t, door, time.Time{}, all...)
	}
}

func oneRacerEnds(t *testing.T, open Opener[session.Store]) {
	clock := NewClock()
	opened := open(t, clock)
	for round := range 10 {
		s := plain(clock.Now(), fmt.Sprint("s", round))
		insert(t, opened.Doors[0], s)
		s.Version = 1
		oneWinner(t, race(func(racer int) error { return door(opened, racer).End(t.Context(), s) }), session.ErrConflict)
	}
	found, err := opened.Doors[0].Revocations(t.Context(), time.Time{})
	if err != nil || len(found) != 10 {
		t.Errorf("%d entries of 10 sessions, %v", len(found), err)
	}
}

func clockIsTheStores(t *testing.T, open Opener[session.Store]) {
	clock := NewClock()
	opened := open(t, clock)
	for range 2 {
		for _, door := range opened.Doors {
			if got, err := door.Clock(t.Context()); err != nil || !got.Equal(clock.Now()) {
				t.Errorf("clock: got %v, %v, want %v", got, err, clock.Now())
			}
		}
		clock.Advance(time.Hour)
	}
}

func watchersAreTold(t *testing.T, open Opener[session.Store]) {
	clock := NewClock()
	store := open(t, clock).Doors[0]
	ctx, cancel := context.WithCancel(t.Context())
	told, ended := make(chan struct{}, 1), make(chan struct{})
	go func() {
		store.Watch(ctx, func() {
			select {
			case told <- struct{}{}:
			default:
			}
		})
		close(ended)
	}()
	for n := 0; len(told) == 0 && n < 10_000; n++ { // until it watches
		s := plain(clock.Now(), fmt.Sprint("s", n))
		insert(t, store, s)
		endNow(t, store, s, clock)
	}
	if len(told) == 0 {
		t.Error("nobody was told")
	}
	cancel()
	<-ended
}

// endNow ends a session that was inserted and not changed since, and returns its entry in the log.
func endNow(t *testing.T, store session.Store, s session.Session, clock *Clock) session.Revocation {
	t.Helper()
	s.Version, s.Ended, s.Cause = 1, clock.Now(), identity.EndedByIssuer
	wantErr(t, store.End(t.Context(), s), nil)
	return entryOf(s, clock.Now())
}

func entryOf(s session.Session, logged time.Time) session.Revocation {
	return session.Revocation{SID: s.SID, App: s.App, Ended: s.Ended, Cause: s.Cause, Place: s.Place, Until: s.Expires, Logged: logged}
}

func wantLog(t *testing.T, store session.Store, from time.Time, want ...session.Revocation) {
	t.Helper()
	got, err := store.Revocations(t.Context(), from)
	if err != nil {
		t.Errorf("revocations: %v", err)
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("revocations from %s (-want +got):\n%s", from, diff)
	}
}

// byTime is the order of a log.
func byTime(a, b session.Revocation) int {
	if order := a.Logged.Compare(b.Logged); order != 0 {
		return order
	}
	return strings.Compare(a.SID, b.SID)
}

// those returns the entries whose sid begins so.
func those(all []session.Revocation, prefix string) (found []session.Revocation) {
	for _, entry := range all {
		if strings.HasPrefix(entry.SID, prefix) {
			found = append(found, entry)
		}
	}
	return found
}
