package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"chatpass/session"
)

// Sessions tests every promise of [session.Store].
func Sessions(t *testing.T, open Opener[session.Store]) {
	for name, promise := range map[string]func(*testing.T, Opener[session.Store]){
		"a session comes back as it was stored":          sessionsComeBack,
		"a second session of a name changes nothing":     sessionsAreInsertedOnce,
		"a swap needs the version it was read at":        swapNeedsTheVersion,
		"another handle leads to the same session":       anotherHandleHolds,
		"a refused holder changes nothing":               refusedHolderChangesNothing,
		"a swap is seen by every list":                   swapIsListed,
		"what has expired is as if absent":               expiredSessionsAreAbsent,
		"a handle may end before its session":            handlesExpireAlone,
		"sessions are listed by customer of an app":      listsByCustomer,
		"sessions are listed by what a marker names":     listsByUpstream,
		"a long list is whole and may be written during": listsAreWhole,
		"who stops waiting gets no answer":               endedContextsGetNoAnswer,

		"a marker stops older tokens of whom it names": markersStopOlderTokens,
		"the later marker wins":                        laterMarkerWins,
		"a marker ends":                                markersExpire,
		"a value is put once":                          valuesArePutOnce,
		"a far expiry stays in the future":             farExpiryStays,
		"a result is put once and taken once":          resultsAreTakenOnce,
		"a result that is not there cannot be taken":   missingResultsAreTaken,
		"a refused insert takes nothing":               refusedInsertTakesNothing,

		"an end is a swap and an entry in the log":    endsAreLogged,
		"what has ended does not end again":           endsAreLoggedOnce,
		"the log is read in order, from a time on":    logIsInOrder,
		"an entry stays as long as its session would": logExpires,
		"a long log is whole":                         longLogsAreWhole,
		"the clock is the store's":                    clockIsTheStores,
		"who watches is told":                         watchersAreTold,

		"one of many puts a value":           oneRacerPuts,
		"one of many takes a result":         oneRacerTakes,
		"one of many begins a session":       oneRacerInserts,
		"one of many swaps":                  oneRacerSwaps,
		"one of many ends a session":         oneRacerEnds,
		"nobody slips through a sign-out":    nobodySlipsThrough,
		"everything as in the simple memory": actsAsMemory,
	} {
		t.Run(name, func(t *testing.T) { promise(t, open) })
	}
}

func sessionsComeBack(t *testing.T, open Opener[session.Store]) {
	clock := NewClock()
	opened := open(t, clock)
	s := rich(clock.Now())
	insert(t, opened.Doors[0], s)
	s.Version = 1
	for _, door := range opened.Doors {
		wantSession(t, s)(door.Find(t.Context(), handleOf(s.SID)))
		wantSession(t, s)(door.Session(t.Context(), s.SID))
	}
	wantNoSession(t)(opened.Doors[0].Find(t.Context(), handleOf("another")))
	wantNoSession(t)(opened.Doors[0].Session(t.Context(), "another"))
}

func sessionsAreInsertedOnce(t *testing.T, open Opener[session.Store]) {
	clock := NewClock()
	store := open(t, clock).Doors[0]
	first := plain(clock.Now(), "first")
	insert(t, store, first)

	second := plain(clock.Now(), "second")
	wantErr(t, store.Insert(t.Context(), second, birth(first)), session.ErrExists)
	wantNoSession(t)(store.Session(t.Context(), "second"))

	again := first
	again.Customer = "somebody else"
	wantErr(t, store.Insert(t.Context(), again, birth(second)), session.ErrExists)
	wantNoSession(t)(store.Find(t.Context(), birth(second).Handle))
	first.Version = 1
	wantSession(t, first)(store.Session(t.Context(), "first"))
}

