// Package oidc is the company gate: it believes the ID tokens of configured identity providers, and is
// their relying party when a person signs in (OpenID Connect Core 1.0, Discovery 1.0, Back-Channel
// Logout 1.0). It starts and serves while an issuer is down: an issuer that cannot be asked is an
// [identity.Outage], never a rejection of somebody's token.
package oidc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"chatpass/identity"
)

// A Gate holds the upstream issuers. It is safe for concurrent use.
type Gate struct{ issuers []*issuer }

// New returns the gate for the given issuers. It does no I/O. Its error joins every fault of every issuer.
func New(configs []Config) (*Gate, error) {
	g := &Gate{}
	var faults []error
	for _, cfg := range configs {
		if _, err := g.named(cfg.Name); err == nil {
			faults = append(faults, fmt.Errorf("issuer %s: configured twice", cfg.Name))
			continue
		}
		is, err := newIssuer(cfg.withDefaults())
		if err != nil {
			faults = append(faults, fmt.Errorf("issuer %s: %w", cfg.Name, err))
			continue
		}
		g.issuers = append(g.issuers, is)
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return g, nil
}

// Run keeps discovery and key sets fresh until ctx ends: each issuer is asked anew before its keys grow
// old, and one that fails after 1 s, then ever more slowly up to 60 s, with jitter.
func (g *Gate) Run(ctx context.Context) error {
	var group errgroup.Group
	for _, is := range g.issuers {
		group.Go(func() error { is.run(ctx); return nil })
	}
	return group.Wait()
}

// Check asks one issuer now for its discovery document and its keys, and says whether people can sign
// in with it. Its error is a [*Fault] that names the remedy.
func (g *Gate) Check(ctx context.Context, idp string) error {
	is, err := g.named(idp)
	if err != nil {
		return err
	}
	return is.check(ctx)
}

// A Stat is what the gate knows of one issuer.
type Stat struct {
	// Name and Issuer are its name in the configuration and its URL.
	Name, Issuer string
	// Discovered says whether its discovery document has been read.
	Discovered bool
	// KeysAge is how long ago its key set was fetched; negative if there is none yet.
	KeysAge time.Duration
	// Err is what its last discovery or key fetch said, safe to show; empty if all is well.
	Err string
}

// Stats returns one row per issuer, in the order of the configuration.
func (g *Gate) Stats() []Stat {
	stats := make([]Stat, 0, len(g.issuers))
	for _, is := range g.issuers {
		stats = append(stats, is.stat())
	}
	return stats
}

func (g *Gate) named(name string) (*issuer, error) {
	for _, is := range g.issuers {
		if is.cfg.Name == name {
			return is, nil
		}
	}
	return nil, identity.Reject(identity.IssuerNotTrusted, "an unknown issuer name", "the name of a configured issuer")
}

// A Fault is something between an issuer and us that a person must put right.
type Fault struct {
	// Name and Issuer are the issuer's name in the configuration and its URL.
	Name, Issuer string
	// Problem says what is wrong, Remedy what to do about it. Both are safe to show.
	Problem, Remedy string
	// Err is the cause, if there is one to tell.
	Err error
}

func (f *Fault) Error() string {
	text := fmt.Sprintf("issuer %s (%s): %s; %s", f.Name, f.Issuer, f.Problem, f.Remedy)
	if f.Err != nil {
		text += ": " + f.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (f *Fault) Unwrap() error { return f.Err }

// outage says that an issuer could not be asked.
func outage(err error) error { return &identity.Outage{Code: identity.NoIssuerKey, Err: err} }
