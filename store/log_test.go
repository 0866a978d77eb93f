package store_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chatpass/session"
	"chatpass/store"
)

// Sixteen writers end sessions at two doors while a replica reads what is new: from ten seconds before
// the last entry that it saw. It must miss nothing.
func TestNothingAcknowledgedIsMissingFromTheLog(t *testing.T) {
	eachEngine(t, func(t *testing.T, fresh func(testing.TB) store.Config) {
		const writers, each = 16, 25
		cfg := fresh(t)
		cfg.Now = nil
		doors := []session.Store{openStore(t, cfg).Sessions(), openStore(t, cfg).Sessions()}
		reader := openStore(t, cfg).Sessions()
		acknowledged, seen := make(chan string, writers*each), map[string]bool{}
		var writing sync.WaitGroup
		for writer := range writers {
			writing.Go(func() {
				for n := range each {
					acknowledged <- endOne(t, doors[writer%2], fmt.Sprint(writer, "-", n))
				}
			})
		}
		go func() { writing.Wait(); close(acknowledged) }()
		var last time.Time
		for sid := range acknowledged {
			found, err := reader.Revocations(t.Context(), last.Add(-10*time.Second))
			must(t, err)
			for _, entry := range found {
				seen[entry.SID] = true
				if entry.Logged.After(last) {
					last = entry.Logged
				}
			}
			if !seen[sid] {
				t.Errorf("the end of %s was acknowledged and is not in the log", sid)
			}
		}
		if len(seen) != writers*each {
			t.Errorf("%d entries, want %d", len(seen), writers*each)
		}
	})
}

func TestTheStoreHasAClock(t *testing.T) {
	eachEngine(t, func(t *testing.T, fresh func(testing.TB) store.Config) {
		cfg := fresh(t)
		cfg.Now = nil
		sessions := openStore(t, cfg).Sessions()
		now, err := sessions.Clock(t.Context())
		if err != nil || time.Since(now).Abs() > time.Minute { // the server is on this machine
			t.Errorf("clock: %v, %v", now, err)
		}
		if ring, err := openStore(t, cfg).Keys().Ring(t.Context()); err != nil || ring.Now.Before(now) || time.Since(ring.Now).Abs() > time.Minute {
			t.Errorf("the ring is of %v, %v, want a moment after %v", ring.Now, err, now)
		}
		before := now
		mustPut := sessions.PutOnce(t.Context(), "test", "value", now.Add(time.Hour))
		must(t, mustPut)
		endOne(t, sessions, "s")
		now, err = sessions.Clock(t.Context())
		must(t, err)
		found, err := sessions.Revocations(t.Context(), before)
		if err != nil || len(found) != 1 || found[0].Logged.Before(before) || found[0].Logged.After(now) {
			t.Errorf("log: %v, %v, want one entry of between %v and %v", found, err, before, now)
		}
	})
}

// A replica whose clock is wrong neither sees what has expired nor removes what has not.
func TestTheServersClockDecides(t *testing.T) {
	cfg := postgresConfig(t)
	cfg.Now = nil
	s := openStore(t, cfg)
	now, err := s.Sessions().Clock(t.Context())
	must(t, err)
	must(t, s.Sessions().PutOnce(t.Context(), "test", "long", now.Add(time.Minute)))
	must(t, s.Sessions().PutOnce(t.Context(), "test", "gone", now.Add(-time.Minute)))
	if n, err := s.Sweep(t.Context()); n != 1 || err != nil {
		t.Errorf("swept %d, %v, want what had expired by the server's clock", n, err)
	}
	putOnce(t, s, "long", session.ErrExists)
}

func TestOtherReplicasAreTold(t *testing.T) {
	cfg := postgresConfig(t)
	here, there := openStore(t, cfg), openStore(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	var told atomic.Int64
	var running sync.WaitGroup
	running.Go(func() { must(t, there.Run(ctx)) })
	running.Go(func() { there.Sessions().Watch(ctx, func() { told.Add(1) }) })
	defer running.Wait()
	defer cancel()
	eventually(t, "the first hint, of the connection", func() bool { return told.Load() > 0 })
	for n := range 3 {
		before := told.Load()
		endOne(t, here.Sessions(), fmt.Sprint("s", n))
		eventually(t, "a hint", func() bool { return told.Load() > before })
	}
	// The connection is lost, and made again.
	before := told.Load()
	sqlAt(t, cfg.URL, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND query ILIKE 'listen%'`)
	eventually(t, "a hint after the connection was lost", func() bool { return told.Load() > before })
}

// A thousand sign-outs at once are not a thousand notifications.
func TestHintsAreFew(t *testing.T) {
	cfg := postgresConfig(t)
	s := openStore(t, cfg)
	conn := connect(t, cfg.URL)
	_, err := conn.Exec(t.Context(), "LISTEN chatpass_log")
	must(t, err)
	start := time.Now()
	together(16, func(writer int) {
		for n := range 20 {
			endOne(t, s.Sessions(), fmt.Sprint(writer, "-", n))
		}
	})
	quiet, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	heard := 0
	for {
		if _, err := conn.WaitForNotification(quiet); err != nil {
			break
		}
		heard++
	}
	if most := int(time.Since(start)/(100*time.Millisecond)) + 1; heard == 0 || heard > most {
		t.Errorf("%d notifications in %s, want 1 to %d", heard, time.Since(start), most)
	}
}

// endOne inserts a session and ends it.
func endOne(t testing.TB, sessions session.Store, sid string) string {
	t.Helper()
	s := aSession(sid)
	if err := sessions.Insert(t.Context(), s, session.Birth{Handle: handleOf(sid), Until: s.Expires}); err != nil {
		t.Errorf("insert %s: %v", sid, err)
	}
	s.Version, s.Ended = 1, s.Started
	if err := sessions.End(t.Context(), s); err != nil {
		t.Errorf("end %s: %v", sid, err)
	}
	return sid
}

// eventually waits until something holds, at most half a minute.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
