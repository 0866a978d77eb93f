package oidc

import (
	"context"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"slices"

	"chatpass/identity"
	"chatpass/jwks"
)

const maxUserinfo = 64 << 10

// addUserinfo fills in from the userinfo document (OpenID Connect Core 1.0 §5.3) the claims that the ID
// token lacks. What the token says stays, and nothing that says how, where and for whom the person
// signed in is taken from a document that nobody signed.
func (is *issuer) addUserinfo(ctx context.Context, p *provider, accessToken string, who *identity.Identity) error {
	if !is.cfg.Userinfo {
		return nil
	}
	said, err := is.userinfo(ctx, p.UserinfoEndpoint, accessToken)
	if err != nil {
		return err
	}
	sub, err := said.subject("sub")
	if err != nil {
		return err
	}
	if sub != who.UpstreamSubject { // §5.3.2: another person's, by error or by malice
		return identity.Reject(identity.ClaimAmbiguous, "a userinfo document of another sub", "that of the ID token's sub")
	}
	all := maps.Clone(who.Claims)
	for name, value := range said.present() {
		if _, there := all[name]; !there && !ofTheToken(name) {
			all[name] = value
		}
	}
	who.Claims = all
	return nil
}

// ofTheToken says whether a claim is about the ID token and its sign-in, not about the person.
func ofTheToken(claim string) bool {
	return slices.Contains([]string{
		"iss", "aud", "exp", "nbf", "iat", "jti", "azp", "nonce", "auth_time", "acr", "acrs", "amr", "sid", "tid",
		"events", "at_hash", "c_hash", "s_hash", "cnf", "act", "may_act", "_claim_names", "_claim_sources", sessionExpiry,
	}, claim)
}

// userinfo fetches the document. Whatever keeps it from coming is an outage: it says nothing about the
// person, and another try may bring it.
func (is *issuer) userinfo(ctx context.Context, endpoint, accessToken string) (claims, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint, nil)
	if err != nil {
		return nil, fmt.Errorf("ask for userinfo: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+accessToken)
	req.Header.Set("Accept", "application/json")
	resp, err := is.http.Do(req)
	if err != nil {
		return nil, outage(fmt.Errorf("ask for userinfo: %w", err))
	}
	body, err := jwks.ReadBody(resp, maxUserinfo)
	if err != nil {
		return nil, outage(fmt.Errorf("read userinfo: %w", err))
	}
	if resp.StatusCode != http.StatusOK {
		return nil, outage(fmt.Errorf("ask for userinfo: status %d", resp.StatusCode))
	}
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind != "application/json" {
		return nil, is.fault("its userinfo document is "+clip(kind), "have it answer application/json, without signature and encryption, or write userinfo: false")
	}
	said, err := unmarshal(body)
	if err == nil && said.ambiguous() != "" {
		err = malformed("a userinfo document with names that differ in case only")
	}
	return said, err
}
