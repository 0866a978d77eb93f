package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"chatpass/identity"
)

// End ends a session for the given cause and returns it as it is then. A session that has ended before
// keeps its first cause. Every replica hears of it, and the issuer's refresh token is given back.
func (s *Sessions) End(ctx context.Context, live Session, cause identity.Code) (Session, error) {
	now := s.cfg.Now()
	var refreshToken string
	ended, err := s.change(ctx, live, func(at *Session) bool {
		if !at.Ended.IsZero() {
			refreshToken = "" // whoever ended it gives that back
			return false
		}
		refreshToken = at.Standing.RefreshToken
		at.end(now, cause)
		return true
	}, s.cfg.Store.End)
	if err == nil {
		s.recent.end(ended.SID)
		s.giveBack(ended, refreshToken)
	}
	return ended, err
}

// end ends the session. What could ask about it is forgotten.
func (s *Session) end(now time.Time, cause identity.Code) {
	s.Ended, s.Cause, s.Standing = now, cause, Standing{}
}

// MarkerLifetime is how long a sign-out keeps older tokens from beginning a session: a day, and more
// than the greatest age of a token that anybody may accept.
const MarkerLifetime = oldestToken + time.Hour

// SignOut ends the app's session that the cookie holds, and returns it as it is then. It is
// [ErrNotFound] if the cookie holds none. If the store is away the error says so, and yet nobody can use
// the session at this replica any more; [Sessions.Run] writes the sign-out down later.
func (s *Sessions) SignOut(ctx context.Context, app, cookie string) (Session, error) {
	live, err := s.find(ctx, app, cookie, 0)
	if errors.Is(err, identity.ErrRejected) {
		return Session{}, ErrNotFound
	}
	if err == nil {
		live, err = s.signOut(ctx, live, identity.SignedOut)
	}
	if err != nil {
		s.pending.add(app, cookie)
	}
	return live, err
}

// Revoke is [Sessions.SignOut] by order of an operator, or of a client that has shown a context of the
// session or the ID token that it came from: the person hears of it as of a revocation.
func (s *Sessions) Revoke(ctx context.Context, live Session) (Session, error) {
	return s.signOut(ctx, live, identity.Revoked)
}

// RevokeUnused is [Sessions.Revoke] for a sign-in that no session of the app has begun from yet, or not from
// the token that was shown: who says so is in time, and what comes later is too late.
func (s *Sessions) RevokeUnused(ctx context.Context, app string, who identity.Identity) error {
	m := markerOf(who, who.IssuedAt)
	if err := s.cfg.Store.Mark(ctx, m); err != nil {
		return fmt.Errorf("mark sign-out: %w", err)
	}
	return s.endBeside(ctx, m, app, identity.Revoked)
}

// markerOf speaks of everything that came of the person's sign-in at the issuer until then.
func markerOf(who identity.Identity, before time.Time) Marker {
	m := Marker{Issuer: who.Issuer, Session: who.UpstreamSession, Before: before, Expires: before.Add(MarkerLifetime)}
	if m.Session == "" {
		m.Subject = who.UpstreamSubject
	}
	return m
}

// signOut ends a session, the others of the same person at the same app and issuer session, and lets
// none begin from what was there before: an older token, a sign-in not claimed yet.
func (s *Sessions) signOut(ctx context.Context, live Session, cause identity.Code) (Session, error) {
	live, err := s.End(ctx, live, cause)
	if err != nil {
		return live, err
	}
	// Issuers count whole seconds: who signs in again within the same one must not be kept out.
	before := live.Ended.Truncate(time.Second).Add(-time.Second)
	m := markerOf(live.Identity, before)
	if err := s.cfg.Store.Mark(ctx, m); err != nil {
		return live, fmt.Errorf("mark sign-out: %w", err)
	}
	return live, s.endBeside(ctx, m, live.App, cause)
}