func swapNeedsTheVersion(t *testing.T, open Opener[session.Store]) {
	clock := NewClock()
	opened := open(t, clock)
	s := plain(clock.Now(), "s")
	insert(t, opened.Doors[0], s)
	for version := int64(1); version < 4; version++ {
		door := opened.Doors[int(version)%len(opened.Doors)]
		s.Active = s.Active.Add(time.Second)
		for _, wrong := range []int64{version - 1, version + 1} {
			s.Version = wrong
			wantErr(t, door.Swap(t.Context(), s), session.ErrConflict)
		}
		s.Version = version
		wantErr(t, door.Swap(t.Context(), s), nil)
		s.Version = version + 1
		wantSession(t, s)(opened.Doors[0].Session(t.Context(), "s"))
	}
	wantErr(t, opened.Doors[0].Swap(t.Context(), plain(clock.Now(), "unknown")), session.ErrConflict)
	wantNoSession(t)(opened.Doors[0].Session(t.Context(), "unknown"))
}

func swapIsListed(t *testing.T, open Opener[session.Store]) {
	clock := NewClock()
	store := open(t, clock).Doors[0]
	s := plain(clock.Now(), "s")
	s.Identity.UpstreamSession = "u-old"
	insert(t, store, s)
	s.Version, s.Customer, s.Identity.UpstreamSession = 1, "c-new", "u-new"
	wantErr(t, store.Swap(t.Context(), s), nil)
	wantListed(t, store.ByCustomer(t.Context(), "support", "c-alice"))
	wantListed(t, store.ByCustomer(t.Context(), "support", "c-new"), "s")
	wantListed(t, store.ByUpstream(t.Context(), session.Marker{Issuer: corp, Session: "u-old"}))
	wantListed(t, store.ByUpstream(t.Context(), session.Marker{Issuer: corp, Session: "u-new"}), "s")
}

func expiredSessionsAreAbsent(t *testing.T, open Opener[session.Store]) {
	for name, sweep := range map[string]bool{"before the sweep": false, "after it": true} {
		t.Run(name, func(t *testing.T) {
			clock := NewClock()
			opened := open(t, clock)
			store := opened.Doors[0]
			old, young := plain(clock.Now(), "old"), plain(clock.Now(), "young")
			young.Expires = old.Expires.Add(time.Hour)
			insert(t, store, old)
			insert(t, store, young)
			clock.Advance(old.Expires.Sub(clock.Now()) - 1)
			old.Version, young.Version = 1, 1
			wantSession(t, old)(store.Session(t.Context(), "old"))

			clock.Advance(1)
			if sweep {
				wantErr(t, opened.Sweep(t.Context()), nil)
			}
			wantNoSession(t)(store.Session(t.Context(), "old"))
			wantNoSession(t)(store.Find(t.Context(), handleOf("old")))
			wantErr(t, store.Swap(t.Context(), old), session.ErrConflict)
			wantSession(t, young)(store.Session(t.Context(), "young"))
			wantListed(t, store.ByCustomer(t.Context(), "support", "c-alice"), "young")
			insert(t, store, plain(clock.Now(), "old")) // its names are free again
		})
	}
}

func handlesExpireAlone(t *testing.T, open Opener[session.Store]) {
	clock := NewClock()
	store := open(t, clock).Doors[0]
	s := plain(clock.Now(), "s")
	wantErr(t, store.Insert(t.Context(), s, session.Birth{Handle: handleOf("s"), Until: clock.Now().Add(time.Minute)}), nil)
	clock.Advance(time.Minute)
	wantNoSession(t)(store.Find(t.Context(), handleOf("s")))
	s.Version = 1
	wantSession(t, s)(store.Session(t.Context(), "s"))
}

func listsByCustomer(t *testing.T, open Opener[session.Store]) {
	clock := NewClock()
	opened := open(t, clock)
	for i, name := range [][2]string{{"a", "x"}, {"a", "x"}, {"a", "y"}, {"b", "x"}, {"ax", ""}, {"a", "X"}} {
		s := plain(clock.Now(), fmt.Sprint("s", i))
		s.App, s.Customer = name[0], name[1]
		if i == 1 {
			s.Ended = clock.Now()
		}
		insert(t, opened.Doors[0], s)
	}
	for _, door := range opened.Doors {
		wantListed(t, door.ByCustomer(t.Context(), "a", "x"), "s0", "s1")
		wantListed(t, door.ByCustomer(t.Context(), "a", "y"), "s2")
		wantListed(t, door.ByCustomer(t.Context(), "ax", ""), "s4")
		wantListed(t, door.ByCustomer(t.Context(), "c", "x"))
		wantListed(t, door.ByApp(t.Context(), "a"), "s0", "s1", "s2", "s5")
		wantListed(t, door.ByApp(t.Context(), "b"), "s3")
		wantListed(t, door.ByApp(t.Context(), "c"))
	}
}

