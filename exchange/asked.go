package exchange

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"chatpass/decision"
	"chatpass/identity"
)

// maxConversation is the greatest length of a conversation's name, in characters.
const maxConversation = 128

// checkAsked holds what is asked for against what the app may grant at all, before any token is looked at.
func (e *evaluation) checkAsked(context.Context) error {
	switch e.req.RequestedTokenType {
	case "", AccessToken, JWT:
	default:
		return Refuse(identity.UnsupportedTokenType, "requested_token_type must be that of an access token or of a JWT").
			Measured("requested_token_type "+decision.Clip(string(e.req.RequestedTokenType)), string(AccessToken)+" or "+string(JWT))
	}
	if !plain(e.req.Conversation) {
		return Refuse(identity.ParameterUnsupported, "conversation must be at most 128 printable characters").
			Measured(fmt.Sprintf("conversation of %d characters, or not all printable", utf8.RuneCountInString(e.req.Conversation)), "at most 128, all printable")
	}
	if err := e.checkMayDelegate(); err != nil {
		return err
	}
	err := e.authorise(identity.ScopeNotAllowed)
	if len(e.audience) > 0 {
		e.record.Pass("audience", strings.Join(e.audience, ", "), "of "+strings.Join(e.most.audience, ", "))
	}
	if err == nil {
		e.record.Pass("scope", cmp.Or(strings.Join(e.scope, " "), "none"), "of "+cmp.Or(strings.Join(e.most.scope, " "), "none"))
	}
	return err
}

// bounds are the most that a request may be granted. They begin as the app's; what the subject token and
// the actor are makes them less, and nothing makes them more.
type bounds struct {
	audience, scope []string
	lifetime        time.Duration
	until           time.Time // zero: to the end of the session
}

// checkGrant is checkAsked again, within what is left when subject and actor are known.
func (e *evaluation) checkGrant(context.Context) error {
	err := e.authorise(identity.ActorWider)
	if refusal, ok := errors.AsType[*Error](err); ok && refusal.Code == identity.AudienceNotAllowed {
		return e.beyondPresented(refusal)
	}
	if err != nil {
		return err
	}
	if e.subject.from != nil || e.actor != nil {
		e.record.Pass("narrowing", strings.Join(slices.Concat(e.audience, e.scope), " "), "of "+strings.Join(slices.Concat(e.most.audience, e.most.scope), " "))
	}
	return nil
}

// beyondPresented is the refusal of an audience that the app has and the presented context has not, or the
// other way round.
func (e *evaluation) beyondPresented(refusal *Error) error {
	asked, _ := refusal.Rung()
	if len(e.most.audience) == 0 {
		return Refuse(identity.AudienceNotAllowed, "the presented context is for no audience that the app still has: exchange what it came from").
			Measured(asked, "a context for one of app "+e.client.App.Name)
	}
	return Refuse(identity.AudienceNotAllowed, "the presented context is not for this audience or resource").
		Measured(asked, "one of "+strings.Join(e.most.audience, ", ")+", which the presented context is for,")
}

// authorise is the one place that decides on client, audience and scope together. wider is the code for
// scopes none of which is within bounds.
func (e *evaluation) authorise(wider identity.Code) error {
	var err error
	if e.audience, err = targets(e.most.audience, e.req); err != nil {
		return err
	}
	if e.scope, err = narrow(e.most.scope, e.req.Scope, wider); err != nil {
		return err
	}
	e.record.Audience, e.record.Scope = e.audience, e.scope
	return nil
}

// targets returns the services the context is for: all that are asked for, each of them allowed; else the
// first allowed alone, so that no service can replay a context at another (RFC 8693 §2.1, §2.2.2).
func targets(allowed []string, req Request) ([]string, error) {
	var asked []string
	for _, resource := range req.Resource {
		if u, err := url.Parse(resource); err != nil || !u.IsAbs() || strings.Contains(resource, "#") {
			return nil, Refuse(identity.AudienceNotAllowed, "resource must be an absolute URI without fragment (RFC 8707)").
				Measured("resource "+decision.Clip(resource), "an absolute URI without fragment")
		}
	}
	for _, target := range slices.Concat(req.Audience, req.Resource) {
		if !slices.Contains(allowed, target) {
			return nil, Refuse(identity.AudienceNotAllowed, "").Measured(decision.Clip(target), "one of "+strings.Join(allowed, ", "))
		}
		if !slices.Contains(asked, target) {
			asked = append(asked, target)
		}
	}
	switch {
	case len(asked) > 0:
		return asked, nil
	case len(allowed) == 0: // the app has lost what the presented context was for
		return nil, Refuse(identity.AudienceNotAllowed, "").Measured("what the presented context is for", "one of the app's")
	}
	return allowed[:1], nil
}

// narrow returns the allowed scopes among those asked for, or all allowed ones if none are.
func narrow(allowed, asked []string, wider identity.Code) ([]string, error) {
	if len(asked) == 0 {
		return allowed, nil
	}
	var granted []string
	for _, s := range allowed {
		if slices.Contains(asked, s) {
			granted = append(granted, s)
		}
	}
	if len(granted) == 0 {
		return nil, Refuse(wider, "").
			Measured("scope "+decision.Clip(strings.Join(asked, " ")), "any of "+strings.Join(allowed, " "))
	}
	return granted, nil
}

func plain(s string) bool {
	if utf8.RuneCountInString(s) > maxConversation || !utf8.ValidString(s) {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}
