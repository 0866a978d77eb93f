package exchange

import (
	"context"
	"slices"
	"strings"
	"time"

	"chatpass/decision"
	"chatpass/identity"
	"chatpass/session"
)

// A Level is what a request demands of the person's authentication (RFC 9470 §4).
type Level struct {
	// ACR lists the levels one of which must have been reached; empty: any.
	ACR []string
	// MaxAge is how long ago the person may have proved who they are; nil: any time.
	MaxAge *time.Duration
}

func (l Level) empty() bool { return len(l.ACR) == 0 && l.MaxAge == nil }

// String says what is demanded, for the ladder of a decision.
func (l Level) String() string {
	var words []string
	if len(l.ACR) > 0 {
		words = append(words, "acr one of "+decision.Clip(strings.Join(l.ACR, " ")))
	}
	if l.MaxAge != nil {
		words = append(words, "authenticated at most "+l.MaxAge.String()+" ago")
	}
	return strings.Join(words, ", ")
}

// metBy tells whether the person's authentication is enough. Only such a demand needs auth_time.
func (l Level) metBy(who identity.Identity, now time.Time) bool {
	if len(l.ACR) > 0 && !slices.Contains(l.ACR, who.ACR) {
		return false
	}
	return l.MaxAge == nil || !who.AuthTime.IsZero() && now.Sub(who.AuthTime) <= *l.MaxAge
}

// StepUp is what an app means by a higher authentication.
type StepUp struct {
	// ACR lists the levels asked for when a page does not say which; the best first.
	ACR []string
	// Lifetime is how long a session stays at a higher level.
	Lifetime time.Duration
}

// A SignInHint says how the person has to sign in to be given what was refused.
type SignInHint struct {
	Prompt string // `prompt` of OpenID Connect Core 1.0 §3.1.2.1
	Level
}

// checkLevel holds the person's authentication against what the request demands. It comes last: nobody is
// sent to sign in for a context that they would not get.
func (e *evaluation) checkLevel(context.Context) error {
	want, who := e.req.Level, e.subject.identity
	if want.empty() {
		return nil
	}
	measured := "acr " + decision.Clip(who.ACR) + ", no auth_time"
	if !who.AuthTime.IsZero() {
		measured = "acr " + decision.Clip(who.ACR) + ", authenticated " + e.now.Sub(who.AuthTime).Round(time.Second).String() + " ago"
	}
	if want.metBy(who, e.now) {
		e.record.Pass("level", measured, want.String())
		return nil
	}
	refusal := Refuse(identity.StepUpNeeded, "").Measured(measured, want.String())
	refusal.SignIn = &SignInHint{Level: want}
	return refusal
}

// byStepUp is the browser's session with the sign-in that raises it, which must be the same person's.
func (e *evaluation) byStepUp(ctx context.Context, result session.Result) (subject, error) {
	live, err := e.cfg.Sessions.Look(ctx, e.client.App.Name, e.req.Replaces)
	e.record.SID = live.SID
	switch was, is := live.Identity, result.Identity; {
	case err != nil:
		return subject{}, err
	case live.Former:
		return subject{}, identity.Reject(identity.NoSession, "a session cookie that was replaced", "the cookie that took its place")
	case was.Issuer != is.Issuer || was.Subject != is.Subject || was.UpstreamSubject != is.UpstreamSubject:
		return subject{}, identity.Reject(identity.CustomerMismatch, "another person or issuer", "the person of the session")
	default:
		was.ACR, was.AMR, was.AuthTime = is.ACR, is.AMR, is.AuthTime
		e.record.Pass("step-up", "by the same person", "by the person of the session")
		return subject{identity: was, session: &live, raisedBy: &result, higher: e.now.Add(e.client.App.StepUp.Lifetime)}, nil
	}
}

// inUse is the subject of a session, at the level it has now. A level that ends too soon for a context does
// not count any more: contexts of the base level last longer.
func (e *evaluation) inUse(live session.Session) subject {
	who, higher := live.Who(e.now)
	if !higher.IsZero() && higher.Sub(e.now) < min(shortestContext, e.most.lifetime) {
		who, higher = live.Identity, time.Time{}
	}
	return subject{identity: who, session: &live, higher: higher}
}
