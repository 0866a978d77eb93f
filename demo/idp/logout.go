package idp

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// logoutRequest is a sign-out that a client asks for.
type logoutRequest struct {
	client   string  // id; empty if not known
	hint     idToken // what id_token_hint says; empty if there was none
	returnTo string  // registered, or empty
	state    string
}

// logout is the end session endpoint (OpenID Connect RP-Initiated Logout 1.0 §2). It asks the person,
// unless the client shows an ID token of this very session.
func (p *Provider) logout(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		p.showProblem(w, http.StatusBadRequest, "The request is not form-urlencoded.")
		return
	}
	req, err := p.readLogout(r.Form)
	if err != nil {
		p.say("refused a sign-out: %v", err)
		p.showProblem(w, http.StatusBadRequest, "This sign-out cannot go on: "+err.Error()+".")
		return
	}
	s, signedIn := p.currentSession(r)
	if signedIn && (req.hint.Session != s.sid || req.hint.Subject != s.sub) {
		p.show(w, http.StatusOK, "logout.html", confirmPage{nameOf(s.sub), req.client, template.URL(r.Form.Encode())})
		return
	}
	p.finishLogout(w, r, req)
}

// confirmLogout is the button of the page that asks.
func (p *Provider) confirmLogout(w http.ResponseWriter, r *http.Request) {
	req, err := p.readLogout(r.URL.Query())
	if err != nil {
		p.showProblem(w, http.StatusBadRequest, "This sign-out cannot go on: "+err.Error()+".")
		return
	}
	p.finishLogout(w, r, req)
}

// finishLogout ends the browser's session and tells every client of it before anybody is sent on.
func (p *Provider) finishLogout(w http.ResponseWriter, r *http.Request, req logoutRequest) {
	if s, ok := p.currentSession(r); ok {
		p.say("%s signed out", nameOf(s.sub))
		p.endSessions(r.Context(), func(other session) bool { return other.sid == s.sid })
	}
	http.SetCookie(w, &http.Cookie{Name: p.cookieName(), Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: -1})
	if req.returnTo == "" {
		p.showMessage(w, "You are signed out", "You can close this window.")
		return
	}
	q := url.Values{}
	if req.state != "" {
		q.Set("state", req.state)
	}
	http.Redirect(w, r, withQuery(req.returnTo, q), http.StatusSeeOther)
}

// readLogout reads and checks a sign-out request. A post_logout_redirect_uri counts only if it is
// registered for a client that is named.
func (p *Provider) readLogout(form url.Values) (logoutRequest, error) {
	req := logoutRequest{client: form.Get("client_id"), state: form.Get("state")}
	if hint := form.Get("id_token_hint"); hint != "" {
		token, err := p.readIDToken(hint)
		if err != nil || token.Issuer != p.cfg.Issuer {
			return logoutRequest{}, errors.New("id_token_hint is no ID token of this provider")
		}
		if req.client != "" && req.client != token.Audience {
			return logoutRequest{}, errors.New("id_token_hint is not the client's")
		}
		req.hint, req.client = token, token.Audience
	}
	client, known := p.clients[req.client]
	if req.client != "" && !known {
		return logoutRequest{}, errors.New("client_id names no client of this provider")
	}
	uri := form.Get("post_logout_redirect_uri")
	if uri != "" && !slices.Contains(client.PostLogoutURIs, uri) {
		return logoutRequest{}, errors.New("post_logout_redirect_uri is not registered for a client that the request names")
	}
	req.returnTo = uri
	return req, nil
}

// endSessions ends sessions and tells the clients.
func (p *Provider) endSessions(ctx context.Context, match func(session) bool) {
	p.tellClients(ctx, p.memory.endWhere(match))
}

// tellClients sends a logout token to every client of sessions that are over, one after the other:
// when it returns, all of them have heard it or could not be reached.
func (p *Provider) tellClients(ctx context.Context, ended []session) {
	ctx = context.WithoutCancel(ctx) // a browser that leaves must not keep clients from hearing it
	for _, s := range ended {
		for _, id := range s.clients {
			client := p.clients[id]
			if client.BackchannelLogoutURI == "" {
				continue
			}
			if err := p.tellClient(ctx, client, s); err != nil {
				p.say("could NOT tell %s that %s’s session has ended: %v", id, nameOf(s.sub), err)
				continue
			}
			p.say("told %s by back channel that %s’s session has ended", id, nameOf(s.sub))
		}
	}
}

// newBackchannelClient goes to the registered address and nowhere else.
func newBackchannelClient() *http.Client {
	return &http.Client{
		Timeout:       5 * time.Second,
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// tellClient is OpenID Connect Back-Channel Logout 1.0 §2.5.
func (p *Provider) tellClient(ctx context.Context, client Client, s session) error {
	token, err := p.signLogoutToken(client, s)
	if err != nil {
		return err
	}
	form := strings.NewReader(url.Values{"logout_token": {token}}.Encode())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, client.BackchannelLogoutURI, form)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := p.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, 4<<10)
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusNoContent {
		return fmt.Errorf("it answered %s", res.Status)
	}
	return nil
}

// signLogoutToken is §2.4: it has a sid, a sub, the event, and never a nonce.
func (p *Provider) signLogoutToken(client Client, s session) (string, error) {
	now := p.cfg.Now()
	return p.keys.sign("logout+jwt", map[string]any{
		"iss": p.cfg.Issuer, "sub": s.sub, "aud": client.ID, "sid": s.sid, "jti": p.cfg.NewID(),
		"iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(),
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	})
}
