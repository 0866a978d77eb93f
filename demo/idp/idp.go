// Package idp is the demo's identity provider: a real OpenID provider with invented people and no
// passwords. Whoever reaches it can sign in as anybody, so it answers nobody but this computer.
package idp

import (
	"crypto/rand"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"net/url"
	"time"
)

// A Client is a relying party that may sign people in here.
type Client struct {
	// ID and Secret are what it authenticates with at the token endpoint.
	ID, Secret string
	// RedirectURIs are compared as strings (RFC 9700 §2.1).
	RedirectURIs []string
	// PostLogoutURIs are where a sign-out may lead back to, compared as strings.
	PostLogoutURIs []string
	// BackchannelLogoutURI is told of ended sessions; empty for a client that is not.
	BackchannelLogoutURI string
}

// Config is what a provider is made of.
type Config struct {
	// Issuer is the provider's URL: http, a loopback host, a port, no path.
	Issuer string
	// Clients are its relying parties.
	Clients []Client
	// IDTokenLifetime is how long ID tokens last; default 30 s.
	IDTokenLifetime time.Duration
	// Slowness is how long the token endpoint takes when the operator has ordered it to be slow; default 8 s.
	Slowness time.Duration
	// Now is the clock; default time.Now.
	Now func() time.Time
	// NewID makes an unguessable string; default crypto/rand.Text.
	NewID func() string
	// Log is told one plain line for each thing that happens; it may be nil. It is called by many
	// goroutines at once. Lines hold no token and no secret.
	Log func(line string)
}

// A Provider is an OpenID provider (OpenID Connect Core 1.0) and its pages. It is an http.Handler.
type Provider struct {
	cfg     Config
	host    string
	clients map[string]Client
	keys    *keyRing
	memory  *memory
	pages   *template.Template
	client  *http.Client
	routes  http.Handler
}

// New makes a provider with everybody signed out. It refuses an issuer that is not on loopback.
func New(cfg Config) (*Provider, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.NewID == nil {
		cfg.NewID = rand.Text
	}
	if cfg.IDTokenLifetime == 0 {
		cfg.IDTokenLifetime = 30 * time.Second
	}
	if cfg.Slowness == 0 {
		cfg.Slowness = 8 * time.Second
	}
	host, err := checkConfig(cfg)
	if err != nil {
		return nil, err
	}
	pages, err := parsePages()
	if err != nil {
		return nil, fmt.Errorf("parse pages: %w", err)
	}
	keys, err := newKeyRing(cfg.Now)
	if err != nil {
		return nil, err
	}
	p := &Provider{
		cfg: cfg, host: host, clients: map[string]Client{}, keys: keys, pages: pages,
		memory: newMemory(cfg.Now, cfg.NewID), client: newBackchannelClient(),
	}
	for _, c := range cfg.Clients {
		p.clients[c.ID] = c
	}
	p.routes = p.newRoutes()
	p.say("the demo identity provider at %s knows no passwords: it is for this computer only", cfg.Issuer)
	return p, nil
}

// checkConfig returns the host that requests must be for.
func checkConfig(cfg Config) (string, error) {
	issuer, err := loopbackURL(cfg.Issuer)
	if err != nil {
		return "", fmt.Errorf("issuer: %w", err)
	}
	if issuer.Path != "" || issuer.RawQuery != "" || issuer.Fragment != "" || issuer.User != nil {
		return "", errors.New("issuer: must be http://, a host and a port, nothing else")
	}
	for _, c := range cfg.Clients {
		if c.ID == "" || c.Secret == "" {
			return "", errors.New("client: must have an id and a secret")
		}
		for _, uri := range c.uris() {
			if _, err := loopbackURL(uri); err != nil {
				return "", fmt.Errorf("client %s: %w", c.ID, err)
			}
		}
	}
	return issuer.Host, nil
}

func (c Client) uris() []string {
	uris := append(append([]string{}, c.RedirectURIs...), c.PostLogoutURIs...)
	if c.BackchannelLogoutURI != "" {
		uris = append(uris, c.BackchannelLogoutURI)
	}
	return uris
}

// loopbackURL parses a URL of this computer.
func loopbackURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, fmt.Errorf("parse %q: %w", s, err)
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme != "http" || u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("%q is not an http URL on loopback: the demo identity provider lets everybody in and is for this computer only", s)
	}
	return u, nil
}

