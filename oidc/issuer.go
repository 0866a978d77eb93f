package oidc

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"chatpass/jwks"
)

const (
	// refreshEvery keeps the keys younger than their time to live of 1 h, so that nobody waits for them.
	refreshEvery = 45 * time.Minute
	// retryPause spaces the attempts that requests cause while an issuer is not discovered.
	retryPause = time.Second
	maxPause   = time.Minute
)

// An issuer is one upstream issuer and what is known of it so far.
type issuer struct {
	cfg    Config
	http   *http.Client // for its token endpoint
	pages  *http.Client // for its documents
	static *jwks.Set    // its fixed keys, if configured
	// tenants are who issues tokens, by `iss`.
	tenants map[string]tenant
	key     *ClientKey // ours; nil: we prove who we are by a secret, or not at all
	once    singleflight.Group

	mu        sync.Mutex
	found     *provider // nil until discovered
	tried     time.Time // last attempt to discover it
	failure   error     // of that attempt
	keyReport error     // of the last fetch of its keys
}

// A provider is a discovered issuer. It is never changed, only replaced.
type provider struct {
	metadata
	keys *jwks.Set
}

func newIssuer(cfg Config) (*issuer, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	client := *cfg.Client
	if client.Timeout == 0 {
		client.Timeout = defaultTimeout
	}
	is := &issuer{cfg: cfg, http: &client, pages: documents(client), tenants: cfg.byIssuer()}
	var unreadable, unusable error
	if len(cfg.PrivateKey) > 0 {
		if is.key, unreadable = ReadClientKey(cfg.PrivateKey); unreadable != nil {
			unreadable = fmt.Errorf("read private key: %w", unreadable)
		}
	}
	if cfg.JWKS != nil {
		is.static, unusable = jwks.Static(cfg.JWKS, cfg.Now)
	}
	return is, errors.Join(unreadable, unusable)
}

// issues says whether iss is this issuer's name for itself, or for one of its tenants.
func (is *issuer) issues(iss string) bool {
	_, ok := is.tenants[iss]
	return ok
}

// keys returns the issuer's key set, after discovering it if need be.
func (is *issuer) keys(ctx context.Context) (*jwks.Set, error) {
	if is.static != nil {
		return is.static, nil
	}
	p, err := is.provider(ctx)
	if err != nil {
		return nil, err
	}
	return p.keys, nil
}

// provider returns the discovered issuer. While there is none, a request tries once, together with all
// others that come meanwhile, and not within a second of the last attempt.
func (is *issuer) provider(ctx context.Context) (*provider, error) {
	is.mu.Lock()
	found, failure := is.found, is.failure
	recent := is.cfg.Now().Sub(is.tried) < retryPause
	is.mu.Unlock()
	switch {
	case found != nil:
		return found, nil
	case failure != nil && recent:
		return nil, outage(failure)
	}
	found, err := is.discoverOnce(ctx)
	if err != nil {
		return nil, outage(err)
	}
	return found, nil
}

// discoverOnce discovers the issuer anew, once for all who ask at a time. It outlives the request that
// caused it, for at most the client's timeout.
func (is *issuer) discoverOnce(ctx context.Context) (*provider, error) {
	result := is.once.DoChan("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), is.http.Timeout)
		defer cancel()
		found, err := is.discover(ctx)
		is.keep(found, err)
		return found, err
	})
	select {
	case r := <-result:
		found, _ := r.Val.(*provider)
		return found, r.Err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// keep remembers the outcome of a discovery. A failure never displaces what was found before.
func (is *issuer) keep(found *provider, err error) {
	is.mu.Lock()
	is.tried, is.failure = is.cfg.Now(), err
	if err == nil {
		is.found = found
	}
	is.mu.Unlock()
	is.cfg.Report(is.cfg.Name, err)
}

// keySet returns the set at url: the one in use, if it is there already.
func (is *issuer) keySet(ctx context.Context, url string) (*jwks.Set, error) {
	is.mu.Lock()
	old := is.found
	is.mu.Unlock()
	if old != nil && old.JWKSURI == url {
		return old.keys, nil
	}
	set := jwks.New(jwks.Config{URL: url, Client: is.http, Now: is.cfg.Now, Report: is.reportKeys})
	if old != nil { // keys that work are not given up for a set never seen
		return set, set.Refresh(ctx)
	}
	return set, nil
}

func (is *issuer) reportKeys(err error) {
	if err != nil {
		err = is.keyFault(err)
	}
	is.mu.Lock()
	is.keyReport = err
	is.mu.Unlock()
	is.cfg.Report(is.cfg.Name, err)
}

func (is *issuer) stat() Stat {
	is.mu.Lock()
	found, err := is.found, is.failure
	if err == nil {
		err = is.keyReport
	}
	is.mu.Unlock()
	s := Stat{Name: is.cfg.Name, Issuer: is.cfg.Issuer, Discovered: found != nil, KeysAge: -1}
	if err != nil {
		s.Err = err.Error()
	}
	keys := is.static
	if keys == nil && found != nil {
		keys = found.keys
	}
	if keys != nil && !keys.Fetched().IsZero() {
		s.KeysAge = is.cfg.Now().Sub(keys.Fetched())
	}
	return s
}

// run tends the issuer until ctx ends.
func (is *issuer) run(ctx context.Context) {
	if is.static != nil {
		return
	}
	pause := retryPause
	for {
		wait := refreshEvery
		if err := is.tend(ctx); err != nil {
			wait, pause = pause, min(2*pause, maxPause)
		} else {
			pause = retryPause
		}
		timer := time.NewTimer(wait/2 + rand.N(wait/2))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// tend asks for the discovery document and the keys anew.
func (is *issuer) tend(ctx context.Context) error {
	found, err := is.discoverOnce(ctx)
	if err != nil {
		return err
	}
	return found.keys.Refresh(ctx)
}
