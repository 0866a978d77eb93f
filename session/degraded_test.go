package session_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"chatpass/identity"
	"chatpass/session"
)

// use is a renewal that may go on from memory for 15 minutes.
func (w *town) use(at *session.Sessions, active bool) (session.Session, error) {
	return at.Resume(w.Context(), "support", w.cookie, session.Use{Active: active, Degraded: 15 * time.Minute})
}

func (w *town) mustUse(at *session.Sessions, active, degraded bool) {
	w.Helper()
	live, err := w.use(at, active)
	if err != nil || live.Degraded != degraded {
		w.Fatalf("after %v: degraded %t, %v; want %t", time.Since(w.session.Started), live.Degraded, err, degraded)
	}
}

func (w *town) wantOutage(err error) {
	w.Helper()
	if !errors.Is(err, errAway) || errors.Is(err, identity.ErrRejected) {
		w.Errorf("got %v, want an outage", err)
	}
}

func TestConfirmedSessionOutlivesTheStore(t *testing.T) {
	for _, hangs := range []bool{false, true} {
		inTown(t, func(w *town) {
			w.mustUse(w.one, true, false)
			w.store.hangs = hangs
			w.store.down.Store(true)
			time.Sleep(3 * time.Second)
			asked, began := w.store.asked.Load(), time.Now()
			for time.Since(w.session.Started) < 14*time.Minute {
				w.mustUse(w.one, true, true)
				time.Sleep(time.Minute)
			}
			if w.store.asked.Load() != asked || time.Since(began) > 14*time.Minute {
				t.Error("requests waited for a store that is known to be down")
			}
			w.store.hangs = false
			_, err := w.one.Resume(w.Context(), "support", w.cookie, session.Use{}) // degraded_renewal: 0
			w.wantOutage(err)
			time.Sleep(2 * time.Minute)
			_, err = w.use(w.one, true)
			w.wantOutage(err)
			w.store.down.Store(false)
			w.mustUse(w.one, true, false)
		}, func(_ *company, s *session.Start) { s.Limits.Idle = time.Hour })
	}
}

func TestUnconfirmedSessionWaitsForTheStore(t *testing.T) {
	inTown(t, func(w *town) {
		w.store.down.Store(true)
		_, err := w.use(w.two, false) // it has never seen the session
		w.wantOutage(err)
		w.store.down.Store(false)
		w.mustUse(w.two, false, false)
	})
}

// The first seconds, before anybody knows that the store is down.
func TestStoreThatHasJustGoneSignsNobodyOut(t *testing.T) {
	inTown(t, func(w *town) {
		w.mustUse(w.one, true, false)
		time.Sleep(31 * time.Second)
		w.store.down.Store(true)
		w.mustUse(w.one, false, true)
		w.store.down.Store(false)
		time.Sleep(time.Minute)
		w.mustUse(w.one, false, false)
		time.Sleep(29 * time.Second) // in memory, so that writing the activity is what fails
		w.store.down.Store(true)
		w.mustUse(w.one, true, true)
	}, func(_ *company, s *session.Start) { s.Limits.Idle = 5 * time.Minute })
}

// A session that has ended stays so, whatever the store does.
func TestRevocationIsNeverLost(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(w *town)
		want identity.Code
	}{
		"elsewhere, heard before": {func(w *town) {
			if _, err := w.two.Revoke(w.Context(), w.session); err != nil {
				w.Fatal(err)
			}
			time.Sleep(2 * time.Minute)
			w.store.down.Store(true)
		}, ""},
		"here, while the store is down": {func(w *town) {
			w.store.down.Store(true)
			time.Sleep(3 * time.Second)
			_, err := w.one.SignOut(w.Context(), "support", w.cookie)
			w.wantOutage(err)
		}, identity.SignedOut},
	} {
		t.Run(name, func(t *testing.T) {
			inTown(t, func(w *town) {
				w.mustUse(w.one, false, false)
				c.end(w)
				for range 14 {
					_, err := w.use(w.one, true)
					if c.want != "" {
						wantCode(t, err, c.want)
					} else {
						w.wantOutage(err)
					}
					time.Sleep(time.Minute)
				}
				w.store.down.Store(false)
				time.Sleep(2 * time.Second)
				for _, replica := range []*session.Sessions{w.one, w.two} {
					if _, err := w.use(replica, true); !errors.Is(err, identity.ErrRejected) {
						t.Errorf("got %v", err)
					}
				}
				if w.stored().Ended.IsZero() {
					t.Error("the sign-out was not written down")
				}
			})
		})
	}
}

