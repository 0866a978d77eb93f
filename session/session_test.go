package session_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"chatpass/identity"
	"chatpass/seal"
	"chatpass/session"
	"chatpass/store"
)

// house is the room under test over a real store, with a clock that the test moves.
type house struct {
	*session.Sessions
	store *flaky
	now   time.Time
}

// flaky is the real store until it is told to be away.
type flaky struct {
	session.Store
	away bool
}

var errAway = errors.New("store is away")

func (f *flaky) Find(ctx context.Context, h session.Handle) (session.Session, error) {
	if f.away {
		return session.Session{}, errAway
	}
	return f.Store.Find(ctx, h)
}

func (f *flaky) PutOnce(ctx context.Context, space, value string, expires time.Time) error {
	if f.away {
		return errAway
	}
	return f.Store.PutOnce(ctx, space, value, expires)
}

func (f *flaky) Hold(ctx context.Context, s session.Session, b session.Birth) error {
	if f.away {
		return errAway
	}
	return f.Store.Hold(ctx, s, b)
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{now: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)}
	master, err := seal.NewMasterKey()
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.New(master)
	if err != nil {
		t.Fatal(err)
	}
	clock := func() time.Time { return h.now }
	st, err := store.Open(t.Context(), store.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "s.db"), Sealer: sealer, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	h.store = &flaky{Store: st.Sessions()}
	h.Sessions = newSessions(t, session.Config{Store: h.store, Sealer: sealer, Now: clock, NewID: rand.Text})
	return h
}

func newSessions(t *testing.T, cfg session.Config) *session.Sessions {
	t.Helper()
	s, err := session.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (h *house) start() session.Start {
	return session.Start{
		App: "support", Customer: "c-1",
		Identity: identity.Identity{
			IDP: "corp", Issuer: "https://idp", Subject: "ada", UpstreamSubject: "ada", UpstreamSession: "u-1",
			IssuedAt: h.now, Expires: h.now.Add(5 * time.Minute), Claims: map[string]any{"email": "ada@example.com"},
		},
		Limits: session.Limits{Idle: time.Hour, Absolute: 10 * time.Hour, Linger: 20 * time.Minute},
	}
}

func (h *house) signIn(t *testing.T, start session.Start) (session.Session, string) {
	t.Helper()
	draft := h.DraftSignIn(start)
	kept, err := h.Keep(t.Context(), draft)
	if err != nil {
		t.Fatalf("keep: %v", err)
	}
	return kept, draft.Cookie
}

func wantCode(t *testing.T, err error, want identity.Code) {
	t.Helper()
	rejection, ok := errors.AsType[*identity.Rejection](err)
	if !ok || rejection.Code != want {
		t.Errorf("got %v, want a rejection %s", err, want)
	}
}

func TestSessionEndsAtItsLimits(t *testing.T) {
	for name, c := range map[string]struct {
		pause  time.Duration // between activities
		active bool
		want   identity.Code
		within time.Duration // it must end no later
	}{
		"nobody does anything":         {10 * time.Minute, false, identity.IdleTimeout, time.Hour},
		"somebody is busy all day":     {50 * time.Minute, true, identity.AbsoluteTimeout, 10 * time.Hour},
		"somebody comes back too late": {61 * time.Minute, true, identity.IdleTimeout, 61 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			_, cookie := h.signIn(t, h.start())
			begun := h.now
			for {
				h.now = h.now.Add(c.pause)
				_, err := h.Resume(t.Context(), "support", cookie, session.Use{Active: c.active})
				if err == nil && h.now.Sub(begun) < 11*time.Hour {
					continue
				}
				wantCode(t, err, c.want)
				if lived := h.now.Sub(begun); lived >= c.within+c.pause {
					t.Errorf("lived %v, want at most %v", lived, c.within)
				}
				return
			}
		})
	}
}

