package oidc

import (
	"bytes"
	"context"
	"errors"
	"slices"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"chatpass/identity"
	"chatpass/jwks"
)

// Verify says who an ID token presented by somebody speaks for (OpenID Connect Core 1.0 §3.1.3.7), on
// the given terms. The nonce is not looked at: it belongs to whoever signed the person in.
//
// Its error is an [*identity.Rejection] if the token is at fault, and an [*identity.Outage] if the
// issuer's keys had to be fetched and could not be. A rejection with code KeyUnknown that wraps a
// [*jwks.UnknownKeyError] may be worth another try later, if that says so.
func (g *Gate) Verify(ctx context.Context, raw string, terms identity.Terms) (identity.Identity, error) {
	t, err := open(raw, terms.Passed)
	if err != nil {
		return identity.Identity{}, err
	}
	is, err := g.choose(t, terms)
	if err != nil {
		return identity.Identity{}, err
	}
	who, _, err := is.readIDToken(ctx, t, false, terms.Accepts[is.cfg.Name])
	if err != nil {
		return identity.Identity{}, err
	}
	limit := is.cfg.MaxTokenAge
	if terms.MaxAge > 0 {
		limit = min(limit, terms.MaxAge)
	}
	if err := is.checkAge(who.IssuedAt, limit); err != nil {
		return identity.Identity{}, err
	}
	t.passed.Tell("token age", is.age(who.IssuedAt), "at most "+seconds(limit))
	return who, nil
}

// Rehearse makes the checks of [Gate.Verify] that need neither the issuer's keys nor its age: nothing is
// fetched, and no signature is looked at. What it returns anybody can have made up; it is for showing
// what rules would make of a sample.
func (g *Gate) Rehearse(raw string, terms identity.Terms) (identity.Identity, error) {
	t, err := open(raw, terms.Passed)
	if err != nil {
		return identity.Identity{}, err
	}
	is, err := g.choose(t, terms)
	if err != nil {
		return identity.Identity{}, err
	}
	if err := is.checkIDToken(t); err != nil {
		return identity.Identity{}, err
	}
	if err := is.checkAlgorithm(t); err != nil {
		return identity.Identity{}, err
	}
	return is.identify(t, terms.Accepts[is.cfg.Name])
}

// choose returns the issuer that the token names, if the terms accept it. When one issuer is configured
// several times, it is the entry whose accepted clients the token is for.
func (g *Gate) choose(t token, terms identity.Terms) (*issuer, error) {
	var chosen *issuer
	var trusted []string
	for _, is := range g.issuers {
		clients, accepted := terms.Accepts[is.cfg.Name]
		if !accepted {
			continue
		}
		trusted = append(trusted, is.cfg.Issuer)
		if !is.issues(t.iss) {
			continue
		}
		if _, err := t.claims.party(clients); err == nil {
			return is, nil
		}
		if chosen == nil {
			chosen = is
		}
	}
	if chosen == nil {
		return nil, g.notAccepted(t.iss, trusted)
	}
	return chosen, nil
}

// notAccepted tells an issuer that the terms do not name from one that nobody has configured.
func (g *Gate) notAccepted(iss string, trusted []string) error {
	for _, is := range g.issuers {
		if is.issues(iss) {
			return identity.Reject(identity.IssuerNotTrusted, "issuer "+clip(iss)+" ("+is.cfg.Name+"), which accepts does not name", oneOf(trusted))
		}
	}
	return untrusted(iss, trusted...)
}

func untrusted(iss string, trusted ...string) error {
	return identity.Reject(identity.IssuerNotTrusted, "issuer "+clip(iss), oneOf(trusted))
}

// readIDToken returns the identity that an ID token of this issuer speaks for. own is as in believe.
func (is *issuer) readIDToken(ctx context.Context, t token, own bool, accepted []string) (identity.Identity, *gooidc.IDToken, error) {
	if err := is.checkIDToken(t); err != nil {
		return identity.Identity{}, nil, err
	}
	var who identity.Identity
	read, err := is.believe(ctx, t, own, func() (err error) {
		who, err = is.identify(t, accepted)
		return err
	})
	return who, read, err
}

