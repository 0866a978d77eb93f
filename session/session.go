package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"chatpass/identity"
	"chatpass/seal"
)

// oldestToken is the greatest age of an ID token that any configuration accepts.
const oldestToken = 24 * time.Hour

// Config is what a [Sessions] is made of.
type Config struct {
	Store  Store
	Sealer *seal.Sealer
	Now    func() time.Time
	// NewID returns a new unguessable string of at least 128 bit.
	NewID func() string
	// Random returns a number in [0, 1) that spreads checks of liveness; it guards nothing. May be nil.
	Random func() float64

	// Refresh asks the issuer of who with the refresh token of a sign-in whether that still stands, and returns
	// what to ask with the next time; an empty RefreshToken means that the old one goes on. Its error is an
	// [identity.Rejection] with code EndedByIssuer if the sign-in is over, an [identity.Outage] if there was no
	// answer. nil: nobody is asked.
	Refresh func(ctx context.Context, who identity.Identity, refreshToken string) (identity.Grant, error)
	// Revoke gives the refresh token of an ended session back to the issuer of that name. May be nil.
	Revoke func(ctx context.Context, idp, refreshToken string) error
	// Heard is told what came of asking an issuer; it may be called concurrently. May be nil.
	Heard func(Inquiry)
}

// Sessions remembers who signed in. It is safe for concurrent use.
type Sessions struct {
	cfg     Config
	waiters waiters
	pending pending
	recent  *recent

	inquiries inquiries

	following sync.Mutex
	upTo      time.Time // the log has been read up to here, by the store's clock
}

// New returns the sessions kept in cfg.Store.
func New(cfg Config) (*Sessions, error) {
	known, err := newRecent(cfg.Now)
	if err != nil {
		return nil, err
	}
	return &Sessions{
		cfg: cfg, waiters: waiters{busy: map[string]bool{}}, inquiries: inquiries{running: map[string]*inquiry{}},
		pending: pending{signOut: map[Handle]signOut{}}, recent: known,
	}, nil
}

// Limits bounds the life of a session.
type Limits struct {
	// Idle is the greatest pause between two activities of the person; 0: none is required.
	Idle time.Duration
	// Absolute is the greatest age of the session.
	Absolute time.Duration
	// Unasked is that of one whose issuer cannot be asked about it later; 0: Absolute.
	Unasked time.Duration
	// Linger is how long a row is kept after the session's end, so that a late request learns why it ended.
	Linger time.Duration
}

// Alive returns nil while the session may be used, else the [identity.Rejection] that says why not.
func (s Session) Alive(now time.Time) error {
	switch {
	case !s.Ended.IsZero():
		return identity.Reject(s.Cause, "ended "+since(now, s.Ended), "a session that was not ended")
	case !now.Before(s.Until()):
		return identity.Reject(identity.AbsoluteTimeout, "age "+age(now, s.Started), "at most "+s.Until().Sub(s.Started).String())
	case s.Idle > 0 && !now.Before(s.Active.Add(s.Idle)):
		return identity.Reject(identity.IdleTimeout, "last active "+since(now, s.Active), "at most "+s.Idle.String()+" ago")
	}
	return nil
}

// Left is the time until the absolute end.
func (s Session) Left(now time.Time) time.Duration { return s.Until().Sub(now) }

// Until is the absolute end: that of the session, or of the refresh token that it stands by, whichever is
// sooner.
func (s Session) Until() time.Time {
	if lapses := s.Standing.Lapses; !lapses.IsZero() && lapses.Before(s.Ends) {
		return lapses
	}
	return s.Ends
}

// Look returns the app's session that the cookie holds, without counting it as activity. Its error is
// an [identity.Rejection] if there is none or it has ended.
func (s *Sessions) Look(ctx context.Context, app, cookie string) (Session, error) {
	return s.lookUp(ctx, app, cookie, 0)
}

// lookUp is Look, for at most so long from memory while the store is down.
func (s *Sessions) lookUp(ctx context.Context, app, cookie string, degraded time.Duration) (Session, error) {
	if s.pending.has(cookie) {
		return Session{}, identity.Reject(identity.SignedOut, "signed out", "a session that was not ended")
	}
	found, err := s.find(ctx, app, cookie, degraded)
	if err != nil {
		return Session{}, err
	}
	return found, found.Alive(s.cfg.Now())
}

