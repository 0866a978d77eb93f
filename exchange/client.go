package exchange

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"maps"
	"slices"
	"strings"
	"time"

	"chatpass/decision"
	"chatpass/identity"
	"chatpass/jwks"
	"chatpass/policy"
	"chatpass/session"
)

// An App is one chat integration.
type App struct {
	Name string
	// Audience lists the services a context may be for; the first is the default. Never empty.
	Audience []string
	// Issuers names the upstream issuers that sign people in to this app; the first is the default.
	Issuers []string
	// Origins are the pages that embed the widget, compared as strings.
	Origins []string
	// ReturnTo are the URLs that a redirect may lead back to, compared as strings.
	ReturnTo []string
	// Scopes is what a context may be granted; all of it when nothing is asked for.
	Scopes   []string
	Lifetime time.Duration // of a context
	Typ      string        // `typ` header of a context: "at+jwt" (RFC 9068 §2.1) or "JWT"
	Rules    *policy.Rules
	Subject  SubjectKind
	// Sector names the salt of pairwise subjects; Salt is that salt where the configuration gives it.
	Sector string
	Salt   []byte
	// SignIn bounds sessions of a browser, Derived those of an ID token held by somebody else.
	SignIn, Derived session.Limits
	// DerivedBySubject ends a derived session with its ID token, if that is sooner.
	DerivedBySubject bool
	StepUp           StepUp
	// Liveness says how often the issuer of a session is asked whether its sign-in still stands.
	Liveness session.Liveness
	// Degraded is for how long after the store has confirmed a session contexts are issued from memory while
	// the store is down; 0: not at all.
	Degraded time.Duration
	// Kiosk: many people share the device, so the browser forgets its cookie when it is closed.
	Kiosk bool
	// Actors are the rules of who may act for a customer; the first that admits counts.
	Actors  []Actor
	Clients []Client
}

// A SubjectKind says what the customer id (the context's `sub`) is made of.
type SubjectKind string

// The kinds of customer id.
const (
	Pairwise SubjectKind = "pairwise" // an HMAC of issuer and upstream subject (OIDC Core 1.0 §8.1)
	Upstream SubjectKind = "upstream" // the upstream subject itself
	ByRule   SubjectKind = "rule"     // what the app's rule yields
)

// A Client is a program that asks us: for contexts, or what a context means.
type Client struct {
	ID   string
	Type ClientType
	// Accepts lists, by issuer name, the upstream clients whose ID tokens this client may exchange.
	Accepts map[string][]string
	// Secret (client_secret_basic) or Keys (private_key_jwt) authenticate a backend or a verifier. A set
	// that is fetched has the lifetimes that are [jwks.Set]'s own.
	Secret []byte
	Keys   *jwks.Set
	// AssertionAudience is the `aud` of this client's assertions; empty: our issuer URL.
	AssertionAudience string
	// App is the one the client belongs to; New fills it in.
	App *App
	// accepted and origins say in ladders what Accepts and the app's Origins are.
	accepted, origins string
}

// join makes the client one of an app's.
func (c *Client) join(app *App) {
	c.App = app
	c.accepted = "tokens of " + strings.Join(slices.Sorted(maps.Keys(c.Accepts)), ", ")
	c.origins = "one of " + strings.Join(app.Origins, ", ")
}

// A ClientType says how a client proves itself.
type ClientType string

// The types of client.
const (
	Browser ClientType = "browser" // public, held to its app's origins
	Native  ClientType = "native"  // public, never with an Origin
	Backend ClientType = "backend" // authenticated
	// Inspector is a verifier of the app's contexts: authenticated, it may introspect and nothing else.
	Inspector ClientType = "verifier"
)

// AuthMethod is how the client authenticates (RFC 8414 §2): none, client_secret_basic or private_key_jwt.
func (c *Client) AuthMethod() string {
	switch {
	case c.public():
		return "none"
	case c.Keys != nil:
		return "private_key_jwt"
	}
	return "client_secret_basic"
}

func (c *Client) public() bool { return c.Type == Browser || c.Type == Native }

func (c *Client) assertionAudience() string {
	if c == nil {
		return ""
	}
	return c.AssertionAudience
}

