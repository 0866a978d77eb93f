package session_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"chatpass/identity"
	"chatpass/session"
	"chatpass/store/storetest"
)

// A company is an issuer that rotates refresh tokens and notices when an old one comes again.
type company struct {
	mu      sync.Mutex
	current string
	calls   int
	reused  bool
	revoked []string
	heard   []session.Inquiry

	took   time.Duration         // for each answer
	fail   func(call int) error  // nil: it answers
	grant  func(*identity.Grant) // edits an answer
	revoke error                 // of a revocation
	random func() float64        // for the thresholds
}

func (c *company) refresh(ctx context.Context, who identity.Identity, token string) (identity.Grant, error) {
	c.mu.Lock()
	c.calls++
	call := c.calls
	c.mu.Unlock()
	time.Sleep(c.took)
	if who.UpstreamSubject != "ada" {
		return identity.Grant{}, fmt.Errorf("asked about %q", who.UpstreamSubject)
	}
	if c.fail != nil {
		if err := c.fail(call); err != nil {
			return identity.Grant{}, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if token != c.current {
		c.reused = true
		return identity.Grant{}, invalidGrant()
	}
	c.current = fmt.Sprint("rt-", call+1)
	grant := identity.Grant{RefreshToken: c.current}
	if c.grant != nil {
		c.grant(&grant)
	}
	return grant, ctx.Err()
}

func (c *company) hear(q session.Inquiry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard = append(c.heard, q)
}

func (c *company) answers() (all []session.Answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, q := range c.heard {
		all = append(all, q.Answer)
	}
	return all
}

func (c *company) giveBack(_ context.Context, idp, token string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.revoked = append(c.revoked, idp+" "+token)
	return c.revoke
}

func invalidGrant() error {
	return identity.Reject(identity.EndedByIssuer, "invalid_grant", "a sign-in that stands")
}

func unreachable() error {
	return &identity.Outage{Code: identity.NoIssuerKey, Err: errors.New("no route")}
}

// A net is a store that can be cut off.
type net struct {
	session.Store
	down  atomic.Bool
	hangs bool // it does not answer while it is down, rather than saying so
	asked atomic.Int64
}

func (n *net) away(ctx context.Context) error {
	n.asked.Add(1)
	if !n.down.Load() {
		return nil
	}
	if n.hangs {
		<-ctx.Done()
	}
	return errAway
}

func (n *net) Find(ctx context.Context, h session.Handle) (session.Session, error) {
	if err := n.away(ctx); err != nil {
		return session.Session{}, err
	}
	return n.Store.Find(ctx, h)
}

func (n *net) Session(ctx context.Context, sid string) (session.Session, error) {
	if err := n.away(ctx); err != nil {
		return session.Session{}, err
	}
	return n.Store.Session(ctx, sid)
}

func (n *net) Swap(ctx context.Context, s session.Session) error {
	if err := n.away(ctx); err != nil {
		return err
	}
	return n.Store.Swap(ctx, s)
}

func (n *net) End(ctx context.Context, s session.Session) error {
	if err := n.away(ctx); err != nil {
		return err
	}
	return n.Store.End(ctx, s)
}

func (n *net) Clock(ctx context.Context) (time.Time, error) {
	if n.down.Load() {
		return time.Time{}, errAway
	}
	return n.Store.Clock(ctx)
}

// A town is two replicas over one store, and a company whose people sign in; its clock is the bubble's.
type town struct {
	*testing.T
	*company
	store    *net
	one, two *session.Sessions
	cookie   string
	session  session.Session
	liveness session.Liveness
}

// inTown runs a test in which ada has just signed in, with rt-1. Both replicas follow the log.
func inTown(t *testing.T, test func(*town), edits ...func(*company, *session.Start)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &town{
			T: t, company: &company{current: "rt-1"}, store: &net{Store: storetest.NewMemory(time.Now)},
			liveness: session.Liveness{Every: 15 * time.Minute, Grace: time.Hour},
		}
		start := (&house{now: time.Now()}).start()
		start.Grant.RefreshToken, start.Limits.Idle = "rt-1", 0
		for _, edit := range edits {
			edit(w.company, &start)
		}
		w.one, w.two = w.replica(), w.replica()
		draft := w.one.DraftSignIn(start)
		kept, err := w.one.Keep(t.Context(), draft)
		if err != nil {
			t.Fatal(err)
		}
		w.cookie, w.session = draft.Cookie, kept
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		for _, replica := range []*session.Sessions{w.one, w.two} {
			running.Go(func() { _ = replica.Run(ctx) })
		}
		defer running.Wait()
		defer stop()
		time.Sleep(time.Second)
		test(w)
	})
}

