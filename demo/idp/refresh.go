package idp

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	// offlineAccess is the scope that brings a refresh token (OpenID Connect Core 1.0 §11).
	offlineAccess = "offline_access"
	// familyLifetime is how long one refresh token follows another.
	familyLifetime = 12 * time.Hour
	// reuseTime is how long the refresh token before is still good: an answer may have been lost.
	reuseTime = 10 * time.Second
)

// A family is the refresh tokens that came from one sign-in, one at a time.
type family struct {
	redeemed
	current, previous string
	rotated, expires  time.Time
}

// putFamily makes the first refresh token of a sign-in; "" if it asked for none. The lock must be held.
func (m *memory) putFamily(got redeemed) string {
	if !slices.Contains(got.request.scope, offlineAccess) {
		return ""
	}
	id := m.newID()
	token := id + "." + m.newID()
	m.families[id] = family{redeemed: got, current: token, expires: m.now().Add(familyLifetime)}
	return token
}

// refresh trades a refresh token for the next one. One that comes again was stolen, or is of a thief: all
// that came from the sign-in is taken back (RFC 9700 §4.14.2).
func (m *memory) refresh(token, client string) (redeemed, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	id, _, _ := strings.Cut(token, ".")
	f, ok := m.families[id]
	lately := token == f.previous && m.now().Sub(f.rotated) < reuseTime
	switch {
	case !ok || f.request.client.ID != client || !m.now().Before(f.expires):
		return redeemed{}, errors.New("the refresh token is not known, or it has expired")
	case m.disabled[f.session.sub]:
		return redeemed{}, errors.New("the person is disabled")
	case token != f.current && !lately:
		delete(m.families, id)
		return redeemed{}, errors.New("the refresh token was used before: all that came from the sign-in is taken back")
	}
	f.previous, f.current, f.rotated = token, id+"."+m.newID(), m.now()
	f.accessToken, f.refreshToken = m.newID(), f.current
	m.families[id] = f
	m.grants[f.accessToken] = grant{
		sid: f.session.sid, sub: f.session.sub, scope: f.request.scope, expires: m.now().Add(accessTokenLifetime),
	}
	return f.redeemed, nil
}

// revokeFamily takes the refresh tokens of a sign-in back, and tells whose they were.
func (m *memory) revokeFamily(token, client string) (sub string, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	id, _, _ := strings.Cut(token, ".")
	f, ok := m.families[id]
	if !ok || f.request.client.ID != client {
		return "", false
	}
	delete(m.families, id)
	return f.session.sub, true
}

// refresh is the token endpoint for a refresh token (RFC 6749 §6).
func (p *Provider) refresh(w http.ResponseWriter, form url.Values, client Client) {
	got, err := p.memory.refresh(form.Get("refresh_token"), client.ID)
	if err != nil {
		p.say("refused to go on for %s: %v", client.ID, err)
		writeError(w, http.StatusBadRequest, "invalid_grant", err.Error())
		return
	}
	got.request.nonce = "" // OpenID Connect Core 1.0 §12.2
	p.say("%s asked whether %s’s sign-in still stands: yes", client.ID, nameOf(got.session.sub))
	p.writeTokens(w, got)
}

// revoke is RFC 7009.
func (p *Provider) revoke(w http.ResponseWriter, r *http.Request) {
	client, ok := p.readClient(w, r)
	if !ok {
		return
	}
	if sub, known := p.memory.revokeFamily(r.PostForm.Get("token"), client.ID); known {
		p.say("%s gave the refresh token of %s back", client.ID, nameOf(sub))
	}
	w.WriteHeader(http.StatusOK) // also for a token that is not known (§2.2)
}
