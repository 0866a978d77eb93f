package oidc_test

import (
	"errors"
	"testing"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"

	"chatpass/identity"
)

// Reproduction: go-oidc alone asks the issuer for every unknown key id and every bad signature, so that
// strangers can make us call it. Ours asks at most twice a minute for the one and never for the other.
func TestStrangersCannotMakeUsFetch(t *testing.T) {
	p, c := newIDP(t), newClock()
	f := p.goodToken()
	unknown := f.signedBy(newKey(t, "nobody", "ES256")).sign(t)
	f.header["kid"] = "es"
	forged := f.sign(t)

	client := p.Client()
	alone := gooidc.NewVerifier(p.URL, gooidc.NewRemoteKeySet(gooidc.ClientContext(t.Context(), client), p.URL+"/keys"),
		&gooidc.Config{ClientID: shop, SupportedSigningAlgs: []string{"ES256"}, Now: c.now})
	for _, raw := range []string{unknown, forged} {
		p.keyFetches.Store(0)
		for tries := 0; p.keyFetches.Load() < 10; tries++ { // some tries join the fetch before, even when it has ended
			if _, err := alone.Verify(t.Context(), raw); err == nil || tries == 100_000 {
				t.Fatalf("go-oidc alone fetched %d times for %d tokens (%v); this trap has changed", p.keyFetches.Load(), tries, err)
			}
		}
	}

	g := newGate(t, p, c)
	if _, err := g.Verify(t.Context(), p.goodToken().sign(t), terms()); err != nil {
		t.Fatal(err)
	}
	p.keyFetches.Store(0)
	for i := range 1000 {
		c.advance(time.Minute / 1000)
		_, err := g.Verify(t.Context(), forged, terms())
		if rejection, ok := errors.AsType[*identity.Rejection](err); !ok || rejection.Code != identity.SignatureInvalid {
			t.Fatalf("forged token %d: %v", i, err)
		}
	}
	if got := p.keyFetches.Load(); got != 0 {
		t.Errorf("1000 bad signatures caused %d fetches", got)
	}
	for i := range 10_000 {
		c.advance(time.Minute / 10_000)
		_, err := g.Verify(t.Context(), unknown, terms())
		if rejection, ok := errors.AsType[*identity.Rejection](err); !ok || rejection.Code != identity.KeyUnknown {
			t.Fatalf("token %d of an unknown key: %v", i, err)
		}
	}
	if got := p.keyFetches.Load(); got < 1 || got > 2 {
		t.Errorf("10,000 unknown key ids in a minute caused %d fetches, want 1 or 2", got)
	}
}

// Reproduction: to go-oidc alone a key, once seen, is good for as long as the process lives.
func TestWithdrawnKeyIsRefusedAfterAnHour(t *testing.T) {
	p, c := newIDP(t), newClock()
	f := p.goodToken()
	client := p.Client()
	alone := gooidc.NewVerifier(p.URL, gooidc.NewRemoteKeySet(gooidc.ClientContext(t.Context(), client), p.URL+"/keys"),
		&gooidc.Config{ClientID: shop, SupportedSigningAlgs: []string{"ES256"}, Now: c.now})
	g := newGate(t, p, c)
	if _, err := alone.Verify(t.Context(), f.sign(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Verify(t.Context(), f.sign(t), terms()); err != nil {
		t.Fatal(err)
	}
	p.change(func() { p.keys = p.keys[1:] })
	c.advance(time.Hour)
	f.with(map[string]any{"iat": c.now().Unix(), "exp": c.now().Unix() + 300})
	if _, err := alone.Verify(t.Context(), f.sign(t)); err != nil {
		t.Errorf("go-oidc alone noticed the withdrawal (%v); this trap has changed", err)
	}
	_, err := g.Verify(t.Context(), f.sign(t), terms())
	wantCode(t, err, identity.KeyUnknown)
}