func (w *town) replica() *session.Sessions {
	return newSessions(w.T, session.Config{
		Store: w.store, Now: time.Now, NewID: rand.Text, Random: w.company.random,
		Refresh: w.company.refresh, Revoke: w.company.giveBack, Heard: w.company.hear,
	})
}

// renew is what a renewal does with the session.
func (w *town) renew(at *session.Sessions) (session.Session, error) {
	live, err := at.Resume(w.Context(), "support", w.cookie, session.Use{})
	if err != nil {
		return live, err
	}
	return at.Confirm(w.Context(), live, w.cookie, w.liveness)
}

func (w *town) mustRenew(at *session.Sessions) session.Session {
	w.Helper()
	live, err := w.renew(at)
	if err != nil {
		w.Fatalf("renew: %v", err)
	}
	return live
}

func (w *town) stored() session.Session {
	w.Helper()
	found, err := w.store.Store.Session(w.Context(), w.session.SID)
	if err != nil {
		w.Fatal(err)
	}
	return found
}

func (w *town) wantCalls(want int) {
	w.Helper()
	w.company.mu.Lock()
	defer w.company.mu.Unlock()
	if w.calls != want || w.reused {
		w.Errorf("the issuer was asked %d times, an old token came again: %t; want %d times", w.calls, w.reused, want)
	}
}

func TestParallelRenewalsAskTheIssuerOnce(t *testing.T) {
	for name, fail := range map[string]func(int) error{
		"it answers": nil,
		"the answer is lost once": func(call int) error {
			if call == 1 {
				return unreachable()
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			inTown(t, func(w *town) {
				w.took, w.fail = time.Second, fail
				w.mustRenew(w.two) // both have it in memory
				time.Sleep(16 * time.Minute)
				var renewals sync.WaitGroup
				for i := range 50 {
					renewals.Go(func() {
						if _, err := w.renew([]*session.Sessions{w.one, w.two}[i%2]); err != nil {
							t.Errorf("renewal %d: %v", i, err)
						}
					})
				}
				renewals.Wait()
				time.Sleep(time.Minute)
				want := 1
				if fail != nil {
					want = 2
				}
				w.wantCalls(want)
				if got := w.stored().Standing.RefreshToken; got != w.current {
					t.Errorf("%s is stored, %s is good", got, w.current)
				}
				w.mustRenew(w.one)
				w.mustRenew(w.two)
				w.wantCalls(want)
			})
		})
	}
}

// Without grace nobody goes on without an answer, and yet nobody is refused because another replica asks.
func TestWithoutGraceReplicasWaitForEachOther(t *testing.T) {
	inTown(t, func(w *town) {
		w.took, w.liveness.Grace = time.Second, 0
		w.mustRenew(w.two)
		for round := range 4 {
			time.Sleep(16 * time.Minute)
			var renewals sync.WaitGroup
			for i := range 10 {
				renewals.Go(func() {
					time.Sleep(time.Duration(i) * 50 * time.Millisecond)
					if _, err := w.renew([]*session.Sessions{w.one, w.two}[i%2]); err != nil {
						t.Errorf("renewal %d: %v", i, err)
					}
				})
			}
			renewals.Wait()
			w.wantCalls(round + 1)
		}
		w.took = 5 * time.Second
		time.Sleep(16 * time.Minute)
		for _, replica := range []*session.Sessions{w.one, w.two} {
			_, err := w.renew(replica)
			wantCode(t, err, identity.IssuerUnreachable)
		}
		time.Sleep(10 * time.Second)
		w.mustRenew(w.two)
		w.mustRenew(w.one)
		w.wantCalls(5)
	})
}

func TestChecksAreSpread(t *testing.T) {
	for drawn, due := range map[float64]time.Duration{0: 12 * time.Minute, 0.5: 13*time.Minute + 30*time.Second, 0.999: 15*time.Minute - time.Second} {
		inTown(t, func(w *town) {
			time.Sleep(due - 3*time.Second)
			w.mustRenew(w.one)
			w.wantCalls(0)
			time.Sleep(4 * time.Second)
			w.mustRenew(w.one)
			w.wantCalls(1)
		}, func(c *company, _ *session.Start) { c.random = func() float64 { return drawn } })
	}
}

