package session_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"chatpass/identity"
	"chatpass/session"
)

// raise puts a session that the cookie holds on a higher level, and returns the cookie that holds it then.
func (h *house) raise(t *testing.T, cookie, txn string) (session.Session, string) {
	t.Helper()
	live, err := h.Look(t.Context(), "support", cookie)
	if err != nil {
		t.Fatal(err)
	}
	who := live.Identity
	who.ACR, who.AMR, who.AuthTime = "mfa", []string{"otp"}, h.now
	result := session.Result{Txn: txn, Identity: who, Expires: h.now.Add(time.Minute)}
	if err := h.store.PutResult(t.Context(), result); err != nil {
		t.Fatal(err)
	}
	draft := h.DraftRaised(live, cookie, result, 15*time.Minute)
	kept, err := h.Keep(t.Context(), draft)
	if err != nil {
		t.Fatal(err)
	}
	return kept, draft.Cookie
}

func (h *house) level(t *testing.T, cookie string) string {
	t.Helper()
	live, err := h.Resume(t.Context(), "support", cookie, session.Use{Active: true})
	if err != nil {
		t.Fatal(err)
	}
	who, _ := live.Who(h.now)
	return who.ACR
}

func TestStepUpChangesTheCookieAndNothingElse(t *testing.T) {
	h := newHouse(t)
	begun, old := h.signIn(t, h.start())
	raised, fresh := h.raise(t, old, "t1")
	if fresh == old || raised.SID != begun.SID || raised.Place != begun.Place || !raised.Ends.Equal(begun.Ends) || raised.Customer != begun.Customer {
		t.Errorf("was %+v, is %+v", begun, raised)
	}
	if who, until := raised.Who(h.now); who.ACR != "mfa" || !who.AuthTime.Equal(h.now) || !until.Equal(h.now.Add(15*time.Minute)) {
		t.Errorf("level %q until %s", who.ACR, until)
	}
}

func TestHigherLevelEndsAndLeavesTheSession(t *testing.T) {
	h := newHouse(t)
	_, old := h.signIn(t, h.start())
	_, cookie := h.raise(t, old, "t1")
	h.now = h.now.Add(15*time.Minute - time.Second)
	if got := h.level(t, cookie); got != "mfa" {
		t.Errorf("level %q before its end", got)
	}
	h.now = h.now.Add(time.Second)
	if got := h.level(t, cookie); got != "" {
		t.Errorf("level %q after its end", got)
	}
	again, _ := h.raise(t, cookie, "t2")
	if _, until := again.Who(h.now); !until.Equal(h.now.Add(15 * time.Minute)) {
		t.Errorf("raised again until %s", until)
	}
}

func TestReplacedCookieWorksAtBaseLevelUntilTheNewOneIsSeen(t *testing.T) {
	for name, row := range map[string]struct {
		pause time.Duration
		seen  bool
		ok    bool
	}{
		"at once":                  {0, false, true},
		"within a minute":          {59 * time.Second, false, true},
		"after a minute":           {time.Minute, false, false},
		"when the new one is seen": {time.Second, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.follow(t) // sessions are remembered in memory
			_, old := h.signIn(t, h.start())
			h.level(t, old)
			_, fresh := h.raise(t, old, "t1")
			for range 2 { // read from the store, and remembered
				if got := h.level(t, old); got != "" {
					t.Errorf("the replaced cookie has level %q", got)
				}
			}
			h.now = h.now.Add(row.pause)
			if row.seen {
				h.level(t, fresh)
			}
			live, err := h.Resume(t.Context(), "support", old, session.Use{Active: true})
			if row.ok {
				if who, _ := live.Who(h.now); err != nil || who.ACR != "" {
					t.Errorf("got level %q, %v, want the base level", who.ACR, err)
				}
				return
			}
			wantCode(t, err, identity.NoSession)
			if got := h.level(t, fresh); got != "mfa" {
				t.Errorf("the new cookie has level %q", got)
			}
		})
	}
}

