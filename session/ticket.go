package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"chatpass/identity"
)

const (
	// ticketLifetime is how long a sign-out may take on its way through the issuer.
	ticketLifetime = 10 * time.Minute
	// ticketStart is how long the way may take to begin.
	ticketStart = 60 * time.Second

	ticketUse = "sign-out ticket"
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

// OpenTicket reads what [Sessions.SealTicket] made. Its error is an [identity.Rejection] if the text is
// not one of ours or too old.
func (s *Sessions) OpenTicket(text string) (Ticket, error) {
	var t Ticket
	if err := s.openText(ticketUse, text, &t); err != nil {
		return Ticket{}, err
	}
	if now := s.cfg.Now(); now.Sub(t.Created) >= ticketLifetime {
		return Ticket{}, identity.Reject(identity.SignInExpired, "made "+since(now, t.Created), "at most "+ticketLifetime.String()+" ago")
	}
	return t, nil
}

// UseTicket opens a ticket for the one time it may start a sign-out at the issuer, and returns the
// session that was ended. Its error is an [identity.Rejection] if the ticket is used or too old.
func (s *Sessions) UseTicket(ctx context.Context, text string) (Session, Ticket, error) {
	t, err := s.OpenTicket(text)
	if err != nil {
		return Session{}, Ticket{}, err
	}
	now := s.cfg.Now()
	if now.Sub(t.Created) >= ticketStart {
		return Session{}, Ticket{}, identity.Reject(identity.SignInExpired, "made "+since(now, t.Created), "at most "+ticketStart.String()+" ago")
	}
	err = s.cfg.Store.PutOnce(ctx, ticketUse, text, t.Created.Add(ticketLifetime))
	if errors.Is(err, ErrExists) {
		return Session{}, Ticket{}, identity.Reject(identity.TokenAlreadyUsed, "used before", "a new sign-out")
	}
	if err != nil {
		return Session{}, Ticket{}, fmt.Errorf("use sign-out ticket: %w", err)
	}
	ended, err := s.cfg.Store.Session(ctx, t.SID)
	if err != nil {
		return Session{}, Ticket{}, fmt.Errorf("read signed-out session: %w", err)
	}
	return ended, t, nil
}
