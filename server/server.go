// Package server is the front door: it reads requests, asks one room, and writes answers. All public
// HTTP, cookies and CORS are here.
package server

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strings"
	"time"

	"chatpass/decision"
	"chatpass/exchange"
	"chatpass/keys"
	"chatpass/oidc"
	"chatpass/session"
	"chatpass/status"
)

// Config is what a [Server] is made of.
type Config struct {
	Issuer    string // our issuer URL; every endpoint lies under its path
	Exchanger *exchange.Exchanger
	Gate      *oidc.Gate
	Sessions  *session.Sessions
	Ring      *keys.Ring
	Lists     *status.Lists
	Log       *slog.Logger
	// Labels are what people call the issuers, by their names in the configuration; without one, the name.
	Labels map[string]string
	// Audit is told of sign-ins, sign-outs and logout tokens; the exchanger tells of the rest.
	Audit func(*http.Request, *decision.Decision)
	Now   func() time.Time
	NewID func() string
	// Random returns a number in [0, 1) that spreads retries; it guards nothing.
	Random func() float64
	// JWKSMaxAge is how long verifiers may keep the key set.
	JWKSMaxAge time.Duration
	// TrustedProxies are the networks whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix
	// Distrusted is told of every request with an X-Forwarded-For that is not believed; may be nil.
	Distrusted func()
	Limits     Limits
	// CrossSite: pages lie on other sites than we do. Browsers then send our session's cookie to us from the site
	// alone on which it was set.
	CrossSite bool
	// Report is told of every request served; may be nil.
	Report func(route string, status int, took time.Duration)
}

// A Server is the public HTTP surface. It is safe for concurrent use.
type Server struct {
	cfg     Config
	base    string // path of the issuer URL, without trailing slash
	origin  string // origin of the issuer URL
	maxAge  string // Cache-Control of the key set and the metadata
	origins map[string]bool
	limits  limits
	pages   *pages
}

// New returns the front door of the given rooms.
func New(cfg Config) (*Server, error) {
	s, err := newServer(cfg)
	if err != nil {
		return nil, err
	}
	for _, app := range cfg.Exchanger.Apps() {
		for _, origin := range app.Origins {
			s.origins[origin] = true
		}
	}
	return s, nil
}

// newServer is a front door without rooms: it knows no page yet.
func newServer(cfg Config) (*Server, error) {
	issuer, err := url.Parse(cfg.Issuer)
	if err != nil {
		return nil, fmt.Errorf("parse issuer: %w", err)
	}
	pages, err := newPages()
	if err != nil {
		return nil, err
	}
	limits, err := newLimits(cfg.Limits, cfg.Now)
	if err != nil {
		return nil, err
	}
	return &Server{
		cfg: cfg, base: strings.TrimSuffix(issuer.Path, "/"), origin: issuer.Scheme + "://" + issuer.Host,
		maxAge:  fmt.Sprintf("public, max-age=%d", seconds(cfg.JWKSMaxAge)),
		origins: map[string]bool{}, limits: limits, pages: pages,
	}, nil
}

// Handler is the whole surface of the service.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	route := func(path string, h http.Handler) { mux.Handle(s.base+path, s.observe(path, h)) }

	route("/oauth2/token", s.forClients(s.limited(s.methods(verbs{"POST": s.token}))))
	route("/oauth2/introspect", s.limited(s.methods(verbs{"POST": s.introspect})))
	route("/oauth2/revoke", s.forClients(s.limited(s.methods(verbs{"POST": s.revoke}))))

	route("/v1/login/start", s.unlimited(s.methods(verbs{"GET": s.startLogin})))
	route("/v1/login/callback/{issuer}", s.unlimited(s.methods(verbs{"GET": s.finishLogin})))
	route("/v1/login/status", s.unlimited(s.forPages(s.methods(verbs{"POST": s.loginStatus}))))
	route("/v1/session", s.unlimited(s.forPages(s.methods(verbs{"POST": s.claimSession, "GET": s.showSession}))))
	route("/v1/context", s.forPages(s.limited(s.methods(verbs{"POST": s.giveContext}))))
	route("/v1/logout", s.forPages(s.limited(s.methods(verbs{"POST": s.logout}))))
	route("/v1/logout/start", s.methods(verbs{"GET": s.startLogout}))
	route("/v1/logout/callback", s.methods(verbs{"GET": s.finishLogout}))
	route("/v1/frontchannel-logout/{issuer}", s.limited(s.methods(verbs{"GET": s.frontchannelLogout})))
	route("/v1/backchannel-logout/{issuer}", s.methods(verbs{"POST": s.backchannelLogout}))

	route("/.well-known/jwks.json", s.forAll(s.methods(verbs{"GET": s.keySet, "HEAD": s.keySet})))
	route("/status/{list}", s.forAll(s.methods(verbs{"GET": s.statusList, "HEAD": s.statusList})))
	metadata := s.forAll(s.methods(verbs{"GET": s.metadata, "HEAD": s.metadata}))
	for _, name := range []string{"oauth-authorization-server", "openid-configuration"} {
		route("/.well-known/"+name, metadata)
		if s.base != "" { // RFC 8414 §3.1 puts the issuer's path last, OpenID Connect Discovery 1.0 §4 first
			mux.Handle("/.well-known/"+name+s.base, s.observe("/.well-known/"+name, metadata))
		}
	}
	route("/sdk/{version}/{file}", s.forAll(s.methods(verbs{"GET": s.sdkFile, "HEAD": s.sdkFile})))
	nothing := s.observe("", s.methods(verbs{}))
	mux.Handle("/", nothing)
	return plainPaths(mux, nothing)
}

// plainPaths serves what has one spelling. The mux would redirect any other one to it, in HTML and
// without a decision; and a proxy may have judged the path by what it said.
func plainPaths(h, nothing http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked, plain := r.URL.EscapedPath(), url.URL{Path: r.URL.Path}
		if !strings.HasPrefix(asked, "/") || asked != path.Clean(asked) || asked != plain.EscapedPath() || r.RequestURI == "*" {
			nothing.ServeHTTP(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}
