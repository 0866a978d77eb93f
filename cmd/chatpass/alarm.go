package main

import (
	"sync"
	"time"

	"chatpass/session"
)

// alarmPause is how long the log keeps quiet about an issuer after it has told of a trouble: every session of
// thousands meets the same one.
const alarmPause = time.Minute

// An alarm tells of each trouble of each issuer now and then. Its zero value is ready.
type alarm struct {
	mu   sync.Mutex
	told map[trouble]time.Time
}

type trouble struct {
	idp    string
	answer session.Answer
}

// due tells whether it is time to tell of that.
func (a *alarm) due(of trouble, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if last, known := a.told[of]; known && now.Sub(last) < alarmPause {
		return false
	}
	if a.told == nil {
		a.told = map[trouble]time.Time{}
	}
	a.told[of] = now
	return true
}

// reportInquiry counts what an issuer said of a sign-in, and tells the operator where somebody must act.
func (h *house) reportInquiry(q session.Inquiry) {
	h.metrics.Inquiry(q)
	switch q.Answer {
	case session.Stands:
		return
	case session.Over:
		h.log.Info("session ended: its issuer does not stand by the sign-in any more", "issuer", q.IDP, "sid", q.SID)
		return
	}
	if !h.alarms.due(trouble{q.IDP, q.Answer}, time.Now()) {
		return
	}
	switch q.Answer {
	case session.Refused:
		h.log.Error("issuer refuses us: sessions go on for session.liveness_grace and are not confirmed", "issuer", q.IDP, "err", q.Err)
	case session.Unwritten:
		h.log.Error("store did not take what an issuer said of a session", "issuer", q.IDP, "sid", q.SID, "err", q.Err)
	case session.Unreachable:
		h.log.Warn("issuer does not answer about sessions: they go on for session.liveness_grace", "issuer", q.IDP, "err", q.Err)
	case session.Unrevoked:
		h.log.Warn("refresh token of an ended session was not given back", "issuer", q.IDP, "sid", q.SID, "err", q.Err)
	}
}
