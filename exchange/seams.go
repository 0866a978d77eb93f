// Package exchange decides: it authenticates the client, verifies the subject, asks the policy and
// issues a context (RFC 8693).
package exchange

import (
	"context"
	"time"

	"chatpass/decision"
	"chatpass/identity"
)

// A Verifier says who a token speaks for.
type Verifier interface {
	// Verify's error is an [identity.Rejection] (it wraps [identity.ErrRejected]) if the token is at
	// fault, an [identity.Outage] if somebody who had to be asked could not be; the identity's
	// claims are all verified.
	Verify(ctx context.Context, token string, terms identity.Terms) (identity.Identity, error)
}

// A Signer turns a payload into a signed JWT.
type Signer interface {
	// Sign returns the compact serialisation (RFC 7515 §3.1) of claims, a JSON object, under a header
	// that holds `alg`, `kid` and the given `typ`. Its error is an [identity.Outage] if no key may sign now.
	Sign(ctx context.Context, typ string, claims []byte) (token string, err error)
}

// A Store keeps what the exchange must remember.
type Store interface {
	// Salt returns the salt of a sector, after storing candidate for it if it had none. The salt of
	// a sector never changes, and all replicas get the same one. Sealed at rest.
	Salt(ctx context.Context, sector string, candidate []byte) ([]byte, error)
	// PutOnce remembers a value that may be used only once (a client assertion's jti), until expires.
	// [session.ErrExists] if it was there.
	PutOnce(ctx context.Context, space, value string, expires time.Time) error
	// KeepDecisions keeps refusals for a day, sealed at rest: fresh ones, and once more those that were
	// kept before and have been counted since. All or none; [session.ErrExists] and [session.ErrNotFound]
	// if one of them is the other.
	KeepDecisions(ctx context.Context, fresh, counted []decision.Decision) error
	// Decision returns a refusal that is kept, by its id or by that of its request; [session.ErrNotFound] if
	// there is none.
	Decision(ctx context.Context, id string) (decision.Decision, error)
}
