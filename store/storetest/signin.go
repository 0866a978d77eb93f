package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"chatpass/session"
)

func markersStopOlderTokens(t *testing.T, open Opener[session.Store]) {
	clock := NewClock()
	opened := open(t, clock)
	before := clock.Now()
	for i, tt := range []struct {
		markSession, markSubject string
		issuer, session, subject string
		issued                   time.Duration // after the marker's Before
		want                     error
	}{
		{"", "subject", corp, "", "subject", -time.Second, session.ErrSignedOut},
		{"", "subject", corp, "", "subject", 0, session.ErrSignedOut},
		{"", "subject", corp, "", "subject", 1, nil},
		{"", "subject", corp, "session", "subject", 0, session.ErrSignedOut},
		{"", "subject", corp, "", "other", 0, nil},
		{"", "subject", corp, "subject", "other", 0, nil},
		{"", "subject", "https://other.example", "", "subject", 0, nil},
		{"session", "", corp, "session", "subject", 0, session.ErrSignedOut},
		{"session", "", corp, "session", "subject", 1, nil},
		{"session", "", corp, "other", "subject", 0, nil},
		{"session", "", corp, "", "subject", 0, nil},
		{"session", "subject", corp, "session", "subject", 0, session.ErrSignedOut},
		{"session", "subject", corp, "session", "other", 0, nil},
		{"session", "subject", corp, "other", "subject", 0, nil},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			own := func(name string) string { // every case has people of its own
				if name == "" {
					return ""
				}
				return fmt.Sprint(name, i)
			}
			marker, inserting := opened.Doors[0], opened.Doors[i%len(opened.Doors)]
			m := session.Marker{
				Issuer: corp, Session: own(tt.markSession), Subject: own(tt.markSubject),
				Before: before, Expires: before.Add(time.Hour),
			}
			wantErr(t, marker.Mark(t.Context(), m), nil)
			s := plain(clock.Now(), fmt.Sprint("s", i))
			s.Identity.Issuer, s.Identity.UpstreamSession = tt.issuer, own(tt.session)
			s.Identity.UpstreamSubject, s.Identity.IssuedAt = own(tt.subject), before.Add(tt.issued)
			wantErr(t, inserting.Insert(t.Context(), s, birth(s)), tt.want)
			if tt.want != nil {
				wantNoSession(t)(inserting.Session(t.Context(), s.SID))
				wantNoSession(t)(inserting.Find(t.Context(), birth(s).Handle))
			}
		})
	}
}

func laterMarkerWins(t *testing.T, open Opener[session.Store]) {
	clock := NewClock()
	store := open(t, clock).Doors[0]
	now := clock.Now()
	late := session.Marker{Issuer: corp, Before: now, Expires: now.Add(time.Hour)}
	early := session.Marker{Issuer: corp, Before: now.Add(-time.Minute), Expires: now.Add(time.Second)}
	people := map[string][]session.Marker{"early last": {late, early}, "late last": {early, late}}
	for subject, order := range people {
		for _, m := range order {
			m.Subject = subject
			wantErr(t, store.Mark(t.Context(), m), nil)
		}
	}
	for _, pause := range []time.Duration{0, 30 * time.Minute} { // then the short marker has ended, the other has not
		clock.Advance(pause)
		for subject := range people {
			s := plain(now, subject)
			s.Identity.UpstreamSubject = subject
			wantErr(t, store.Insert(t.Context(), s, birth(s)), session.ErrSignedOut)
		}
	}
}

func markersExpire(t *testing.T, open Opener[session.Store]) {
	clock := NewClock()
	opened := open(t, clock)
	store, now := opened.Doors[0], clock.Now()
	m := session.Marker{Issuer: corp, Subject: "alice", Before: now, Expires: now.Add(time.Minute)}
	wantErr(t, store.Mark(t.Context(), m), nil)
	clock.Advance(time.Minute - 1)
	wantErr(t, opened.Sweep(t.Context()), nil)
	s := plain(clock.Now(), "s")
	s.Identity.IssuedAt = now
	wantErr(t, store.Insert(t.Context(), s, birth(s)), session.ErrSignedOut)

	clock.Advance(1)
	m.Before, m.Expires = now.Add(-time.Minute), clock.Now().Add(time.Minute)
	wantErr(t, store.Mark(t.Context(), m), nil) // nothing is left of the one before
	wantErr(t, store.Insert(t.Context(), s, birth(s)), nil)
}

