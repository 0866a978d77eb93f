package identity

import "errors"

// ErrRejected is wrapped by every error that says the token itself is at fault.
// A verifier's error that does not wrap it means the verifier could not tell.
var ErrRejected = errors.New("token rejected")

// A Rejection is a token's fault: which rule it broke, what was measured and what was required.
type Rejection struct {
	Code Code
	// Measured and Required go into the ladder of a decision. They are safe to show: times, lengths,
	// algorithm names, issuer URLs; never token material, never a personal claim's value.
	Measured, Required string
	// Err is the cause, for the log alone; may be nil.
	Err error
}

// Reject returns a [Rejection] with no further cause.
func Reject(code Code, measured, required string) *Rejection {
	return &Rejection{Code: code, Measured: measured, Required: required}
}

func (r *Rejection) Error() string {
	text := string(r.Code) + ": measured " + r.Measured + ", required " + r.Required
	if r.Err != nil {
		text += ": " + r.Err.Error()
	}
	return text
}

// Is lets errors.Is find [ErrRejected].
func (r *Rejection) Is(target error) bool { return target == ErrRejected }

// Unwrap returns the cause.
func (r *Rejection) Unwrap() error { return r.Err }
