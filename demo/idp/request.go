package idp

import (
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// authRequest is an authorization request that may be answered.
type authRequest struct {
	client                       Client
	redirectURI, state           string
	nonce, challenge             string
	scope, acrValues             []string
	prompt, loginHint, hintedSub string
	maxAge                       *time.Duration
	query                        string // all of it, to ask again
}

// authFault is an error answer (RFC 6749 §4.1.2.1, OpenID Connect Core 1.0 §3.1.2.6).
type authFault struct{ code, description string }

// challengeShape is that of every S256 challenge (RFC 7636 §4.2).
var challengeShape = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// readAuthRequest reads and checks a request. While the redirectURI of what it returns is empty, a
// fault must not be sent anywhere: where to would be a stranger's choice.
func (p *Provider) readAuthRequest(form url.Values) (authRequest, *authFault) {
	client, ok := p.clients[form.Get("client_id")]
	if !ok || len(form["client_id"]) != 1 {
		return authRequest{}, &authFault{"invalid_request", "client_id names no client of this provider"}
	}
	if len(form["redirect_uri"]) != 1 || !slices.Contains(client.RedirectURIs, form.Get("redirect_uri")) {
		return authRequest{}, &authFault{"invalid_request", "redirect_uri is not registered for " + client.ID}
	}
	req := authRequest{
		client: client, redirectURI: form.Get("redirect_uri"), state: form.Get("state"),
		nonce: form.Get("nonce"), challenge: form.Get("code_challenge"),
		scope: strings.Fields(form.Get("scope")), acrValues: strings.Fields(form.Get("acr_values")), prompt: form.Get("prompt"), loginHint: form.Get("login_hint"),
		query: form.Encode(),
	}
	if fault := checkParameters(form); fault != nil {
		return req, fault
	}
	if !slices.Contains(req.scope, "openid") {
		return req, &authFault{"invalid_scope", "scope must contain openid"}
	}
	if !challengeShape.MatchString(req.challenge) || form.Get("code_challenge_method") != "S256" {
		return req, &authFault{"invalid_request", "PKCE with code_challenge_method=S256 is required"}
	}
	return p.readWishes(req, form)
}

// checkParameters refuses what cannot be understood in one way, or is not built.
func checkParameters(form url.Values) *authFault {
	for name, values := range form {
		if len(values) > 1 {
			return &authFault{"invalid_request", "a parameter is sent twice: " + clip(name)}
		}
	}
	switch {
	case form.Has("request"):
		return &authFault{"request_not_supported", "request objects are not supported"}
	case form.Has("request_uri"):
		return &authFault{"request_uri_not_supported", "request objects are not supported"}
	case form.Get("response_type") != "code":
		return &authFault{"unsupported_response_type", "response_type must be code"}
	case form.Get("response_mode") != "" && form.Get("response_mode") != "query":
		return &authFault{"invalid_request", "response_mode must be query"}
	}
	return nil
}

// readWishes reads how the person is to be signed in.
func (p *Provider) readWishes(req authRequest, form url.Values) (authRequest, *authFault) {
	if !slices.Contains([]string{"", "none", "login", "select_account"}, req.prompt) {
		return req, &authFault{"invalid_request", "prompt must be one of none, login and select_account"}
	}
	if text := form.Get("max_age"); text != "" {
		seconds, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return req, &authFault{"invalid_request", "max_age must be a number of seconds"}
		}
		age := time.Duration(seconds) * time.Second
		req.maxAge = &age
	}
	if hint := form.Get("id_token_hint"); hint != "" {
		token, err := p.readIDToken(hint)
		if err != nil {
			return req, &authFault{"invalid_request", "id_token_hint is no ID token of this provider"}
		}
		req.hintedSub = token.Subject
	}
	return req, nil
}

// idToken is what we read of an ID token that we made.
type idToken struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience string `json:"aud"`
	Session  string `json:"sid"`
}

// readIDToken reads an ID token of ours, expired or not: a hint is good for as long as its key is
// (OpenID Connect RP-Initiated Logout 1.0 §2).
func (p *Provider) readIDToken(token string) (idToken, error) {
	payload, err := p.keys.open(token)
	if err != nil {
		return idToken{}, err
	}
	var t idToken
	return t, json.Unmarshal(payload, &t)
}
