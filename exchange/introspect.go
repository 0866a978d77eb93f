package exchange

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"chatpass/identity"
)

// An Inspection is what introspection says of a token (RFC 7662 §2.2).
type Inspection struct {
	// Active is true for a context of the asker's app that is in its time and whose session is alive.
	Active bool
	// Claims are the context's, as they were signed; nil if it is not active.
	Claims map[string]json.RawMessage
}

// Introspect tells a backend or a verifier what req.SubjectToken means now. Of what is no context of the
// asker's app, is over, or belongs to a session that has ended, it tells nothing. Its error is an
// *[Error] if the asker does not prove itself, an *[Undecided] if nobody could tell: that a session cannot
// be looked up does not make it ended. Either is written down; an answer changes nothing and is not.
func (x *Exchanger) Introspect(ctx context.Context, req Request) (Inspection, error) {
	e := x.begin(req, "introspection")
	found, err := e.introspect(ctx)
	if err = e.conclude(ctx, err); err != nil {
		x.cfg.Audit(ctx, &e.record)
	}
	return found, err
}

func (e *evaluation) introspect(ctx context.Context) (Inspection, error) {
	if err := e.identify(ctx, e.confidential); err != nil {
		return Inspection{}, err
	}
	if err := e.req.meet(e.client); err != nil {
		return Inspection{}, err
	}
	if e.req.SubjectToken == "" {
		return Inspection{}, Refuse(identity.ParameterMissing, "token is missing")
	}
	app := e.client.App
	found, err := e.read(ctx, e.req.SubjectToken, app)
	switch {
	case errors.Is(err, identity.ErrRejected):
		return Inspection{}, nil
	case err != nil:
		return Inspection{}, err
	case !slices.Contains(app.Issuers, found.session.Identity.IDP):
		return Inspection{}, nil
	}
	return Inspection{Active: true, Claims: found.all}, nil
}
