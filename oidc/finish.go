package oidc

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"chatpass/identity"
)

// SignedIn is a completed sign-in.
type SignedIn struct {
	Identity identity.Identity
	// IDToken is the verified ID token as received, for `id_token_hint` at sign-out. Secret.
	IDToken string
	// Grant asks the issuer later whether the sign-in still stands; zero if it gave none.
	Grant identity.Grant
}

// Denied says that the issuer did not sign the person in.
type Denied struct {
	// Reason is the OAuth error code (RFC 6749 §4.1.2.1, OpenID Connect Core 1.0 §3.1.2.6); server_error
	// if the issuer's is none of those.
	Reason string
}

func (d *Denied) Error() string { return "issuer answered " + d.Reason }

// Finish completes a sign-in with the parameters of the issuer's answer. Before anything else they must
// carry the state of this very login, and the issuer's name if it sends that (RFC 9207).
//
// Its error is a [*Denied] if the issuer said no, an [*identity.Rejection] if the answer or the ID token
// is at fault, an [*identity.Outage] if the issuer could not be asked, and a [*Fault] if it refuses us
// as its client.
func (g *Gate) Finish(ctx context.Context, login Login, callback url.Values) (SignedIn, error) {
	is, err := g.named(login.IDP)
	if err != nil {
		return SignedIn{}, err
	}
	if err := checkState(login, callback); err != nil {
		return SignedIn{}, err
	}
	login.Passed.Tell("state", "that of this sign-in", "that of this sign-in")
	if err := is.signsIn(); err != nil { // the configuration was read anew meanwhile
		return SignedIn{}, err
	}
	p, err := is.provider(ctx)
	if err != nil {
		return SignedIn{}, err
	}
	code, err := is.readCallback(p, callback)
	if err != nil {
		return SignedIn{}, err
	}
	login.Passed.Tell("issuer's answer", "a code", "a code")
	tokens, err := is.redeem(ctx, p, code, login.Verifier)
	if err != nil {
		return SignedIn{}, err
	}
	login.Passed.Tell("code", "traded for tokens", "a fresh code")
	in, err := is.signIn(ctx, login, code, tokens)
	if err != nil {
		return SignedIn{}, err
	}
	if err := is.addUserinfo(ctx, p, tokens.AccessToken, &in.Identity); err != nil {
		return SignedIn{}, err
	}
	return in, nil
}

// checkState refuses what is empty first: a missing state would equal a missing state.
func checkState(login Login, callback url.Values) error {
	if login.State == "" || login.Nonce == "" || login.Verifier == "" {
		return errors.New("the login lacks its secrets")
	}
	for _, name := range []string{"state", "code", "error", "iss"} {
		if len(callback[name]) > 1 {
			return identity.Reject(identity.ParameterRepeated, name+" more than once", "once")
		}
	}
	if subtle.ConstantTimeCompare([]byte(callback.Get("state")), []byte(login.State)) != 1 {
		return identity.Reject(identity.CSRFFailed, "state of another sign-in or none", "the state of this sign-in")
	}
	return nil
}

// readCallback returns the code of the issuer's answer. An answer that names another issuer is a mix-up
// attack (RFC 9207 §2.4), error or not.
func (is *issuer) readCallback(p *provider, callback url.Values) (string, error) {
	iss, sent := callback.Get("iss"), callback.Has("iss")
	if sent && iss != p.Issuer && !is.isTenant(iss) || !sent && p.SendsIssuer {
		return "", untrusted(iss, p.Issuer)
	}
	if reason := callback.Get("error"); reason == "unmet_authentication_requirements" {
		return "", identity.Reject(identity.StepUpUnmet, "the issuer answered "+reason, "the authentication that was asked for")
	} else if reason != "" {
		return "", &Denied{Reason: known(reason)}
	}
	code := callback.Get("code")
	if code == "" {
		return "", identity.Reject(identity.ParameterMissing, "neither code nor error", "code")
	}
	return code, nil
}

// known returns reason if it is an error code of the standards: nothing else of the answer is passed on.
func known(reason string) string {
	reasons := []string{
		"invalid_request", "unauthorized_client", "access_denied", "unsupported_response_type", "invalid_scope",
		"temporarily_unavailable", "interaction_required", "login_required", "account_selection_required",
		"consent_required", "invalid_request_uri", "invalid_request_object", "request_not_supported",
		"request_uri_not_supported", "registration_not_supported",
	}
	if slices.Contains(reasons, reason) {
		return reason
	}
	return "server_error"
}