func valuesArePutOnce(t *testing.T, open Opener[session.Store]) {
	clock := NewClock()
	opened := open(t, clock)
	first, last := opened.Doors[0], opened.Doors[len(opened.Doors)-1]
	expires := clock.Now().Add(time.Minute)
	wantErr(t, first.PutOnce(t.Context(), "space", "value", expires), nil)
	for range 2 {
		wantErr(t, last.PutOnce(t.Context(), "space", "value", expires.Add(time.Hour)), session.ErrExists)
	}
	for _, other := range [][2]string{{"space", "other"}, {"other", "value"}, {"spacev", "alue"}, {"space", ""}} {
		wantErr(t, last.PutOnce(t.Context(), other[0], other[1], expires), nil)
	}
	clock.Advance(time.Minute - 1)
	wantErr(t, first.PutOnce(t.Context(), "space", "value", expires), session.ErrExists)
	clock.Advance(1)
	wantErr(t, last.PutOnce(t.Context(), "space", "value", expires.Add(time.Minute)), nil)
	wantErr(t, first.PutOnce(t.Context(), "space", "value", expires.Add(time.Minute)), session.ErrExists)
}

// A token's `exp` may lie in the year 3000000; that must not count as past.
func farExpiryStays(t *testing.T, open Opener[session.Store]) {
	clock := NewClock()
	opened := open(t, clock)
	store, far := opened.Doors[0], time.Unix(94_608_000_000_000, 0)
	wantErr(t, store.PutOnce(t.Context(), "space", "value", far), nil)
	clock.Advance(100 * 365 * 24 * time.Hour)
	wantErr(t, opened.Sweep(t.Context()), nil)
	wantErr(t, store.PutOnce(t.Context(), "space", "value", far), session.ErrExists)
}

func resultsAreTakenOnce(t *testing.T, open Opener[session.Store]) {
	clock := NewClock()
	opened := open(t, clock)
	first, last := opened.Doors[0], opened.Doors[len(opened.Doors)-1]
	put := putResult(t, first, "txn", clock.Now())
	for range 2 { // looking takes nothing
		got, err := last.Result(t.Context(), "txn")
		if diff := cmp.Diff(put, got); err != nil || diff != "" {
			t.Errorf("result: %v (-want +got):\n%s", err, diff)
		}
	}
	wantErr(t, last.PutResult(t.Context(), put), session.ErrExists)
	s := plain(clock.Now(), "s")
	b := birth(s)
	b.Txn = "txn"
	wantErr(t, last.Insert(t.Context(), s, b), nil)

	got, err := first.Result(t.Context(), "txn")
	wantErr(t, err, session.ErrTaken)
	if diff := cmp.Diff(session.Result{}, got); diff != "" {
		t.Errorf("a taken result still says something (-want +got):\n%s", diff)
	}
	again := plain(clock.Now(), "again")
	b = birth(again)
	b.Txn = "txn"
	wantErr(t, first.Insert(t.Context(), again, b), session.ErrTaken)
	wantNoSession(t)(first.Session(t.Context(), "again"))
	wantErr(t, first.PutResult(t.Context(), put), session.ErrExists)

	clock.Advance(time.Minute)
	_, err = first.Result(t.Context(), "txn")
	wantErr(t, err, session.ErrNotFound)
}

func missingResultsAreTaken(t *testing.T, open Opener[session.Store]) {
	clock := NewClock()
	store := open(t, clock).Doors[0]
	_, err := store.Result(t.Context(), "unknown")
	wantErr(t, err, session.ErrNotFound)
	putResult(t, store, "expired", clock.Now())
	clock.Advance(time.Minute)
	_, err = store.Result(t.Context(), "expired")
	wantErr(t, err, session.ErrNotFound)
	for _, txn := range []string{"unknown", "expired"} {
		s := plain(clock.Now(), txn)
		b := birth(s)
		b.Txn = txn
		wantErr(t, store.Insert(t.Context(), s, b), session.ErrTaken)
		wantNoSession(t)(store.Session(t.Context(), s.SID))
		wantNoSession(t)(store.Find(t.Context(), b.Handle))
	}
}

func refusedInsertTakesNothing(t *testing.T, open Opener[session.Store]) {
	clock := NewClock()
	store := open(t, clock).Doors[0]
	now := clock.Now()
	there := plain(now, "there")
	insert(t, store, there)
	putResult(t, store, "txn", now)

	b := birth(there)
	b.Txn = "txn"
	wantErr(t, store.Insert(t.Context(), plain(now, "new"), b), session.ErrExists)
	m := session.Marker{Issuer: corp, Subject: "alice", Before: now, Expires: now.Add(time.Hour)}
	wantErr(t, store.Mark(t.Context(), m), nil)
	b.Handle = handleOf("new")
	wantErr(t, store.Insert(t.Context(), plain(now, "new"), b), session.ErrSignedOut)

	if _, err := store.Result(t.Context(), "txn"); err != nil {
		t.Errorf("result after two refused inserts: %v", err)
	}
	wantNoSession(t)(store.Session(t.Context(), "new"))
}