func TestReplacedCookieIsNoActivity(t *testing.T) {
	h := newHouse(t)
	_, old := h.signIn(t, h.start())
	raised, _ := h.raise(t, old, "t1")
	h.now = h.now.Add(30 * time.Second)
	if _, err := h.Resume(t.Context(), "support", old, session.Use{Active: true}); err != nil {
		t.Fatal(err)
	}
	if at, err := h.store.Session(t.Context(), raised.SID); err != nil || at.Version != raised.Version {
		t.Errorf("got %+v, %v, want nothing written", at, err)
	}
}

func TestEndedSessionIsNotRaised(t *testing.T) {
	h := newHouse(t)
	live, old := h.signIn(t, h.start())
	result := session.Result{Txn: "t1", Identity: live.Identity, Expires: h.now.Add(time.Minute)}
	if err := h.store.PutResult(t.Context(), result); err != nil {
		t.Fatal(err)
	}
	draft := h.DraftRaised(live, old, result, 15*time.Minute)
	if _, err := h.End(t.Context(), live, identity.Revoked); err != nil {
		t.Fatal(err)
	}
	_, err := h.Keep(t.Context(), draft)
	wantCode(t, err, identity.Revoked)
	_, err = h.Look(t.Context(), "support", draft.Cookie)
	wantCode(t, err, identity.NoSession)
}

func TestStepUpIsClaimedOnce(t *testing.T) {
	h := newHouse(t)
	_, old := h.signIn(t, h.start())
	_, fresh := h.raise(t, old, "t1")
	live, err := h.Look(t.Context(), "support", fresh)
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.Keep(t.Context(), h.DraftRaised(live, fresh, session.Result{Txn: "t1", Identity: live.Identity}, time.Minute))
	wantCode(t, err, identity.SignInClaimed)
}

func TestActivityAndStepUpDoNotUndoEachOther(t *testing.T) {
	h := newHouse(t)
	live, old := h.signIn(t, h.start())
	draft := h.DraftRaised(live, old, session.Result{}, 15*time.Minute)
	h.now = h.now.Add(10 * time.Minute)
	if _, err := h.Resume(t.Context(), "support", old, session.Use{Active: true}); err != nil { // another request was faster
		t.Fatal(err)
	}
	kept, err := h.Keep(t.Context(), draft)
	if err != nil || kept.Raised == nil || !kept.Active.Equal(h.now) {
		t.Errorf("got %+v, %v", kept, err)
	}
}

func TestFiveBrowsersHoldASessionAndTheSixthReplacesTheFirst(t *testing.T) {
	h := newHouse(t)
	live, err := h.Keep(t.Context(), h.DraftDerived(h.start(), "a.b.c"))
	if err != nil {
		t.Fatal(err)
	}
	var cookies []string
	for range 6 {
		draft := h.DraftHeld(live)
		if live, err = h.Keep(t.Context(), draft); err != nil {
			t.Fatal(err)
		}
		cookies = append(cookies, draft.Cookie)
	}
	for i, cookie := range cookies {
		got, err := h.Look(t.Context(), "support", cookie)
		if i == 0 {
			wantCode(t, err, identity.NoSession)
		} else if err != nil || got.SID != live.SID || got.Former {
			t.Errorf("browser %d: %+v, %v", i, got, err)
		}
	}
	if known, err := h.OfToken(t.Context(), "support", "a.b.c"); err != nil || known.SID != live.SID {
		t.Errorf("by its token: %v", err)
	}
}

func TestStoreThatIsAwayRefusesNoStepUp(t *testing.T) {
	h := newHouse(t)
	live, old := h.signIn(t, h.start())
	h.store.away = true
	_, err := h.Keep(t.Context(), h.DraftRaised(live, old, session.Result{}, time.Minute))
	if !errors.Is(err, errAway) || errors.Is(err, identity.ErrRejected) {
		t.Errorf("got %v", err)
	}
}

// follow makes the sessions be remembered in memory, as [session.Sessions.Run] does.
func (h *house) follow(t *testing.T) {
	t.Helper()
	if err := h.Follow(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
}
