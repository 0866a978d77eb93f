package idp

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	sessionLifetime     = 10 * time.Hour
	codeLifetime        = 60 * time.Second
	accessTokenLifetime = 5 * time.Minute
	// usedCodeKept is how long a used code is remembered, so that its second use is noticed.
	usedCodeKept = 10 * time.Minute
	notesKept    = 30
)

// memory is all that the provider remembers; it forgets it when the demo ends.
type memory struct {
	now   func() time.Time
	newID func() string

	mu       sync.Mutex
	sessions map[string]session // by the cookie's value
	codes    map[string]code
	grants   map[string]grant // by access token
	families map[string]family
	disabled map[string]bool // by sub
	outage   string          // of the token endpoint
	notes    []note
}

// session is a person's single sign-on session in one browser.
type session struct {
	sid, sub          string
	authTime, expires time.Time
	second            bool // they have shown a second factor, too
	// clients are the relying parties that got tokens from it. The slice is never changed in place.
	clients []string
}

// code is an authorization code and what it was issued for.
type code struct {
	request authRequest
	sid     string
	issued  time.Time
	used    bool
	// accessToken and refreshToken are what it was traded for.
	accessToken, refreshToken string
}

// grant is what an access token stands for.
type grant struct {
	sid, sub string
	scope    []string
	expires  time.Time
}

// note is a thing that happened.
type note struct {
	At   time.Time
	Line string
}

func newMemory(now func() time.Time, newID func() string) *memory {
	m := &memory{
		now: now, newID: newID, sessions: map[string]session{}, codes: map[string]code{},
		grants: map[string]grant{}, families: map[string]family{}, disabled: map[string]bool{},
	}
	for _, p := range people() {
		m.disabled[p.Sub] = p.BornDisabled
	}
	return m
}

// begin starts a session, or renews the browser's if it is the same person's, who keeps its sid. It
// returns the cookie's new value, and the session of somebody else that this one ended. It refuses
// people who are disabled.
func (m *memory) begin(cookie, sub string) (fresh string, ended []session, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sweep()
	if m.disabled[sub] {
		return "", nil, false
	}
	s, again := m.sessions[cookie]
	delete(m.sessions, cookie)
	if again && s.sub != sub {
		ended, again = []session{s}, false
	}
	if !again {
		s = session{sid: m.newID(), sub: sub}
	}
	s.second = false
	s.authTime, s.expires = m.now(), m.now().Add(sessionLifetime)
	fresh = m.newID()
	m.sessions[fresh] = s
	return fresh, ended, true
}

// look finds a live session by its cookie.
func (m *memory) look(cookie string) (session, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.sessions[cookie]
	return s, ok && m.now().Before(s.expires)
}

// endWhere ends sessions and returns them.
func (m *memory) endWhere(match func(session) bool) []session {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ended []session
	maps.DeleteFunc(m.sessions, func(_ string, s session) bool {
		if match(s) {
			ended = append(ended, s)
		}
		return match(s)
	})
	return ended
}

// sessionsOf counts a person's live sessions.
func (m *memory) sessionsOf(sub string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	count := 0
	for _, s := range m.sessions {
		if s.sub == sub && m.now().Before(s.expires) {
			count++
		}
	}
	return count
}

// alive finds a live session by its sid. The lock must be held.
func (m *memory) alive(sid string) (cookie string, s session, ok bool) {
	for cookie, s := range m.sessions {
		if s.sid == sid {
			return cookie, s, m.now().Before(s.expires)
		}
	}
	return "", session{}, false
}

// putCode makes an authorization code.
func (m *memory) putCode(req authRequest, sid string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sweep()
	id := m.newID()
	m.codes[id] = code{request: req, sid: sid, issued: m.now()}
	return id
}

// redeemed is what a code was traded for.
type redeemed struct {
	accessToken, refreshToken string
	request                   authRequest
	session                   session
}

// redeem trades a code, whatever comes of it: a second use is refused and takes back the access token
// of the first (RFC 6749 §4.1.2). fits says whether the asker is who the code was made for.
func (m *memory) redeem(id, client string, fits func(authRequest) bool) (redeemed, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.codes[id]
	if !ok || c.request.client.ID != client {
		return redeemed{}, errors.New("the code is not known")
	}
	if c.used {
		delete(m.grants, c.accessToken)
		family, _, _ := strings.Cut(c.refreshToken, ".")
		delete(m.families, family)
		return redeemed{}, errors.New("the code was used before: what it gave is taken back")
	}
	c.used = true
	m.codes[id] = c
	if m.now().Sub(c.issued) > codeLifetime {
		return redeemed{}, errors.New("the code has expired")
	}
	if !fits(c.request) {
		return redeemed{}, errors.New("redirect_uri or code_verifier is not that of the authorization request")
	}
	cookie, s, ok := m.alive(c.sid)
	if !ok {
		return redeemed{}, errors.New("the person is disabled, or their session has ended")
	}
	if !slices.Contains(s.clients, client) {
		s.clients = append(slices.Clone(s.clients), client)
		m.sessions[cookie] = s
	}
	c.accessToken = m.newID()
	m.codes[id] = c
	m.grants[c.accessToken] = grant{sid: s.sid, sub: s.sub, scope: c.request.scope, expires: m.now().Add(accessTokenLifetime)}
	got := redeemed{accessToken: c.accessToken, request: c.request, session: s}
	got.refreshToken = m.putFamily(got)
	c.refreshToken = got.refreshToken
	m.codes[id] = c
	return got, nil
}

// lookGrant finds what a live access token stands for.
func (m *memory) lookGrant(accessToken string) (grant, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	g, ok := m.grants[accessToken]
	if !ok || !m.now().Before(g.expires) {
		return grant{}, false
	}
	_, _, ok = m.alive(g.sid)
	return g, ok
}

// setDisabled lets nobody begin a session for a person, or lets them again.
func (m *memory) setDisabled(sub string, disabled bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.disabled[sub] = disabled
}

func (m *memory) isDisabled(sub string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.disabled[sub]
}

// note keeps the last lines for the operator's page.
func (m *memory) note(line string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.notes = append(m.notes, note{m.now(), line})
	m.notes = m.notes[max(0, len(m.notes)-notesKept):]
}

// latest are the last notes, newest first.
func (m *memory) latest() []note {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := slices.Clone(m.notes)
	slices.Reverse(all)
	return all
}

// sweep forgets what is over. The lock must be held.
func (m *memory) sweep() {
	now := m.now()
	maps.DeleteFunc(m.sessions, func(_ string, s session) bool { return now.After(s.expires) })
	maps.DeleteFunc(m.codes, func(_ string, c code) bool { return now.Sub(c.issued) > usedCodeKept })
	maps.DeleteFunc(m.families, func(_ string, f family) bool { return now.After(f.expires) })
	maps.DeleteFunc(m.grants, func(_ string, g grant) bool { return now.After(g.expires) })
}
