package server

import (
	"net/http"

	"chatpass/decision"
	"chatpass/exchange"
	"chatpass/identity"
	"chatpass/session"
)

// claimBody is what E4 takes: a finished sign-in, or an ID token that the page's own site holds.
type claimBody struct {
	ClientID         string `json:"client_id"`
	Txn              string `json:"txn"`
	Verifier         string `json:"verifier"`
	Code             string `json:"code"`
	SubjectToken     string `json:"subject_token"`
	SubjectTokenType string `json:"subject_token_type"`
	ExpectedCustomer string `json:"expected_customer"`
	wish
}

// claimSession is E4: the page that started a sign-in claims its result, and gets a session with a
// first context. A page whose site has signed the person in itself shows the ID token instead.
func (s *Server) claimSession(w http.ResponseWriter, r *http.Request) error {
	var body claimBody
	if err := readJSON(r, &body); err != nil {
		return err
	}
	call, err := s.checkPage(w, r, body.ClientID)
	if err != nil {
		return err
	}
	req, err := s.readClaim(r, body, call)
	if err != nil {
		return err
	}
	issued, err := s.cfg.Exchanger.Exchange(r.Context(), req)
	if err != nil {
		return err
	}
	now := s.cfg.Now()
	if issued.Cookie != "" { // else the browser holds the session already
		s.setSession(w, call.client.App, issued.Cookie, issued.Session.Left(now))
	}
	if body.SubjectToken == "" {
		dropTransaction(w, transactionName(body.Txn))
	} else {
		s.countIssued(r, call.client.ID)
	}
	writeJSON(w, http.StatusCreated, describe(issued, now))
	return nil
}

func (s *Server) readClaim(r *http.Request, body claimBody, call pageCall) (exchange.Request, error) {
	req := exchange.Request{
		RequestID: requestID(r), Credentials: call.credentials(),
		Audience: body.audience(), Scope: readScope(body.Scope), Conversation: body.Conversation,
		ExpectedCustomer: body.ExpectedCustomer,
		Replaces:         sessionOf(r, call.client.App.Name), Active: true,
	}
	if body.SubjectToken != "" {
		return s.readSiteToken(r, body, req)
	}
	if !txnShape.MatchString(body.Txn) || body.Verifier == "" {
		return req, exchange.Refuse(identity.ParameterMissing, "txn and verifier are those that the sign-in was started with")
	}
	req.SubjectTokenType = exchange.SignIn
	req.Claim = session.Claim{Txn: body.Txn, Verifier: body.Verifier, Client: call.client.ID, Origin: call.origin}
	switch {
	case !s.cfg.CrossSite: // no code would do: it is not made
		req.Claim.Cookie = sealedTransaction(r, body.Txn)
	case body.Code == "":
		return req, exchange.Refuse(identity.ParameterMissing, "code is what the sign-in's window told the page, since its cookie cannot come along")
	default:
		req.Claim.Code = body.Code
	}
	return req, nil
}

// readSiteToken holds an ID token to the rules of the token endpoint: it is no sign-in of ours.
func (s *Server) readSiteToken(r *http.Request, body claimBody, req exchange.Request) (exchange.Request, error) {
	v := visitOf(r)
	v.trusted = false
	if err := s.limits.households.check(v.household); err != nil && !mayProveItself(r) {
		return req, err
	}
	if kind := exchange.TokenType(body.SubjectTokenType); kind != "" && kind != exchange.IDToken {
		return req, exchange.Refuse(identity.UnsupportedTokenType, "a session begins from an ID token alone: send subject_token_type "+string(exchange.IDToken)).
			Measured("subject_token_type "+decision.Clip(string(kind)), string(exchange.IDToken))
	}
	if err := checkShape("subject_token", body.SubjectToken); err != nil {
		return req, err
	}
	req.SubjectToken, req.SubjectTokenType, req.Hold = body.SubjectToken, exchange.IDToken, true
	req.Meet, req.Spend = s.meet(r), s.limits.askForContext
	return req, nil
}
