// Package config reads the one YAML file that chatpass is told by. It is strict: what it does not
// know, cannot resolve or does not believe is a fault, and [Read] returns all of them at once, each
// with its place in the file and what to write instead.
//
// The types here are the file, key by key. A field's tags state its rules: `default`; `required` (it
// must be there, and a list or map not empty); `enum`; `range` (least and greatest); `form` (a kind of
// text, see form.go); `names` (the form of a map's keys); `example`. The reader, the JSON Schema and
// the tables in docs/configuration.md all come from them, and the comments are their descriptions.
package config

import (
	"net/netip"
	"time"
)

// A Config is the whole file, with defaults filled in and secrets resolved.
type Config struct {
	// Our own issuer URL: the `iss` of contexts, and where browsers reach us. Kept byte for byte.
	Issuer string `yaml:"issuer" required:"true" form:"issuer" example:"https://chat-auth.example.com"`
	// Address of the public listener.
	Listen string `yaml:"listen" default:":8080" form:"address" example:":8080"`
	// Address of the operator's listener: health, metrics, console. Never make it public.
	AdminListen string `yaml:"admin_listen" default:"127.0.0.1:9090" form:"address" example:"127.0.0.1:9090"`
	// Where state is kept: sqlite:PATH for one machine, postgres://user@host/db for several replicas.
	// A URL that holds a password must be given as env:NAME or file:/path.
	Store SecretURL `yaml:"store" required:"true" form:"store" example:"sqlite:/var/lib/chatpass/chatpass.db"`
	// Seals signing keys and upstream tokens at rest; made by `chatpass secret new`.
	MasterKey Secret `yaml:"master_key" required:"true" example:"file:/etc/chatpass/master.json"`
	// Networks whose X-Forwarded-* headers are believed; none by default.
	TrustedProxies []netip.Prefix `yaml:"trusted_proxies" example:"10.0.0.0/8"`
	// Certificate of the public listener; without it, TLS ends at a proxy in front.
	TLS TLS `yaml:"tls"`
	// Proxy for outgoing requests; the environment is not consulted. As env:NAME or file:/path if it
	// holds a password.
	Proxy SecretURL `yaml:"proxy" form:"proxy" example:"http://proxy.corp:3128"`
	// Which pages can send our cookie: same-site, or cross-site (SameSite=None; Partitioned) when
	// pages live on another site.
	Cookie string `yaml:"cookie" default:"same-site" enum:"same-site cross-site"`
	// The operator's console.
	Console Console `yaml:"console"`
	// Admits plain http beyond loopback: issuers, origins, return URLs, key URLs. For tests.
	DangerouslyAllowHTTP bool `yaml:"dangerously_allow_http" default:"false"`
	// Lifts the minima of all durations, for tests and demos. Refused unless our issuer is loopback.
	DangerouslyShortLifetimes bool `yaml:"dangerously_short_lifetimes" default:"false"`
	// Serves /debug/pprof/ on the operator's listener, which must be loopback: a heap dump holds keys.
	DangerouslyServePprof bool `yaml:"dangerously_serve_pprof" default:"false"`
	// The status list, by which offline verifiers learn of sign-outs.
	Status Status `yaml:"status"`
	// Our signing keys. Their times are checked together when the service starts.
	Keys Keys `yaml:"keys"`
	// Upstream issuers, by name: the identity providers that sign people in. Their order is kept.
	Issuers []Issuer `yaml:"issuers" required:"true" names:"issuer name" example:"corp: {issuer: https://login.example.com, client_id: chatpass}"`
	// Apps, by name: one chat integration each. Their order is kept.
	Apps []App `yaml:"apps" required:"true" names:"app name" example:"support: {audience: [https://api.example.com], issuers: [corp], …}"`
	// Limits against abuse; 0 is off.
	Limits Limits `yaml:"limits"`
	// The log on standard error.
	Log Log `yaml:"log"`

	report report
}

// At returns the place of the value at path, such as "apps.support.admit" or "issuers.corp.scopes[1]",
// or of the nearest part around it that is in the file: line and column, from 1. Of a text it is the
// first character after a quote, in a block (`|`) the first of its first line; so line l and column c
// inside a rule stand at line+l-1 and column+c-1 of the file.
func (c *Config) At(path string) (line, column int) {
	at := c.report.position(path)
	return at.line, at.column
}

