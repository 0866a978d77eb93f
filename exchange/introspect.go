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
// *[Error] if the asker does not prove itself. It is an [identity.Outage] if nobody could tell: that a
// session cannot be looked up does not make it ended.
func (x *Exchanger) Introspect(ctx context.Context, req Request) (Inspection, error) {
	client, err := x.confidential(ctx, req.Credentials)
	if err != nil {
		return Inspection{}, err
	}
	if err := req.meet(client); err != nil {
		return Inspection{}, err
	}
	if req.SubjectToken == "" {
		return Inspection{}, Refuse(identity.ParameterMissing, "token is missing")
	}
	found, err := x.read(ctx, req.SubjectToken, client.App)
	switch {
	case errors.Is(err, identity.ErrRejected):
		return Inspection{}, nil
	case err != nil:
		return Inspection{}, err
	case !slices.Contains(client.App.Issuers, found.session.Identity.IDP):
		return Inspection{}, nil
	}
	return Inspection{Active: true, Claims: found.all}, nil
}
