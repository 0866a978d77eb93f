package session_test

import (
	"context"
	"crypto/rand"
	"testing"
	"testing/synctest"
	"time"

	"chatpass/identity"
	"chatpass/session"
	"chatpass/store/storetest"
)

// counted counts how often the store is asked for a session, and lets a test meddle with an answer.
type counted struct {
	session.Store
	finds   int
	meddle  func() // called once, after the store has answered and before the answer is given
	meddled bool
}

func (c *counted) Find(ctx context.Context, h session.Handle) (session.Session, error) {
	c.finds++
	found, err := c.Store.Find(ctx, h)
	if c.meddle != nil && !c.meddled {
		c.meddled = true
		c.meddle()
	}
	return found, err
}

// another returns a second replica on the store of h, that follows the first one's sign-outs.
func (h *house) another(t *testing.T) (*session.Sessions, *counted) {
	t.Helper()
	asked := &counted{Store: h.store}
	replica := newSessions(t, session.Config{Store: asked, Now: func() time.Time { return h.now }, NewID: rand.Text})
	follow(t, replica)
	return replica, asked
}

func follow(t *testing.T, s *session.Sessions) {
	t.Helper()
	if err := s.Follow(t.Context()); err != nil {
		t.Fatalf("follow: %v", err)
	}
}

func look(t *testing.T, s *session.Sessions, cookie string) {
	t.Helper()
	if _, err := s.Look(t.Context(), "support", cookie); err != nil {
		t.Fatalf("look: %v", err)
	}
}

func (h *house) signOut(t *testing.T, cookie string) {
	t.Helper()
	if _, err := h.SignOut(t.Context(), "support", cookie); err != nil {
		t.Fatalf("sign out: %v", err)
	}
}

func wantRefusedLook(t *testing.T, s *session.Sessions, cookie string, want identity.Code) {
	t.Helper()
	_, err := s.Look(t.Context(), "support", cookie)
	wantCode(t, err, want)
}

func TestSignOutElsewhereIsHeard(t *testing.T) {
	h := newHouse(t)
	replica, _ := h.another(t)
	_, cookie := h.signIn(t, h.start())
	follow(t, h.Sessions)
	look(t, h.Sessions, cookie)
	look(t, replica, cookie)
	h.signOut(t, cookie)
	wantRefusedLook(t, h.Sessions, cookie, identity.SignedOut)
	follow(t, replica)
	wantRefusedLook(t, replica, cookie, identity.SignedOut)
	for range 120 { // and never again, when the log does not speak of it any more
		h.now = h.now.Add(time.Second)
		follow(t, replica)
		wantRefusedLook(t, replica, cookie, identity.SignedOut)
	}
}

func TestASessionIsRememberedForAWhile(t *testing.T) {
	h := newHouse(t)
	replica, asked := h.another(t)
	_, cookie := h.signIn(t, h.start())
	for range 29 {
		look(t, replica, cookie)
		h.now = h.now.Add(time.Second)
		follow(t, replica)
	}
	if asked.finds != 1 {
		t.Errorf("the store was asked %d times within 29 s, want 1", asked.finds)
	}
	h.now = h.now.Add(time.Second)
	look(t, replica, cookie)
	if asked.finds != 2 {
		t.Errorf("the store was asked %d times after 30 s, want 2", asked.finds)
	}
}

func TestNothingIsBelievedWhileTheLogIsNotRead(t *testing.T) {
	h := newHouse(t)
	replica, _ := h.another(t)
	_, cookie := h.signIn(t, h.start())
	look(t, replica, cookie)
	h.signOut(t, cookie)
	h.now = h.now.Add(2 * time.Second)
	wantRefusedLook(t, replica, cookie, identity.SignedOut)

	h = newHouse(t)
	asked := &counted{Store: h.store}
	never := newSessions(t, session.Config{Store: asked, Now: func() time.Time { return h.now }, NewID: rand.Text})
	_, cookie = h.signIn(t, h.start())
	look(t, never, cookie)
	look(t, never, cookie)
	if asked.finds != 2 {
		t.Errorf("a replica that never read the log asked the store %d times, want 2", asked.finds)
	}
}

