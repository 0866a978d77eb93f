package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"chatpass/identity"
	"chatpass/jwks"
)

// What [Config.Refresh] may say.
const (
	RefreshAuto = "auto" // asks for offline_access where discovery lists it, and keeps a refresh token that comes
	RefreshOn   = "on"   // asks for it in any case
	RefreshOff  = "off"  // neither
)

const (
	offlineAccess = "offline_access" // OpenID Connect Core 1.0 §11
	maxAnswer     = 64 << 10
)

// scopes are asked for at sign-in.
func (is *issuer) scopes(m metadata) []string {
	listed := slices.Contains(m.Scopes, offlineAccess)
	if is.cfg.Refresh == RefreshOn || is.cfg.Refresh == RefreshAuto && listed {
		return append(slices.DeleteFunc(slices.Clone(is.cfg.Scopes), func(s string) bool { return s == offlineAccess }), offlineAccess)
	}
	return is.cfg.Scopes
}

// signInGrant is the grant of a token response to a code.
func (is *issuer) signInGrant(tokens *oauth2.Token) identity.Grant {
	if is.cfg.Refresh == RefreshOff || tokens.RefreshToken == "" || len(tokens.RefreshToken) > maxToken {
		return identity.Grant{}
	}
	return identity.Grant{RefreshToken: tokens.RefreshToken, Lapses: is.lapses(tokens.Extra)}
}

// lapses is when a refresh token ends that an issuer gives so many seconds, by the name of
// draft-ietf-oauth-refresh-token-expiration §3 or by Keycloak's; zero if it does not say so.
func (is *issuer) lapses(said func(name string) any) time.Time {
	for _, name := range []string{"refresh_token_expires_in", "refresh_expires_in"} {
		if seconds, ok := said(name).(float64); ok && seconds > 0 && seconds <= lastSecond {
			return is.cfg.Now().Add(time.Duration(min(seconds, maxLapse.Seconds())) * time.Second)
		}
	}
	return time.Time{}
}

// maxLapse is far beyond the end of any session of ours.
const maxLapse = 366 * 24 * time.Hour

// Refresh asks the issuer of who whether the sign-in that a refresh token came from still stands (RFC 6749
// §6), and returns what to ask with the next time; its RefreshToken is empty if the old one goes on. Where
// the issuer rotates refresh tokens the old one is used up.
//
// Its error is an [*identity.Rejection] with code EndedByIssuer if the issuer said invalid_grant, an
// [*identity.Outage] if it could not be asked or gave no whole answer, and a [*Fault] if it refuses us as its
// client, or speaks of somebody else.
func (g *Gate) Refresh(ctx context.Context, who identity.Identity, refreshToken string) (identity.Grant, error) {
	is, p, err := g.discovered(ctx, who.IDP)
	if err != nil {
		return identity.Grant{}, err
	}
	status, body, err := is.post(ctx, p, p.TokenEndpoint, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refreshToken}})
	if err != nil {
		return identity.Grant{}, err
	}
	said, err := readAnswer(status, body)
	if err != nil {
		return identity.Grant{}, err
	}
	if status != http.StatusOK {
		return identity.Grant{}, is.refused(said)
	}
	return is.readGrant(who, said)
}

// Revoke gives a refresh token back (RFC 7009 §2). An issuer without a revocation endpoint is not told.
func (g *Gate) Revoke(ctx context.Context, idp, refreshToken string) error {
	is, p, err := g.discovered(ctx, idp)
	if err != nil || p.RevocationEndpoint == "" {
		return err
	}
	status, body, err := is.post(ctx, p, p.RevocationEndpoint, url.Values{"token": {refreshToken}, "token_type_hint": {"refresh_token"}})
	if err != nil || status == http.StatusOK {
		return err
	}
	said, err := readAnswer(status, body)
	if err != nil {
		return err
	}
	return is.refused(said)
}

// discovered returns an issuer that people sign in with, and what it says of itself.
func (g *Gate) discovered(ctx context.Context, idp string) (*issuer, *provider, error) {
	is, err := g.named(idp)
	if err != nil {
		return nil, nil, err
	}
	if err := is.signsIn(); err != nil {
		return nil, nil, err
	}
	p, err := is.provider(ctx)
	return is, p, err
}

