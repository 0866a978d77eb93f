// Package decision describes one evaluated request: its id, its ladder of checks, its outcome, and
// the audit line that is written of it.
package decision

import (
	"time"

	"chatpass/identity"
)

// A Decision is one evaluated request. It never holds a token or a personal claim's value.
type Decision struct {
	// ID finds the decision again: it is in the answer to the client and in the audit line.
	ID   string
	Time time.Time
	// Verb is what was asked: "exchange", "context", "claim", "sign-in", "sign-out", "logout-token".
	Verb string
	// RequestID is the X-Request-Id of the answer.
	RequestID   string
	App, Client string
	// IDP is the upstream issuer's name; empty if the request did not come so far.
	IDP string
	// Subject is an HMAC of the upstream subject: some issuers use e-mail addresses as subjects.
	Subject  string
	Customer string
	SID      string
	// JTI, Audience, Scope and Lifetime describe the context that was issued.
	JTI      string
	Audience []string
	Scope    []string
	Lifetime time.Duration
	Outcome  Outcome
	// Code is why it was not issued; empty if it was.
	Code   identity.Code
	Ladder []Rung
}

// An Outcome is how a decision ended.
type Outcome string

const (
	// Issued: the answer was yes.
	Issued Outcome = "issued"
	// Refused: the answer was a no that the client may hear.
	Refused Outcome = "refused"
	// Failed: there was no answer; the fault is ours or an outage.
	Failed Outcome = "failed"
)

// A Rung is one check of the ladder.
type Rung struct {
	Check    string // "client", "origin", "issuer", "signature", …
	Passed   bool
	Measured string
	Required string
}

// Pass adds a rung that was passed.
func (d *Decision) Pass(check, measured, required string) {
	d.Ladder = append(d.Ladder, Rung{Check: check, Passed: true, Measured: clip(measured), Required: clip(required)})
}

// Fail adds the rung that was not passed.
func (d *Decision) Fail(check, measured, required string) {
	d.Ladder = append(d.Ladder, Rung{Check: check, Measured: clip(measured), Required: clip(required)})
}