// Credentials is what a request says of the client that sends it.
type Credentials struct {
	ClientID string
	// Presented is true if the client tried to authenticate: with Assertion (RFC 7523 §2.2), or if that is
	// empty with Secret (RFC 6749 §2.3.1). With an assertion ClientID may be empty.
	Presented bool
	Secret    string
	Assertion string
	// Raw is Secret as it was sent, before what stands inside HTTP Basic was form-decoded.
	Raw string
	// Origin is the request's Origin header (RFC 6454 §7); empty if it had none.
	Origin string
}

// Authenticate returns the client that sent a request: the one whose credential it presents, else the
// public one that it names. It is an *[Error] if there is none, its authentication fails, or its page is
// not registered. Whoever presents a credential, or ought to, hears the same after the same work, so that
// nobody learns which clients exist. An assertion is used up by it: ask once for a request. If the store
// or the client's keys cannot be reached it is an [identity.Outage].
func (x *Exchanger) Authenticate(ctx context.Context, c Credentials) (*Client, error) {
	switch {
	case c.Presented && c.Assertion != "":
		return x.byAssertion(ctx, c)
	case c.Presented:
		return x.bySecret(c)
	}
	return x.Client(c)
}

// confidential is Authenticate where public clients have no business.
func (x *Exchanger) confidential(ctx context.Context, c Credentials) (*Client, error) {
	if !c.Presented {
		return nil, unproven("no credential", "the credential of a backend or verifier")
	}
	return x.Authenticate(ctx, c)
}

// Client returns the public client that a request names. Its errors are those of [Exchanger.Authenticate].
func (x *Exchanger) Client(c Credentials) (*Client, error) {
	client, known := x.clients[c.ClientID]
	switch {
	case c.ClientID == "":
		return nil, Refuse(identity.ParameterMissing, "client_id is missing")
	case !known:
		return nil, Refuse(identity.ClientUnknown, "").Measured("client_id "+decision.Name(c.ClientID), "a registered client")
	case !client.public():
		return nil, unproven("no credential", "the credential of client "+client.ID)
	case client.Type == Native && c.Origin != "":
		return nil, Refuse(identity.OriginNotAllowed, "a native client sends no Origin: register a browser client for pages").
			Measured("origin "+decision.Clip(c.Origin), "no Origin: client "+client.ID+" is native")
	case client.Type == Browser && !slices.Contains(client.App.Origins, c.Origin):
		return nil, notAPage(client, c.Origin)
	}
	return client, nil
}

// notAPage refuses who uses a browser client and is none of its app's pages.
func notAPage(client *Client, origin string) *Error {
	if origin == "" {
		return Refuse(identity.OriginNotAllowed, "the page's origin is missing, and this is a client of pages: register a backend or native client for what is no page").
			Measured("no origin", client.origins)
	}
	return Refuse(identity.OriginNotAllowed, "").Measured("origin "+decision.Clip(origin), client.origins)
}

func (x *Exchanger) bySecret(c Credentials) (*Client, error) {
	client := x.clients[c.ClientID]
	var secret []byte
	if client != nil {
		secret = client.Secret
	}
	same, raw := equal(secret, c.Secret), equal(secret, c.Raw)
	if !same || len(secret) == 0 {
		return nil, unproven(secretFault(client, raw), "the secret of a registered backend or verifier")
	}
	return client, nil
}

// equal compares in a time that depends on neither.
func equal(want []byte, given string) bool {
	a, b := sha256.Sum256(want), sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// secretFault says to the operator alone what the client must not learn. raw: the secret is right but for
// its encoding.
func secretFault(client *Client, raw bool) string {
	switch {
	case client == nil:
		return "a secret for a name that no client has"
	case client.public():
		return "a secret for a public client, which has none"
	case len(client.Secret) == 0:
		return "a secret for a client that authenticates by " + client.AuthMethod()
	case raw:
		return "the right secret without the form-encoding that HTTP Basic wants here (RFC 6749 §2.3.1)"
	}
	return "a wrong secret"
}

// unproven is the one refusal of everybody whose authentication fails. What was measured is for the
// operator alone.
func unproven(measured, required string) *Error {
	return Refuse(identity.ClientAuthentication, "").Measured(measured, required)
}

// Clients returns every client, for the front door's tables.
func (x *Exchanger) Clients() []*Client {
	all := make([]*Client, 0, len(x.clients))
	for _, c := range x.clients {
		all = append(all, c)
	}
	return all
}
