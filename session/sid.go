package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"chatpass/identity"
)

// BySID returns the session of that public reference as the store knows it now, never from memory. Its
// error is an [identity.Rejection] if there is none, or if it has ended: then the session comes with it.
func (s *Sessions) BySID(ctx context.Context, sid string) (Session, error) {
	found, err := s.cfg.Store.Session(ctx, sid)
	if errors.Is(err, ErrNotFound) {
		return Session{}, identity.Reject(identity.NoSession, "unknown session", "a session that is remembered")
	}
	if err != nil {
		return Session{}, fmt.Errorf("find session by sid: %w", err)
	}
	return found, found.Alive(s.cfg.Now())
}

// Crowd ends the oldest derived sessions of a new session's customer at its app, until no more than most
// are alive; 0 is no limit. Those of a browser, and the new one itself, are never ended by it.
func (s *Sessions) Crowd(ctx context.Context, fresh Session, most int) error {
	if most <= 0 {
		return nil
	}
	now, alive, derived := s.cfg.Now(), 0, []Session(nil)
	for at, err := range s.cfg.Store.ByCustomer(ctx, fresh.App, fresh.Customer) {
		switch {
		case errors.Is(err, ErrUnreadable):
			continue // who holds it cannot use it
		case err != nil:
			return fmt.Errorf("list sessions of customer: %w", err)
		case at.Alive(now) != nil:
			continue
		case at.Kind == Derived && at.SID != fresh.SID:
			derived = append(derived, at)
		}
		alive++
	}
	slices.SortFunc(derived, func(a, b Session) int {
		return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.SID, b.SID))
	})
	for _, oldest := range derived[:min(max(0, alive-most), len(derived))] {
		if _, err := s.End(ctx, oldest, identity.Revoked); err != nil {
			return fmt.Errorf("end oldest session: %w", err)
		}
	}
	return nil
}
