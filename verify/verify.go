// Package verify checks chat contexts for the services they are for. It needs the URL of the chatpass
// issuer and the service's own audience, and nothing else: it finds the issuer's keys through its
// metadata (RFC 8414), keeps them, and verifies offline.
//
// In an HTTP service it is one line around a handler:
//
//	verifier, err := verify.New("https://chat-auth.example.com", "https://api.example.com")
//	if err != nil {
//		return err
//	}
//	mux.Handle("GET /balance", verifier.Middleware(http.HandlerFunc(balance), "chat:read"))
//
//	func balance(w http.ResponseWriter, r *http.Request) {
//		customer, _ := verify.FromContext(r.Context())
//		fmt.Fprintf(w, "balance of %s", customer.Customer)
//	}
//
// Elsewhere [Verifier.Verify] says yes with a [Context], no with an [Error], or with [ErrUnavailable]
// that it could not tell. A context is accepted if it is a signed JWT of at most 16 KiB of the right
// type (RFC 9068 §4), under a key that the issuer publishes for exactly that algorithm, made while that
// key was in service, for this issuer and this audience, in its time, complete, of chat version 1, and
// without duplicate members.
//
// If the context names a status list of the issuer, its session must not have ended there. A list is fetched
// when a context with a good signature names it, refreshed before its `ttl` has passed, and while the issuer
// cannot be reached the last one serves to its end, a day after it was made.
//
// Keys are refreshed in the background once they are a minute old, so that a withdrawn key is refused
// soon; while the issuer cannot be reached the last keys serve for up to 24 hours. A context signed
// with an unknown key makes the keys be fetched at once, at most every 30 seconds.
package verify

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"chatpass/jwks"
)

const (
	defaultLeeway = 60 * time.Second
	maxLeeway     = 300 * time.Second
)

// A Verifier verifies the contexts of one issuer for one audience. It is safe for concurrent use.
type Verifier struct {
	issuer, audience string
	leeway           time.Duration
	types            []string
	demands          []Demand
	client           *http.Client
	now              func() time.Time
	keys             *source
	status           statusTerms
	lists            *lists
}

// An Option changes how a [Verifier] works.
type Option func(*Verifier)

// WithClock sets the clock; the default is time.Now.
func WithClock(now func() time.Time) Option { return func(v *Verifier) { v.now = now } }

// WithHTTPClient sets the client that fetches metadata and keys. The default is a guarded one (see
// [jwks.NewClient]) that may reach private addresses. With a client of your own the issuer may also
// have a plain http URL beyond loopback.
func WithHTTPClient(client *http.Client) Option { return func(v *Verifier) { v.client = client } }

// WithLeeway sets how far the clocks may be apart when `exp`, `nbf` and `iat` are checked, from 0 to
// 300 s; the default is 60 s.
func WithLeeway(leeway time.Duration) Option { return func(v *Verifier) { v.leeway = leeway } }

// AllowTyp accepts contexts with another `typ` too: "JWT" for an app whose context_typ is that. The
// default is "at+jwt" alone, which no other kind of token has (RFC 9068 §2.1).
func AllowTyp(types ...string) Option {
	return func(v *Verifier) {
		for _, t := range types {
			v.types = append(v.types, plainType(t))
		}
	}
}

// New returns a verifier of the contexts that issuer makes for audience. Issuer is the issuer's URL,
// compared with `iss` byte for byte; audience is this service as the app's configuration names it. New
// does no I/O, so a service starts while the issuer is down.
func New(issuer, audience string, opts ...Option) (*Verifier, error) {
	v := &Verifier{issuer: issuer, audience: audience, leeway: defaultLeeway, types: []string{"at+jwt"}, now: time.Now}
	for _, opt := range opts {
		opt(v)
	}
	if err := v.check(); err != nil {
		return nil, fmt.Errorf("make verifier: %w", err)
	}
	if v.client == nil {
		v.client = jwks.NewClient(jwks.ClientConfig{AllowPrivate: true})
	}
	v.keys = newSource(issuer, v.client, v.now)
	v.lists = newLists(v.status.maxAge, v.now, v.fetchList)
	return v, nil
}

func (v *Verifier) check() error {
	err := checkIssuer(v.issuer, v.client != nil)
	if v.audience == "" {
		err = errors.Join(err, errors.New("audience is empty"))
	}
	if v.status.maxAge < 0 {
		err = errors.Join(err, fmt.Errorf("status age is %v, must not be negative", v.status.maxAge))
	}
	if v.leeway < 0 || v.leeway > maxLeeway {
		err = errors.Join(err, fmt.Errorf("leeway is %v, must be 0 to %v", v.leeway, maxLeeway))
	}
	for _, d := range v.demands {
		err = errors.Join(err, d.check())
	}
	return err
}

// Verify returns what a context says, if it is good. Its error is an [*Error] if the context is at
// fault; else it wraps [ErrUnavailable]: the keys or the status list could not be fetched, or ctx ended first.
func (v *Verifier) Verify(ctx context.Context, token string) (*Context, error) {
	payload, service, err := v.signed(ctx, token)
	if err != nil {
		return nil, err
	}
	c, err := readContext(payload)
	if err != nil {
		return nil, err
	}
	if err := v.checkContext(c, service); err != nil {
		return nil, err
	}
	if err := v.checkStatus(ctx, c); err != nil {
		return nil, err
	}
	return c, nil
}

// signed returns the payload of a token that a key of the issuer signed, and when that key is in service.
func (v *Verifier) signed(ctx context.Context, compact string) (payload string, service period, err error) {
	t, err := v.parse(compact)
	if err != nil {
		return "", period{}, err
	}
	key, err := v.keys.key(ctx, t.header.KeyID, t.header.Algorithm)
	if err != nil {
		return "", period{}, err
	}
	if !verifySignature(t.header.Algorithm, key.public, t.input, t.signature) {
		return "", period{}, reject(Signature, "does not verify")
	}
	return t.payload, key.period, nil
}

// checkContext checks what depends on this service and on the time.
func (v *Verifier) checkContext(c *Context, service period) error {
	now := v.now()
	switch {
	case c.Issuer != v.issuer:
		return reject(Issuer, "another issuer's")
	case !slices.Contains(c.Audience, v.audience):
		return reject(Audience, "not for this audience")
	case !now.Before(c.Expires.Add(v.leeway)):
		return rejectf(Expired, "%v ago", now.Sub(c.Expires).Round(time.Second))
	case c.IssuedAt.After(now.Add(v.leeway)):
		return rejectf(NotYetValid, "issued %v ahead", c.IssuedAt.Sub(now).Round(time.Second))
	case c.notBefore.After(now.Add(v.leeway)):
		return rejectf(NotYetValid, "valid in %v", c.notBefore.Sub(now).Round(time.Second))
	case !service.covers(c.IssuedAt, v.leeway):
		return reject(KeyPeriod, "issued when its key did not sign")
	}
	return v.checkDemands(c)
}

// Run keeps the keys and the status lists in use fresh until ctx ends, and then returns nil, so that no
// request waits for a fetch but the first that names a list. It is optional: without it they are refreshed as
// requests come.
func (v *Verifier) Run(ctx context.Context) error {
	var lists sync.WaitGroup
	defer lists.Wait()
	lists.Go(func() { v.lists.run(ctx) })
	v.keys.run(ctx)
	return nil
}
