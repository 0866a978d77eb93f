package exchange

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"chatpass/identity"
)

// maxConversation is the greatest length of a conversation's name, in characters.
const maxConversation = 128

// checkAsked holds what is asked for against what the app may grant at all, before any token is looked at.
func (e *evaluation) checkAsked(context.Context) error {
	switch e.req.RequestedTokenType {
	case "", AccessToken, JWT:
	default:
		return Refuse(identity.UnsupportedTokenType, "requested_token_type must be that of an access token or of a JWT")
	}
	if !plain(e.req.Conversation) {
		return Refuse(identity.ParameterUnsupported, "conversation must be at most 128 printable characters")
	}
	audience, err := targets(e.client.App, e.req)
	if err != nil {
		return err
	}
	scope, err := narrow(e.client.App.Scopes, e.req.Scope)
	if err != nil {
		return err
	}
	e.audience, e.scope = audience, scope
	e.record.Audience, e.record.Scope = audience, scope
	e.record.Pass("audience", strings.Join(audience, " "), "of "+strings.Join(e.client.App.Audience, " "))
	e.record.Pass("scope", strings.Join(scope, " "), "of "+strings.Join(e.client.App.Scopes, " "))
	return nil
}

// targets returns the services the context is for: all that are asked for, each of them the app's; else
// the app's first alone, so that no service can replay a context at another (RFC 8693 §2.1, §2.2.2).
func targets(app *App, req Request) ([]string, error) {
	var asked []string
	for _, resource := range req.Resource {
		if u, err := url.Parse(resource); err != nil || !u.IsAbs() || strings.Contains(resource, "#") {
			return nil, Refuse(identity.AudienceNotAllowed, "resource must be an absolute URI without fragment (RFC 8707)")
		}
	}
	for _, target := range slices.Concat(req.Audience, req.Resource) {
		if !slices.Contains(app.Audience, target) {
			return nil, Refuse(identity.AudienceNotAllowed, "")
		}
		if !slices.Contains(asked, target) {
			asked = append(asked, target)
		}
	}
	if len(asked) == 0 {
		return app.Audience[:1], nil
	}
	return asked, nil
}

// narrow returns the allowed scopes among those asked for, or all allowed ones if none are.
func narrow(allowed, asked []string) ([]string, error) {
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
		return nil, Refuse(identity.ScopeNotAllowed, "")
	}
	return granted, nil
}

func plain(s string) bool {
	if utf8.RuneCountInString(s) > maxConversation || !utf8.ValidString(s) {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}
