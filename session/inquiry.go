package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"chatpass/identity"
)

const (
	// leaseTime is how long whoever asks an issuer about a session is the only one: longer than two calls
	// and the writing of what they bring.
	leaseTime = 30 * time.Second
	// leaseRest must be left of the lease when a call begins.
	leaseRest = 8 * time.Second
	// tries is how often the issuer is asked with the same refresh token: an answer may be lost on the way.
	tries = 2
	// patience is how long a renewal waits for the issuer.
	patience = 2 * time.Second
	// maxChecks bounds the checks under way at once.
	maxChecks = 256
	// writeTime is how long what an issuer said is tried to be written, and writePause the pause between two
	// tries: a refresh token that was rotated and not written down is lost.
	writeTime, writePause = time.Minute, 250 * time.Millisecond
)

// inquiries are the checks under way at this replica, and other work that nobody waits for.
type inquiries struct {
	mu      sync.Mutex
	running map[string]*inquiry // by sid
	work    sync.WaitGroup
}

// An inquiry is one check, which any number of renewals may wait for.
type inquiry struct {
	done    chan struct{}
	session Session
	err     error
}

var errBusy = errors.New("too many issuers are being asked")

// wait returns the session as the inquiry has left it, and what came of it; no session if that takes too long.
func (q *inquiry) wait(ctx context.Context) (Session, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case <-q.done:
		return q.session, q.err
	case <-ctx.Done():
		return Session{}, ctx.Err()
	}
}

// ask begins to ask the issuer, or joins those who do. It goes on when those who wait have left: what the
// issuer says must not be lost.
func (s *Sessions) ask(live Session, cookie string, l Liveness, ahead time.Duration) *inquiry {
	s.inquiries.mu.Lock()
	defer s.inquiries.mu.Unlock()
	if q, known := s.inquiries.running[live.SID]; known {
		return q
	}
	q := &inquiry{done: make(chan struct{})}
	if now := s.cfg.Now(); now.Before(live.Standing.Leased) && l.grants(live, now) { // somebody is asking, or has failed just now
		q.session = live
		close(q.done)
		return q
	}
	if s.cfg.Refresh == nil || len(s.inquiries.running) >= maxChecks {
		q.err = errBusy
		close(q.done)
		return q
	}
	s.inquiries.running[live.SID] = q
	s.inquiries.work.Go(func() {
		q.session, q.err = s.inquire(live, cookie, l, ahead)
		s.inquiries.mu.Lock()
		delete(s.inquiries.running, live.SID)
		s.inquiries.mu.Unlock()
		close(q.done)
	})
	return q
}

// inquire asks the issuer, if it is still due and nobody else does, and writes down what it says. The lease
// of an attempt that failed runs out by itself: until then nobody tries again.
func (s *Sessions) inquire(live Session, cookie string, l Liveness, ahead time.Duration) (Session, error) {
	ctx, cancel := context.WithTimeout(context.Background(), leaseTime)
	defer cancel()
	asked := s.cfg.Now()
	live, ours, err := s.lease(ctx, live, func(at Session) bool { return l.due(at, s.cfg.Now().Add(ahead)) })
	if err != nil {
		return live, err
	}
	if !ours {
		return s.overhear(ctx, live, cookie, l)
	}
	s.recent.keep(cookieHandle(cookie), live, asked)
	asked, grant, err := s.refresh(ctx, live)
	rejection, over := errors.AsType[*identity.Rejection](err)
	switch {
	case err == nil:
		return s.confirmed(live, cookie, grant, asked)
	case over && rejection.Code == identity.EndedByIssuer:
		return live, s.over(live, rejection)
	}
	s.tell(live, failure(err), err)
	return live, fmt.Errorf("ask the issuer about a session: %v", err) // a rejection of us is none of the session
}

func failure(err error) Answer {
	if _, ok := errors.AsType[*identity.Outage](err); ok {
		return Unreachable
	}
	return Refused
}

// lease makes this replica the only one that asks about a session, if it is to be asked. It returns the
// session as it is now, and whether the lease is ours.
func (s *Sessions) lease(ctx context.Context, live Session, due func(Session) bool) (held Session, ours bool, err error) {
	now := s.cfg.Now()
	held, err = s.change(ctx, live, func(at *Session) bool {
		ours = at.Ended.IsZero() && due(*at) && !now.Before(at.Standing.Leased)
		at.Standing.Leased = now.Add(leaseTime)
		return ours
	}, s.cfg.Store.Swap)
	return held, ours, err
}

