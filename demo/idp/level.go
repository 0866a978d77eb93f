package idp

import (
	"html/template"
	"net/http"
	"net/url"
)

// How people proved who they are: they pressed a button, or a second one besides.
const (
	acrButton = "urn:chatpass:demo:button"
	acrSecond = "urn:chatpass:demo:second-factor"
)

// wantsSecond tells whether the request asks for a second factor before anything less.
func (req authRequest) wantsSecond() bool {
	return len(req.acrValues) > 0 && req.acrValues[0] == acrSecond
}

// secondPage asks for the second factor.
type secondPage struct {
	Request authRequest
	Name    string
}

// Client is who asks.
func (s secondPage) Client() string { return s.Request.client.ID }

// Query carries the request from the page to the button; it is percent-encoded already.
func (s secondPage) Query() template.URL { return template.URL(s.Request.query) }

// askSecond shows the page for a person who has signed in and has not shown a second factor.
func (p *Provider) askSecond(w http.ResponseWriter, req authRequest, s session) {
	p.show(w, http.StatusOK, "second.html", secondPage{req, nameOf(s.sub)})
}

// second is a button of that page. Who has none goes on as they are: a client reads in the ID token what was
// reached (OpenID Connect Core 1.0 §5.5.1.1).
func (p *Provider) second(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		p.showProblem(w, http.StatusBadRequest, "The request is not form-urlencoded.")
		return
	}
	req, fault := p.readAuthRequest(r.URL.Query())
	if fault != nil {
		p.refuse(w, r, req, fault)
		return
	}
	s, signedIn := p.currentSession(r)
	if !signedIn {
		p.showSignIn(w, http.StatusOK, signInPage{Request: req, Problem: "You are signed out. Begin again."})
		return
	}
	switch answer := r.PostForm.Get("second"); answer {
	case "confirm":
		p.memory.raise(p.cookieOf(r))
		p.say("%s showed a second factor to sign in to %s", nameOf(s.sub), req.client.ID)
	case "none":
		p.say("%s has no second factor and goes on to %s without", nameOf(s.sub), req.client.ID)
	default:
		p.say("a person pressed Cancel instead of showing a second factor to %s", req.client.ID)
		p.refuse(w, r, req, &authFault{"access_denied", "the person pressed Cancel"})
		return
	}
	p.answer(w, r, req, url.Values{"code": {p.memory.putCode(req, s.sid)}})
}

// raise notes that the person of a session has shown a second factor just now.
func (m *memory) raise(cookie string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s, ok := m.sessions[cookie]; ok {
		s.second, s.authTime = true, m.now()
		m.sessions[cookie] = s
	}
}

// level is the acr and amr of a session (RFC 8176).
func (s session) level() (acr string, amr []string) {
	if s.second {
		return acrSecond, []string{"user", "mfa"}
	}
	return acrButton, []string{"user"}
}
