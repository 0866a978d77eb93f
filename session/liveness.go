package session

import (
	"context"
	"errors"
	"time"

	"chatpass/identity"
)

// leastShare is the least part of [Liveness.Every] that passes between two checks. They spread over the
// rest, so that sessions which began together are not checked together.
const leastShare = 0.8

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

// grants tells whether a session may be used at the given time, whatever is being asked.
func (l Liveness) grants(s Session, at time.Time) bool {
	return at.Sub(s.Standing.Confirmed) <= l.Grace || !l.due(s, at)
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
		if heard.SID != "" { // else nothing is known yet
			heard.Former = live.Former
			live = heard
		}
	}
	if !l.grants(live, now) {
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

// share draws how much of the time between two checks is to pass.
func (s *Sessions) share() float64 {
	if s.cfg.Random == nil {
		return leastShare
	}
	return leastShare + (1-leastShare)*s.cfg.Random()
}
