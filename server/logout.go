package server

import (
	"errors"
	"net/http"
	"net/url"
	"slices"

	"chatpass/decision"
	"chatpass/exchange"
	"chatpass/identity"
	"chatpass/session"
)

// logout is E8: the person signs out of the chat, and of the issuer too if the scope is "global". It is
// also a success if nobody was signed in.
func (s *Server) logout(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		ClientID string `json:"client_id"`
		Scope    string `json:"scope"`
		ReturnTo string `json:"return_to"`
	}
	if err := readJSON(r, &body); err != nil {
		return err
	}
	call, err := s.checkPage(w, r, body.ClientID)
	if err != nil {
		return err
	}
	app := call.client.App
	if body.ReturnTo != "" && !slices.Contains(app.ReturnTo, body.ReturnTo) {
		return exchange.Refuse(identity.ParameterUnsupported, "return_to is not one of this app's return_to URLs")
	}
	for _, t := range s.transactions(r) { // a sign-in under way must not sign the person in again
		if t.App == app.Name {
			dropTransaction(w, transactionName(t.Txn))
		}
	}
	s.dropSession(w, app.Name)
	ended, err := s.cfg.Sessions.SignOut(r.Context(), app.Name, sessionOf(r, app.Name))
	if errors.Is(err, session.ErrNotFound) {
		writeJSON(w, http.StatusOK, logoutAnswer{})
		return nil
	}
	record := s.record(r, "sign-out", app.Name, call.client.ID)
	record.IDP, record.Customer, record.SID = ended.Identity.IDP, ended.Customer, ended.SID
	if err := s.conclude(r, record, err); err != nil {
		return err
	}
	return s.answerLogout(w, ended, body.Scope == "global", body.ReturnTo)
}

// logoutAnswer names the address that signs the person out of the issuer too; null for none.
type logoutAnswer struct {
	EndSessionURL *string `json:"end_session_url"`
}

func (s *Server) answerLogout(w http.ResponseWriter, ended session.Session, global bool, returnTo string) error {
	if !global {
		writeJSON(w, http.StatusOK, logoutAnswer{})
		return nil
	}
	ticket, err := s.cfg.Sessions.SealTicket(session.Ticket{SID: ended.SID, ReturnTo: returnTo})
	if err != nil {
		return err
	}
	start := s.cfg.Issuer + "/v1/logout/start?" + url.Values{"l": {ticket}}.Encode()
	writeJSON(w, http.StatusOK, logoutAnswer{&start})
	return nil
}

// startLogout leads the browser to the issuer's sign-out (OpenID Connect RP-Initiated Logout 1.0 §2),
// once per ticket. The ticket is spent when the way is known: an issuer that is away costs nothing.
func (s *Server) startLogout(w http.ResponseWriter, r *http.Request) error {
	text := r.URL.Query().Get("l")
	ended, ticket, err := s.cfg.Sessions.OpenTicket(r.Context(), text)
	if err != nil {
		s.showStayedIn(w, r, err)
		return nil
	}
	state, err := s.cfg.Sessions.SealState(ticket.ReturnTo)
	if err != nil {
		return err
	}
	issuerURL, err := s.cfg.Gate.EndSession(r.Context(), ended.Identity.IDP, ended.IDToken, s.cfg.Issuer+"/v1/logout/callback", state)
	if err == nil {
		err = s.cfg.Sessions.SpendTicket(r.Context(), text, ticket)
	}
	if err != nil {
		s.showStayedIn(w, r, err)
		return nil
	}
	if issuerURL == "" { // the issuer cannot be signed out of: what we could do is done
		s.endLogout(w, r, ticket.ReturnTo)
		return nil
	}
	http.Redirect(w, r, issuerURL, http.StatusFound)
	return nil
}

func (s *Server) showStayedIn(w http.ResponseWriter, r *http.Request, err error) {
	f := s.fault(r, err)
	s.pages.show(w, s.later(s.pages.stayedIn(r, f), f))
}

// finishLogout is where the issuer sends the browser after its sign-out. Without our state nothing it
// says is believed.
func (s *Server) finishLogout(w http.ResponseWriter, r *http.Request) error {
	s.endLogout(w, r, s.cfg.Sessions.OpenState(r.URL.Query().Get("state")))
	return nil
}

func (s *Server) endLogout(w http.ResponseWriter, r *http.Request, returnTo string) {
	if returnTo == "" {
		s.pages.show(w, s.pages.signedOut(r))
		return
	}
	http.Redirect(w, r, returnTo, http.StatusFound)
}

// backchannelLogout is E9: an issuer tells that a person signed out (OpenID Connect Back-Channel
// Logout 1.0 §2.5). All is stored before the answer.
func (s *Server) backchannelLogout(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(r)
	if err != nil {
		return err
	}
	record := s.record(r, "logout-token", "", "")
	err = s.obeyIssuer(r, record, form.Get("logout_token"))
	if err := s.conclude(r, record, err); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// obeyIssuer ends what the logout token of the path's issuer speaks of.
func (s *Server) obeyIssuer(r *http.Request, record *decision.Decision, token string) error {
	if token == "" {
		return exchange.Refuse(identity.ParameterMissing, "logout_token is missing")
	}
	idp := r.PathValue("issuer")
	said, err := s.cfg.Gate.VerifyLogout(r.Context(), idp, token, record.Pass)
	rejection, rejected := errors.AsType[*identity.Rejection](err)
	if !rejected || rejection.Code != identity.IssuerNotTrusted { // else anybody can have made the name up
		record.IDP = idp
	}
	if err != nil {
		return err
	}
	record.Pass("subject", "of issuer "+idp, "of the issuer of this address")
	marker := session.Marker{
		Issuer: said.Issuer, Session: said.Session, Subject: said.Subject,
		Before: said.IssuedAt, Expires: s.cfg.Now().Add(session.MarkerLifetime),
	}
	_, err = s.cfg.Sessions.Logout(r.Context(), marker, said.JTI, said.Expires)
	if err == nil {
		record.Pass("single use", "a new jti", "a new jti")
	}
	return err
}

// frontchannelLogout is E10: the issuer's page loads this one in a frame when a person signs out there
// (OpenID Connect Front-Channel Logout 1.0 §2). It is the one GET that changes something. The answer is
// the same whether a session ended or not; who guesses is soon turned away.
func (s *Server) frontchannelLogout(w http.ResponseWriter, r *http.Request) error {
	q, err := readQuery(r)
	if err != nil {
		return err
	}
	idp := r.PathValue("issuer")
	said, err := s.cfg.Gate.FrontchannelLogout(idp, q.Get("iss"), q.Get("sid"))
	if err != nil {
		return err
	}
	ended, err := s.cfg.Sessions.LogoutLive(r.Context(), said.Issuer, said.Session)
	if err == nil && ended == 0 {
		_ = s.limits.households.count(visitOf(r).household) // one too many is the next one's affair
	} else {
		record := s.record(r, "front-channel", "", "")
		record.IDP = idp
		err = s.conclude(r, record, err)
	}
	if err != nil {
		return err
	}
	shown := s.pages.signedOut(r)
	shown.framed = true
	s.pages.show(w, shown)
	return nil
}