func TestCheckAheadKeepsNobodyWaiting(t *testing.T) {
	inTown(t, func(w *town) {
		w.took = time.Second
		time.Sleep(8 * time.Minute)
		live := w.mustRenew(w.one)
		began := time.Now()
		w.one.Foresee(live, w.cookie, w.liveness, 3*time.Minute)
		w.wantCalls(0) // by then it is 11 minutes old
		w.one.Foresee(live, w.cookie, w.liveness, 6*time.Minute)
		w.one.Foresee(live, w.cookie, w.liveness, 6*time.Minute)
		if time.Since(began) != 0 {
			t.Errorf("it took %v", time.Since(began))
		}
		time.Sleep(2 * time.Second)
		w.wantCalls(1)
		time.Sleep(6 * time.Minute)
		w.mustRenew(w.one)
		w.mustRenew(w.two)
		w.wantCalls(1)
	})
}

func TestNobodyWaitsLongForAnIssuer(t *testing.T) {
	inTown(t, func(w *town) {
		w.took = 10 * time.Second
		time.Sleep(16 * time.Minute)
		began := time.Now()
		w.mustRenew(w.one)
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("it took %v", took)
		}
		time.Sleep(10 * time.Second)
		w.mustRenew(w.one)
		w.wantCalls(1) // and the answer was not lost
	})
}

func TestIssuerThatIsDownSignsNobodyOut(t *testing.T) {
	inTown(t, func(w *town) {
		w.fail = func(int) error { return unreachable() }
		for time.Since(w.session.Started) < 58*time.Minute {
			w.mustRenew(w.one)
			time.Sleep(5 * time.Minute)
		}
		time.Sleep(time.Minute)
		for range 3 { // the last good answer is too old; that nobody may use the session now does not end it
			_, err := w.renew(w.one)
			wantCode(t, err, identity.IssuerUnreachable)
			time.Sleep(time.Minute)
		}
		if !w.stored().Ended.IsZero() {
			t.Error("the session was ended")
		}
		w.fail = nil
		w.mustRenew(w.two)
		w.mustRenew(w.one)
	})
}

func TestWithoutGraceNobodyGoesOnUnconfirmed(t *testing.T) {
	inTown(t, func(w *town) {
		w.liveness.Grace = 0
		w.fail = func(int) error { return unreachable() }
		time.Sleep(11 * time.Minute)
		w.mustRenew(w.one)
		time.Sleep(5 * time.Minute)
		_, err := w.renew(w.one)
		wantCode(t, err, identity.IssuerUnreachable)
	})
}

// Many renewals do not make many calls to an issuer that does not answer: a failed attempt keeps its lease.
func TestIssuerThatIsDownIsAskedSeldom(t *testing.T) {
	inTown(t, func(w *town) {
		w.fail = func(int) error { return unreachable() }
		time.Sleep(16 * time.Minute)
		for range 29 {
			w.mustRenew(w.one)
			w.mustRenew(w.two)
			time.Sleep(time.Second)
		}
		w.wantCalls(2)
		time.Sleep(2 * time.Second)
		w.mustRenew(w.two)
		w.wantCalls(4)
	})
}

// A retry begins only if its answer can be written down before anybody else may ask.
func TestRetryNeverOutlivesTheLease(t *testing.T) {
	for took, want := range map[time.Duration]int{21 * time.Second: 2, 23 * time.Second: 1} {
		inTown(t, func(w *town) {
			w.took, w.fail = took, func(int) error { return unreachable() }
			time.Sleep(16 * time.Minute)
			w.mustRenew(w.one)
			time.Sleep(time.Minute)
			w.wantCalls(want)
		})
	}
}

func TestOnlyInvalidGrantEndsASession(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		ends bool
		told session.Answer
	}{
		"invalid_grant":          {invalidGrant(), true, session.Over},
		"no answer":              {unreachable(), false, session.Unreachable},
		"our secret is wrong":    {errors.New("invalid_client"), false, session.Refused},
		"not an issuer any more": {identity.Reject(identity.IssuerNotTrusted, "unknown", "known"), false, session.Refused},
		"a rejection of our own": {identity.Reject(identity.Revoked, "x", "y"), false, session.Refused},
	} {
		t.Run(name, func(t *testing.T) {
			inTown(t, func(w *town) {
				w.mustRenew(w.two)
				w.fail = func(int) error { return c.err }
				time.Sleep(16 * time.Minute)
				_, err := w.renew(w.one)
				time.Sleep(time.Second)
				_, elsewhere := w.renew(w.two)
				if answers := w.answers(); len(answers) == 0 || answers[0] != c.told {
					t.Errorf("told %v, want %s", answers, c.told)
				}
				if stored := w.stored(); stored.Ended.IsZero() == c.ends || c.ends && stored.Standing != (session.Standing{}) {
					t.Errorf("stored as ended %v with standing %+v", stored.Ended, stored.Standing)
				}
				if len(w.revoked) > 0 {
					t.Error("a refresh token that is no good was given back")
				}
				if !c.ends {
					if err != nil || elsewhere != nil {
						t.Errorf("got %v and %v", err, elsewhere)
					}
					return
				}
				wantCode(t, err, identity.EndedByIssuer)
				wantCode(t, elsewhere, identity.EndedByIssuer)
				log, err := w.store.Revocations(w.Context(), w.session.Started)
				if err != nil || len(log) != 1 || log[0].SID != w.session.SID || log[0].Cause != identity.EndedByIssuer {
					t.Errorf("log %+v, %v", log, err)
				}
			})
		})
	}
}

