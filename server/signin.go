package server

import (
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"

	"chatpass/decision"
	"chatpass/exchange"
	"chatpass/identity"
	"chatpass/oidc"
	"chatpass/session"
)

// startLogin is E1: it sends a browser to the issuer, and gives it the transaction to come back with.
func (s *Server) startLogin(w http.ResponseWriter, r *http.Request) error {
	in, err := s.readStart(r)
	if err != nil {
		s.showProblem(w, r, err)
		return nil
	}
	if in.IDP == "" {
		s.pages.show(w, s.pages.chooser(r, s.choices(r, in.app)))
		return nil
	}
	t := in.Transaction
	login, issuerURL, err := s.cfg.Gate.Begin(r.Context(), t.IDP, in.ask)
	if err != nil {
		f := s.fault(r, err)
		if t.Mode == modeRedirect {
			redirectBack(w, r, t, ending{Error: failure(f)})
			return nil
		}
		s.pages.show(w, s.problem(r, f).again(r))
		return nil
	}
	t.State, t.Nonce, t.Verifier, t.MaxAge, t.ACRValues = login.State, login.Nonce, login.Verifier, login.MaxAge, login.ACRValues
	sealed, err := s.cfg.Sessions.SealTransaction(t)
	if err != nil {
		return err
	}
	s.setTransaction(w, r, t.Txn, sealed)
	http.Redirect(w, r, issuerURL, http.StatusFound)
	return nil
}

// finishLogin is E2: the issuer sends the browser back. It keeps the result for the page that started,
// and sets no session: whoever completes a sign-in need not be who started it.
func (s *Server) finishLogin(w http.ResponseWriter, r *http.Request) error {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		q = url.Values{}
	}
	t, found := s.started(r, q)
	if !found {
		s.showProblem(w, r, exchange.Refuse(identity.SignInExpired, "").Measured("no such sign-in in this browser", "one begun here less than 15m0s ago"))
		return nil
	}
	record := s.record(r, "sign-in", t.App, t.Client)
	record.IDP = t.IDP
	err = s.conclude(r, record, s.complete(r, record, t, q))
	if denied, ok := errors.AsType[*oidc.Denied](err); ok {
		s.leadOn(w, r, t, ending{Error: denied.Reason})
		return nil
	}
	if err != nil {
		f := s.fault(r, err)
		if t.Mode == modeRedirect {
			redirectBack(w, r, t, ending{Error: failure(f)})
			return nil
		}
		s.pages.show(w, s.problem(r, f).tell(t, ending{Error: failure(f)}))
		return nil
	}
	var end ending
	if s.cfg.CrossSite {
		if end.Code, err = s.cfg.Sessions.SealCode(t); err != nil {
			return err
		}
		dropTransaction(w, transactionName(t.Txn)) // the code does from here on
	}
	s.leadOn(w, r, t, end)
	return nil
}

// started finds the transaction that an answer of an issuer belongs to.
func (s *Server) started(r *http.Request, q url.Values) (session.Transaction, bool) {
	state := []byte(q.Get("state"))
	for _, t := range s.transactions(r) {
		if len(state) > 0 && t.IDP == r.PathValue("issuer") && subtle.ConstantTimeCompare(state, []byte(t.State)) == 1 {
			return t, true
		}
	}
	return session.Transaction{}, false
}

// complete redeems the issuer's answer and stores the result, good or bad.
func (s *Server) complete(r *http.Request, record *decision.Decision, t session.Transaction, q url.Values) error {
	login := oidc.Login{
		IDP: t.IDP, State: t.State, Nonce: t.Nonce, Verifier: t.Verifier, MaxAge: t.MaxAge, ACRValues: t.ACRValues, Passed: record.Pass,
	}
	in, err := s.cfg.Gate.Finish(r.Context(), login, q)
	if err == nil {
		return s.cfg.Sessions.Complete(r.Context(), t, session.SignedIn(in))
	}
	if denied, ok := errors.AsType[*oidc.Denied](err); ok {
		if failErr := s.cfg.Sessions.Fail(r.Context(), t, denied.Reason); failErr != nil {
			return failErr
		}
		return err
	}
	if rejection, ok := errors.AsType[*identity.Rejection](err); ok {
		rejection = unmet(t, rejection)
		if failErr := s.cfg.Sessions.Fail(r.Context(), t, wordFor(rejection.Code)); failErr != nil {
			return failErr
		}
		return rejection
	}
	return err
}