// newRoutes is the whole surface. What people press is guarded against other sites' pages.
func (p *Provider) newRoutes() http.Handler {
	press := http.NewCrossOriginProtection()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.discovery)
	mux.HandleFunc("GET /jwks.json", p.keySet)
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("POST /authorize", p.authorize)
	mux.Handle("POST /sign-in", press.Handler(http.HandlerFunc(p.signIn)))
	mux.Handle("POST /second-factor", press.Handler(http.HandlerFunc(p.second)))
	mux.HandleFunc("POST /token", p.disturb(p.token))
	mux.HandleFunc("POST /revoke", p.revoke)
	mux.HandleFunc("GET /userinfo", p.userinfo)
	mux.HandleFunc("POST /userinfo", p.userinfo)
	mux.HandleFunc("GET /logout", p.logout)
	mux.HandleFunc("POST /logout", p.logout)
	mux.Handle("POST /logout/confirm", press.Handler(http.HandlerFunc(p.confirmLogout)))
	mux.HandleFunc("GET /operator", p.operator)
	mux.Handle("POST /operator/{action}", press.Handler(http.HandlerFunc(p.operate)))
	mux.HandleFunc("GET /style.css", p.style)
	mux.Handle("GET /{$}", http.RedirectHandler("/operator", http.StatusFound))
	return http.MaxBytesHandler(mux, 64<<10)
}

// ServeHTTP answers this computer only, and only by the issuer's own name, so that no page elsewhere
// can reach it under a name of its own (DNS rebinding).
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	peer, _, _ := net.SplitHostPort(r.RemoteAddr)
	if ip := net.ParseIP(peer); ip == nil || !ip.IsLoopback() {
		p.say("refused a request from %s: the demo identity provider is for this computer only", clip(peer))
		http.Error(w, "the demo identity provider is for its own computer only", http.StatusForbidden)
		return
	}
	if r.Host != p.host {
		http.Error(w, "the demo identity provider answers at "+p.cfg.Issuer+" only", http.StatusMisdirectedRequest)
		return
	}
	p.routes.ServeHTTP(w, r)
}

// say tells what happened, to the log and on the operator's page.
func (p *Provider) say(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	p.memory.note(line)
	if p.cfg.Log != nil {
		p.cfg.Log(line)
	}
}

// clip makes a stranger's string fit for a log line.
func clip(s string) string {
	return fmt.Sprintf("%.64q", s)
}

// discovery is OpenID Connect Discovery 1.0 §3, true to what is built.
func (p *Provider) discovery(w http.ResponseWriter, _ *http.Request) {
	at := func(path string) string { return p.cfg.Issuer + path }
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer":                                         p.cfg.Issuer,
		"authorization_endpoint":                         at("/authorize"),
		"token_endpoint":                                 at("/token"),
		"userinfo_endpoint":                              at("/userinfo"),
		"jwks_uri":                                       at("/jwks.json"),
		"end_session_endpoint":                           at("/logout"),
		"revocation_endpoint":                            at("/revoke"),
		"scopes_supported":                               []string{"openid", "profile", "email", "phone", "groups", offlineAccess},
		"claims_supported":                               []string{"sub", "name", "given_name", "email", "email_verified", "phone_number", "phone_number_verified", "groups", "auth_time", "acr", "amr", "sid"},
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{"query"},
		"grant_types_supported":                          []string{"authorization_code", "refresh_token"},
		"subject_types_supported":                        []string{"public"},
		"id_token_signing_alg_values_supported":          []string{string(signingAlgorithm)},
		"token_endpoint_auth_methods_supported":          []string{"client_secret_basic", "client_secret_post"},
		"code_challenge_methods_supported":               []string{"S256"},
		"prompt_values_supported":                        []string{"none", "login", "select_account"},
		"acr_values_supported":                           []string{acrButton, acrSecond},
		"claims_parameter_supported":                     false,
		"request_parameter_supported":                    false,
		"request_uri_parameter_supported":                false,
		"authorization_response_iss_parameter_supported": true,
		"backchannel_logout_supported":                   true,
		"backchannel_logout_session_supported":           true,
	})
}

// keySet is the JWKS (RFC 7517 §5): the key that signs, and those that signed lately.
func (p *Provider) keySet(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "public, max-age=60")
	writeJSON(w, http.StatusOK, p.keys.public())
}
