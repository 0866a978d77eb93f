package verify

import (
	"errors"
	"fmt"
)

// ErrUnavailable is wrapped by every error that says nothing about the context: its issuer's keys or status
// list could not be had. Try again later, and do not treat the caller as signed out.
var ErrUnavailable = errors.New("keys or status list unavailable")

// An Error says that a context is at fault.
type Error struct {
	// Reason is the rule that was broken.
	Reason Reason
	// Err has the details for a log; it holds no part of the token that could be misused.
	Err error
	// Demand is what the context would have to meet, if the reason is [InsufficientScope] or
	// [InsufficientAuthentication].
	Demand Demand
}

// A Reason is a rule that a context broke. Its text is fixed and safe to show.
type Reason string

// The reasons, in the order of the checks.
const (
	TooLarge          Reason = "too_large"          // more than 16 KiB
	Malformed         Reason = "malformed"          // not a compact JWS with distinct JSON members (RFC 7515 §3.1, §4)
	HeaderUnsupported Reason = "header_unsupported" // crit, b64, zip or enc in the header
	Type              Reason = "type"               // typ is not that of a context (RFC 9068 §4)
	Algorithm         Reason = "algorithm"          // alg is not among ES256, ES384, EdDSA, PS256, RS256
	UnknownKey        Reason = "unknown_key"        // the issuer publishes no such key for that alg, or kid is missing
	Signature         Reason = "signature"          // the signature does not verify
	ClaimMissing      Reason = "claim_missing"      // a claim that RFC 9068 §2.2 or the contract requires
	ClaimInvalid      Reason = "claim_invalid"      // a claim of the wrong type or beyond its bounds
	ChatVersion       Reason = "chat_version"       // chat.ver is not 1
	Issuer            Reason = "issuer"             // iss is another issuer
	Audience          Reason = "audience"           // aud does not name this service
	Expired           Reason = "expired"            // exp is past
	NotYetValid       Reason = "not_yet_valid"      // iat or nbf is ahead
	KeyPeriod         Reason = "key_period"         // iat is outside the time in which the key signed
	Revoked           Reason = "revoked"            // the session has ended, says the issuer's status list
	InsufficientScope Reason = "insufficient_scope" // a required scope is missing

	InsufficientAuthentication Reason = "insufficient_authentication" // the customer must sign in again, or better (RFC 9470)
	Unbound                    Reason = "unbound"                     // a context for one conversation was required
)

func (e *Error) Error() string { return fmt.Sprintf("context rejected: %s: %v", e.Reason, e.Err) }

// Unwrap returns the details.
func (e *Error) Unwrap() error { return e.Err }

func reject(reason Reason, detail string) error {
	return &Error{Reason: reason, Err: errors.New(detail)}
}

func rejectf(reason Reason, format string, args ...any) error {
	return &Error{Reason: reason, Err: fmt.Errorf(format, args...)}
}
