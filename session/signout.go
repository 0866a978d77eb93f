package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"chatpass/identity"
)

// End ends a session for the given cause and returns it as it is then. A session that has ended before
// keeps its first cause.
func (s *Sessions) End(ctx context.Context, live Session, cause identity.Code) (Session, error) {
	now := s.cfg.Now()
	return s.change(ctx, live, func(at *Session) bool {
		if !at.Ended.IsZero() {
			return false
		}
		at.Ended, at.Cause = now, cause
		return true
	})
}

// SignOut ends the app's session that the cookie holds, and returns it as it is then. It is
// [ErrNotFound] if the cookie holds none. If the store is away the error says so, and yet nobody can use
// the session at this replica any more; [Sessions.Run] writes the sign-out down later.
func (s *Sessions) SignOut(ctx context.Context, app, cookie string) (Session, error) {
	live, err := s.find(ctx, app, cookie)
	if errors.Is(err, identity.ErrRejected) {
		return Session{}, ErrNotFound
	}
	if err == nil {
		live, err = s.End(ctx, live, identity.SignedOut)
	}
	if err != nil {
		s.pending.add(app, cookie)
	}
	return live, err
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
	ended, err := s.endMarked(ctx, m)
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

func (s *Sessions) endMarked(ctx context.Context, m Marker) (ended int, err error) {
	for live, err := range s.cfg.Store.ByUpstream(ctx, m) {
		if err != nil {
			return ended, fmt.Errorf("list sessions to end: %w", err)
		}
		if !live.Ended.IsZero() || live.Identity.IssuedAt.After(m.Before) {
			continue
		}
		if _, err := s.End(ctx, live, identity.EndedByIssuer); err != nil {
			return ended, err
		}
		ended++
	}
	return ended, nil
}