// checkIDToken tells of the issuer that was chosen, and checks the token's kind.
func (is *issuer) checkIDToken(t token) error {
	t.passed.Tell("token issuer", "issuer "+clip(t.iss), "issuer "+is.cfg.Issuer)
	if err := t.checkKind(); err != nil {
		return err
	}
	t.passed.Tell("token kind", "an ID token", "an ID token")
	return nil
}

// believe checks the header and the signature, then what check checks, and last what go-oidc does. own
// says that the token came straight from the issuer, which earns it a fresh look at the key set.
func (is *issuer) believe(ctx context.Context, t token, own bool, check func() error) (*gooidc.IDToken, error) {
	if err := is.checkAlgorithm(t); err != nil {
		return nil, err
	}
	keys, err := is.keys(ctx)
	if err != nil {
		return nil, err
	}
	key, err := is.keyOf(ctx, keys, t, own)
	if err != nil {
		return nil, err
	}
	t.passed.Tell("token key", "key id "+clip(t.kid), "a key that the issuer publishes")
	set := &watchedKeySet{key: key, token: t, check: check}
	verifier := gooidc.NewVerifier(t.iss, set, &gooidc.Config{
		SupportedSigningAlgs: is.cfg.Algorithms,
		SkipClientIDCheck:    true, // several clients may be accepted: identify
		SkipExpiryCheck:      true, // it allows no skew: identify
	})
	believed, err := verifier.Verify(ctx, t.raw)
	switch {
	case set.err != nil:
		return nil, set.err
	case err != nil:
		return nil, malformed("refused by a second reader")
	}
	return believed, nil
}

func (is *issuer) checkAlgorithm(t token) error {
	if !slices.Contains(is.cfg.Algorithms, t.alg) {
		return identity.Reject(identity.AlgorithmNotAllowed, "algorithm "+clip(t.alg), oneOf(is.cfg.Algorithms))
	}
	t.passed.Tell("token algorithm", "algorithm "+clip(t.alg), oneOf(is.cfg.Algorithms))
	return nil
}

// keyOf finds the key that the token's header names; go-oidc would read the whole token before it asked.
func (is *issuer) keyOf(ctx context.Context, keys *jwks.Set, t token, own bool) (jose.JSONWebKey, error) {
	isFor := func(keyIssuer string) bool { return is.ownKey(t, keyIssuer) }
	key, err := keys.KeyOf(ctx, t.kid, t.alg, isFor)
	unknown, ok := errors.AsType[*jwks.UnknownKeyError](err)
	if ok && unknown.CoolingDown && own {
		if err = keys.Refresh(ctx); err == nil {
			key, err = keys.KeyOf(ctx, t.kid, t.alg, isFor)
		}
		unknown, ok = errors.AsType[*jwks.UnknownKeyError](err)
	}
	switch {
	case ok:
		return key, &identity.Rejection{
			Code: identity.KeyUnknown, Measured: "key id " + clip(unknown.KID),
			Required: "a single key of the issuer that fits " + t.alg, Err: err,
		}
	case err != nil:
		return key, outage(err)
	}
	return key, nil
}

// A watchedKeySet verifies the signature and makes our checks, as go-oidc's seam for key sets. It
// remembers the error, which go-oidc flattens.
type watchedKeySet struct {
	key   jose.JSONWebKey
	token token
	check func() error
	err   error
}

// VerifySignature implements [gooidc.KeySet].
func (w *watchedKeySet) VerifySignature(context.Context, string) ([]byte, error) {
	w.err = w.verify()
	return w.token.payload, w.err
}

func (w *watchedKeySet) verify() error {
	signed, err := jose.ParseSignedCompact(w.token.raw, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(w.token.alg)})
	if err != nil {
		return malformed("header that go-jose cannot read")
	}
	payload, err := signed.Verify(w.key.Key)
	if err != nil || !bytes.Equal(payload, w.token.payload) {
		return identity.Reject(identity.SignatureInvalid, "signature does not verify", "a signature by key "+clip(w.key.KeyID))
	}
	w.token.passed.Tell("token signature", "verifies", "a signature by key "+clip(w.key.KeyID))
	return w.check()
}
