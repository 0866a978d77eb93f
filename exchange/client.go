package exchange

import (
	"crypto/sha256"
	"crypto/subtle"
	"slices"
	"time"

	"chatpass/identity"
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
	// Kiosk: many people share the device, so the browser forgets its cookie when it is closed.
	Kiosk   bool
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

// A Client is a program that asks us for contexts.
type Client struct {
	ID   string
	Type ClientType
	// Accepts lists, by issuer name, the upstream clients whose ID tokens this client may exchange.
	Accepts map[string][]string
	// Secret authenticates a backend (client_secret_basic).
	Secret []byte
	// App is the one the client belongs to; New fills it in.
	App *App
}

// A ClientType says how a client proves itself.
type ClientType string

// The types of client.
const (
	Browser ClientType = "browser" // public, held to its app's origins
	Native  ClientType = "native"  // public, never with an Origin
	Backend ClientType = "backend" // authenticated
)

// Credentials is what a request says of the client that sends it.
type Credentials struct {
	ClientID string
	// Presented is true if the client tried to authenticate, with Secret (RFC 6749 §2.3.1).
	Presented bool
	Secret    string
	// Origin is the request's Origin header (RFC 6454 §7); empty if it had none.
	Origin string
}

// Client returns the client that sent a request. It is an *[Error] if there is none, its
// authentication fails, or its page is not registered. Whoever presents a credential, or ought to,
// hears the same at the same cost, so that nobody learns which clients exist.
func (x *Exchanger) Client(c Credentials) (*Client, error) {
	client, known := x.clients[c.ClientID]
	if c.Presented || known && client.Type == Backend {
		return authenticated(client, c)
	}
	switch {
	case c.ClientID == "":
		return nil, Refuse(identity.ParameterMissing, "client_id is missing")
	case !known:
		return nil, Refuse(identity.ClientUnknown, "")
	case client.Type == Native && c.Origin != "":
		return nil, Refuse(identity.OriginNotAllowed, "a native client sends no Origin: register a browser client for pages")
	case client.Type == Browser && !slices.Contains(client.App.Origins, c.Origin):
		return nil, Refuse(identity.OriginNotAllowed, "")
	}
	return client, nil
}

func authenticated(client *Client, c Credentials) (*Client, error) {
	var secret []byte
	if client != nil && client.Type == Backend {
		secret = client.Secret
	}
	want, got := sha256.Sum256(secret), sha256.Sum256([]byte(c.Secret))
	same := subtle.ConstantTimeCompare(want[:], got[:]) == 1
	if !same || len(secret) == 0 || !c.Presented {
		return nil, Refuse(identity.ClientAuthentication, "")
	}
	return client, nil
}

// Clients returns every client, for the front door's tables.
func (x *Exchanger) Clients() []*Client {
	all := make([]*Client, 0, len(x.clients))
	for _, c := range x.clients {
		all = append(all, c)
	}
	return all
}
