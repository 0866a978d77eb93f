// Package shop is the demo's shop: a page with a chat widget, wired as a customer of chatpass would wire
// it, and the small chat vendor behind the widget. The widget is a stand-in of the ASAPP Chat SDK.
package shop

import (
	"bytes"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"text/template"
	"time"
)

// Config is what the shop is made of.
type Config struct {
	// Service is chatpass's issuer URL, ClientID the shop's browser client there. The shop's own origin
	// must be among the app's origins, and its front page among return_to.
	Service, ClientID string
	// AccountAPI is the URL of the service that the chat vendor forwards contexts to.
	AccountAPI string
	// Operator is the page of the identity provider that the panel links to.
	Operator string
	// NewID makes an unguessable string; default crypto/rand.Text.
	NewID func() string
	// Log is told one plain line for each call of the chat vendor to the account API; it may be nil. It
	// is called by many goroutines at once. Lines hold no token and nothing that people wrote.
	Log func(line string)
}

//go:embed web
var web embed.FS

// New makes the shop. It answers /vendor/… as the chat vendor, everything else as the shop's web server.
func New(cfg Config) (http.Handler, error) {
	if cfg.NewID == nil {
		cfg.NewID = rand.Text
	}
	if cfg.Log == nil {
		cfg.Log = func(string) {}
	}
	service, err := cfg.check()
	if err != nil {
		return nil, err
	}
	files, err := fs.Sub(web, "web")
	if err != nil {
		return nil, fmt.Errorf("open pages: %w", err)
	}
	page, pageErr := fill("index.html", cfg)
	wiring, wiringErr := fill("wiring.js", cfg)
	if err := errors.Join(pageErr, wiringErr); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", page)
	mux.Handle("GET /wiring.js", wiring)
	mux.Handle("GET /", http.FileServerFS(files))
	mux.Handle("POST /vendor/", newVendor(cfg))
	return protect(mux, service.Scheme+"://"+service.Host), nil
}

// check returns the service's URL.
func (c Config) check() (*url.URL, error) {
	if c.ClientID == "" {
		return nil, errors.New("client id is missing")
	}
	for _, address := range []string{c.Service, c.AccountAPI, c.Operator} {
		if u, err := url.Parse(address); err != nil || u.Host == "" {
			return nil, fmt.Errorf("%q is not a URL", address)
		}
	}
	return url.Parse(c.Service)
}

// fill puts the configuration into a file of the site.
func fill(name string, cfg Config) (http.Handler, error) {
	source, err := template.ParseFS(web, "web/"+name)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", name, err)
	}
	var body bytes.Buffer
	if err := source.Execute(&body, cfg); err != nil {
		return nil, fmt.Errorf("fill %s: %w", name, err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(body.Bytes()))
	}), nil
}

// protect lets the pages load and ask nothing but the shop itself and the service, and keeps other
// sites' pages from speaking to the vendor.
func protect(next http.Handler, service string) http.Handler {
	policy := "default-src 'none'; script-src 'self' " + service + "; connect-src 'self' " + service +
		"; style-src 'self'; img-src 'self' data:; frame-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
	next = http.NewCrossOriginProtection().Handler(http.MaxBytesHandler(next, 64<<10))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cache-Control", "no-cache")
		next.ServeHTTP(w, r)
	})
}