// overhear returns a session that somebody else asks about, as it is then. If it may not go on without their
// answer, it waits for that a while.
func (s *Sessions) overhear(ctx context.Context, live Session, cookie string, l Liveness) (Session, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		asked := s.cfg.Now()
		if l.grants(live, asked) || !live.Ended.IsZero() || ctx.Err() != nil {
			return live, live.Alive(asked)
		}
		found, err := s.cfg.Store.Session(ctx, live.SID)
		if err != nil {
			return live, fmt.Errorf("read what an issuer said of a session: %w", err)
		}
		if live = found; !asked.Before(live.Standing.Leased) {
			s.recent.keep(cookieHandle(cookie), live, asked)
			return live, live.Alive(asked)
		}
		pause(ctx, writePause)
	}
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// refresh asks the issuer, and once more with the same refresh token if no answer came. asked is when the
// last call began.
func (s *Sessions) refresh(ctx context.Context, live Session) (asked time.Time, grant identity.Grant, err error) {
	err = &identity.Outage{Code: identity.NoIssuerKey, Err: errors.New("the lease has all but run out")}
	for range tries {
		if asked = s.cfg.Now(); live.Standing.Leased.Sub(asked) < leaseRest {
			break
		}
		grant, err = s.cfg.Refresh(ctx, live.Identity, live.Standing.RefreshToken)
		if _, lost := errors.AsType[*identity.Outage](err); !lost {
			break
		}
	}
	return asked, grant, err
}

// confirmed writes down that a sign-in stands, and the next refresh token: it is used by nobody before.
func (s *Sessions) confirmed(live Session, cookie string, grant identity.Grant, asked time.Time) (Session, error) {
	var read time.Time
	held, err := s.insist(func(ctx context.Context) (Session, error) {
		read = s.cfg.Now()
		return s.change(ctx, live, func(at *Session) bool {
			if !at.Ended.IsZero() || at.Standing.RefreshToken != live.Standing.RefreshToken {
				return false
			}
			at.stand(grant, asked, s.share())
			return true
		}, s.cfg.Store.Swap)
	})
	if err != nil {
		s.tell(live, Unwritten, err)
		return live, err
	}
	s.recent.keep(cookieHandle(cookie), held, read)
	s.tell(held, Stands, nil)
	return held, held.Alive(asked)
}

// over ends a session whose sign-in the issuer does not stand by any more, and returns why. If another refresh
// token has come meanwhile, the word was not about that.
func (s *Sessions) over(live Session, why *identity.Rejection) error {
	now := s.cfg.Now()
	ended, err := s.insist(func(ctx context.Context) (Session, error) {
		return s.change(ctx, live, func(at *Session) bool {
			if !at.Ended.IsZero() || at.Standing.RefreshToken != live.Standing.RefreshToken {
				return false
			}
			at.end(now, identity.EndedByIssuer)
			return true
		}, s.cfg.Store.End)
	})
	if err != nil {
		s.tell(live, Unwritten, err)
		return why
	}
	if ended.Ended.IsZero() {
		return nil
	}
	s.recent.end(ended.SID)
	s.tell(ended, Over, why)
	return why
}

// insist writes until the store takes it, or a minute has passed.
func (s *Sessions) insist(write func(context.Context) (Session, error)) (Session, error) {
	ctx, cancel := context.WithTimeout(context.Background(), writeTime)
	defer cancel()
	for {
		written, err := write(ctx)
		if err == nil || errors.Is(err, ErrNotFound) {
			return written, err
		}
		if pause(ctx, writePause); ctx.Err() != nil {
			return written, err
		}
	}
}

// giveBack revokes the refresh token of a session that has ended, in the background.
func (s *Sessions) giveBack(ended Session, refreshToken string) {
	if refreshToken == "" || s.cfg.Revoke == nil {
		return
	}
	s.inquiries.work.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), leaseTime)
		defer cancel()
		if err := s.cfg.Revoke(ctx, ended.Identity.IDP, refreshToken); err != nil {
			s.tell(ended, Unrevoked, err)
		}
	})
}

// Wait returns when what goes on in the background has ended.
func (s *Sessions) Wait() { s.inquiries.work.Wait() }

func (s *Sessions) tell(about Session, answer Answer, err error) {
	if s.cfg.Heard != nil {
		s.cfg.Heard(Inquiry{IDP: about.Identity.IDP, SID: about.SID, Answer: answer, Err: err})
	}
}
