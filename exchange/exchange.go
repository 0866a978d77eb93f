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
	// Knows tells whether an upstream issuer of that name and URL is configured. A name can be given to
	// another issuer, and a tenant be struck off, while sessions go on that began before.
	Knows  func(idp, issuer string) bool
	Signer Signer
	// Place gives a new session of an app its place in a status list: the list's name, and an index in it.
	// ends is when no context of the session can verify any more. Without a name the session has none. nil:
	// there are no lists.
	Place func(ctx context.Context, app string, ends time.Time) (list string, index int, err error)
	// Open reads a context that Signer signed: its `typ` and payload. It looks at no claim. Its error is an
	// [identity.Rejection].
	Open  func(token string) (typ string, payload []byte, err error)
	Store Store
	// SessionsPerCustomer is how many sessions a customer may have at an app before the oldest derived
	// one is ended; 0: no limit.
	SessionsPerCustomer int
	// KeysFailed is told when a client's key set cannot be fetched; may be nil.
	KeysFailed func(client string, err error)
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
	decoys  map[string]any // a public key for each algorithm of assertions
	salts   sync.Map       // sector → []byte
}

// New returns an exchanger for the given apps. Client ids must be unique among them.
func New(cfg Config) (*Exchanger, error) {
	decoys, err := newDecoys()
	if err != nil {
		return nil, err
	}
	x := &Exchanger{cfg: cfg, clients: map[string]*Client{}, decoys: decoys}
	for i := range cfg.Apps {
		app := &cfg.Apps[i]
		if len(app.Audience) == 0 {
			return nil, fmt.Errorf("app %s: audience is empty", app.Name)
		}
		for _, c := range app.Clients {
			if x.clients[c.ID] != nil {
				return nil, fmt.Errorf("app %s: client %s is registered twice", app.Name, c.ID)
			}
			c.join(app)
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
	if t == IDToken || t == SignIn {
		return identity.IssuerNotTrusted
	}
	return identity.Revoked
}

// A Request asks for a context.
type Request struct {
	RequestID   string // the answer's X-Request-Id, for the audit line
	Credentials Credentials
	// SubjectToken is an ID token, a session cookie or, as [AccessToken] or [JWT], one of our own contexts;
	// Claim takes its place for a [SignIn].
	SubjectToken     string
	SubjectTokenType TokenType
	Claim            session.Claim
	// ActorToken is the ID token of somebody who acts for the subject (RFC 8693 §2.1); empty for nobody.
	ActorToken     string
	ActorTokenType TokenType
	// RequestedTokenType is empty, [AccessToken] or [JWT].
	RequestedTokenType TokenType
	// Audience and Resource name the services the context is for (RFC 8693 §2.1).
	Audience, Resource []string
	Scope              []string
	// Conversation binds the context to one conversation; at most 128 printable characters.
	Conversation string
	// Spend is told the session that the subject token belongs to, as soon as it is known; its error ends
	// the request. May be nil.
	Spend func(sid string) error
	// ExpectedCustomer, if given, must be the customer the context is for.
	ExpectedCustomer string
	// Level is what is demanded of the person's authentication.
	Level Level
	// Hold asks for a cookie that leads to the session of an [IDToken].
	Hold bool
	// Active: the person has done something just now.
	Active bool
	// Meet, if given, is asked as soon as the client is known, before the subject is looked at. Its error
	// ends the request.
	Meet func(*Client) error
	// Replaces is the session cookie that the browser had before it signed in.
	Replaces string
}

func (r Request) meet(c *Client) error {
	if r.Meet == nil {
		return nil
	}
	return r.Meet(c)
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
	Expires    time.Time // the context's `exp`
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
	e := x.begin(req, req.verb())
	issued, err := e.decide(ctx)
	err = e.conclude(ctx, err)
	x.cfg.Audit(ctx, &e.record)
	return issued, err
}

// usualRungs is how many checks a refused request has passed, more or less.
const usualRungs = 12

func (x *Exchanger) begin(req Request, verb string) *evaluation {
	return &evaluation{Exchanger: x, req: req, now: x.cfg.Now(), record: decision.Decision{
		ID: x.cfg.NewID(), Time: x.cfg.Now(), Verb: verb, RequestID: req.RequestID,
		Ladder: make([]decision.Rung, 0, usualRungs),
	}}
}

// An evaluation is one request on its way through the checks.
type evaluation struct {
	*Exchanger
	req    Request
	now    time.Time
	record decision.Decision

	client   *Client
	most     bounds
	audience []string
	scope    []string
	subject  subject
	actor    *actor // who acts for the subject; nil: nobody
	asking   *actor // who has asked to, through whom
	customer string
	claims   map[string]any
}

// decide is the whole way of a request: who asks, for what, on whose behalf; may they; then issue.
func (e *evaluation) decide(ctx context.Context) (Context, error) {
	for _, check := range []func(context.Context) error{
		e.checkClient, e.checkAsked, e.checkSubject, e.checkActor, e.checkGrant, e.checkCustomer, e.checkPolicy, e.checkLevel,
	} {
		if err := check(ctx); err != nil {
			return Context{}, err
		}
	}
	return e.issue(ctx)
}

func (e *evaluation) checkClient(ctx context.Context) error {
	if err := e.identify(ctx, e.Authenticate); err != nil {
		return err
	}
	client := e.client
	e.most = bounds{audience: client.App.Audience, scope: client.App.Scopes, lifetime: client.App.Lifetime}
	if client.Type == Browser {
		e.record.Pass("origin", e.req.Credentials.Origin, client.origins)
	}
	if err := e.req.meet(client); err != nil {
		return err
	}
	if client.Type == Inspector {
		return Refuse(identity.ClientMayNotExchange, "a verifier introspects contexts and does nothing else").
			Measured("it is a verifier", "a client of the app")
	}
	return nil
}

// identify finds the client in the way given, and writes down which one it is, or claims to be: an
// operator must see whose credential fails.
func (e *evaluation) identify(ctx context.Context, authenticate func(context.Context, Credentials) (*Client, error)) error {
	client, err := authenticate(ctx, e.req.Credentials)
	if err == nil {
		e.client = client
		e.nameClient(client)
		e.record.Pass("client", string(client.Type)+" client "+client.ID, "a registered client")
		return nil
	}
	claimed := e.req.Credentials.claimed()
	e.record.Client = decision.Name(claimed)
	e.nameClient(e.clients[claimed])
	if refusal, ok := errors.AsType[*Error](err); ok && refusal.Code == identity.OriginNotAllowed {
		e.record.Pass("client", e.record.ClientType+" client "+e.record.Client, "a registered client")
	}
	return err
}

// nameClient writes down which client of ours it is, if it is one.
func (e *evaluation) nameClient(c *Client) {
	if c != nil {
		e.record.App, e.record.Client, e.record.ClientType = c.App.Name, c.ID, string(c.Type)
	}
}

// conclude writes the outcome into the record and gives the error its kind.
func (e *evaluation) conclude(ctx context.Context, err error) error {
	if err == nil {
		e.record.Outcome = decision.Issued
		return nil
	}
	e.nameParties(ctx)
	err = asRefusal(err)
	refusal, ok := errors.AsType[*Error](err)
	if !ok && errors.Is(ctx.Err(), context.Canceled) { // whatever could not be asked, nobody waits for it
		e.record.Outcome = decision.Abandoned
		return &Undecided{Decision: e.record.ID, Err: err}
	}
	if !ok {
		e.record.End(decision.Failed, failureCode(err), "no answer", "an answer")
		return &Undecided{Decision: e.record.ID, Err: err}
	}
	measured, required := refusal.Rung()
	e.record.End(decision.Refused, refusal.Code, measured, required)
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
