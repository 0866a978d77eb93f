package jwks

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

const (
	defaultTimeout = 5 * time.Second
	connectTimeout = 2 * time.Second
	maxRedirects   = 3
	maxHeader      = 64 << 10
)

// ClientConfig says what a guarded client may reach.
type ClientConfig struct {
	// Timeout bounds a whole call: connecting, redirects, the one retry and the body. Default 5 s;
	// connecting takes at most 2 s of it.
	Timeout time.Duration
	// Proxy is the proxy to go through; nil means none: the environment is not consulted. The proxy's
	// own address may be private. With a proxy it is the proxy that resolves host names, so only
	// addresses written as such are checked here.
	Proxy *url.URL
	// RootCAs are the certificate authorities believed; nil means the system's.
	RootCAs *x509.CertPool
	// AllowPrivate admits private addresses and loopback. Link-local and cloud metadata addresses are
	// never admitted.
	AllowPrivate bool
	// AllowHTTP admits plain http beyond loopback.
	AllowHTTP bool
}

// NewClient returns a client for documents that somebody else publishes. It follows at most 3 redirects,
// of GET and within the host only, keeps no cookies, checks each address after resolving it, and tries a
// GET that met a network failure once more.
func NewClient(cfg ClientConfig) *http.Client {
	timeout := orDefault(cfg.Timeout, defaultTimeout)
	target := guard{allowPrivate: cfg.AllowPrivate, allowHTTP: cfg.AllowHTTP}
	dialled := target
	dialled.allowPrivate = cfg.AllowPrivate || cfg.Proxy != nil
	dialer := &net.Dialer{Timeout: min(connectTimeout, timeout), ControlContext: dialled.control}
	transport := &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.RootCAs},
		TLSHandshakeTimeout:    connectTimeout,
		MaxResponseHeaderBytes: maxHeader,
		MaxIdleConnsPerHost:    4,
		IdleConnTimeout:        90 * time.Second,
		ForceAttemptHTTP2:      true,
	}
	if cfg.Proxy != nil {
		transport.Proxy = http.ProxyURL(cfg.Proxy)
	}
	return &http.Client{
		Timeout:       timeout,
		Transport:     &guardedTransport{next: transport, guard: target},
		CheckRedirect: checkRedirect,
	}
}

// ReadBody reads at most limit bytes of the response's body and closes it. A longer body is an error,
// and nothing beyond the limit is read.
func ReadBody(resp *http.Response, limit int64) ([]byte, error) {
	defer resp.Body.Close()
	if resp.ContentLength > limit {
		return nil, fmt.Errorf("body of %d bytes, at most %d", resp.ContentLength, limit)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read body: %w", err)
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("body of more than %d bytes", limit)
	}
	return body, nil
}

func checkRedirect(req *http.Request, via []*http.Request) error {
	first := via[0]
	switch {
	case first.Method != http.MethodGet && first.Method != http.MethodHead:
		return fmt.Errorf("refused redirect of a %s", first.Method)
	case len(via) > maxRedirects:
		return fmt.Errorf("refused more than %d redirects", maxRedirects)
	case req.URL.Host != first.URL.Host || req.URL.Scheme != first.URL.Scheme:
		return fmt.Errorf("refused redirect to another host, %s://%s", req.URL.Scheme, req.URL.Host)
	}
	return nil
}

// guardedTransport checks what can be known before dialling, and retries.
type guardedTransport struct {
	next  *http.Transport
	guard guard
}

func (t *guardedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := t.guard.checkURL(req.URL); err != nil {
		return nil, err
	}
	resp, err := t.next.RoundTrip(req)
	again := err != nil && req.Context().Err() == nil &&
		(req.Method == http.MethodGet || req.Method == http.MethodHead)
	if again {
		return t.next.RoundTrip(req)
	}
	return resp, err
}

// CloseIdleConnections is what [http.Client.CloseIdleConnections] calls.
func (t *guardedTransport) CloseIdleConnections() { t.next.CloseIdleConnections() }

func (g guard) checkURL(u *url.URL) error {
	host := u.Hostname()
	addr, err := netip.ParseAddr(host)
	literal := err == nil
	loopback := host == "localhost" || strings.HasSuffix(host, ".localhost") || literal && addr.Unmap().IsLoopback()
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("refused scheme %q", u.Scheme)
	case u.Scheme == "http" && !g.allowHTTP && !loopback:
		return errors.New("refused plain http beyond loopback")
	case literal:
		return g.check(addr)
	}
	return nil
}