func TestOneAppsCookieIsWorthlessAtAnother(t *testing.T) {
	h := newHouse(t)
	_, cookie := h.signIn(t, h.start())
	_, err := h.Look(t.Context(), "sales", cookie)
	wantCode(t, err, identity.NoSession)
	if _, err := h.SignOut(t.Context(), "sales", cookie); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("sign out at another app: got %v, want ErrNotFound", err)
	}
	if _, err := h.Look(t.Context(), "support", cookie); err != nil {
		t.Errorf("at its own app: %v", err)
	}
}

func TestOneTokenLeadsToOneSession(t *testing.T) {
	h := newHouse(t)
	token := "head.body.sig"
	var kept session.Session
	var wins int
	var mu sync.Mutex
	var racers sync.WaitGroup
	for range 16 {
		racers.Go(func() {
			s, err := h.Keep(t.Context(), h.DraftDerived(h.start(), token))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				wins++
				kept = s
			} else if !errors.Is(err, session.ErrExists) {
				t.Errorf("keep: %v", err)
			}
		})
	}
	racers.Wait()
	if wins != 1 {
		t.Fatalf("%d sessions were kept, want 1", wins)
	}
	again, err := h.OfToken(t.Context(), "support", "head.body.othersig") // the signature may be written otherwise
	if err != nil || again.SID != kept.SID {
		t.Errorf("same token: got %q, %v, want %q", again.SID, err, kept.SID)
	}
	if _, err := h.End(t.Context(), again, identity.Revoked); err != nil {
		t.Fatal(err)
	}
	_, err = h.OfToken(t.Context(), "support", token)
	wantCode(t, err, identity.Revoked)
	if _, err = h.OfToken(t.Context(), "sales", token); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("at another app: got %v, want a session of its own", err)
	}
}

func TestFirstCauseOfAnEndStays(t *testing.T) {
	h := newHouse(t)
	live, cookie := h.signIn(t, h.start())
	for _, cause := range []identity.Code{identity.EndedByIssuer, identity.SignedOut} {
		if _, err := h.End(t.Context(), live, cause); err != nil { // live is stale the second time
			t.Fatal(err)
		}
	}
	_, err := h.Look(t.Context(), "support", cookie)
	wantCode(t, err, identity.EndedByIssuer)
}

