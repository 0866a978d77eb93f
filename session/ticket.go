package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"chatpass/identity"
)

const (
	// ticketLifetime is how long the way to the issuer may take to begin.
	ticketLifetime = 60 * time.Second
	// stateLifetime is how long a sign-out may take at the issuer.
	stateLifetime = 10 * time.Minute

	ticketUse = "sign-out ticket"
	stateUse  = "sign-out state"
)

// A Ticket leads one browser through the sign-out at the issuer.
type Ticket struct {
	SID      string    `json:"sid"`
	ReturnTo string    `json:"return_to,omitempty"` // a registered URL; empty for none
	Created  time.Time `json:"created"`
}

// SealTicket returns t, made now, as a URL-safe text that only we can read.
func (s *Sessions) SealTicket(t Ticket) (string, error) {
	t.Created = s.cfg.Now()
	return s.sealText(ticketUse, t)
}

// A state is what the issuer hands back after its sign-out. It leads nowhere but to a registered page.
type state struct {
	ReturnTo string    `json:"return_to,omitempty"`
	Created  time.Time `json:"created"`
}

// SealState returns where a sign-out is to end, as a URL-safe text that only we can read.
func (s *Sessions) SealState(returnTo string) (string, error) {
	return s.sealText(stateUse, state{returnTo, s.cfg.Now()})
}

// OpenState reads what [Sessions.SealState] made; "" if the text is not one of ours or too old.
func (s *Sessions) OpenState(text string) string {
	var at state
	if err := s.openText(stateUse, text, &at); err != nil || s.cfg.Now().Sub(at.Created) >= stateLifetime {
		return ""
	}
	return at.ReturnTo
}

// OpenTicket reads what [Sessions.SealTicket] made, and returns the session that was ended. Its error is
// an [identity.Rejection] if the text is not one of ours or too old.
func (s *Sessions) OpenTicket(ctx context.Context, text string) (Session, Ticket, error) {
	var t Ticket
	if err := s.openText(ticketUse, text, &t); err != nil {
		return Session{}, Ticket{}, err
	}
	if now := s.cfg.Now(); now.Sub(t.Created) >= ticketLifetime {
		return Session{}, Ticket{}, identity.Reject(identity.SignInExpired, "made "+since(now, t.Created), "at most "+ticketLifetime.String()+" ago")
	}
	ended, err := s.cfg.Store.Session(ctx, t.SID)
	if err != nil {
		return Session{}, Ticket{}, fmt.Errorf("read signed-out session: %w", err)
	}
	return ended, t, nil
}

// SpendTicket uses a ticket up. Its error is an [identity.Rejection] if it was used before.
func (s *Sessions) SpendTicket(ctx context.Context, text string, t Ticket) error {
	err := s.cfg.Store.PutOnce(ctx, ticketUse, text, t.Created.Add(ticketLifetime))
	if errors.Is(err, ErrExists) {
		return identity.Reject(identity.TokenAlreadyUsed, "used before", "a new sign-out")
	}
	if err != nil {
		return fmt.Errorf("use sign-out ticket: %w", err)
	}
	return nil
}
