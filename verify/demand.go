package verify

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Demand is what a service, or one of its handlers, asks of a context beyond that it is good.
type Demand struct {
	// Scopes must all be granted, else the reason is [InsufficientScope].
	Scopes []string
	// ACR are levels of authentication, one of which the context's `acr` must be, and MaxAuthAge is how long
	// ago the customer may have signed in, besides the leeway; 0 is any time. Else the reason is
	// [InsufficientAuthentication], upon which a client can let the customer sign in again (RFC 9470).
	ACR        []string
	MaxAuthAge time.Duration
	// Conversation asks for a context that is bound to one conversation, else the reason is [Unbound].
	// Whether it is the right one is for the handler to compare: Context.Chat.Conversation.
	Conversation bool
}

// Require makes every context meet the demand.
func Require(d Demand) Option {
	return func(v *Verifier) { v.demands = append(v.demands, d) }
}

// WithRequiredScopes refuses contexts that lack one of the scopes.
func WithRequiredScopes(scopes ...string) Option { return Require(Demand{Scopes: scopes}) }

// Require returns a verifier that demands more, for one handler perhaps. The two share keys and status
// lists, and [Verifier.Run] of one serves both.
func (v *Verifier) Require(d Demand) *Verifier {
	strict := *v
	strict.demands = append(slices.Clone(v.demands), d)
	return &strict
}

func (d Demand) check() error {
	var err error
	for _, scope := range d.Scopes {
		if !isScope(scope) {
			err = errors.Join(err, fmt.Errorf("%q is not a scope (RFC 6749 §3.3)", scope))
		}
	}
	for _, acr := range d.ACR {
		if !isScope(acr) {
			err = errors.Join(err, fmt.Errorf("%q is not an acr value", acr))
		}
	}
	if d.MaxAuthAge < 0 {
		err = errors.Join(err, fmt.Errorf("authentication age is %v, must not be negative", d.MaxAuthAge))
	}
	return err
}

// checkDemands checks scopes first: whoever lacks one gains nothing by signing in again.
func (v *Verifier) checkDemands(c *Context) error {
	var scopes []string
	for _, d := range v.demands {
		scopes = append(scopes, d.Scopes...)
	}
	if !c.HasScope(scopes...) {
		return &Error{Reason: InsufficientScope, Err: errors.New("needs scope " + strings.Join(scopes, " ")), Demand: Demand{Scopes: scopes}}
	}
	for _, d := range v.demands {
		if err := v.checkAuthentication(c, d); err != nil {
			return &Error{Reason: InsufficientAuthentication, Err: err, Demand: Demand{ACR: d.ACR, MaxAuthAge: d.MaxAuthAge}}
		}
		if d.Conversation && c.Chat.Conversation == "" {
			return reject(Unbound, "not bound to a conversation")
		}
	}
	return nil
}

func (v *Verifier) checkAuthentication(c *Context, d Demand) error {
	if len(d.ACR) > 0 && !slices.Contains(d.ACR, c.ACR) {
		return errors.New("needs another acr")
	}
	if d.MaxAuthAge == 0 {
		return nil
	}
	if c.AuthTime.IsZero() {
		return errors.New("does not say when the customer signed in")
	}
	if age := v.now().Sub(c.AuthTime); age > d.MaxAuthAge+v.leeway {
		return fmt.Errorf("signed in %v ago, at most %v", age.Round(time.Second), d.MaxAuthAge)
	}
	return nil
}

// isScope reports whether s is a scope-token: printable ASCII without space, quote and backslash
// (RFC 6749 §3.3).
func isScope(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || s[i] == '"' || s[i] == '\\' {
			return false
		}
	}
	return s != ""
}
