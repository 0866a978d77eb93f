package session

import (
	"fmt"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"
)

const (
	// maxRecent bounds the sessions in memory; each takes a few kilobytes.
	maxRecent = 50_000
	// recentAge is how long what was read of a session may be used again.
	recentAge = 30 * time.Second
	// maxSilence is how long ago the log may have been read for anything in memory to be used: beyond
	// it nobody could say which sessions have ended elsewhere.
	maxSilence = 2 * time.Second
	// maxDegraded is the longest that any configuration uses what is in memory while the store is down.
	maxDegraded = time.Hour
)

// recent keeps sessions as they were read lately, so that a renewal need not ask the store again. What
// it forgets is read again, so that it may forget at any time. It knows only living sessions: that one
// has ended is always read from the store.
type recent struct {
	now      func() time.Time
	sessions *otter.Cache[Handle, reading]

	mu sync.RWMutex
	// ended holds, by sid, when we heard that a session has ended. It is kept for longer than any
	// reading of before: forgetting one would bring the session back, so that nothing evicts it.
	ended map[string]time.Time
	heard time.Time // when the log was read last
}

// A reading is a session and when the store was asked for it.
type reading struct {
	session Session
	at      time.Time
}

func newRecent(now func() time.Time) (*recent, error) {
	sessions, err := otter.New(&otter.Options[Handle, reading]{MaximumSize: maxRecent})
	if err != nil {
		return nil, fmt.Errorf("make session cache: %w", err)
	}
	return &recent{now: now, sessions: sessions, ended: map[string]time.Time{}}, nil
}

func (r *recent) get(h Handle) (Session, bool) {
	last, ok := r.sessions.GetIfPresent(h)
	if !ok {
		return Session{}, false
	}
	now := r.now()
	if now.Sub(last.at) >= recentAge || last.session.Alive(now) != nil || !r.believed(last.session.SID, now) {
		return Session{}, false
	}
	return last.session, true
}

// believed tells whether a session may be thought to be alive without asking.
func (r *recent) believed(sid string, now time.Time) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, ended := r.ended[sid]
	return !ended && now.Sub(r.heard) < maxSilence
}

// last returns a session that the store spoke of less than so long ago, when it was alive, unless its end
// has been heard of since.
func (r *recent) last(h Handle, within time.Duration) (Session, bool) {
	last, ok := r.sessions.GetIfPresent(h)
	now := r.now()
	if !ok || now.Sub(last.at) >= within || last.session.Alive(now) != nil || r.over(last.session.SID) {
		return Session{}, false
	}
	last.session.Degraded = true
	return last.session, true
}

func (r *recent) over(sid string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, ended := r.ended[sid]
	return ended
}

// keep remembers what the store said of a session when it was asked at the given time, and returns it with
// what the person did since, if the store could not be told.
func (r *recent) keep(h Handle, s Session, at time.Time) Session {
	if last, ok := r.sessions.GetIfPresent(h); ok && last.session.SID == s.SID && last.session.Active.After(s.Active) {
		s.Active = last.session.Active
	}
	r.sessions.Set(h, reading{s, at})
	return s
}

// stir remembers that the person has done something.
func (r *recent) stir(h Handle, now time.Time) {
	if last, ok := r.sessions.GetIfPresent(h); ok {
		last.session.Active = now
		r.sessions.Set(h, last)
	}
}

// end obeys a revocation at once.
func (r *recent) end(sid string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.ended[sid]; !known {
		r.ended[sid] = r.now()
	}
}

// hear obeys all that the log said when it was asked at the given time.
func (r *recent) hear(entries []Revocation, at time.Time) {
	for _, e := range entries {
		r.end(e.SID)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard = at
	for sid, since := range r.ended {
		if at.Sub(since) > maxDegraded+overlap {
			delete(r.ended, sid)
		}
	}
}

// silence is how long ago the log was read last; negative if it never was.
func (r *recent) silence() time.Duration {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.heard.IsZero() {
		return -1
	}
	return r.now().Sub(r.heard)
}