// What a replica could not hear it obeys as soon as it can.
func TestSignOutElsewhereIsObeyedWhenTheStoreIsBack(t *testing.T) {
	inTown(t, func(w *town) {
		w.mustUse(w.one, false, false)
		w.store.down.Store(true)
		time.Sleep(time.Minute)
		w.mustUse(w.one, false, true)
		ended := w.stored() // at a replica that reaches the store
		ended.Ended, ended.Cause = time.Now(), identity.SignedOut
		if err := w.store.Store.End(w.Context(), ended); err != nil {
			t.Fatal(err)
		}
		w.mustUse(w.one, false, true)
		w.store.down.Store(false)
		time.Sleep(250 * time.Millisecond)
		synctest.Wait()
		_, err := w.use(w.one, false)
		wantCode(t, err, identity.SignedOut)
	})
}

// Nobody is idle for the store's fault, and what they did is written down when it is back.
func TestActivityCountsWhileTheStoreIsDown(t *testing.T) {
	inTown(t, func(w *town) {
		w.mustUse(w.one, true, false)
		w.store.down.Store(true)
		for range 6 {
			time.Sleep(2 * time.Minute)
			w.mustUse(w.one, true, true)
		}
		w.store.down.Store(false)
		time.Sleep(4 * time.Minute)
		w.mustUse(w.one, false, false)
		w.mustUse(w.one, true, false)
		if got := w.stored().Active; !got.Equal(time.Now()) {
			t.Errorf("active %v ago", time.Since(got))
		}
	}, func(_ *company, s *session.Start) { s.Limits.Idle = 5 * time.Minute })
}

func TestIdleEndsWhileTheStoreIsDown(t *testing.T) {
	inTown(t, func(w *town) {
		w.mustUse(w.one, true, false)
		w.store.down.Store(true)
		time.Sleep(3 * time.Minute)
		w.mustUse(w.one, false, true) // a timer's request is no activity
		time.Sleep(3 * time.Minute)
		_, err := w.use(w.one, true)
		w.wantOutage(err)
	}, func(_ *company, s *session.Start) { s.Limits.Idle = 5 * time.Minute })
}

// The issuer is not asked while its answer could not be kept; the grace counts on.
func TestNobodyAsksTheIssuerWhileTheStoreIsDown(t *testing.T) {
	inTown(t, func(w *town) {
		time.Sleep(14 * time.Minute)
		w.mustUse(w.one, false, false)
		w.store.down.Store(true)
		time.Sleep(3 * time.Second)
		live, err := w.use(w.one, false)
		if err != nil {
			t.Fatal(err)
		}
		began, asked := time.Now(), w.store.asked.Load()
		w.one.Foresee(live, w.cookie, w.liveness, time.Minute)
		if _, err := w.one.Confirm(w.Context(), live, w.cookie, w.liveness); err != nil || time.Since(began) > 0 {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		synctest.Wait()
		if w.store.asked.Load() != asked {
			t.Error("the store was asked")
		}
		w.wantCalls(0)
		w.liveness.Grace = 10 * time.Minute
		_, err = w.one.Confirm(w.Context(), live, w.cookie, w.liveness)
		wantCode(t, err, identity.IssuerUnreachable)
	})
}