func TestLogoutEndsWhatItNamesAndNothingElse(t *testing.T) {
	for name, c := range map[string]struct {
		marker session.Marker
		ends   bool
	}{
		"this upstream session":          {session.Marker{Issuer: "https://idp", Session: "u-1"}, true},
		"this person":                    {session.Marker{Issuer: "https://idp", Subject: "ada"}, true},
		"this upstream session by both":  {session.Marker{Issuer: "https://idp", Session: "u-1", Subject: "ada"}, true},
		"another upstream session":       {session.Marker{Issuer: "https://idp", Session: "u-2", Subject: "ada"}, false},
		"another person":                 {session.Marker{Issuer: "https://idp", Subject: "bob"}, false},
		"same person at another issuer":  {session.Marker{Issuer: "https://other", Subject: "ada"}, false},
		"same session at another issuer": {session.Marker{Issuer: "https://other", Session: "u-1"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			late := h.start()
			_, cookie := h.signIn(t, h.start())
			h.now = h.now.Add(time.Minute)
			c.marker.Before, c.marker.Expires = h.now, h.now.Add(24*time.Hour)
			if _, err := h.Logout(t.Context(), c.marker, "j1", h.now.Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			_, err := h.Look(t.Context(), "support", cookie)
			_, lateErr := h.Keep(t.Context(), h.DraftDerived(late, "a.b.c"))
			if !c.ends {
				if err != nil || lateErr != nil {
					t.Errorf("got %v and %v, want both sessions alive", err, lateErr)
				}
				return
			}
			wantCode(t, err, identity.EndedByIssuer)
			wantCode(t, lateErr, identity.EndedByIssuer)
			newer := h.start()
			newer.Identity.IssuedAt = h.now.Add(time.Second)
			if _, err := h.Keep(t.Context(), h.DraftSignIn(newer)); err != nil {
				t.Errorf("a sign-in after the logout: %v", err)
			}
		})
	}
}

func TestLogoutTokenWorksOnceAndSurvivesAnOutage(t *testing.T) {
	h := newHouse(t)
	_, cookie := h.signIn(t, h.start())
	m := session.Marker{Issuer: "https://idp", Subject: "ada", Before: h.now, Expires: h.now.Add(24 * time.Hour)}
	h.store.away = true
	if _, err := h.Logout(t.Context(), m, "j1", h.now.Add(time.Hour)); !errors.Is(err, errAway) {
		t.Fatalf("store away: got %v", err)
	}
	h.store.away = false
	if _, err := h.Logout(t.Context(), m, "j1", h.now.Add(time.Hour)); err != nil {
		t.Errorf("delivered again after the outage: %v", err)
	}
	_, err := h.Look(t.Context(), "support", cookie)
	wantCode(t, err, identity.EndedByIssuer)
	_, err = h.Logout(t.Context(), m, "j1", h.now.Add(time.Hour))
	wantCode(t, err, identity.TokenAlreadyUsed)
}

func TestSignOutWhileStoreIsAwayIsObeyedAndWrittenLater(t *testing.T) {
	h := newHouse(t)
	_, cookie := h.signIn(t, h.start())
	h.store.away = true
	if _, err := h.SignOut(t.Context(), "support", cookie); !errors.Is(err, errAway) {
		t.Fatalf("got %v, want the outage", err)
	}
	h.Settle(t.Context()) // in vain
	h.store.away = false
	_, err := h.Look(t.Context(), "support", cookie)
	wantCode(t, err, identity.SignedOut)
	h.Settle(t.Context())
	other := newSessions(t, session.Config{Store: h.store, Now: func() time.Time { return h.now }, NewID: rand.Text})
	_, err = other.Look(t.Context(), "support", cookie) // another replica, that never heard of it
	wantCode(t, err, identity.SignedOut)
}

func TestSignOutLeavesNothingToComeBackWith(t *testing.T) {
	for name, upstreamSession := range map[string]string{"issuer with sid": "u-1", "issuer without": ""} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			old := h.start()
			old.Identity.UpstreamSession = upstreamSession
			_, earlier := h.signIn(t, old)
			_, cookie := h.signIn(t, old)
			h.now = h.now.Add(time.Minute)
			if _, err := h.SignOut(t.Context(), "support", cookie); err != nil {
				t.Fatal(err)
			}
			_, err := h.Look(t.Context(), "support", earlier)
			wantCode(t, err, identity.SignedOut)
			_, err = h.Keep(t.Context(), h.DraftDerived(old, "older.token.x"))
			wantCode(t, err, identity.EndedByIssuer)
			again := old
			again.Identity.IssuedAt = h.now.Truncate(time.Second) // as issuers write it
			if _, err := h.Keep(t.Context(), h.DraftSignIn(again)); err != nil {
				t.Errorf("signing in again at once: %v", err)
			}
		})
	}
}

func TestIdleLimitIsWrittenSparingly(t *testing.T) {
	h := newHouse(t)
	live, cookie := h.signIn(t, h.start())
	for range 50 {
		h.now = h.now.Add(time.Second)
		if _, err := h.Resume(t.Context(), "support", cookie, session.Use{Active: true}); err != nil {
			t.Fatal(err)
		}
	}
	now, err := h.store.Session(t.Context(), live.SID)
	if err != nil || now.Version != 1 {
		t.Errorf("50 s of typing wrote the session %d times, %v; want 0", now.Version-1, err)
	}
}

// --- sign-in transactions

