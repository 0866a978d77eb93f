package oidc

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"chatpass/identity"
)

const (
	logoutEvent  = "http://schemas.openid.net/event/backchannel-logout"
	maxLogoutAge = 5 * time.Minute
)

// A Logout is a verified logout token: the issuer ended a session, or all sessions of a person.
type Logout struct {
	// Issuer is the issuer's URL as configured; with tenants, that of the tenant.
	Issuer string
	// Subject is the person's `sub`, Session the issuer's `sid`; one of them may be empty.
	Subject, Session string
	// JTI is the token's id. The caller refuses one seen before.
	JTI string
	// IssuedAt is the token's `iat`. No later than Expires the token is refused for its age, and the JTI
	// may be forgotten.
	IssuedAt, Expires time.Time
}

// maxSession bounds an issuer's session id, in bytes.
const maxSession = 512

// FrontchannelLogout reads what the issuer named idp says through a frame in somebody's browser
// (OpenID Connect Front-Channel Logout 1.0 §2). Nothing is signed: what ends a session is to know its
// sid, which nobody can guess, so a logout without one is rejected. So is every one of an issuer that
// is not configured to be heard like this. IssuedAt, Expires and JTI of the answer are zero.
func (g *Gate) FrontchannelLogout(idp, iss, sid string) (Logout, error) {
	is, err := g.named(idp)
	if err != nil {
		return Logout{}, err
	}
	switch {
	case !is.cfg.FrontchannelLogout:
		return Logout{}, identity.Reject(identity.IssuerNotTrusted, "an issuer without frontchannel_logout", "one with frontchannel_logout: true")
	case !is.issues(iss):
		return Logout{}, untrusted(iss, is.cfg.Issuer)
	case sid == "" || len(sid) > maxSession:
		return Logout{}, identity.Reject(identity.ClaimMissing, "no sid, or one that is too long", "sid, at most 512 bytes")
	}
	return Logout{Issuer: is.tenants[iss].issuer, Session: sid}, nil
}

// VerifyLogout checks a logout token of the issuer named idp (OpenID Connect Back-Channel Logout 1.0
// §2.6), all but the replay of its id. A token without `exp`, as early drafts had it, is good for 5
// minutes; none is good for longer. passed is told of the checks that the token passes; it may be nil.
// Errors are as in [Gate.Verify].
func (g *Gate) VerifyLogout(ctx context.Context, idp, raw string, passed identity.Passed) (Logout, error) {
	is, err := g.named(idp)
	if err != nil {
		return Logout{}, err
	}
	t, err := open(raw, passed)
	if err != nil {
		return Logout{}, err
	}
	if !is.issues(t.iss) {
		return Logout{}, untrusted(t.iss, is.cfg.Issuer)
	}
	passed.Tell("token issuer", "issuer "+clip(t.iss), "issuer "+is.cfg.Issuer)
	if !t.isTyped("logout+jwt", "jwt") {
		return Logout{}, identity.Reject(identity.NotAnIDToken, "typ "+clip(t.typ), "no typ, logout+jwt or JWT")
	}
	var out Logout
	_, err = is.believe(ctx, t, false, func() (err error) {
		out, err = is.readLogout(t, is.tenants[t.iss])
		return err
	})
	if err != nil {
		return Logout{}, err
	}
	return out, nil
}

func (is *issuer) readLogout(t token, from tenant) (Logout, error) {
	c, out := t.claims, Logout{Issuer: from.issuer}
	var expires time.Time
	tell := func(check, measured, required string) error { t.passed.Tell(check, measured, required); return nil }
	err := firstError(
		func() error { return checkEvent(c) },
		func() error { return tell("token kind", "a logout token", "a logout token") },
		func() error { return from.check(c, false) }, // a logout token need not have tid
		func() (err error) { _, err = c.party(is.ourselves()); return },
		func() error { return tell("token audience", "client "+clip(is.cfg.ClientID), oneOf(is.ourselves())) },
		func() (err error) { out.IssuedAt, err = c.required("iat"); return },
		func() (err error) { expires, err = c.instant("exp"); return },
		func() error { return is.checkTimes(c, out.IssuedAt, expires) },
		func() error {
			return tell("token times", "issued "+is.age(out.IssuedAt)+" ago", "begun and not over, to "+seconds(is.cfg.ClockSkew))
		},
		func() error { return is.checkAge(out.IssuedAt, maxLogoutAge) },
		func() error { return tell("token age", is.age(out.IssuedAt), "at most "+seconds(maxLogoutAge)) },
		func() (err error) { out.JTI, err = c.subject("jti"); return },
		func() (err error) { out.Session, err = c.text("sid"); return },
		func() (err error) { out.Subject, err = c.logoutSubject(out.Session); return },
		func() error { return tell("token claims", "jti, and sub or sid", "jti, and sub or sid") },
	)
	out.Expires = out.IssuedAt.Add(maxLogoutAge)
	return out, err
}

// checkEvent makes sure that a token is a logout token and cannot be an ID token.
func checkEvent(c claims) error {
	events, _ := c["events"].(map[string]any)
	if _, isObject := events[logoutEvent].(map[string]any); !isObject {
		return identity.Reject(identity.NotAnIDToken, "no logout event", "the member "+logoutEvent+" in events")
	}
	if _, there := c["nonce"]; there {
		return identity.Reject(identity.NotAnIDToken, "a nonce", "no nonce")
	}
	return nil
}

// logoutSubject returns `sub`, which may be missing if there is a session.
func (c claims) logoutSubject(session string) (string, error) {
	if c["sub"] == nil && session != "" {
		return "", nil
	}
	return c.subject("sub")
}

// EndSession returns the URL that signs the person out at the issuer named idp (OpenID Connect
// RP-Initiated Logout 1.0 §2), "" if it has none. idToken, returnTo and state are optional; returnTo
// must be registered there.
func (g *Gate) EndSession(ctx context.Context, idp, idToken, returnTo, state string) (string, error) {
	is, err := g.named(idp)
	if err != nil {
		return "", err
	}
	if is.signsIn() != nil {
		return "", nil
	}
	p, err := is.provider(ctx)
	if err != nil || p.EndSessionEndpoint == "" {
		return "", err
	}
	u, err := url.Parse(p.EndSessionEndpoint)
	if err != nil {
		return "", fmt.Errorf("read end_session_endpoint: %w", err)
	}
	query := u.Query()
	query.Set("client_id", is.cfg.ClientID)
	for name, value := range map[string]string{"id_token_hint": idToken, "post_logout_redirect_uri": returnTo, "state": state} {
		if value != "" {
			query.Set(name, value)
		}
	}
	u.RawQuery = query.Encode()
	return u.String(), nil
}
