package identity

import "fmt"

// An Outage is a part that could not be asked. It is never a rejection: nobody is signed out by it,
// and the client is told to try again.
type Outage struct {
	// Code is one of [StoreUnavailable], [NoIssuerKey], [NoSigningKey], [ClockNotTrusted].
	Code Code
	Err  error
}

func (o *Outage) Error() string { return fmt.Sprintf("%s: %v", o.Code, o.Err) }

// Unwrap returns the cause.
func (o *Outage) Unwrap() error { return o.Err }
