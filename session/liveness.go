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
	// leastShare is the least part of [Liveness.Every] that passes between two checks. They spread over the
	// rest, so that sessions which began together are not checked together.
	leastShare = 0.8
	// maxChecks bounds the checks under way at once.
	maxChecks = 256
	// writeTime is how long what an issuer said is tried to be written, and writePause the pause between two
	// tries: a refresh token that was rotated and not written down is lost.
	writeTime, writePause = time.Minute, 250 * time.Millisecond
)

// Liveness says how often an issuer is asked whether sign-ins still stand.
type Liveness struct {
	// Every is the greatest age of its last good answer when a context is issued.
	Every time.Duration
	// Grace is that age while the issuer cannot be asked.
	Grace time.Duration
}

// A Standing is what an issuer has said of a sign-in since, and the means to ask it again.
type Standing struct {
	identity.Grant
	// Confirmed is when the issuer was asked that gave the last good answer; at first the sign-in.
	Confirmed time.Time `json:"confirmed,omitzero"`
	// Share is the part of [Liveness.Every] that passes until it is asked again, from 0.8 to 1.
	Share float64 `json:"share,omitempty"`
	// Leased is until when somebody is asking; nobody else does.
	Leased time.Time `json:"leased,omitzero"`
}

// due tells whether the issuer is to be asked about a session at the given time.
func (l Liveness) due(s Session, at time.Time) bool {
	stands := s.Standing
	return stands.RefreshToken != "" && at.Sub(stands.Confirmed) > time.Duration(stands.Share*float64(l.Every))
}

// An Inquiry is what came of asking an issuer about a session.
type Inquiry struct {
	IDP, SID string
	Answer   Answer
	Err      error // nil if the sign-in stands
}

// An Answer is an issuer's word on a sign-in.
type Answer string

// The answers.
const (
	Stands      Answer = "stands"
	Over        Answer = "over"        // the session was ended
	Unreachable Answer = "unreachable" // nobody knows
	Refused     Answer = "refused"     // it refuses us as its client: nobody knows
	Unwritten   Answer = "unwritten"   // the store would not take what it said
	Unrevoked   Answer = "unrevoked"   // the refresh token of an ended session could not be given back
)

// Confirm returns a session that may be used: if it is time to, the issuer is asked first whether the sign-in
// still stands. It waits 2 s at most; then, and if the issuer cannot be asked, the last good answer counts for
// l.Grace. Its error is an [identity.Rejection] if the sign-in is over, or nobody has known for too long.
func (s *Sessions) Confirm(ctx context.Context, live Session, cookie string, l Liveness) (Session, error) {
	now := s.cfg.Now()
	if !l.due(live, now) {
		return live, nil
	}
	if !live.Degraded {
		heard, err := s.ask(live, cookie, l, 0).wait(ctx)
		if rejection, ok := errors.AsType[*identity.Rejection](err); ok {
			return live, rejection
		}
		if err == nil {
			heard.Former = live.Former
			live = heard
		}
	}
	if quiet := now.Sub(live.Standing.Confirmed); quiet > l.Grace && l.due(live, now) {
		return live, identity.Reject(identity.IssuerUnreachable, "last confirmed by the issuer "+since(now, live.Standing.Confirmed), "at most "+l.Grace.String()+" ago")
	}
	return live, live.Alive(now)
}

// Foresee asks the issuer in the background about a session that will have to be confirmed before it is
// renewed in the given time.
func (s *Sessions) Foresee(live Session, cookie string, l Liveness, ahead time.Duration) {
	if !live.Degraded && l.due(live, s.cfg.Now().Add(ahead)) {
		s.ask(live, cookie, l, ahead)
	}
}

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

// wait returns what became of the inquiry; after a while, that nobody knows.
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
	if s.cfg.Now().Before(live.Standing.Leased) { // somebody is asking, or has failed just now
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
		q.session, q.err = s.inquire(live, cookie, func(at Session) bool { return l.due(at, s.cfg.Now().Add(ahead)) })
		s.inquiries.mu.Lock()
		delete(s.inquiries.running, live.SID)
		s.inquiries.mu.Unlock()
		close(q.done)
	})
	return q
}

// inquire asks the issuer, if it is still due and nobody else does, and writes down what it says. The lease
// of an attempt that failed runs out by itself: until then nobody tries again.
func (s *Sessions) inquire(live Session, cookie string, due func(Session) bool) (Session, error) {
	ctx, cancel := context.WithTimeout(context.Background(), leaseTime)
	defer cancel()
	asked, before := s.cfg.Now(), live.Version
	live, ours, err := s.lease(ctx, live, due)
	if err != nil {
		return live, err
	}
	if live.Version != before { // the store was asked
		s.recent.keep(cookieHandle(cookie), live, asked)
	}
	if !ours {
		return live, live.Alive(asked)
	}
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

// stand takes over a good answer of the issuer.
func (s *Session) stand(grant identity.Grant, asked time.Time, share float64) {
	if grant.RefreshToken == "" { // the old one goes on
		grant.RefreshToken = s.Standing.RefreshToken
		if grant.Lapses.IsZero() {
			grant.Lapses = s.Standing.Lapses
		}
	}
	s.bound(grant.Ends)
	s.Standing = Standing{Grant: grant, Confirmed: asked, Share: share}
}

// bound has the session end by a time that is not zero.
func (s *Session) bound(end time.Time) {
	if !end.IsZero() && end.Before(s.Ends) {
		s.Ends = end
	}
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
		timer := time.NewTimer(writePause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
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

func (s *Sessions) tell(about Session, answer Answer, err error) {
	if s.cfg.Heard != nil {
		s.cfg.Heard(Inquiry{IDP: about.Identity.IDP, SID: about.SID, Answer: answer, Err: err})
	}
}

// share draws how much of the time between two checks is to pass.
func (s *Sessions) share() float64 {
	if s.cfg.Random == nil {
		return leastShare
	}
	return leastShare + (1-leastShare)*s.cfg.Random()
}