// Fault returns a fault of the value at path, for what only another part can see to be wrong.
func (c *Config) Fault(path, message, remedy string) Fault {
	at := c.report.position(path)
	return Fault{c.report.file, at.line, at.column, path, message, remedy}
}

// Advice is what the file may say but had better not, such as a secret in a file that everybody may
// read. It stops nothing.
func (c *Config) Advice() Faults { return c.report.advice.Sorted() }

// Secrets returns every secret that the file refers to, so that a test can prove logs free of them.
func (c *Config) Secrets() []Secret { return c.report.secrets }

// TLS is the certificate of the public listener, PEM.
type TLS struct {
	// Certificate chain, PEM, the listener's own first.
	Cert Document `yaml:"cert" required:"true" example:"file:/etc/chatpass/tls.crt"`
	// Private key of the certificate, PEM.
	Key Secret `yaml:"key" required:"true" example:"file:/etc/chatpass/tls.key"`
}

// Console is the operator's console.
type Console struct {
	// Shared secret; the console is served on a non-loopback admin_listen only with it.
	Secret Secret `yaml:"secret" required:"true" example:"file:/etc/chatpass/console"`
}

// Status is the status list (Token Status List, IETF draft).
type Status struct {
	// How long a verifier may use a list: how fast sign-outs reach offline verifiers.
	TTL time.Duration `yaml:"ttl" default:"60s" range:"15s 1h"`
}

// Keys is the life of a signing key.
type Keys struct {
	// Signature algorithm of new keys.
	Algorithm string `yaml:"algorithm" default:"ES256" enum:"ES256 EdDSA ES384 PS256 RS256"`
	// How long a key is published before it signs.
	PublishAhead time.Duration `yaml:"publish_ahead" default:"48h" range:"1m 8760h"`
	// How long a key signs.
	Active time.Duration `yaml:"active" default:"168h" range:"10m 8760h"`
	// How long a key stays published after its last signature.
	Retiring time.Duration `yaml:"retiring" default:"24h" range:"1m 8760h"`
	// How long the key set may be cached: max-age of /.well-known/jwks.json.
	JWKSMaxAge time.Duration `yaml:"jwks_max_age" default:"5m" range:"10s 24h"`
	// Key ids (kid) that must never be served or used, whatever the store says.
	Denied []string `yaml:"denied" form:"key id"`
	// File for a local copy of the key set, served when starting with the store down; none by default.
	Snapshot string `yaml:"snapshot" form:"path" example:"/var/lib/chatpass/jwks.json"`
	// Token that makes and keeps the keys instead of the store, such as a hardware security module.
	PKCS11 PKCS11 `yaml:"pkcs11"`
}

// PKCS11 is a PKCS#11 token; only a binary built with -tags pkcs11 can use one.
type PKCS11 struct {
	// The vendor's shared library.
	Module string `yaml:"module" required:"true" form:"path" example:"/usr/lib/softhsm/libsofthsm2.so"`
	// Label of the token.
	Token string `yaml:"token" required:"true" example:"chatpass"`
	// PIN of the token's user.
	PIN Secret `yaml:"pin" required:"true" example:"file:/etc/chatpass/pin"`
	// Makes new keys in the store again; the token is still asked for those it has. Remove the section when it has none.
	Leave bool `yaml:"leave" default:"false"`
}

// Limits are counts per replica; 0 is off.
type Limits struct {
	// Refused requests a minute from one IPv4 address or IPv6 /64.
	RefusalsPerMinutePerIP int `yaml:"refusals_per_minute_per_ip" default:"600" range:"0 1000000000"`
	// Exchanges a minute by one client; of public clients only contexts issued count.
	ExchangesPerMinutePerClient int `yaml:"exchanges_per_minute_per_client" default:"60000" range:"0 1000000000"`
	// Contexts a minute for one session.
	ContextsPerMinutePerSession int `yaml:"contexts_per_minute_per_session" default:"60" range:"0 1000000000"`
	// Live sessions of one customer of an app; one more ends the oldest derived one.
	SessionsPerCustomer int `yaml:"sessions_per_customer" default:"50" range:"0 1000000000"`
}

// Log is how the service logs.
type Log struct {
	// Least level that is logged.
	Level string `yaml:"level" default:"info" enum:"debug info warn error"`
	// json: one object a line; text: key=value pairs.
	Format string `yaml:"format" default:"json" enum:"json text"`
}
