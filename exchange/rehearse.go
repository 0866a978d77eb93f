package exchange

import (
	"context"
	"slices"
	"time"

	"chatpass/decision"
	"chatpass/identity"
	"chatpass/session"
)

// A Rehearsal is what a context would be made of.
type Rehearsal struct {
	Client   Client // with its App
	Identity identity.Identity
	Customer string // empty: a pairwise one, which is always of the same length
	Claims   map[string]any
}

// Rehearse makes the first context that the client would get if it asks for nothing in particular, throws
// it away, and says what the ladder would say of its size. It needs no Sessions and no Store, and keeps
// nothing; the Signer may be one that signs nothing, if what it returns is as long. Its error is an
// [identity.Rejection] if the context is too large.
func (x *Exchanger) Rehearse(ctx context.Context, r Rehearsal) (decision.Rung, error) {
	app, who := r.Client.App, r.Identity
	e := x.begin(Request{}, "rehearsal")
	e.client, e.audience, e.scope, e.claims, e.customer = &r.Client, app.Audience[:1], app.Scopes, r.Claims, r.Customer
	e.most.lifetime, e.subject.identity = app.Lifetime, who
	if e.customer == "" {
		e.customer = pseudonym(app.Salt, who.SubjectIssuer, who.Subject)
	}
	if r.Client.Type == Browser && len(app.Origins) > 0 {
		e.req.Credentials.Origin = slices.MaxFunc(app.Origins, func(a, b string) int { return len(a) - len(b) })
	}
	_, err := e.sign(ctx, session.Session{
		SID: x.cfg.NewID(), Identity: who, Ends: e.now.Add(24 * time.Hour),
		Place: &session.Place{List: app.Name + ".10", Index: 1_000_000}, // one of many, and nearly full
	})
	if err != nil {
		return decision.Rung{}, err
	}
	return e.record.Ladder[len(e.record.Ladder)-1], nil
}
