package config

import "time"

// An App is one chat integration.
type App struct {
	// Name in this file: the `chat.app` claim of contexts and part of the cookie's name.
	Name string `yaml:"-"`
	// Services that a context is for: its `aud`. The first is the default.
	Audience []string `yaml:"audience" required:"true" form:"text" example:"https://api.example.com"`
	// Upstream issuers that may sign people in, by name. The first is the default.
	Issuers []string `yaml:"issuers" required:"true" form:"text" example:"corp"`
	// Pages that embed the widget; exact origins, no wildcard.
	Origins []string `yaml:"origins" form:"origin" example:"https://www.example.com"`
	// URLs that a browser may be led back to after sign-in, on the origin of the page that began it, and after sign-out, on any;
	// compared as strings.
	ReturnTo []string `yaml:"return_to" form:"return URL" example:"https://www.example.com/chat-return"`
	// Customer id: pairwise, upstream, or CEL that yields a string. The last two with several issuers
	// only with dangerously_shared_subjects.
	Subject string `yaml:"subject" default:"pairwise" form:"rule"`
	// Admits a subject other than pairwise with several issuers, where two people could get one id.
	DangerouslySharedSubjects bool `yaml:"dangerously_shared_subjects" default:"false"`
	// Names the salt of pairwise ids; apps may share one. Default the app's name.
	SubjectSector string `yaml:"subject_sector" form:"app name" example:"support"`
	// Who is admitted: CEL over claims, identity, client, request.
	Admit string `yaml:"admit" default:"true" form:"rule" example:"has(claims.email)"`
	// Claims of a context, by name: CEL that yields the value, or the short form.
	Claims map[string]Mapping `yaml:"claims" names:"context claim" example:"name: claims.name"`
	// What a context may be granted, and is when nothing is asked for.
	Scopes []string `yaml:"scopes" form:"scope" example:"chat:read"`
	// Life of a context. Kiosk default 2m.
	ContextLifetime time.Duration `yaml:"context_lifetime" default:"10m" range:"90s 1h"`
	// `typ` header of contexts; JWT for verifiers that refuse RFC 9068's.
	ContextTyp string `yaml:"context_typ" default:"at+jwt" enum:"at+jwt JWT"`
	// Salt of pairwise ids, at least 32 bytes; by default one is made once and kept in the store.
	SubjectSalt Secret `yaml:"subject_salt" example:"file:/etc/chatpass/support.salt"`
	// Limits of a session.
	Session Session `yaml:"session"`
	// How long contexts are renewed from memory while the store is down; 0 fails closed.
	DegradedRenewal time.Duration `yaml:"degraded_renewal" default:"15m" range:"0s 1h"`
	// Higher authentication.
	StepUp AppStepUp `yaml:"step_up"`
	// Who may act for a customer (RFC 8693 `act`).
	Actors []Actor `yaml:"actors" example:"{issuer: corp, accepts: [agent-desk], admit: …}"`
	// Programs that may ask, by client id; unique in the file.
	Clients []Client `yaml:"clients" required:"true" names:"client name" example:"support-web: {type: browser}"`
	// Downstream services that may introspect, by client id; unique in the file.
	Verifiers []Verifier `yaml:"verifiers" names:"client name" example:"orders-api: {auth: client_secret_basic, secret: env:ORDERS}"`
}

// A Session's limits. With kiosk the defaults are shorter.
type Session struct {
	// Greatest pause between two activities. Kiosk default 5m.
	Idle time.Duration `yaml:"idle" default:"60m" range:"5m 60m"`
	// Greatest age. Kiosk default 60m; default 4h where the issuer gives no refresh token.
	Absolute time.Duration `yaml:"absolute" default:"10h" range:"5m 24h"`
	// Unasked is Absolute for sessions without a refresh token.
	Unasked time.Duration `yaml:"-"`
	// Greatest age of a session derived from an ID token that the site holds; `subject`: until that
	// token expires.
	SiteAbsolute SiteAbsolute `yaml:"site_absolute" default:"60m" range:"5m 24h"`
	// Greatest age of the issuer's last good answer before a context is renewed.
	Liveness time.Duration `yaml:"liveness" default:"15m" range:"5m 60m"`
	// How long contexts are renewed when the issuer cannot be reached.
	LivenessGrace time.Duration `yaml:"liveness_grace" default:"60m" range:"0s 240m"`
	// A device that many people share: a browser session cookie, shorter limits, widget reset at the end.
	Kiosk bool `yaml:"kiosk" default:"false"`
}