// A word about a refresh token that was replaced meanwhile, by a step-up, says nothing about the session.
func TestWordOnAnOldRefreshTokenChangesNothing(t *testing.T) {
	for _, word := range []error{invalidGrant(), nil} {
		inTown(t, func(w *town) {
			time.Sleep(16 * time.Minute)
			w.fail = func(int) error {
				raised := w.stored()
				raised.Standing.RefreshToken = "rt-of-step-up"
				if err := w.store.Store.Swap(context.Background(), raised); err != nil {
					t.Error(err)
				}
				return word
			}
			w.mustRenew(w.one)
			if stored := w.stored(); !stored.Ended.IsZero() || stored.Standing.RefreshToken != "rt-of-step-up" {
				t.Errorf("after %v: stored %v %+v", word, stored.Ended, stored.Standing)
			}
		})
	}
}

// Whoever asks at the same time hears the same, and nobody hears anything else a moment later.
func TestAllHearThatASignInIsOver(t *testing.T) {
	inTown(t, func(w *town) {
		w.took, w.fail = time.Second, func(int) error { return invalidGrant() }
		time.Sleep(16 * time.Minute)
		var renewals sync.WaitGroup
		for range 10 {
			renewals.Go(func() {
				_, err := w.renew(w.one)
				wantCode(t, err, identity.EndedByIssuer)
			})
		}
		renewals.Wait()
		_, err := w.renew(w.one)
		wantCode(t, err, identity.EndedByIssuer)
		w.wantCalls(1)
	})
}

func TestStepUpTakesTheYoungerRefreshToken(t *testing.T) {
	inTown(t, func(w *town) {
		result := session.Result{Txn: "txn", Identity: w.session.Identity, Grant: identity.Grant{RefreshToken: "rt-2"}, Expires: time.Now().Add(time.Minute)}
		if err := w.store.PutResult(w.Context(), result); err != nil {
			t.Fatal(err)
		}
		if _, err := w.one.Keep(w.Context(), w.one.DraftRaised(w.mustRenew(w.one), w.cookie, result, time.Minute)); err != nil {
			t.Fatal(err)
		}
		if got := w.stored().Standing; got.RefreshToken != "rt-2" || !got.Confirmed.Equal(time.Now()) {
			t.Errorf("got %+v", got)
		}
	})
}

// An issuer that rotates takes the old token for stolen when it comes again: the next one is never used, and
// the old one never again, before it is written down.
func TestNextRefreshTokenIsWrittenDownWhateverTheStoreDoes(t *testing.T) {
	inTown(t, func(w *town) {
		time.Sleep(16 * time.Minute)
		w.grant = func(*identity.Grant) { w.store.down.Store(true) }
		if _, err := w.renew(w.one); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		w.store.down.Store(false)
		w.grant = nil
		time.Sleep(time.Second)
		w.mustRenew(w.one)
		w.mustRenew(w.two)
		w.wantCalls(1)
		if got := w.stored().Standing.RefreshToken; got != "rt-2" {
			t.Errorf("%s is stored", got)
		}
		time.Sleep(16 * time.Minute)
		w.mustRenew(w.two)
		w.wantCalls(2)
	})
}

// A replica that stops waits until what the issuer said is written.
func TestStopLosesNoRefreshToken(t *testing.T) {
	inTown(t, func(w *town) {
		w.took = 5 * time.Second
		time.Sleep(16 * time.Minute)
		w.mustRenew(w.one)
		ctx, stop := context.WithCancel(w.Context())
		stop()
		if err := w.one.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if got := w.stored().Standing.RefreshToken; got != "rt-2" {
			t.Errorf("%s is stored", got)
		}
	})
}

