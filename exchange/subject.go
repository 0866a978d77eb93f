package exchange

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"chatpass/identity"
	"chatpass/policy"
	"chatpass/session"
)

// publicTokenAge is the greatest age of an ID token that a public client may exchange.
const publicTokenAge = 60 * time.Minute

// saltSize is the size in bytes of a sector's salt.
const saltSize = 32

// A subject is who a request speaks for, and what the session of it is to be.
type subject struct {
	identity identity.Identity
	// session is the one the subject token has begun before; nil: this request begins it.
	session *session.Session
	// from is the context that was presented; nil if it was another kind of token.
	from *presented
	// idToken, txn and grant go into the session that a sign-in begins.
	idToken, txn string
	grant        identity.Grant
	// raisedBy is the sign-in that raises the session; nil if none does. higher is when its higher level
	// ends; zero at the base level.
	raisedBy *session.Result
	higher   time.Time
}

// checkSubject verifies the subject token.
func (e *evaluation) checkSubject(ctx context.Context) error {
	found, err := e.verify(ctx)
	if err != nil {
		return err
	}
	who := found.identity
	if !slices.Contains(e.client.App.Issuers, who.IDP) || !e.cfg.Knows(who.IDP, who.Issuer) { // it was one when the session began
		return identity.Reject(e.req.SubjectTokenType.distrusted(), "an issuer that is not the app's any more", "one of "+strings.Join(e.client.App.Issuers, " "))
	}
	if found.session != nil && e.req.Spend != nil {
		if err := e.req.Spend(found.session.SID); err != nil {
			return err
		}
	}
	e.subject = found
	e.record.IDP = found.identity.IDP
	e.record.Pass("subject", "of issuer "+found.identity.IDP, "of an issuer of this app")
	return nil
}

func (e *evaluation) verify(ctx context.Context) (subject, error) {
	switch e.req.SubjectTokenType {
	case Cookie:
		return e.byCookie(ctx)
	case SignIn:
		return e.bySignIn(ctx)
	case IDToken:
		return e.byToken(ctx)
	case AccessToken, JWT:
		return e.byContext(ctx)
	}
	return subject{}, Refuse(identity.UnsupportedTokenType, "")
}

func (e *evaluation) byCookie(ctx context.Context) (subject, error) {
	live, err := e.cfg.Sessions.Resume(ctx, e.client.App.Name, e.req.SubjectToken, session.Use{Active: e.req.Active, Degraded: e.client.App.Degraded})
	e.record.SID = live.SID
	if err != nil {
		return subject{}, err
	}
	if live, err = e.cfg.Sessions.Confirm(ctx, live, e.req.SubjectToken, e.client.App.Liveness); err != nil {
		return subject{}, err
	}
	e.record.Pass("session", "in use", "one of this app that has not ended")
	if live.Degraded {
		e.most.lifetime = min(e.most.lifetime, degradedLifetime)
	}
	return e.inUse(live), nil
}

func (e *evaluation) bySignIn(ctx context.Context) (subject, error) {
	result, err := e.cfg.Sessions.Claim(ctx, e.req.Claim)
	if err != nil {
		return subject{}, err
	}
	e.record.Pass("sign-in", "completed", "completed by this browser for this page")
	switch {
	case result.Purpose == session.Switch: // to whomever the person likes
		e.req.ExpectedCustomer = ""
	case e.req.ExpectedCustomer == "":
		e.req.ExpectedCustomer = result.Expected
	}
	if result.Purpose == session.StepUp {
		return e.byStepUp(ctx, result)
	}
	return subject{identity: result.Identity, idToken: result.IDToken, txn: result.Txn, grant: result.Grant}, nil
}

func (e *evaluation) byToken(ctx context.Context) (subject, error) {
	if len(e.client.Accepts) == 0 {
		return subject{}, Refuse(identity.ClientMayNotExchange, "").Measured("no accepts", "accepts of client "+e.client.ID)
	}
	e.record.Pass("accepts", e.client.accepted, "accepts of client "+e.client.ID)
	terms := identity.Terms{App: e.client.App.Name, Accepts: e.client.Accepts, Passed: e.record.Pass}
	if e.client.Type != Backend {
		terms.MaxAge = publicTokenAge
	}
	who, err := e.cfg.Verifiers[IDToken].Verify(ctx, e.req.SubjectToken, terms)
	if err != nil {
		return subject{}, e.misdeclared(err)
	}
	known, err := e.cfg.Sessions.OfToken(ctx, e.client.App.Name, e.req.SubjectToken)
	if errors.Is(err, session.ErrNotFound) {
		return subject{identity: who}, nil
	}
	e.record.SID = known.SID
	if err != nil {
		return subject{}, err
	}
	e.record.Pass("session", "in use", "one that has not ended, or none yet")
	return subject{identity: who, session: &known}, nil
}