// endBeside ends what a marker speaks of at an app. A session that cannot be read is no reason to tell who signs
// out, or signs somebody out, that it failed: it would not succeed the next time either.
func (s *Sessions) endBeside(ctx context.Context, m Marker, app string, cause identity.Code) error {
	_, err := s.endMarked(ctx, m, func(other Session) bool { return other.App == app }, cause)
	if errors.Is(err, ErrUnreadable) {
		return nil
	}
	return err
}

// Logout obeys an issuer's logout token (OpenID Connect Back-Channel Logout 1.0 §2.7): it ends every
// session the marker speaks of, and lets none begin from an ID token of before. It returns the number
// of sessions it ended. All is committed when it returns nil; a second use of jti is an
// [identity.Rejection].
//
// The use of jti is recorded last: when something fails on the way, the issuer may deliver again. A
// repetition ends nothing that began after the first, so recording late is harmless.
func (s *Sessions) Logout(ctx context.Context, m Marker, jti string, jtiExpires time.Time) (int, error) {
	if err := s.cfg.Store.Mark(ctx, m); err != nil {
		return 0, fmt.Errorf("mark sign-out: %w", err)
	}
	ended, err := s.endMarked(ctx, m, func(Session) bool { return true }, identity.EndedByIssuer)
	if err != nil {
		return ended, err
	}
	err = s.cfg.Store.PutOnce(ctx, "logout-token", m.Issuer+"\x00"+jti, jtiExpires)
	if errors.Is(err, ErrExists) {
		return ended, identity.Reject(identity.TokenAlreadyUsed, "jti seen before", "a new jti")
	}
	if err != nil {
		return ended, fmt.Errorf("record logout token: %w", err)
	}
	return ended, nil
}

// LogoutLive obeys an issuer's word that nothing proves but the name of its session, which nobody can
// guess: it does what [Sessions.Logout] does if a session of ours that is alive came from it, and
// nothing otherwise. It returns the number of sessions it ended.
func (s *Sessions) LogoutLive(ctx context.Context, issuer, upstreamSession string) (int, error) {
	now := s.cfg.Now()
	m := Marker{Issuer: issuer, Session: upstreamSession, Before: now, Expires: now.Add(MarkerLifetime)}
	live, err := s.anyLive(ctx, m)
	if err != nil || !live {
		return 0, err
	}
	if err := s.cfg.Store.Mark(ctx, m); err != nil {
		return 0, fmt.Errorf("mark sign-out: %w", err)
	}
	return s.endMarked(ctx, m, func(Session) bool { return true }, identity.EndedByIssuer)
}

func (s *Sessions) anyLive(ctx context.Context, m Marker) (bool, error) {
	for found, err := range s.cfg.Store.ByUpstream(ctx, m) {
		if errors.Is(err, ErrUnreadable) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("list sessions to end: %w", err)
		}
		if found.Ended.IsZero() && m.Before.Before(found.Ends) {
			return true, nil
		}
	}
	return false, nil
}

// endMarked ends the sessions that a marker speaks of, as far as they are meant. One that cannot be read keeps
// no other alive, and yet is no success: it may be sealed under a key that another replica has. Then the
// error, [ErrUnreadable], comes after the others have ended.
func (s *Sessions) endMarked(ctx context.Context, m Marker, meant func(Session) bool, cause identity.Code) (ended int, err error) {
	var unread error
	for live, err := range s.cfg.Store.ByUpstream(ctx, m) {
		if errors.Is(err, ErrUnreadable) {
			unread = err
			continue
		}
		if err != nil {
			return ended, fmt.Errorf("list sessions to end: %w", err)
		}
		if !live.Ended.IsZero() || live.Identity.IssuedAt.After(m.Before) || !meant(live) {
			continue
		}
		if _, err := s.End(ctx, live, cause); err != nil {
			return ended, err
		}
		ended++
	}
	if unread != nil {
		return ended, fmt.Errorf("end all but what cannot be read: %w", unread)
	}
	return ended, nil
}