// find returns the app's session that the cookie leads to, ended or not.
func (s *Sessions) find(ctx context.Context, app, cookie string, degraded time.Duration) (Session, error) {
	if cookie == "" {
		return Session{}, identity.Reject(identity.NoSession, "no session cookie", "a session cookie")
	}
	found, err := s.read(ctx, cookieHandle(cookie), degraded)
	if errors.Is(err, ErrNotFound) || err == nil && found.App != app {
		return Session{}, identity.Reject(identity.NoSession, "unknown session cookie", "the cookie of a session of this app")
	}
	if err != nil {
		return Session{}, fmt.Errorf("find session: %w", err)
	}
	held, ok := found.heldBy(cookie, s.cfg.Now())
	if !ok {
		return Session{}, identity.Reject(identity.NoSession, "a session cookie that was replaced", "the cookie that took its place")
	}
	return held, nil
}

// read returns the session that a handle leads to: from memory if it is known to be alive, else from
// the store; if that is down, from memory if the store confirmed it less than degraded ago.
func (s *Sessions) read(ctx context.Context, h Handle, degraded time.Duration) (Session, error) {
	if known, ok := s.recent.get(h); ok {
		return known, nil
	}
	if s.recent.silence() >= maxSilence { // the store is down: nobody need wait to hear it again
		if known, ok := s.recent.last(h, degraded); ok {
			return known, nil
		}
	}
	asked := s.cfg.Now()
	found, err := s.cfg.Store.Find(ctx, h)
	if err == nil && found.Ended.IsZero() && s.recent.over(found.SID) {
		found, err = s.readEnded(ctx, h)
	}
	if err == nil {
		return s.recent.keep(h, found, asked), nil
	}
	if known, ok := s.recent.last(h, degraded); ok && !errors.Is(err, ErrNotFound) {
		return known, nil
	}
	return found, err
}

// readEnded reads a session whose end was heard of after its row was read, or whose row is older than that: an old
// one that was put back is whole and well sealed, and what was heard counts.
func (s *Sessions) readEnded(ctx context.Context, h Handle) (Session, error) {
	found, err := s.cfg.Store.Find(ctx, h)
	if err == nil && found.Ended.IsZero() {
		found.end(s.cfg.Now(), identity.Revoked)
	}
	return found, err
}

// A Use says how a request wants to use a session.
type Use struct {
	// Active: the person has done something just now. Only that slides the idle limit, not a timer's request.
	Active bool
	// Degraded is for how long after the store has confirmed a session it may be used while the store is down;
	// 0: not at all.
	Degraded time.Duration
}

// Resume is [Sessions.Look] for a request that wants to use the session.
func (s *Sessions) Resume(ctx context.Context, app, cookie string, use Use) (Session, error) {
	found, err := s.lookUp(ctx, app, cookie, use.Degraded)
	switch {
	case err != nil:
		return found, err
	case found.Degraded:
		return s.resumeDegraded(found, cookie, use), nil
	}
	if found = s.retire(ctx, found, cookie); !use.Active || found.Former {
		return found, nil
	}
	asked := s.cfg.Now()
	slid, err := s.slide(ctx, found)
	if err != nil {
		if known, ok := s.recent.last(cookieHandle(cookie), use.Degraded); ok && !errors.Is(err, ErrNotFound) {
			return s.resumeDegraded(known, cookie, use), nil
		}
		return Session{}, err
	}
	s.recent.keep(cookieHandle(cookie), slid, asked)
	return slid, slid.Alive(asked) // it may have ended while we wrote
}

// resumeDegraded uses a session while the store is down. What the person does is remembered here, so that
// nobody is idle for the store's fault.
func (s *Sessions) resumeDegraded(live Session, cookie string, use Use) Session {
	if now := s.cfg.Now(); use.Active && live.Idle > 0 && !live.Former {
		live.Active = now
		s.recent.stir(cookieHandle(cookie), now)
	}
	return live
}

// slide moves the idle limit, at a grain that spares the store a write at every keystroke.
func (s *Sessions) slide(ctx context.Context, live Session) (Session, error) {
	now := s.cfg.Now()
	if live.Idle == 0 || now.Sub(live.Active) < live.Idle/60 {
		return live, nil
	}
	return s.change(ctx, live, func(at *Session) bool {
		if !at.Ended.IsZero() || !at.Active.Before(now) {
			return false
		}
		at.Active = now
		return true
	}, s.cfg.Store.Swap)
}

// A Start is what a new session begins with.
type Start struct {
	App      string
	Customer string
	Identity identity.Identity
	Limits   Limits
	// Txn names the sign-in result that the session uses up, and IDToken is the token it brought.
	Txn, IDToken string
	// Grant asks the issuer later whether the sign-in still stands; zero without one.
	Grant identity.Grant
}