func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func (h *house) transaction(t *testing.T) (session.Transaction, session.Claim) {
	t.Helper()
	verifier := rand.Text() + rand.Text()
	tx := session.Transaction{
		Txn: rand.Text(), Challenge: challenge(verifier), Client: "web", App: "support", Mode: "popup",
		PageOrigin: "https://shop", IDP: "corp", State: "st", Nonce: "no", Verifier: "ve", Created: h.now,
	}
	sealed, err := h.SealTransaction(tx)
	if err != nil {
		t.Fatal(err)
	}
	return tx, session.Claim{Cookie: sealed, Txn: tx.Txn, Verifier: verifier, Client: "web", Origin: "https://shop"}
}

func TestOnlyTheStartingPageAndBrowserClaims(t *testing.T) {
	h := newHouse(t)
	tx, good := h.transaction(t)
	if err := h.Complete(t.Context(), tx, session.SignedIn{Identity: h.start().Identity, IDToken: "id.to.ken"}); err != nil {
		t.Fatal(err)
	}
	_, foreign := h.transaction(t)
	for name, change := range map[string]func(*session.Claim){
		"no cookie":                 func(c *session.Claim) { c.Cookie = "" },
		"cookie of another sign-in": func(c *session.Claim) { c.Cookie = foreign.Cookie },
		"cookie that was changed":   func(c *session.Claim) { c.Cookie = strings.ToUpper(c.Cookie) },
		"no verifier":               func(c *session.Claim) { c.Verifier = "" },
		"another page's verifier":   func(c *session.Claim) { c.Verifier = foreign.Verifier },
		"the challenge itself":      func(c *session.Claim) { c.Verifier = tx.Challenge },
		"another client":            func(c *session.Claim) { c.Client = "other" },
		"another origin":            func(c *session.Claim) { c.Origin = "https://evil" },
		"no origin":                 func(c *session.Claim) { c.Origin = "" },
		"another txn":               func(c *session.Claim) { c.Txn = foreign.Txn },
	} {
		t.Run(name, func(t *testing.T) {
			bad := good
			change(&bad)
			_, err := h.Claim(t.Context(), bad)
			wantCode(t, err, identity.SignInExpired)
		})
	}
	got, err := h.Claim(t.Context(), good)
	if err != nil || got.IDToken != "id.to.ken" || got.Identity.Subject != "ada" {
		t.Errorf("good claim: got %v, %v", got.Identity, err)
	}
}

func TestSignInOfAnotherBrowserIsNotClaimed(t *testing.T) {
	h := newHouse(t)
	tx, attacker := h.transaction(t)
	victim := tx // started from the attacker's link: the same txn and challenge
	victim.State = "the victim's"
	if err := h.Complete(t.Context(), victim, session.SignedIn{Identity: h.start().Identity}); err != nil {
		t.Fatal(err)
	}
	_, err := h.Claim(t.Context(), attacker)
	wantCode(t, err, identity.SignInExpired)
}

func TestResultIsClaimedOnce(t *testing.T) {
	h := newHouse(t)
	tx, claim := h.transaction(t)
	if err := h.Complete(t.Context(), tx, session.SignedIn{Identity: h.start().Identity}); err != nil {
		t.Fatal(err)
	}
	wantCode(t, h.Complete(t.Context(), tx, session.SignedIn{Identity: h.start().Identity}), identity.SignInClaimed)
	result, err := h.Claim(t.Context(), claim)
	if err != nil {
		t.Fatal(err)
	}
	start := h.start()
	start.Txn = result.Txn
	var won, lost int
	var mu sync.Mutex
	var racers sync.WaitGroup
	for range 16 {
		racers.Go(func() {
			_, err := h.Keep(t.Context(), h.DraftSignIn(start))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
				return
			}
			wantCode(t, err, identity.SignInClaimed)
			lost++
		})
	}
	racers.Wait()
	if won != 1 || lost != 15 {
		t.Errorf("%d of 16 claims won, want 1", won)
	}
	_, err = h.Claim(t.Context(), claim)
	wantCode(t, err, identity.SignInClaimed)
}