func TestAnAnswerOfBeforeTheSignOutIsForgotten(t *testing.T) {
	h := newHouse(t)
	replica, asked := h.another(t)
	_, cookie := h.signIn(t, h.start())
	asked.meddle = func() {
		h.signOut(t, cookie)
		follow(t, replica)
	}
	for range 60 { // the first time too, although it was alive when the store was asked
		wantRefusedLook(t, replica, cookie, identity.SignedOut)
		h.now = h.now.Add(time.Second)
		follow(t, replica)
	}
}

func TestAnEndIsNeverToldFromMemory(t *testing.T) {
	h := newHouse(t)
	replica, _ := h.another(t)
	start := h.start()
	start.Limits.Idle = 10 * time.Second
	_, cookie := h.signIn(t, start)
	look(t, replica, cookie)
	for range 20 { // somebody is busy at the other replica
		h.now = h.now.Add(time.Second)
		if _, err := h.Resume(t.Context(), "support", cookie, session.Use{Active: true}); err != nil {
			t.Fatalf("resume: %v", err)
		}
		follow(t, replica)
		look(t, replica, cookie)
	}
}

// An older copy of a session's row, put back into the store, is whole and well sealed. Who has heard of the end
// does not believe it.
func TestARowPutBackDoesNotReviveASession(t *testing.T) {
	h := newHouse(t)
	back := &putBack{Store: h.store}
	replica := newSessions(t, session.Config{Store: back, Now: func() time.Time { return h.now }, NewID: rand.Text})
	_, cookie := h.signIn(t, h.start())
	follow(t, replica)
	look(t, replica, cookie)
	h.signOut(t, cookie)
	follow(t, replica)
	back.now = true
	wantRefusedLook(t, replica, cookie, identity.Revoked)
	h.now = h.now.Add(30 * time.Minute)
	follow(t, replica)
	wantRefusedLook(t, replica, cookie, identity.Revoked)
}

// putBack answers with the first row it saw, if that is to be so.
type putBack struct {
	session.Store
	row *session.Session
	now bool
}

func (p *putBack) Find(ctx context.Context, h session.Handle) (session.Session, error) {
	found, err := p.Store.Find(ctx, h)
	if p.row == nil {
		p.row = &found
	}
	if p.now {
		return *p.row, nil
	}
	return found, err
}

func TestActivityDoesNotReviveASession(t *testing.T) {
	h := newHouse(t)
	replica, _ := h.another(t)
	start := h.start()
	start.Limits.Idle = 10 * time.Minute // activity is written every 10 s
	_, cookie := h.signIn(t, start)
	h.now = h.now.Add(11 * time.Second)
	follow(t, replica)
	look(t, replica, cookie)
	h.signOut(t, cookie)
	_, err := replica.Resume(t.Context(), "support", cookie, session.Use{Active: true})
	wantCode(t, err, identity.SignedOut)
}

func TestAReplicaFollowsUntilItIsToldToStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storetest.NewMemory(time.Now)
		one := newSessions(t, session.Config{Store: store, Now: time.Now, NewID: rand.Text})
		two := newSessions(t, session.Config{Store: store, Now: time.Now, NewID: rand.Text})
		if two.Stats().Lag >= 0 {
			t.Error("a replica that never followed claims to have done so")
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- two.Run(ctx) }()
		h := &house{Sessions: one, now: time.Now()}
		_, cookie := h.signIn(t, h.start())
		time.Sleep(time.Second)
		look(t, two, cookie)
		h.signOut(t, cookie)
		time.Sleep(251 * time.Millisecond)
		wantRefusedLook(t, two, cookie, identity.SignedOut)
		if lag := two.Stats().Lag; lag < 0 || lag > 250*time.Millisecond {
			t.Errorf("lag %v, want at most 250ms", lag)
		}
		stop()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
}
