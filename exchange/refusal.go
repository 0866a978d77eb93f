package exchange

import (
	"cmp"
	"errors"
	"time"

	"chatpass/identity"
	"chatpass/jwks"
)

// Error is a refusal the client may hear. Every other error is ours to keep.
type Error struct {
	Code identity.Code
	// Description is safe to show: it names the fault and the remedy, and holds no token material, no
	// claims of others, no internals. Empty: the table's.
	Description string
	// OAuth is the error's word where a standard has another one than the table; empty: the table's.
	OAuth string
	// Decision finds the full evaluation; empty if there was none.
	Decision string
	// RetryAfter is how long to wait before the next try; 0 where waiting does not help.
	RetryAfter time.Duration
	// SignIn is how to sign in so that it would not be refused; nil where that makes no difference.
	SignIn *SignInHint
	Err    error // the cause, for the log alone
}

func (e *Error) Error() string {
	text := string(e.Code) + " " + Lookup(e.Code).Reason
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Refuse returns the refusal of that code. An empty description is the table's.
func Refuse(code identity.Code, description string) *Error {
	return &Error{Code: code, Description: description}
}

// Measured adds what was measured and what was required, for the ladder of the decision. What came from
// outside must have gone through [decision.Clip].
func (e *Error) Measured(measured, required string) *Error {
	e.Err = identity.Reject(e.Code, measured, required)
	return e
}

// Rung is what the ladder of a decision says of a refusal: its cause's words, else its own.
func (e *Error) Rung() (measured, required string) {
	if rejection, ok := errors.AsType[*identity.Rejection](e.Err); ok {
		return rejection.Measured, rejection.Required
	}
	if e.RetryAfter > 0 {
		return "one too many", "the next in " + e.RetryAfter.Round(time.Millisecond).String()
	}
	return cmp.Or(e.Description, Lookup(e.Code).Description), "a request without this fault"
}

// Undecided is a failure on the way to a decision: an outage or a fault of ours.
type Undecided struct {
	Decision string
	Err      error
}

func (u *Undecided) Error() string { return u.Err.Error() }

// Unwrap returns the failure.
func (u *Undecided) Unwrap() error { return u.Err }

// coolDown is how long to wait for a key that its issuer may have published just now.
const coolDown = 5 * time.Second

// asRefusal turns a token's fault into a refusal, and leaves every other error as it is.
func asRefusal(err error) error {
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	rejection, ok := errors.AsType[*identity.Rejection](err)
	if !ok {
		return err
	}
	refusal := &Error{Code: rejection.Code, Err: err}
	if unknown, ok := errors.AsType[*jwks.UnknownKeyError](err); ok && unknown.CoolingDown {
		refusal.RetryAfter = coolDown
	}
	return refusal
}

// A Retry says what the client can do about a refusal.
type Retry string

// What a client can do.
const (
	RetryNo    Retry = "no"    // nothing: the request, or the configuration, is wrong
	RetryLater Retry = "later" // the same again, after a pause
	RetryLogin Retry = "login" // the person has to sign in
)

// A Refusal is a row of the contract's table: what a code means on the wire.
type Refusal struct {
	Reason      string // the code's snake_case name
	OAuth       string // the `error` of RFC 6749 §5.2 and its extensions
	Status      int    // HTTP status
	Retry       Retry
	Description string // what is wrong and what to do
}

// Lookup returns the row of a code; of an unknown one, that of [identity.Internal].
func Lookup(code identity.Code) Refusal {
	if row, ok := refusals[code]; ok {
		return row
	}
	return refusals[identity.Internal]
}

// Codes returns every code of the table.
func Codes() []identity.Code {
	codes := make([]identity.Code, 0, len(refusals))
	for code := range refusals {
		codes = append(codes, code)
	}
	return codes
}
