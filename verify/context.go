package verify

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/json"
)

// maxActors is how deep `act` may be nested.
const maxActors = 3

// A Context is what a verified chat context says.
type Context struct {
	// Issuer is the chatpass issuer, `iss`.
	Issuer string
	// Customer is the person as the chat knows them, `sub`: stable for one app, meaningless elsewhere.
	// Decide by it, and never by a name or an address in Claims.
	Customer string
	// Audience are the services the context is for, `aud`.
	Audience []string
	// ClientID is the client that asked for it, Scope what it may be used for.
	ClientID string
	Scope    []string
	// IssuedAt and Expires are `iat` and `exp`.
	IssuedAt, Expires time.Time
	// ID is unique to this context, `jti`; SID is the session it belongs to, empty if it says none.
	ID, SID string
	// IDP is the upstream issuer the customer signed in with, by its name in chatpass's configuration.
	IDP string
	// AuthTime, ACR and AMR say when and how the customer signed in (RFC 9068 §2.2.1); zero if the
	// upstream issuer did not say.
	AuthTime time.Time
	ACR      string
	AMR      []string
	// Chat is where the context is used. It is what the caller asked for: it narrows, and proves nothing.
	Chat Chat
	// Actor is who acts for the customer (RFC 8693 §4.1); nil if they act themselves.
	Actor *Actor
	// StatusAge is how old the status list is that says that the session has not ended; 0 if there is none.
	StatusAge time.Duration
	// Claims are the claims that the app's configuration maps, as encoding/json decodes them.
	Claims map[string]any

	notBefore time.Time
	place     *place
	payload   []byte
}

// A Chat is the `chat` claim.
type Chat struct {
	// Version is the version of the claim, 1.
	Version int
	// App is the app that the context belongs to.
	App string
	// Origin is the page's origin, if a browser asked; Conversation the one conversation that the
	// context is for, if it is bound to one.
	Origin, Conversation string
}

// An Actor is somebody who acts for the customer.
type Actor struct {
	// Issuer and Subject identify a person at their upstream issuer.
	Issuer, Subject string
	// ClientID names a client that acts; then Subject may be empty.
	ClientID string
	// Actor is who acted before, if anybody: history, not a ground for decisions.
	Actor *Actor
}

// HasScope reports whether the context has all of the scopes.
func (c *Context) HasScope(scopes ...string) bool {
	for _, scope := range scopes {
		if !slices.Contains(c.Scope, scope) {
			return false
		}
	}
	return true
}

// Claim decodes the claim of that name into the value that v points to, with the rules of
// encoding/json except that member names must match exactly. It reads any claim, with numbers as they
// were signed. The error says that there is no such claim or that it does not fit.
func (c *Context) Claim(name string, v any) error {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(c.payload, &all); err != nil {
		return fmt.Errorf("read claims: %w", err)
	}
	raw, ok := all[name]
	if !ok {
		return fmt.Errorf("read claim %q: not in the context", name)
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("read claim %q: %w", name, err)
	}
	return nil
}

type contextKey struct{}

// NewContext returns a ctx that carries c to [FromContext]. It is for servers that [Verifier.Middleware] does
// not fit, such as gRPC's.
func NewContext(ctx context.Context, c *Context) context.Context {
	return context.WithValue(ctx, contextKey{}, c)
}

// FromContext returns the chat context that [Verifier.Middleware] verified for this request.
func FromContext(ctx context.Context) (*Context, bool) {
	c, ok := ctx.Value(contextKey{}).(*Context)
	return c, ok
}

// readContext reads the payload of a verified signature.
func readContext(part string) (*Context, error) {
	payload, err := decode(part)
	if err != nil {
		return nil, err
	}
	claims, err := readObject(payload)
	if err != nil {
		return nil, err
	}
	r := reader{members: claims}
	c := &Context{
		Issuer: r.need("iss"), Customer: r.need("sub"), Audience: r.audience(), ClientID: r.need("client_id"),
		IssuedAt: r.needInstant("iat"), Expires: r.needInstant("exp"), notBefore: r.instant("nbf"),
		ID: r.need("jti"), SID: r.text("sid"), IDP: r.text("idp"),
		AuthTime: r.instant("auth_time"), ACR: r.text("acr"), AMR: r.texts("amr"),
		Scope: strings.Fields(r.text("scope")), Chat: r.chat(), Actor: r.actor(maxActors), place: r.place(),
		payload: payload,
	}
	if r.err != nil {
		return nil, r.err
	}
	for _, name := range reserved() {
		delete(claims, name)
	}
	c.Claims = claims
	return c, nil
}

// reserved lists the claims that are not the app's to map.
func reserved() []string {
	return []string{
		"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "act", "may_act", "cnf", "client_id", "scope",
		"sid", "status", "chat", "auth_time", "acr", "amr", "idp", "azp", "nonce", "at_hash", "c_hash",
		"events", "sub_id", "txn",
	}
}
