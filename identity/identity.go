// Package identity says who a token speaks for, or why it was not believed.
// It is a leaf: every room that verifies tokens shares these words and nothing else.
package identity

import (
	"log/slog"
	"time"
)

// An Identity is a verified party: an issuer, a subject at that issuer and what the issuer said of it.
// The pair (Issuer, Subject) identifies a person; an e-mail address never does (OIDC Core 1.0 §5.7).
type Identity struct {
	// IDP is the upstream issuer's name in our configuration, the `idp` claim of a context.
	IDP string `json:"idp"`
	// Issuer is the upstream issuer's URL as configured; with tenants, that of the tenant.
	Issuer string `json:"iss"`
	// SubjectIssuer stands for the issuer in pairwise subjects. It equals Issuer unless the
	// issuer has moved and its people keep the customer ids they had.
	SubjectIssuer string `json:"subject_iss"`
	// Subject is the value of the issuer's subject claim, usually `sub`.
	Subject string `json:"sub"`
	// UpstreamSubject is the `sub` claim itself, which logout tokens name.
	UpstreamSubject string `json:"upstream_sub"`
	// UpstreamSession is the issuer's `sid`, empty if it gave none.
	UpstreamSession string `json:"upstream_sid,omitempty"`
	// Client is the upstream client the ID token was issued to: `azp`, else the single `aud`.
	Client string `json:"client,omitempty"`
	// IssuedAt and Expires are the ID token's `iat` and `exp`.
	IssuedAt time.Time `json:"iat"`
	Expires  time.Time `json:"exp"`
	// SessionEnds is when the issuer wants sessions of the sign-in to end; zero if it did not say.
	SessionEnds time.Time `json:"session_ends,omitzero"`
	// AuthTime is when the person last proved who they are; zero if the issuer did not say.
	AuthTime time.Time `json:"auth_time,omitzero"`
	// ACR and AMR are how they proved it (OIDC Core 1.0 §2); empty if the issuer did not say.
	ACR string   `json:"acr,omitempty"`
	AMR []string `json:"amr,omitempty"`
	// Claims are all verified claims, for rules and claim mapping. Values are those of
	// encoding/json: string, float64, bool, nil, []any and map[string]any. Never modify them.
	Claims map[string]any `json:"claims"`
	// SID is the public reference of our session this identity already belongs to.
	// It is empty for a party that comes with an upstream issuer's token.
	SID string `json:"-"`
}

// LogValue keeps personal data out of logs: some issuers use e-mail addresses as subjects.
func (id Identity) LogValue() slog.Value {
	return slog.GroupValue(slog.String("idp", id.IDP), slog.String("sid", id.SID))
}

// Terms is what the asker demands of a token, beyond the verifier's own rules.
type Terms struct {
	// App is the app on whose behalf the token is verified.
	App string
	// Accepts lists, by upstream issuer name, the upstream clients whose tokens may be used.
	// A token of an issuer that is not a key here is refused before anything is fetched for it.
	Accepts map[string][]string
	// MaxAge is the greatest age of `iat` accepted; 0 leaves it to the verifier.
	MaxAge time.Duration
	// Passed is told of every check that the token passes, in their order; may be nil.
	Passed Passed
}

// Passed is told that a check was passed: its name, what was measured and what was required, in words
// as safe to show as those of a [Rejection].
type Passed func(check, measured, required string)

// Tell calls p, if there is anybody to be told.
func (p Passed) Tell(check, measured, required string) {
	if p != nil {
		p(check, measured, required)
	}
}