// unmet is the rejection of a sign-in that was to be newer: whoever asked for that hears that it was not.
func unmet(t session.Transaction, was *identity.Rejection) *identity.Rejection {
	if t.Purpose != session.StepUp || was.Code != identity.AuthenticationStale {
		return was
	}
	return &identity.Rejection{Code: identity.StepUpUnmet, Measured: was.Measured, Required: was.Required, Err: was}
}

// An ending is what a sign-in came to: an OAuth error, or a success. Code is what a page on another site
// claims that with; it is all that ever travels in a message or a URL.
type ending struct{ Error, Code string }

// leadOn ends the browser's trip to the issuer: the popup tells the page that opened it and closes, a
// redirect goes back to the page.
func (s *Server) leadOn(w http.ResponseWriter, r *http.Request, t session.Transaction, end ending) {
	if t.Mode == modeRedirect {
		redirectBack(w, r, t, end)
		return
	}
	s.pages.show(w, s.pages.popup(r, t, end))
}

// failure is what the page hears of a fault: an OAuth error (RFC 6749 §4.1.2.1).
func failure(f fault) string {
	if f.status == http.StatusServiceUnavailable {
		return "temporarily_unavailable"
	}
	return wordFor(f.code)
}

// wordFor is the OAuth error of a sign-in that was rejected.
func wordFor(code identity.Code) string {
	if code == identity.StepUpUnmet {
		return exchange.Lookup(code).OAuth
	}
	return "server_error"
}

func (s *Server) problem(r *http.Request, f fault) page {
	return s.later(s.pages.problem(r, f), f)
}

// later says when to come back, if that helps.
func (s *Server) later(shown page, f fault) page {
	if exchange.Lookup(f.code).Retry == exchange.RetryLater {
		shown.wait = s.retryAfter(f)
	}
	return shown
}

// showProblem is for a browser that we cannot send anywhere.
func (s *Server) showProblem(w http.ResponseWriter, r *http.Request, err error) {
	s.pages.show(w, s.problem(r, s.fault(r, err)))
}

func redirectBack(w http.ResponseWriter, r *http.Request, t session.Transaction, end ending) {
	http.Redirect(w, r, end.at(t.ReturnTo, t.Txn), http.StatusFound)
}

// at is the address of a page of the app's that hears of the ending in the fragment, which browsers send nobody.
func (e ending) at(page, txn string) string {
	fragment := url.Values{"chatpass_txn": {txn}}
	if e.Error != "" {
		fragment.Set("chatpass_error", e.Error)
	}
	if e.Code != "" {
		fragment.Set("chatpass_code", e.Code)
	}
	return page + "#" + fragment.Encode()
}

// record begins the decision of a request that the exchanger does not see.
func (s *Server) record(r *http.Request, verb, app, client string) *decision.Decision {
	return &decision.Decision{ID: s.cfg.NewID(), Time: s.cfg.Now(), Verb: verb, RequestID: requestID(r), App: app, Client: client}
}

// conclude writes the record's outcome down, and lets the error name the decision.
func (s *Server) conclude(r *http.Request, d *decision.Decision, err error) error {
	refusal, refused := errors.AsType[*exchange.Error](err)
	rejection, rejected := errors.AsType[*identity.Rejection](err)
	denied, said := errors.AsType[*oidc.Denied](err)
	outage, away := errors.AsType[*identity.Outage](err)
	told := error(&exchange.Undecided{Decision: d.ID, Err: err})
	switch {
	case err == nil:
		d.Outcome, told = decision.Issued, nil
	case said:
		told = err
		d.End(decision.Refused, "", denied.Reason, "a code")
	case refused:
		measured, required := refusal.Rung()
		d.End(decision.Refused, refusal.Code, measured, required)
	case rejected:
		told = &exchange.Error{Code: rejection.Code, Decision: d.ID, Err: err}
		d.End(decision.Refused, rejection.Code, rejection.Measured, rejection.Required)
	case isGone(r):
		d.Outcome = decision.Abandoned
	case away:
		d.End(decision.Failed, outage.Code, "no answer", "an answer")
	default:
		d.End(decision.Failed, identity.Internal, "no answer", "an answer")
	}
	s.cfg.Audit(r, d)
	return told
}
