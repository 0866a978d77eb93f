package server

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"chatpass/exchange"
	"chatpass/identity"
	"chatpass/session"
)

// maxWait is the longest a page may wait for its sign-in in one request.
const maxWait = 25 * time.Second

// loginStatus is E3: a page asks how its sign-in stands, where the popup could not tell it.
func (s *Server) loginStatus(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		ClientID string `json:"client_id"`
		Txn      string `json:"txn"`
		Verifier string `json:"verifier"`
		Wait     int    `json:"wait"`
	}
	if err := readJSON(r, &body); err != nil {
		return err
	}
	if _, err := s.checkPage(w, r, body.ClientID); err != nil {
		return err
	}
	if !txnShape.MatchString(body.Txn) || body.Verifier == "" {
		return exchange.Refuse(identity.ParameterMissing, "txn and verifier are those that the sign-in was started with")
	}
	wait := min(max(0, time.Duration(body.Wait)*time.Second), maxWait)
	if t, err := s.cfg.Sessions.OpenTransaction(sealedTransaction(r, body.Txn)); err != nil || t.Txn != body.Txn {
		wait = 0 // only the browser that is signing in may keep us waiting
	}
	progress, err := s.cfg.Sessions.Progress(r.Context(), body.Txn, body.Verifier, wait)
	if err != nil {
		return err
	}
	if s.cfg.CrossSite && progress.State == session.Complete {
		progress.State = session.Pending // until the window has brought the code
	}
	writeJSON(w, http.StatusOK, struct {
		Status session.ProgressState `json:"status"`
		Error  string                `json:"error,omitempty"`
	}{progress.State, progress.Error})
	return nil
}

// showSession is E5: is anybody signed in? It is no activity, and no error if nobody is.
func (s *Server) showSession(w http.ResponseWriter, r *http.Request) error {
	call, err := s.checkPage(w, r, r.URL.Query().Get("client_id"))
	if err != nil {
		return err
	}
	app := call.client.App.Name
	live, err := s.cfg.Sessions.Look(r.Context(), app, sessionOf(r, app))
	if rejection, ok := errors.AsType[*identity.Rejection](err); ok {
		writeInactive(w, rejection.Code)
		return nil
	}
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, sessionAnswer{Active: true, Customer: live.Customer, Session: describeSession(live, s.cfg.Now())})
	return nil
}

// giveContext is E6, the work-horse: get a context, or renew it. Any number of calls may run at once.
func (s *Server) giveContext(w http.ResponseWriter, r *http.Request) error {
	var body contextBody
	if err := readJSON(r, &body); err != nil {
		return err
	}
	call, err := s.checkPage(w, r, body.ClientID)
	if err != nil {
		return err
	}
	req, err := body.request(r, call)
	if err != nil {
		return err
	}
	if err := s.limits.askForContext(req.SubjectToken); err != nil {
		return err
	}
	issued, err := s.cfg.Exchanger.Exchange(r.Context(), req)
	if refusal, ok := errors.AsType[*exchange.Error](err); ok && body.Cause == "load" && exchange.Lookup(refusal.Code).OAuth == "login_required" {
		writeInactive(w, refusal.Code) // an anonymous visitor's page is no error
		return nil
	}
	if err != nil {
		return err
	}
	answer := describe(issued, s.cfg.Now())
	answer.Active = true
	writeJSON(w, http.StatusOK, answer)
	return nil
}

// contextBody is what E6 takes.
type contextBody struct {
	ClientID         string      `json:"client_id"`
	ExpectedCustomer string      `json:"expected_customer"`
	Activity         string      `json:"activity"`
	Cause            string      `json:"cause"`
	ACRValues        string      `json:"acr_values"`
	MaxAge           json.Number `json:"max_age"`
	wish
}

// wish is what a page asks of a context.
type wish struct {
	Audience     string `json:"audience"`
	Scope        string `json:"scope"`
	Conversation string `json:"conversation"`
}

func (w wish) audience() []string {
	if w.Audience == "" {
		return nil
	}
	return []string{w.Audience}
}

func (b contextBody) request(r *http.Request, call pageCall) (exchange.Request, error) {
	level, err := readLevel(b.ACRValues, b.MaxAge.String())
	if err != nil {
		return exchange.Request{}, err
	}
	return exchange.Request{
		Level: level, RequestID: requestID(r), Credentials: call.credentials(),
		SubjectToken: sessionOf(r, call.client.App.Name), SubjectTokenType: exchange.Cookie,
		Audience: b.audience(), Scope: readScope(b.Scope), Conversation: b.Conversation, ExpectedCustomer: b.ExpectedCustomer,
		Active: b.Activity == "active",
	}, nil
}
