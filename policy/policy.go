// Package policy holds an app's compiled rules: who is admitted, which claims a context carries, and
// what its subject is when that is a rule too.
//
// A rule is one expression of the Common Expression Language (CEL) over four variables:
//
//	claims    what the upstream issuer said: a map; what is not in it is an error unless asked for
//	          with has(claims.email) or claims.?email.orValue("")
//	identity  the verified party: issuer, idp, subject, client, acr, amr, auth_time, issued_at, expires
//	client    who asks us: id, type, app
//	request   what is asked for: audience, scope, conversation, origin
//
// identity, client and request are typed: a misspelt field is a fault when the rule is compiled. A
// field that is not known for this request is an error when read, like a missing claim, so that a
// rule that forgot the case refuses; has(identity.acr) and identity.?acr ask for it. Lists (amr,
// audience, scope) are always there, if empty. A rule that is a single identifier other than those
// four means the claim of that name: email is claims.email.
//
// A claim rule that yields null, or an empty optional, leaves its claim out. The short form of a claim
// rule, which copies a claim, leaves nothing out: see [Mapping].
package policy

import (
	"context"
	"errors"
	"fmt"

	"chatpass/identity"
)

// Rules are an app's compiled rules. They are safe for concurrent use.
type Rules struct {
	admit   *rule
	subject *rule   // nil if the subject is not a rule
	claims  []*rule // sorted by name
}

// An Input is what rules may look at.
type Input struct {
	Identity identity.Identity
	// Client has id, type and app, all strings.
	Client map[string]any
	// Request has audience and scope ([]string), conversation and origin (strings). A missing or
	// empty string counts as not given.
	Request map[string]any
}

// Admission is the admission rule as written.
func (r *Rules) Admission() string { return r.admit.text }

// Admit returns nil if the admission rule says yes. Otherwise its error is an [identity.Rejection]
// CP-302: the rule says no, cannot be evaluated for this input, costs too much, or yields something
// other than a bool. If ctx ended first the error is its cause.
func (r *Rules) Admit(ctx context.Context, in Input) error {
	out, err := r.admit.evaluate(ctx, vars{&in})
	if err != nil {
		return r.admit.refuse(identity.NotAdmitted, err)
	}
	if admitted, ok := out.Value().(bool); !ok {
		return r.admit.refuse(identity.NotAdmitted, misfit("not a bool but "+typeName(out)))
	} else if !admitted {
		return r.admit.refuse(identity.NotAdmitted, misfit("false"))
	}
	return nil
}

// Claims returns the mapped claims, ready for encoding/json: bool, int64, uint64, float64, string,
// []any and map[string]any, timestamps as RFC 3339 strings, nil only inside lists and maps. If a rule
// cannot be evaluated or yields what JSON cannot say, the error is an [identity.Rejection] CP-305 that
// names the claim and never its value. If ctx ended first the error is its cause.
func (r *Rules) Claims(ctx context.Context, in Input) (map[string]any, error) {
	mapped := make(map[string]any, len(r.claims))
	for _, rule := range r.claims {
		value, err := rule.claim(ctx, vars{&in})
		if err != nil {
			return nil, rule.refuse(identity.MappingFailed, err)
		}
		if value != nil {
			mapped[rule.name] = value
		}
	}
	return mapped, nil
}

// Subject returns what the subject rule yields: 1 to 255 printable ASCII characters (OIDC Core 1.0 §2).
// Anything else is an [identity.Rejection] CP-305. If ctx ended first the error is its cause. It is an
// error of the caller's to ask for a subject when [Source] had no rule for it.
func (r *Rules) Subject(ctx context.Context, in Input) (string, error) {
	if r.subject == nil {
		return "", errors.New("evaluate subject: there is no rule")
	}
	out, err := r.subject.evaluate(ctx, vars{&in})
	if err != nil {
		return "", r.subject.refuse(identity.MappingFailed, err)
	}
	subject, ok := out.Value().(string)
	if !ok {
		return "", r.subject.refuse(identity.MappingFailed, misfit("not a string but "+typeName(out)))
	}
	if !isSubject(subject) {
		return "", r.subject.refuse(identity.MappingFailed, misfit(fmt.Sprintf("%d bytes, not 1 to 255 printable ASCII", len(subject))))
	}
	return subject, nil
}

func isSubject(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return 1 <= len(s) && len(s) <= 255
}
