package config

import "time"

// An Issuer is one upstream issuer: an identity provider that signs people in.
type Issuer struct {
	// Name in this file: the `idp` claim of contexts and the last part of the redirect URI.
	Name string `yaml:"-"`
	// Issuer URL, compared with `iss` byte for byte. May hold {tenantid} when tenants are listed.
	Issuer string `yaml:"issuer" required:"true" form:"issuer" example:"https://login.example.com"`
	// What people call it, where they choose how to sign in; default its name in this file.
	Label string `yaml:"label" form:"text" example:"Example Corp"`
	// Our client id at the issuer. Without it nobody signs in here; ID tokens can be exchanged all the same.
	ClientID string `yaml:"client_id" form:"text" example:"chatpass"`
	// Our client secret at the issuer. Not together with private_key.
	ClientSecret Secret `yaml:"client_secret" example:"env:CORP_SECRET"`
	// Our private key towards the issuer (private_key_jwt): PKCS #8 PEM or a JWK.
	PrivateKey Secret `yaml:"private_key" example:"file:/etc/chatpass/corp.pem"`
	// Whom our assertions are for (`aud`, private_key_jwt): the issuer, or its token endpoint as older
	// ones demand. Default issuer; with tenants token_endpoint.
	AssertionAudience string `yaml:"assertion_audience" enum:"issuer token_endpoint"`
	// Scopes asked for at sign-in; openid is always added.
	Scopes []string `yaml:"scopes" default:"openid profile email" form:"scope"`
	// Claim that identifies a person at the issuer (Entra: oid); never an e-mail address.
	// Logout tokens are matched by `sub` all the same.
	SubjectClaim string `yaml:"subject_claim" default:"sub" form:"claim name"`
	// What stands for the issuer in pairwise customer ids; default the issuer URL. Keep the old URL
	// here when the issuer moves. With tenants it holds {tenantid}, and so do aliases.
	SubjectIssuer string `yaml:"subject_issuer" form:"text" example:"https://login.example.com"`
	// Other values of `iss` that the issuer uses (Google: accounts.google.com).
	IssuerAliases []string `yaml:"issuer_aliases" form:"text"`
	// Refresh tokens for liveness checks: auto asks for offline_access when discovery lists it.
	Refresh string `yaml:"refresh" default:"auto" enum:"auto on off"`
	// How higher authentication is asked for and recognised.
	StepUp IssuerStepUp `yaml:"step_up"`
	// Let a frame in the browser end sessions (OpenID Connect Front-Channel Logout 1.0), for issuers without back-channel logout (Entra). Register {our issuer}/v1/frontchannel-logout/NAME there, with sid required.
	FrontchannelLogout bool `yaml:"frontchannel_logout" default:"false"`
	// Fetch userinfo at sign-in; its claims fill in what the ID token lacks, and stay for the session.
	Userinfo bool `yaml:"userinfo" default:"false"`
	// acr_values sent with every sign-in.
	ACRValues []string `yaml:"acr_values" form:"word"`
	// Accepted signature algorithms of ID tokens; never none, never HS*.
	Algorithms []string `yaml:"algorithms" required:"true" default:"RS256 ES256 PS256 EdDSA" enum:"RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA"`
	// How far the issuer's clock may differ from ours.
	ClockSkew time.Duration `yaml:"clock_skew" default:"60s" range:"0s 300s"`
	// Oldest `iat` accepted in an exchange; public clients never more than 60m.
	MaxTokenAge time.Duration `yaml:"max_token_age" default:"60m" range:"1m 24h"`
	// Tenants whose people may sign in, by id, under an issuer URL with {tenantid} (Entra).
	Tenants []string `yaml:"tenants" form:"tenant id" example:"8eaef023-2b34-4da1-9baa-8bc8c9d6a490"`
	// Certificate authorities for connections to the issuer, PEM; default the system's.
	CA Document `yaml:"ca" example:"file:/etc/chatpass/corp-ca.pem"`
	// Static key set (RFC 7517) for an issuer that we cannot reach. It is never asked for anything, so
	// nobody signs in here; ID tokens can be exchanged.
	JWKS Document `yaml:"jwks" example:"file:/etc/chatpass/corp-jwks.json"`
	// Proxy for requests to this issuer; default the one for all.
	Proxy SecretURL `yaml:"proxy" form:"proxy" example:"http://proxy.corp:3128"`
}

// IssuerStepUp is how an issuer is asked for higher authentication.
type IssuerStepUp struct {
	// Request parameter: acr_values, or claims (Entra).
	Request string `yaml:"request" default:"acr_values" enum:"acr_values claims"`
	// Claim of the ID token that tells what was reached: acr, acrs (Entra) or amr (Auth0).
	Claim string `yaml:"claim" default:"acr" enum:"acr acrs amr"`
}
