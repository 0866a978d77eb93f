package exchange

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"chatpass/decision"
	"chatpass/identity"
	"chatpass/session"
)

// Config is what an [Exchanger] is made of.
type Config struct {
	Issuer   string // our issuer URL, the `iss` of contexts
	Apps     []App
	Sessions *session.Sessions
	// Verifiers believe subject tokens, by their declared type.
	Verifiers map[TokenType]Verifier
	Signer    Signer
	Store     Store
	// Audit is told of every decision, after it was made.
	Audit func(context.Context, *decision.Decision)
	Now   func() time.Time
	NewID func() string
	// Random returns a number in [0, 1) that spreads renewals; it guards nothing.
	Random func() float64
}

// An Exchanger trades subject tokens for contexts. It is safe for concurrent use.
type Exchanger struct {
	cfg     Config
	clients map[string]*Client
	salts   sync.Map // sector → []byte
}

// New returns an exchanger for the given apps. Client ids must be unique among them.
func New(cfg Config) (*Exchanger, error) {
	x := &Exchanger{cfg: cfg, clients: map[string]*Client{}}
	for i := range cfg.Apps {
		app := &cfg.Apps[i]
		if len(app.Audience) == 0 {
			return nil, fmt.Errorf("app %s: audience is empty", app.Name)
		}
		for _, c := range app.Clients {
			if x.clients[c.ID] != nil {
				return nil, fmt.Errorf("app %s: client %s is registered twice", app.Name, c.ID)
			}
			c.App = app
			x.clients[c.ID] = &c
		}
	}
	return x, nil
}

// A TokenType names a kind of token (RFC 8693 §3).
type TokenType string

// The token types that can be asked with or asked for. The last two never cross the wire: they are
// subject tokens that we issued ourselves.
const (
	IDToken     TokenType = "urn:ietf:params:oauth:token-type:id_token"
	AccessToken TokenType = "urn:ietf:params:oauth:token-type:access_token"
	JWT         TokenType = "urn:ietf:params:oauth:token-type:jwt"
	Cookie      TokenType = "cookie"  // a session cookie
	SignIn      TokenType = "sign-in" // a claim on the result of a sign-in
)

// distrusted is the code for a subject whose issuer the app does not trust any more: a session ends by it.
func (t TokenType) distrusted() identity.Code {
	if t == Cookie {
		return identity.Revoked
	}
	return identity.IssuerNotTrusted
}

// A Request asks for a context.
type Request struct {
	RequestID   string // the answer's X-Request-Id, for the audit line
	Credentials Credentials
	// SubjectToken is an ID token or a session cookie; Claim takes its place for a [SignIn].
	SubjectToken     string
	SubjectTokenType TokenType
	Claim            session.Claim
	// RequestedTokenType is empty, [AccessToken] or [JWT].
	RequestedTokenType TokenType
	// Audience and Resource name the services the context is for (RFC 8693 §2.1).
	Audience, Resource []string
	Scope              []string
	// Conversation binds the context to one conversation; at most 128 printable characters.
	Conversation string
	// ExpectedCustomer, if given, must be the customer the context is for.
	ExpectedCustomer string
	// Active: the person has done something just now.
	Active bool
	// Replaces is the session cookie that the browser had before it signed in.
	Replaces string
}

func (r Request) verb() string {
	switch r.SubjectTokenType {
	case Cookie:
		return "context"
	case SignIn:
		return "claim"
	}
	return "exchange"
}

// A Context is a context that was issued, and what the client needs to know of it.
type Context struct {
	Token, JTI string
	TokenType  TokenType
	Lifetime   time.Duration
	// RenewIn is when to ask for the next one; MinHandout is how much life it must have left to be used.
	RenewIn, MinHandout time.Duration
	Scope               []string
	Session             session.Session
	// Cookie is the new session's secret; empty unless a session began in this browser.
	Cookie string
	// Decision finds the evaluation.
	Decision string
}

// Exchange decides, writes the decision down, and answers. Its error is an *[Error] if the answer is
// no, an *[Undecided] if there is none.
func (x *Exchanger) Exchange(ctx context.Context, req Request) (Context, error) {
	e := &evaluation{Exchanger: x, req: req, now: x.cfg.Now(), record: decision.Decision{
		ID: x.cfg.NewID(), Time: x.cfg.Now(), Verb: req.verb(), RequestID: req.RequestID, Client: req.Credentials.ClientID,
	}}
	issued, err := e.decide(ctx)
	err = e.conclude(err)
	x.cfg.Audit(ctx, &e.record)
	return issued, err
}

// An evaluation is one request on its way through the checks.
type evaluation struct {
	*Exchanger
	req    Request
	now    time.Time
	record decision.Decision

	client   *Client
	audience []string
	scope    []string
	subject  subject
	customer string
	claims   map[string]any
}

// decide is the whole way of a request: who asks, for what, on whose behalf; may they; then issue.
func (e *evaluation) decide(ctx context.Context) (Context, error) {
	for _, check := range []func(context.Context) error{
		e.checkClient, e.checkAsked, e.checkSubject, e.checkCustomer, e.checkPolicy,
	} {
		if err := check(ctx); err != nil {
			return Context{}, err
		}
	}
	return e.issue(ctx)
}

func (e *evaluation) checkClient(context.Context) error {
	client, err := e.Client(e.req.Credentials)
	if err != nil {
		return err
	}
	e.client, e.record.App = client, client.App.Name
	e.record.Pass("client", string(client.Type), "a registered client")
	return nil
}

// conclude writes the outcome into the record and gives the error its kind.
func (e *evaluation) conclude(err error) error {
	if err == nil {
		e.record.Outcome = decision.Issued
		return nil
	}
	err = asRefusal(err)
	refusal, ok := errors.AsType[*Error](err)
	if !ok {
		e.record.Outcome = decision.Failed
		e.record.Code = failureCode(err)
		return &Undecided{Decision: e.record.ID, Err: err}
	}
	measured, required := Lookup(refusal.Code).Reason, ""
	if rejection, ok := errors.AsType[*identity.Rejection](err); ok {
		measured, required = rejection.Measured, rejection.Required
	}
	e.record.Outcome, e.record.Code = decision.Refused, refusal.Code
	e.record.Fail(Lookup(refusal.Code).Reason, measured, required)
	told := *refusal
	told.Decision = e.record.ID
	return &told
}

func failureCode(err error) identity.Code {
	if outage, ok := errors.AsType[*identity.Outage](err); ok {
		return outage.Code
	}
	return identity.Internal
}

// Apps returns the apps by name, for the front door's tables.
func (x *Exchanger) Apps() []*App {
	byName := map[string]*App{}
	for _, c := range x.clients {
		byName[c.App.Name] = c.App
	}
	return slices.Collect(maps.Values(byName))
}