func TestSignInExpires(t *testing.T) {
	h := newHouse(t)
	_, abandoned := h.transaction(t)
	h.now = h.now.Add(session.TransactionLifetime)
	_, err := h.OpenTransaction(abandoned.Cookie)
	wantCode(t, err, identity.SignInExpired)

	tx, claim := h.transaction(t)
	if err := h.Complete(t.Context(), tx, session.SignedIn{Identity: h.start().Identity}); err != nil {
		t.Fatal(err)
	}
	h.now = h.now.Add(2 * time.Minute)
	_, err = h.Claim(t.Context(), claim)
	wantCode(t, err, identity.SignInExpired)
}

func TestProgressTellsOnlyThePageThatStarted(t *testing.T) {
	h := newHouse(t)
	tx, claim := h.transaction(t)
	want := func(verifier string, want session.Progress) {
		t.Helper()
		if got, err := h.Progress(t.Context(), tx.Txn, verifier, 0); err != nil || got != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	want(claim.Verifier, session.Progress{State: session.Pending})
	if err := h.Fail(t.Context(), tx, "access_denied"); err != nil {
		t.Fatal(err)
	}
	want(claim.Verifier, session.Progress{State: session.Failed, Error: "access_denied"})
	want("somebody else's", session.Progress{State: session.Pending})
	if err := h.Complete(t.Context(), tx, session.SignedIn{Identity: h.start().Identity}); err != nil { // the person went back and signed in after all
		t.Fatal(err)
	}
	want(claim.Verifier, session.Progress{State: session.Complete})
	want("", session.Progress{State: session.Pending})
}

func TestProgressWaitsForOneOnly(t *testing.T) {
	h := newHouse(t)
	tx, claim := h.transaction(t)
	waited := make(chan session.Progress)
	for range 2 {
		go func() {
			p, err := h.Progress(t.Context(), tx.Txn, claim.Verifier, 20*time.Second)
			if err != nil {
				t.Error(err)
			}
			waited <- p
		}()
	}
	if p := <-waited; p.State != session.Pending { // the second does not wait
		t.Errorf("second waiter: got %+v", p)
	}
	if err := h.Complete(t.Context(), tx, session.SignedIn{Identity: h.start().Identity}); err != nil {
		t.Fatal(err)
	}
	if p := <-waited; p.State != session.Complete {
		t.Errorf("first waiter: got %+v", p)
	}
}

func TestTicketStartsOneSignOut(t *testing.T) {
	h := newHouse(t)
	live, _ := h.signIn(t, h.start())
	text, err := h.SealTicket(session.Ticket{SID: live.SID, ReturnTo: "https://shop/bye"})
	if err != nil {
		t.Fatal(err)
	}
	ended, ticket, err := h.OpenTicket(t.Context(), text)
	if err != nil || ended.SID != live.SID || ticket.ReturnTo != "https://shop/bye" {
		t.Errorf("got %v, %+v, %v", ended.SID, ticket, err)
	}
	if err := h.SpendTicket(t.Context(), text, ticket); err != nil {
		t.Errorf("first use: %v", err)
	}
	wantCode(t, h.SpendTicket(t.Context(), text, ticket), identity.TokenAlreadyUsed)
	_, claim := h.transaction(t)
	state, err := h.SealState("https://shop/bye")
	if err != nil || h.OpenState(state) != "https://shop/bye" || h.OpenState(text) != "" {
		t.Errorf("state: %v, leads to %q, a ticket to %q", err, h.OpenState(state), h.OpenState(text))
	}
	for _, other := range []string{claim.Cookie, state} { // sealed by us, but for another use
		_, _, err = h.OpenTicket(t.Context(), other)
		wantCode(t, err, identity.SignInExpired)
	}
	late, err := h.SealTicket(session.Ticket{SID: live.SID})
	if err != nil {
		t.Fatal(err)
	}
	h.now = h.now.Add(61 * time.Second)
	_, _, err = h.OpenTicket(t.Context(), late)
	wantCode(t, err, identity.SignInExpired)
}