func TestEndOfASessionGivesTheRefreshTokenBack(t *testing.T) {
	for name, end := range map[string]func(*town) error{
		"sign-out": func(w *town) error { _, err := w.one.SignOut(w.Context(), "support", w.cookie); return err },
		"revoked":  func(w *town) error { _, err := w.one.Revoke(w.Context(), w.session); return err },
		"logout token": func(w *town) error {
			m := session.Marker{Issuer: w.session.Identity.Issuer, Subject: "ada", Before: time.Now(), Expires: time.Now().Add(time.Hour)}
			_, err := w.one.Logout(w.Context(), m, "jti", time.Now().Add(time.Hour))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			inTown(t, func(w *town) {
				time.Sleep(16 * time.Minute)
				w.mustRenew(w.one)
				w.revoke = unreachable()
				if err := end(w); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if len(w.revoked) != 1 || w.revoked[0] != "corp rt-2" {
					t.Errorf("given back: %q", w.revoked)
				}
				if stored := w.stored(); stored.Standing != (session.Standing{}) {
					t.Errorf("an ended session keeps %+v", stored.Standing)
				}
				if answers := w.answers(); answers[len(answers)-1] != session.Unrevoked {
					t.Errorf("told %v", answers)
				}
				if err := end(w); name == "sign-out" && err != nil {
					t.Error(err)
				}
				synctest.Wait()
				if len(w.revoked) != 1 {
					t.Errorf("given back again: %q", w.revoked)
				}
			})
		})
	}
}

func TestSessionWithoutRefreshTokenIsNeverAskedAbout(t *testing.T) {
	inTown(t, func(w *town) {
		time.Sleep(50 * time.Minute)
		w.mustRenew(w.one)
		w.wantCalls(0)
	}, func(_ *company, start *session.Start) { start.Grant = identity.Grant{} })
}

func TestCeilingsFlowDown(t *testing.T) {
	hour := func(n float64) time.Time { return time.Now().Add(time.Duration(n * float64(time.Hour))) }
	for name, c := range map[string]struct {
		edit func(*session.Start)
		want float64 // hours
	}{
		"none":                       {func(*session.Start) {}, 10},
		"session_expiry":             {func(s *session.Start) { s.Identity.SessionEnds = hour(2) }, 2},
		"session_expiry far away":    {func(s *session.Start) { s.Identity.SessionEnds = hour(20) }, 10},
		"refresh token lapses":       {func(s *session.Start) { s.Grant.Lapses = hour(3) }, 3},
		"both":                       {func(s *session.Start) { s.Grant.Lapses, s.Identity.SessionEnds = hour(3), hour(2) }, 2},
		"no refresh token":           {func(s *session.Start) { s.Grant = identity.Grant{} }, 4},
		"no refresh token, and both": {func(s *session.Start) { s.Grant, s.Identity.SessionEnds = identity.Grant{}, hour(1) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			inTown(t, func(w *town) {
				live := w.mustRenew(w.one)
				left := live.Left(w.session.Started)
				if want := time.Duration(c.want * float64(time.Hour)); left != want {
					t.Errorf("%v left, want %v", left, want)
				}
				wantCode(t, live.Alive(w.session.Started.Add(left)), identity.AbsoluteTimeout)
			}, func(_ *company, s *session.Start) {
				s.Limits.Unasked = 4 * time.Hour
				c.edit(s)
			})
		})
	}
}

// A refresh token's end moves on with the next one; a session's never does.
func TestCheckMovesTheCeilings(t *testing.T) {
	inTown(t, func(w *town) {
		w.grant = func(g *identity.Grant) { g.Lapses = time.Now().Add(time.Hour) }
		time.Sleep(16 * time.Minute)
		if left := w.mustRenew(w.one).Left(time.Now()); left != time.Hour {
			t.Errorf("%v left", left)
		}
		w.grant = func(g *identity.Grant) { g.Ends = time.Now().Add(5 * time.Hour) }
		time.Sleep(16 * time.Minute)
		if left := w.mustRenew(w.one).Left(time.Now()); left != 5*time.Hour {
			t.Errorf("%v left", left)
		}
		w.grant = func(g *identity.Grant) { g.RefreshToken, g.Ends = "", time.Now().Add(9*time.Hour) } // the token goes on
		w.mustRenew(w.one)
		was := w.current
		time.Sleep(16 * time.Minute)
		w.company.fail = func(int) error { return nil }
		if left := w.mustRenew(w.two).Left(time.Now()); left >= 5*time.Hour {
			t.Errorf("%v left", left)
		}
		if w.stored().Standing.RefreshToken != was {
			t.Error("the refresh token that goes on was not kept")
		}
	})
}