// misdeclared tells whoever sent a token under another type than its own which one that is. A rejection
// says itself what it is of: only other errors are wrapped.
func (e *evaluation) misdeclared(err error) error {
	rejection, ok := errors.AsType[*identity.Rejection](err)
	switch {
	case !ok:
		return fmt.Errorf("verify subject token: %w", err)
	case e.req.SubjectTokenType != IDToken && (rejection.Code == identity.KeyUnknown || rejection.Code == identity.AlgorithmNotAllowed):
		return &Error{Code: rejection.Code, Description: "this is no context of ours: send an ID token with subject_token_type " + string(IDToken), Err: err}
	case e.req.SubjectTokenType == IDToken && rejection.Code == identity.IssuerNotTrusted && e.saysOurs(e.req.SubjectToken):
		return &Error{Code: rejection.Code, Description: "this is a context of ours, no ID token: send it with subject_token_type " + string(AccessToken), Err: err}
	}
	return err
}

// saysOurs tells whether a token says that it is a context of ours. It is not believed: only the words of a
// refusal hang on it.
func (x *Exchanger) saysOurs(token string) bool {
	_, rest, _ := strings.Cut(token, ".")
	payload, _, _ := strings.Cut(rest, ".")
	raw, err := base64.RawURLEncoding.DecodeString(payload)
	return err == nil && strings.Contains(string(raw), `"iss":"`+x.cfg.Issuer+`"`) // as we write it
}

// checkCustomer gives the person the name the chat knows them by. A session keeps the one it began with.
func (e *evaluation) checkCustomer(ctx context.Context) error {
	salt, err := e.salt(ctx, e.client.App)
	if err != nil {
		return fmt.Errorf("read salt: %w", err)
	}
	e.record.Subject = pseudonym(salt, "audit", e.subject.identity.UpstreamSubject)
	e.record.Actor = actors(e.actor, salt)
	if e.customer, err = e.customerID(ctx, salt); err != nil {
		return err
	}
	e.record.Customer = e.customer
	if e.req.ExpectedCustomer != "" && e.req.ExpectedCustomer != e.customer {
		return identity.Reject(identity.CustomerMismatch, "another customer", "the expected customer")
	}
	e.record.Pass("customer", "known", "the expected one, if any")
	return nil
}

func (e *evaluation) customerID(ctx context.Context, salt []byte) (string, error) {
	who := e.subject.identity
	switch {
	case e.subject.session != nil:
		return e.subject.session.Customer, nil
	case e.client.App.Subject == Upstream:
		return who.Subject, nil
	case e.client.App.Subject == ByRule:
		return e.client.App.Rules.Subject(ctx, e.input())
	}
	return pseudonym(salt, who.SubjectIssuer, who.Subject), nil
}

// checkPolicy asks the app's rules, on every renewal anew.
func (e *evaluation) checkPolicy(ctx context.Context) error {
	in := e.input()
	if err := e.client.App.Rules.Admit(ctx, in); err != nil {
		return e.notAdmitted(err)
	}
	e.record.Pass("admit", "true", "admit: "+e.client.App.Rules.Admission())
	if from := e.subject.from; from != nil {
		e.claims = from.narrowed()
		e.record.Pass("claims", "as they were", "those of the presented context")
		return nil
	}
	claims, err := e.client.App.Rules.Claims(ctx, in)
	if err != nil {
		return err
	}
	e.claims = claims
	e.record.Pass("claims", fmt.Sprintf("%d made", len(claims)), "every claim of the app can be made")
	return nil
}

// notAdmitted lets a person who signed in here choose another account: the next sign-in would silently be
// with the same one.
func (e *evaluation) notAdmitted(err error) error {
	rejection, ok := errors.AsType[*identity.Rejection](err)
	kind := e.req.SubjectTokenType
	if !ok || rejection.Code != identity.NotAdmitted || kind != SignIn && kind != Cookie {
		return err
	}
	return &Error{Code: rejection.Code, Err: err, SignIn: &SignInHint{Prompt: "select_account"}}
}

func (e *evaluation) input() policy.Input {
	return policy.Input{
		Identity: e.subject.identity,
		Client:   map[string]any{"id": e.client.ID, "type": string(e.client.Type), "app": e.client.App.Name},
		Request: map[string]any{
			"audience": e.audience, "scope": e.scope,
			"conversation": e.req.Conversation, "origin": e.req.Credentials.Origin,
		},
	}
}

// salt returns the app's salt: the configured one, else the store's, which is read once.
func (x *Exchanger) salt(ctx context.Context, app *App) ([]byte, error) {
	if len(app.Salt) > 0 {
		return app.Salt, nil
	}
	if known, ok := x.salts.Load(app.Sector); ok {
		return known.([]byte), nil
	}
	candidate := make([]byte, saltSize)
	rand.Read(candidate) //nolint:errcheck // never fails (crypto/rand)
	salt, err := x.cfg.Store.Salt(ctx, app.Sector, candidate)
	if err != nil {
		return nil, err
	}
	x.salts.Store(app.Sector, salt)
	return salt, nil
}

// pseudonym is unpadded base64url(HMAC-SHA-256(salt, space ‖ 0 ‖ subject)).
func pseudonym(salt []byte, space, subject string) string {
	mac := hmac.New(sha256.New, salt)
	mac.Write([]byte(space))
	mac.Write([]byte{0})
	mac.Write([]byte(subject))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
