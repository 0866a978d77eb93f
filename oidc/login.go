package oidc

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"chatpass/identity"
)

// Ask is what a sign-in asks of the issuer (OpenID Connect Core 1.0 §3.1.2.1). Empty fields are not sent.
type Ask struct {
	// Prompt and UILocales are the parameters prompt and ui_locales: space-separated lists.
	Prompt, UILocales string
	// LoginHint is who probably signs in. It may be personal.
	LoginHint string
	// MaxAge is how long ago the person may have proved who they are; nil does not ask, 0 asks for it anew.
	MaxAge *time.Duration
	// ACRValues must be met: the sign-in fails if the issuer gives none of them.
	ACRValues []string
}

// Login is one sign-in under way. The caller keeps it secret, and bound to the browser that began it.
type Login struct {
	// IDP is the issuer's name in the configuration.
	IDP string
	// State, Nonce and Verifier are the three secrets of the sign-in (RFC 6749 §10.12, OpenID Connect
	// Core 1.0 §15.5.2, RFC 7636).
	State, Nonce, Verifier string
	// MaxAge and ACRValues are what was asked for.
	MaxAge    *time.Duration
	ACRValues []string
	// Passed is told of every check that the sign-in passes, in their order; may be nil.
	Passed identity.Passed
}

// Begin starts a sign-in with the issuer named idp by the authorization code flow with PKCE. It returns
// what [Gate.Finish] will need and the URL to send the browser to. The error is an [*identity.Outage] if
// the issuer cannot be asked where that is.
func (g *Gate) Begin(ctx context.Context, idp string, ask Ask) (Login, string, error) {
	is, err := g.named(idp)
	if err != nil {
		return Login{}, "", err
	}
	if err := is.signsIn(); err != nil {
		return Login{}, "", err
	}
	p, err := is.provider(ctx)
	if err != nil {
		return Login{}, "", err
	}
	client, err := is.oauth(p)
	if err != nil {
		return Login{}, "", err
	}
	login := Login{
		IDP: idp, State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(),
		MaxAge: ask.MaxAge, ACRValues: ask.ACRValues,
	}
	options := append(is.options(ask), gooidc.Nonce(login.Nonce), oauth2.S256ChallengeOption(login.Verifier))
	return login, client.AuthCodeURL(login.State, options...), nil
}

// SignsIn says whether people can sign in with the issuer of that name.
func (g *Gate) SignsIn(idp string) bool {
	is, err := g.named(idp)
	return err == nil && is.signsIn() == nil
}

// signsIn refuses to sign people in with an issuer that takes part in exchanges alone: one that cannot be
// reached, or does not know us.
func (is *issuer) signsIn() error {
	measured := ""
	switch {
	case is.static != nil:
		measured = "an issuer that is not reached: its key set is a file"
	case is.cfg.ClientID == "":
		measured = "an issuer at which we have no client id"
	default:
		return nil
	}
	return identity.Reject(identity.IssuerNotTrusted, measured, "an issuer that people can sign in with")
}

// ourselves are the clients that we are at the issuer: one, or none.
func (is *issuer) ourselves() []string {
	if is.cfg.ClientID == "" {
		return nil
	}
	return []string{is.cfg.ClientID}
}

func (is *issuer) options(ask Ask) []oauth2.AuthCodeOption {
	params := map[string]string{"prompt": ask.Prompt, "login_hint": ask.LoginHint, "ui_locales": ask.UILocales}
	is.addLevel(params, ask.ACRValues)
	if ask.MaxAge != nil {
		params["max_age"] = strconv.Itoa(int(ask.MaxAge.Seconds()))
	}
	var options []oauth2.AuthCodeOption
	for name, value := range params {
		if value != "" {
			options = append(options, oauth2.SetAuthURLParam(name, value))
		}
	}
	return options
}

func (is *issuer) oauth(p *provider) (*oauth2.Config, error) {
	style, err := is.authStyle(p.metadata)
	if err != nil {
		return nil, err
	}
	if is.cfg.RedirectURL == "" {
		return nil, fmt.Errorf("issuer %s has no redirect URL", is.cfg.Name)
	}
	return &oauth2.Config{
		ClientID: is.cfg.ClientID, ClientSecret: is.cfg.ClientSecret,
		Endpoint:    oauth2.Endpoint{AuthURL: p.AuthorizationEndpoint, TokenURL: p.TokenEndpoint, AuthStyle: style},
		RedirectURL: is.cfg.RedirectURL, Scopes: is.scopes(p.metadata),
	}, nil
}