// SiteAbsolute limits a derived session: a duration, or the word `subject`.
type SiteAbsolute struct {
	// Limit is the greatest age of the session; 0 if Subject.
	Limit time.Duration
	// Subject: the session ends when the ID token does that it was derived from.
	Subject bool
}

// AppStepUp is higher authentication for an app.
type AppStepUp struct {
	// Values of `acr` that count as higher, the best first.
	ACR []string `yaml:"acr" form:"word"`
	// How long a higher authentication counts.
	Lifetime time.Duration `yaml:"lifetime" default:"15m" range:"90s 1h"`
}

// A Mapping yields a context claim: CEL text, or the short form {from, prefix, strip}.
type Mapping struct {
	// Expr is CEL; empty if the short form was used.
	Expr string `yaml:"-"`
	// Claim of the ID token to copy: a string or a list of strings. Without it (or if it is null or
	// something else) there is no context: to leave the claim out write CEL, such as claims.?groups.
	From string `yaml:"from" required:"true" form:"claim name" example:"groups"`
	// Of a list keep what begins so; a string must begin so.
	Prefix string `yaml:"prefix" form:"text"`
	// Remove the prefix from what is kept.
	Strip bool `yaml:"strip" default:"false"`
}

// An Actor is a rule: people of one issuer that may act for a customer.
type Actor struct {
	// Upstream issuer of the actor token, by name; need not be one of the app's.
	Issuer string `yaml:"issuer" required:"true" form:"text" example:"corp"`
	// Upstream client ids whose ID tokens are accepted as actor tokens.
	Accepts []string `yaml:"accepts" required:"true" form:"text" example:"agent-desk"`
	// Which of them may act: CEL over the actor's claims; `true` is everybody.
	Admit string `yaml:"admit" required:"true" form:"rule" example:"\"'support-agents' in claims.groups\""`
	// Scopes of a delegated context, out of the app's; none by default.
	Scopes []string `yaml:"scopes" form:"scope" example:"chat:read"`
	// Life of a delegated context.
	Lifetime time.Duration `yaml:"lifetime" default:"2m" range:"90s 1h"`
}

// A Client is a program that asks for contexts.
type Client struct {
	// Name is the client id.
	Name string `yaml:"-"`
	// browser: a page, known by its origin; backend: authenticates itself; native: an installed app.
	Type string `yaml:"type" required:"true" enum:"browser backend native"`
	Credentials
	// Upstream client ids whose ID tokens this client may exchange, by issuer name; none by default.
	Accepts map[string][]string `yaml:"accepts" form:"text" names:"issuer name" example:"corp: [shop-web]"`
}

// A Verifier is a downstream service that may introspect contexts (RFC 7662).
type Verifier struct {
	// Name is the client id.
	Name string `yaml:"-"`
	Credentials
}

// Credentials are how a backend client or a verifier authenticates itself.
type Credentials struct {
	// Authentication method (RFC 6749 §2.3.1, RFC 7523); backend clients and verifiers only.
	Auth string `yaml:"auth" enum:"client_secret_basic private_key_jwt"`
	// Secret of client_secret_basic.
	Secret Secret `yaml:"secret" example:"env:CLIENT_SECRET"`
	// Public keys of private_key_jwt, a key set (RFC 7517).
	JWKS Document `yaml:"jwks" example:"file:/etc/chatpass/client-jwks.json"`
	// Where the public keys of private_key_jwt are fetched instead.
	JWKSURI string `yaml:"jwks_uri" form:"URL" example:"https://backend.example.com/jwks.json"`
	// `aud` of an assertion: our issuer URL, or the URL of the token endpoint.
	AssertionAudience string `yaml:"assertion_audience" default:"issuer" enum:"issuer token_endpoint"`
}
