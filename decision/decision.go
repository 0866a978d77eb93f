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
	ID   string    `json:"decision"`
	Time time.Time `json:"time"`
	// Verb is what was asked: "exchange", "context", "claim", "sign-in", "sign-out", "logout-token",
	// "front-channel", "introspection" if that was not answered; "request" if it was refused before it was known.
	Verb string `json:"verb"`
	// RequestID is the X-Request-Id of the answer.
	RequestID string `json:"request_id"`
	// App is empty, and Client is the [Name] that the request claims, if no such client is known.
	App    string `json:"app,omitempty"`
	Client string `json:"client,omitempty"`
	// ClientType is "browser", "native" or "backend"; empty like App.
	ClientType string `json:"client_type,omitempty"`
	// IDP is the upstream issuer's name; empty if the request did not come so far.
	IDP string `json:"idp,omitempty"`
	// Subject is an HMAC of the upstream subject: some issuers use e-mail addresses as subjects.
	Subject string `json:"subject,omitempty"`
	// Actor is who acts for the customer, through whom: people as issuer name and HMAC, clients by id.
	Actor    string `json:"actor,omitempty"`
	Customer string `json:"customer,omitempty"`
	SID      string `json:"sid,omitempty"`
	// JTI and Lifetime describe the context that was issued, Audience and Scope what it is for.
	JTI      string        `json:"jti,omitempty"`
	Audience []string      `json:"audience,omitempty"`
	Scope    []string      `json:"scope,omitempty"`
	Lifetime time.Duration `json:"-"`
	Outcome  Outcome       `json:"outcome"`
	// Code is why it was not issued; empty if it was, and if an upstream issuer did not sign the person in.
	Code identity.Code `json:"code,omitempty"`
	// Ladder is every check that was made, in that order. If the outcome is [Refused] or [Failed], the last
	// rung is the only one that was not passed; else all were.
	Ladder []Rung `json:"ladder"`
	// More is how many of the same code and client came within the same minute and were counted with it.
	More int `json:"more"`
	// Like names the decision that this one was counted with; empty if it was kept itself. Of its own ladder
	// there is only the check that was not passed.
	Like string `json:"like,omitempty"`
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
	// Abandoned: there was no answer, and nobody waited for one: the client had hung up.
	Abandoned Outcome = "abandoned"
)

// A Rung is one check of the ladder.
type Rung struct {
	Check    string `json:"check"` // "client", "origin", "token issuer", "token signature", …
	Passed   bool   `json:"passed"`
	Measured string `json:"measured"`
	Required string `json:"required"`
}

// Pass adds a rung that was passed. What came from outside must have gone through [Clip].
func (d *Decision) Pass(check, measured, required string) {
	d.Ladder = append(d.Ladder, Rung{Check: check, Passed: true, Measured: tame(Discreet(measured), rungLimit), Required: tame(Discreet(required), rungLimit)})
}

// End writes down that the answer was not yes, why, and which check was not passed: the one that code
// stands for. It is as [Decision.Pass] for the rest.
func (d *Decision) End(outcome Outcome, code identity.Code, measured, required string) {
	d.Outcome, d.Code = outcome, code
	d.Ladder = append(d.Ladder, Rung{Check: About(code).Check, Measured: tame(Discreet(measured), rungLimit), Required: tame(Discreet(required), rungLimit)})
}
