package idp

import (
	"net/http"
	"net/url"
	"time"
)

// authorize is the authorization endpoint (OpenID Connect Core 1.0 §3.1.2): straight back to the
// client for a person who is signed in, else the sign-in page.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		p.showProblem(w, http.StatusBadRequest, "The request is not form-urlencoded.")
		return
	}
	req, fault := p.readAuthRequest(r.Form)
	if fault != nil {
		p.refuse(w, r, req, fault)
		return
	}
	s, signedIn := p.currentSession(r)
	switch {
	case signedIn && req.satisfiedBy(s, p.cfg.Now()) && req.wantsSecond() && !s.second && req.prompt != "none":
		p.askSecond(w, req, s)
	case signedIn && req.satisfiedBy(s, p.cfg.Now()):
		p.say("%s was signed in already and went straight back to %s", nameOf(s.sub), req.client.ID)
		p.answer(w, r, req, url.Values{"code": {p.memory.putCode(req, s.sid)}})
	case req.prompt == "none":
		p.refuse(w, r, req, &authFault{"login_required", "nobody is signed in as this request asks for"})
	default:
		p.showSignIn(w, http.StatusOK, signInPage{Request: req, Current: s.sub})
	}
}

// satisfiedBy tells whether the request can be answered from a session without asking the person.
func (req authRequest) satisfiedBy(s session, now time.Time) bool {
	if req.prompt == "login" || req.prompt == "select_account" {
		return false
	}
	if req.hintedSub != "" && req.hintedSub != s.sub {
		return false
	}
	// max_age=0 asks for a sign-in even in the second of the last one (§3.1.2.1).
	return req.maxAge == nil || *req.maxAge > 0 && now.Sub(s.authTime) <= *req.maxAge
}

// signIn is a button of the sign-in page. Its address carries the authorization request, which is
// checked anew, so that the provider remembers nothing of people who only look.
func (p *Provider) signIn(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		p.showProblem(w, http.StatusBadRequest, "The request is not form-urlencoded.")
		return
	}
	req, fault := p.readAuthRequest(r.URL.Query())
	if fault != nil {
		p.refuse(w, r, req, fault)
		return
	}
	if r.PostForm.Has("cancel") {
		p.say("a person pressed Cancel instead of signing in to %s", req.client.ID)
		p.refuse(w, r, req, &authFault{"access_denied", "the person pressed Cancel"})
		return
	}
	who, ok := personBy(r.PostForm.Get("person"))
	if !ok {
		p.showSignIn(w, http.StatusBadRequest, signInPage{Request: req, Problem: "There is no such person."})
		return
	}
	p.admit(w, r, req, who)
}

// admit signs a person in and sends them back to the client.
func (p *Provider) admit(w http.ResponseWriter, r *http.Request, req authRequest, who person) {
	cookie, ended, ok := p.memory.begin(p.cookieOf(r), who.Sub)
	if !ok {
		p.say("%s tried to sign in: the account is disabled", who.Name)
		p.showSignIn(w, http.StatusForbidden, signInPage{Request: req, Problem: who.Name + "’s account is disabled. Pick somebody else, or enable it on the operator’s page."})
		return
	}
	http.SetCookie(w, &http.Cookie{Name: p.cookieName(), Value: cookie, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	p.say("%s signed in to %s", who.Name, req.client.ID)
	p.tellClients(r.Context(), ended)
	s, _ := p.memory.look(cookie)
	if req.wantsSecond() {
		p.askSecond(w, req, s)
		return
	}
	p.answer(w, r, req, url.Values{"code": {p.memory.putCode(req, s.sid)}})
}

// answer sends the browser back to the client, naming us (RFC 9207).
func (p *Provider) answer(w http.ResponseWriter, r *http.Request, req authRequest, q url.Values) {
	q.Set("iss", p.cfg.Issuer)
	if req.state != "" {
		q.Set("state", req.state)
	}
	http.Redirect(w, r, withQuery(req.redirectURI, q), http.StatusSeeOther)
}

// refuse sends a fault to the client, or to a page of ours if the client is not known for sure.
func (p *Provider) refuse(w http.ResponseWriter, r *http.Request, req authRequest, fault *authFault) {
	if req.redirectURI == "" {
		p.say("refused a sign-in: %s", fault.description)
		p.showProblem(w, http.StatusBadRequest, "This sign-in cannot go on: "+fault.description+".")
		return
	}
	p.answer(w, r, req, url.Values{"error": {fault.code}, "error_description": {fault.description}})
}

// withQuery adds parameters to a URL that may have some of its own.
func withQuery(uri string, q url.Values) string {
	u, err := url.Parse(uri)
	if err != nil {
		return uri // registered URLs were parsed when the provider was made
	}
	own := u.Query()
	for name, values := range q {
		own[name] = values
	}
	u.RawQuery = own.Encode()
	return u.String()
}

// cookieName differs by port, since cookies do not.
func (p *Provider) cookieName() string {
	u := url.URL{Host: p.host}
	return "demo-idp-" + u.Port()
}

func (p *Provider) cookieOf(r *http.Request) string {
	cookie, err := r.Cookie(p.cookieName())
	if err != nil {
		return ""
	}
	return cookie.Value
}

func (p *Provider) currentSession(r *http.Request) (session, bool) {
	return p.memory.look(p.cookieOf(r))
}

// nameOf is how lines and pages call a person.
func nameOf(sub string) string {
	who, _ := personBy(sub)
	return who.Name
}