// redeem trades the code for tokens, once: a code is not sent again after a failure.
func (is *issuer) redeem(ctx context.Context, p *provider, code, verifier string) (*oauth2.Token, error) {
	client, err := is.oauth(p)
	if err != nil {
		return nil, err
	}
	options, err := is.authenticate(p.metadata)
	if err != nil {
		return nil, err
	}
	ctx = gooidc.ClientContext(ctx, is.http)
	tokens, err := client.Exchange(ctx, code, append(options, oauth2.VerifierOption(verifier))...)
	if err != nil {
		return nil, is.redeemError(err)
	}
	return tokens, nil
}

// redeemError maps x/oauth2's errors, which carry the answer's body, to what may be told.
func (is *issuer) redeemError(err error) error {
	refused, answered := errors.AsType[*oauth2.RetrieveError](err)
	if !answered {
		return outage(fmt.Errorf("redeem code: %w", err))
	}
	status := refused.Response.StatusCode
	if status >= http.StatusInternalServerError || status == http.StatusTooManyRequests {
		return outage(fmt.Errorf("redeem code: status %d", status))
	}
	switch code := refused.ErrorCode; {
	case code == "": // a proxy's page, perhaps
		return outage(fmt.Errorf("redeem code: status %d without an OAuth error", status))
	case code == "invalid_grant":
		return identity.Reject(identity.SignInExpired, "a code that the issuer refused as used or expired", "a fresh code")
	default:
		return is.fault("its token endpoint answered "+clientFault(code),
			"check client_id, client_secret or private_key, and the redirect URL registered there")
	}
}

// clientFault returns code if it is one of RFC 6749 §5.2.
func clientFault(code string) string {
	faults := []string{"invalid_request", "invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope"}
	if slices.Contains(faults, code) {
		return code
	}
	return "an error of its own"
}

// signIn believes the ID token of the token response, and checks that it answers this login.
func (is *issuer) signIn(ctx context.Context, login Login, code string, tokens *oauth2.Token) (SignedIn, error) {
	raw, _ := tokens.Extra("id_token").(string)
	if raw == "" {
		return SignedIn{}, identity.Reject(identity.NotAnIDToken, "no ID token in the token response", "an ID token")
	}
	t, err := open(raw, login.Passed)
	if err != nil {
		return SignedIn{}, err
	}
	if !is.issues(t.iss) {
		return SignedIn{}, untrusted(t.iss, is.cfg.Issuer)
	}
	who, read, err := is.readIDToken(ctx, t, true, is.ourselves())
	if err != nil {
		return SignedIn{}, err
	}
	err = firstError(
		func() error { return checkNonce(t.claims, login.Nonce) },
		func() error { return is.checkAuthTime(who.AuthTime, login.MaxAge) },
		func() error { return is.checkLevel(&who, t.claims, login.ACRValues) },
		func() error { return checkHash(read, t.claims, "at_hash", tokens.AccessToken) },
		func() error { return checkHash(read, t.claims, "c_hash", code) },
	)
	if err != nil {
		return SignedIn{}, err
	}
	return SignedIn{Identity: who, IDToken: raw, Grant: is.signInGrant(tokens)}, nil
}

func checkNonce(c claims, want string) error {
	nonce, err := c.text("nonce")
	if err != nil {
		return err
	}
	if want == "" || subtle.ConstantTimeCompare([]byte(nonce), []byte(want)) != 1 {
		return identity.Reject(identity.NonceMismatch, "another nonce or none", "the nonce of this sign-in")
	}
	return nil
}

// checkAuthTime holds the issuer to the max_age asked for (OpenID Connect Core 1.0 §3.1.3.7, rule 13).
func (is *issuer) checkAuthTime(at time.Time, maxAge *time.Duration) error {
	if maxAge == nil {
		return nil
	}
	required := "at most " + seconds(*maxAge)
	if at.IsZero() {
		return identity.Reject(identity.AuthenticationStale, "no auth_time", required)
	}
	age := is.cfg.Now().Sub(at)
	if age > *maxAge+is.cfg.ClockSkew {
		return identity.Reject(identity.AuthenticationStale, "authenticated "+seconds(age)+" ago", required)
	}
	if -age > is.cfg.ClockSkew {
		return identity.Reject(identity.IssuedInFuture, "authenticated "+seconds(-age)+" ahead", "in the past")
	}
	return nil
}

// checkHash compares a hash claim, if there is one, with what it is the hash of (OpenID Connect Core 1.0
// §3.1.3.6 and §3.3.2.11: the same function for both).
func checkHash(read *gooidc.IDToken, c claims, name, of string) error {
	hash, err := c.text(name)
	if err != nil || hash == "" {
		return err
	}
	bound := *read
	bound.AccessTokenHash = hash
	if bound.VerifyAccessToken(of) != nil {
		return identity.Reject(identity.SignatureInvalid, name+" of something else", "the hash of what came with it")
	}
	return nil
}