// post sends a form to the issuer, with what proves who we are.
func (is *issuer) post(ctx context.Context, p *provider, endpoint string, form url.Values) (status int, body []byte, err error) {
	req, err := is.formRequest(ctx, p.metadata, endpoint, form)
	if err != nil {
		return 0, nil, err
	}
	resp, err := is.http.Do(req)
	if err != nil {
		return 0, nil, outage(fmt.Errorf("ask the issuer: %w", err))
	}
	if body, err = jwks.ReadBody(resp, maxAnswer); err != nil {
		return 0, nil, outage(fmt.Errorf("read the issuer's answer: %w", err))
	}
	return resp.StatusCode, body, nil
}

func (is *issuer) formRequest(ctx context.Context, m metadata, endpoint string, form url.Values) (*http.Request, error) {
	style, err := is.authStyle(m)
	if err != nil {
		return nil, err
	}
	assertion, err := is.assertion(m)
	if err != nil {
		return nil, err
	}
	basic := style == oauth2.AuthStyleInHeader
	if !basic {
		form.Set("client_id", is.cfg.ClientID)
	}
	switch {
	case assertion != "":
		form.Set("client_assertion_type", assertionType)
		form.Set("client_assertion", assertion)
	case !basic && is.cfg.ClientSecret != "":
		form.Set("client_secret", is.cfg.ClientSecret)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("ask the issuer: %w", err)
	}
	if basic { // RFC 6749 §2.3.1
		req.SetBasicAuth(url.QueryEscape(is.cfg.ClientID), url.QueryEscape(is.cfg.ClientSecret))
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	return req, nil
}

// readAnswer reads what a token endpoint says: tokens, or an OAuth error. All else is an outage: it may be a
// proxy that speaks.
func readAnswer(status int, body []byte) (claims, error) {
	if status >= http.StatusInternalServerError || status == http.StatusTooManyRequests {
		return nil, outage(fmt.Errorf("the issuer answered with status %d", status))
	}
	said, err := unmarshal(body)
	if err != nil {
		return nil, outage(fmt.Errorf("the issuer answered with status %d and no JSON object", status))
	}
	word := "error"
	if status == http.StatusOK {
		word = "access_token"
	}
	if text, _ := said[word].(string); text == "" {
		return nil, outage(fmt.Errorf("the issuer answered with status %d and no %s", status, word))
	}
	return said, nil
}

// refused is what an OAuth error means for a refresh token (RFC 6749 §5.2): only invalid_grant is about it,
// everything else about us.
func (is *issuer) refused(said claims) error {
	code, _ := said["error"].(string)
	if code == "invalid_grant" {
		return identity.Reject(identity.EndedByIssuer, "the issuer answered invalid_grant", "a sign-in that the issuer stands by")
	}
	return is.fault("it answered "+clientFault(code)+" to a refresh token",
		"check client_id, client_secret or private_key, and that our client may use refresh tokens there, or write refresh: off")
}

// readGrant reads the answer to a refresh token. An ID token need not be in it; one that is must be of the same person
// (OpenID Connect Core 1.0 §12.2). It came straight from the issuer, so that its signature adds nothing
// (§3.1.3.7, rule 6).
func (is *issuer) readGrant(who identity.Identity, said claims) (identity.Grant, error) {
	var grant identity.Grant
	var idToken string
	err := firstError(
		func() (err error) { grant.RefreshToken, err = said.text("refresh_token"); return },
		func() (err error) { idToken, err = said.text("id_token"); return },
	)
	if err == nil && len(grant.RefreshToken) > maxToken {
		err = errors.New("a refresh token of more than 16 KiB")
	}
	grant.Lapses = is.lapses(func(name string) any { return said[name] })
	if err == nil && idToken != "" {
		grant.Ends, err = is.samePerson(who, idToken)
	}
	if err != nil {
		f := is.fault("its answer to a refresh token cannot be used", "ask its operator to repair it, or write refresh: off")
		f.Err = errors.New(err.Error()) // a rejection of this answer is none of the sign-in
		return identity.Grant{}, f
	}
	return grant, nil
}

// samePerson checks that an ID token speaks of the person, and returns when it says that sessions end.
func (is *issuer) samePerson(who identity.Identity, raw string) (ends time.Time, err error) {
	t, err := open(raw, nil)
	if err != nil {
		return ends, err
	}
	sub, err := t.claims.text("sub")
	if err != nil {
		return ends, err
	}
	if is.tenants[t.iss].issuer != who.Issuer || sub != who.UpstreamSubject {
		return ends, errors.New("an ID token of another person")
	}
	return t.claims.instant(sessionExpiry)
}
