package session

import (
	"context"
	"encoding/base64"
	"slices"
	"time"

	"chatpass/identity"
)

const (
	// maxHolders is the number of browsers that may hold a session begun from one ID token.
	maxHolders = 5
	// formerLife is how long a cookie value that was replaced is still good, at the base level: requests
	// that were under way with it.
	formerLife = time.Minute
)

// A Holder is a cookie that leads to a session.
type Holder struct {
	// Cookie is the handle of the cookie's value, in base64url.
	Cookie string `json:"cookie"`
	// Until is when a value that was replaced is no longer good; zero for a present one.
	Until time.Time `json:"until,omitzero"`
}

func (h Holder) former() bool { return !h.Until.IsZero() }

func holderName(cookie string) string {
	h := cookieHandle(cookie)
	return base64.RawURLEncoding.EncodeToString(h[:])
}

// heldBy returns the session as the cookie's value sees it, and false if that leads to it no more.
func (s Session) heldBy(cookie string, now time.Time) (Session, bool) {
	if len(s.Holders) == 0 { // a single cookie, never replaced
		return s, true
	}
	name := holderName(cookie)
	at := slices.IndexFunc(s.Holders, func(h Holder) bool { return h.Cookie == name })
	if at < 0 || s.Holders[at].former() && !now.Before(s.Holders[at].Until) {
		return Session{}, false
	}
	s.Former = s.Holders[at].former()
	return s, true
}

// retire ends what is left of replaced cookie values when the one that came in their place is seen. It may
// fail: they end by themselves soon.
func (s *Sessions) retire(ctx context.Context, live Session, cookie string) Session {
	if live.Former || !slices.ContainsFunc(live.Holders, Holder.former) {
		return live
	}
	asked := s.cfg.Now()
	changed, err := s.change(ctx, live, func(at *Session) bool {
		if !at.Ended.IsZero() {
			return false
		}
		at.Holders = slices.DeleteFunc(slices.Clone(at.Holders), Holder.former)
		return true
	}, s.cfg.Store.Swap)
	if err != nil {
		return live
	}
	s.forget(live)
	s.recent.keep(cookieHandle(cookie), changed, asked)
	return changed
}

// A Level is an authentication of the person that is higher, or newer, than the one a session began with.
type Level struct {
	ACR      string    `json:"acr,omitempty"`
	AMR      []string  `json:"amr,omitempty"`
	AuthTime time.Time `json:"auth_time,omitzero"`
	// Until is when the session is at its base level again.
	Until time.Time `json:"until"`
}

// Who is the person of the session, at the level of authentication of that time; higher is when a higher
// level ends, zero at the base level.
func (s Session) Who(now time.Time) (who identity.Identity, higher time.Time) {
	who = s.Identity
	if s.Former || s.Raised == nil || !now.Before(s.Raised.Until) {
		return who, time.Time{}
	}
	who.ACR, who.AMR, who.AuthTime = s.Raised.ACR, s.Raised.AMR, s.Raised.AuthTime
	return who, s.Raised.Until
}

// DraftRaised drafts a session at a higher level. A browser will hold it by a new cookie value: whoever had
// got hold of the old one does not rise with it (OWASP Session Management, privilege change). Result is the
// sign-in that raises it, cookie the value that it was held by.
func (s *Sessions) DraftRaised(live Session, cookie string, result Result, lifetime time.Duration) Draft {
	now, who := s.cfg.Now(), result.Identity
	level := &Level{ACR: who.ACR, AMR: who.AMR, AuthTime: who.AuthTime, Until: now.Add(lifetime)}
	d := s.draftHeld(live)
	share := s.share()
	fresh, was := holderName(d.Cookie), Holder{Cookie: holderName(cookie), Until: now.Add(formerLife)}
	d.birth.Txn = result.Txn
	d.edit = func(at *Session) {
		at.Raised = level
		if result.Grant.RefreshToken != "" { // it is the younger one
			at.stand(result.Grant, now, share)
		}
		at.Former = false
		others := slices.DeleteFunc(slices.Clone(at.Holders), func(h Holder) bool { return h.Cookie == was.Cookie })
		at.Holders = append(others, was, Holder{Cookie: fresh})
	}
	d.edit(&d.Session)
	return d
}

// DraftHeld drafts one more browser that holds a session begun from an ID token. Beyond five the one that
// came first is forgotten.
func (s *Sessions) DraftHeld(live Session) Draft {
	d := s.draftHeld(live)
	fresh := holderName(d.Cookie)
	d.edit = func(at *Session) {
		at.Holders = append(slices.Clone(at.Holders[max(0, len(at.Holders)-maxHolders+1):]), Holder{Cookie: fresh})
	}
	d.edit(&d.Session)
	return d
}

func (s *Sessions) draftHeld(live Session) Draft {
	cookie := s.newCookie()
	return Draft{Session: live, before: live, Cookie: cookie, birth: Birth{Handle: cookieHandle(cookie), Until: live.Expires}}
}

// newCookie returns a new session cookie's value, of 256 bit.
func (s *Sessions) newCookie() string { return s.cfg.NewID() + s.cfg.NewID() }

// hold is [Sessions.Keep] for a draft that changes a session.
func (s *Sessions) hold(ctx context.Context, d Draft) (Session, error) {
	held, err := s.change(ctx, d.before, func(at *Session) bool {
		if !at.Ended.IsZero() {
			return false
		}
		d.edit(at)
		return true
	}, func(ctx context.Context, at Session) error { return s.cfg.Store.Hold(ctx, at, d.birth) })
	if err != nil {
		return Session{}, insertError(err)
	}
	s.forget(held)
	return held, held.Alive(s.cfg.Now())
}

// forget makes this replica read anew what replaced cookie values lead to.
func (s *Sessions) forget(at Session) {
	for _, h := range at.Holders {
		var handle Handle
		if n, err := base64.RawURLEncoding.Decode(handle[:], []byte(h.Cookie)); h.former() && err == nil && n == len(handle) {
			s.recent.sessions.Invalidate(handle)
		}
	}
}