// A Draft is a session that is ready to be kept. What must be done before it may exist, signing its
// first context, can be done with a draft: a failure then uses nothing up.
type Draft struct {
	Session Session
	// Cookie is the secret that leads to the session of a browser; empty for a derived one.
	Cookie string
	birth  Birth
	// before is the session of a draft that changes one, and edit what is changed.
	before Session
	edit   func(*Session)
}

// DraftSignIn drafts a session that a browser will hold.
func (s *Sessions) DraftSignIn(start Start) Draft {
	fresh := s.begin(start, SignIn)
	cookie := s.newCookie()
	return Draft{Session: fresh, Cookie: cookie, birth: Birth{Handle: cookieHandle(cookie), Until: fresh.Expires, Txn: start.Txn}}
}

// DraftDerived drafts the session of an ID token that somebody else holds.
func (s *Sessions) DraftDerived(start Start, token string) Draft {
	fresh := s.begin(start, Derived)
	again := start.Identity.IssuedAt.Add(oldestToken) // as long as the token could come again
	if start.Identity.Expires.Before(again) {
		again = start.Identity.Expires
	}
	if last := again.Add(start.Limits.Linger); last.After(fresh.Expires) {
		fresh.Expires = last
	}
	return Draft{Session: fresh, birth: Birth{Handle: tokenHandle(start.App, token), Until: fresh.Expires}}
}

// OfToken returns the session that an ID token has begun before. Its error is [ErrNotFound] if it has
// begun none, an [identity.Rejection] if that session has ended.
func (s *Sessions) OfToken(ctx context.Context, app, token string) (Session, error) {
	known, err := s.read(ctx, tokenHandle(app, token), 0)
	if errors.Is(err, ErrNotFound) {
		return Session{}, err
	}
	if err != nil {
		return Session{}, fmt.Errorf("find derived session: %w", err)
	}
	return known, known.Alive(s.cfg.Now())
}

// Keep stores a draft. Its error is [ErrExists] if the token has begun a session meanwhile, an
// [identity.Rejection] if the sign-in was claimed meanwhile, the person has signed out, or the session that
// it changes has ended.
func (s *Sessions) Keep(ctx context.Context, d Draft) (Session, error) {
	if d.edit != nil {
		return s.hold(ctx, d)
	}
	if err := s.cfg.Store.Insert(ctx, d.Session, d.birth); err != nil {
		return Session{}, insertError(err)
	}
	kept := d.Session
	kept.Version = 1
	return kept, nil
}

func (s *Sessions) begin(start Start, kind Kind) Session {
	now, limits := s.cfg.Now(), start.Limits
	ends := now.Add(limits.Absolute)
	fresh := Session{
		SID: s.cfg.NewID(), App: start.App, Kind: kind, Customer: start.Customer,
		Identity: start.Identity, IDToken: start.IDToken,
		Started: now, Active: now, Idle: limits.Idle, Ends: ends, Expires: ends.Add(limits.Linger),
	}
	fresh.bound(start.Identity.SessionEnds)
	switch {
	case start.Grant.RefreshToken != "":
		fresh.stand(start.Grant, now, s.share())
	case kind == SignIn && limits.Unasked > 0:
		fresh.bound(now.Add(limits.Unasked))
	}
	return fresh
}

func insertError(err error) error {
	switch {
	case errors.Is(err, ErrExists):
		return err
	case errors.Is(err, ErrTaken):
		return &identity.Rejection{Code: identity.SignInClaimed, Measured: "claimed before", Required: "a sign-in not claimed yet", Err: err}
	case errors.Is(err, ErrSignedOut):
		return &identity.Rejection{Code: identity.EndedByIssuer, Measured: "its sign-in was ended after the token was issued", Required: "a token newer than that sign-out, revocation or word of the issuer", Err: err}
	}
	return fmt.Errorf("insert session: %w", err)
}

// change applies edit to the newest state of a session, and writes it, until nobody else interferes. An
// edit that returns false leaves the session as it is.
func (s *Sessions) change(ctx context.Context, at Session, edit func(*Session) bool, write func(context.Context, Session) error) (Session, error) {
	for {
		changed := at
		if !edit(&changed) {
			return at, nil
		}
		err := write(ctx, changed)
		if err == nil {
			changed.Version++
			return changed, nil
		}
		if !errors.Is(err, ErrConflict) {
			return Session{}, fmt.Errorf("change session: %w", err)
		}
		if at, err = s.cfg.Store.Session(ctx, at.SID); err != nil {
			return Session{}, fmt.Errorf("read session again: %w", err)
		}
	}
}

func since(now, then time.Time) string { return age(now, then) + " ago" }

func age(now, then time.Time) string { return now.Sub(then).Round(time.Second).String() }