func listsByUpstream(t *testing.T, open Opener[session.Store]) {
	clock := NewClock()
	store := open(t, clock).Doors[0]
	for sid, who := range map[string][3]string{
		"s1": {corp, "alice", "u1"}, "s2": {corp, "alice", "u2"}, "s3": {corp, "alice", ""},
		"s4": {corp, "bob", "u1"}, "s5": {"https://other.example", "alice", "u1"},
	} {
		s := plain(clock.Now(), sid)
		s.Identity.Issuer, s.Identity.UpstreamSubject, s.Identity.UpstreamSession = who[0], who[1], who[2]
		insert(t, store, s)
	}
	for _, want := range []struct {
		session, subject string
		listed           []string
	}{
		{"", "alice", []string{"s1", "s2", "s3"}},
		{"u1", "", []string{"s1", "s4"}},
		{"u1", "alice", []string{"s1"}},
		{"u3", "alice", nil},
		{"", "carol", nil},
		{"", "", nil},
	} {
		m := session.Marker{Issuer: corp, Session: want.session, Subject: want.subject}
		wantListed(t, store.ByUpstream(t.Context(), m), want.listed...)
	}
}

func listsAreWhole(t *testing.T, open Opener[session.Store]) {
	const many = 250
	clock := NewClock()
	store := open(t, clock).Doors[0]
	for i := range many {
		insert(t, store, plain(clock.Now(), fmt.Sprintf("s%03d", i)))
	}
	ended := 0
	for s, err := range store.ByUpstream(t.Context(), session.Marker{Issuer: corp, Subject: "alice"}) {
		if err != nil {
			t.Fatal(err)
		}
		s.Ended = clock.Now()
		wantErr(t, store.Swap(t.Context(), s), nil)
		ended++
	}
	if ended != many {
		t.Errorf("ended %d sessions while listing, want %d", ended, many)
	}
	if all, err := bySID(store.ByApp(t.Context(), "support")); err != nil || len(all) != many {
		t.Errorf("%d sessions of the app, %v, want %d", len(all), err, many)
	}
	for range store.ByCustomer(t.Context(), "support", "c-alice") {
		break // a list may be left at any time
	}
	for range store.ByApp(t.Context(), "support") {
		break
	}
}

func endedContextsGetNoAnswer(t *testing.T, open Opener[session.Store]) {
	clock := NewClock()
	store := open(t, clock).Doors[0]
	s := plain(clock.Now(), "s")
	insert(t, store, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range map[string]func() error{
		"find":        func() error { _, err := store.Find(ctx, handleOf("unknown")); return err },
		"session":     func() error { _, err := store.Session(ctx, "unknown"); return err },
		"insert":      func() error { return store.Insert(ctx, s, birth(s)) },
		"swap":        func() error { return store.Swap(ctx, s) },
		"hold":        func() error { return store.Hold(ctx, s, birth(s)) },
		"by customer": func() error { _, err := bySID(store.ByCustomer(ctx, "support", "c-alice")); return err },
		"by app":      func() error { _, err := bySID(store.ByApp(ctx, "support")); return err },
		"end":         func() error { return store.End(ctx, s) },
		"revocations": func() error { _, err := store.Revocations(ctx, time.Time{}); return err },
		"clock":       func() error { _, err := store.Clock(ctx); return err },
		"mark":        func() error { return store.Mark(ctx, session.Marker{Issuer: corp, Subject: "alice"}) },
		"put once":    func() error { return store.PutOnce(ctx, "a", "b", s.Expires) },
		"result":      func() error { _, err := store.Result(ctx, "unknown"); return err },
	} {
		if err := call(); err == nil || isAnswer(err) {
			t.Errorf("%s: got %v, want an error that is no answer", name, err)
		}
	}
}
