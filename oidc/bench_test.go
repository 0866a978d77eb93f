package oidc_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"chatpass/identity"
	"chatpass/oidc"
)

// FuzzVerify: of all strings only the good token is believed, in its one spelling. All others are
// rejected; none is an outage, since the keys are at hand.
func FuzzVerify(f *testing.F) {
	key := newKey(f, "es", "EdDSA") // whose signatures are deterministic
	public, err := key.public().MarshalJSON()
	if err != nil {
		f.Fatal(err)
	}
	g, err := oidc.New([]oidc.Config{{
		Name: "corp", Issuer: "https://idp.example", ClientID: clientID, Now: start,
		JWKS: fmt.Appendf(nil, `{"keys":[%s]}`, public),
	}})
	if err != nil {
		f.Fatal(err)
	}
	good := &forgery{key: key, header: map[string]any{"alg": "EdDSA", "kid": "es"}, payload: map[string]any{
		"iss": "https://idp.example", "sub": "u", "aud": shop, "iat": start().Unix(), "exp": start().Unix() + 60,
	}}
	believed := good.sign(f)
	f.Add(believed)
	for _, a := range attacks(f) {
		copied := &forgery{key: key, header: maps.Clone(good.header), payload: maps.Clone(good.payload)}
		a.change(copied)
		f.Add(copied.sign(f))
	}
	f.Fuzz(func(t *testing.T, raw string) {
		who, err := g.Verify(t.Context(), raw, terms())
		switch {
		case err == nil && (raw != believed || who.Subject != "u"):
			t.Errorf("believed %q as %+v", raw, who)
		case err != nil && (raw == believed || !errors.Is(err, identity.ErrRejected)):
			t.Errorf("got %v for %q", err, raw)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	p, c := newIDP(b), newClock()
	g := newGate(b, p, c)
	for _, key := range p.keys {
		raw := p.goodToken().signedBy(key).sign(b)
		b.Run(key.alg, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := g.Verify(b.Context(), raw, terms()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRefuse measures what a stranger's token costs before any signature is looked at.
func BenchmarkRefuse(b *testing.B) {
	p, c := newIDP(b), newClock()
	g := newGate(b, p, c)
	rows := map[string]func(*forgery){
		"too large":      set("pad", strings.Repeat("x", 16<<10)),
		"no JWS":         inToken(func(s string) string { return strings.ReplaceAll(s, ".", "") }),
		"alg none":       setHeader("alg", "none"),
		"foreign issuer": set("iss", "https://evil.example"),
		"unknown kid":    setHeader("kid", "nobody"),
	}
	if _, err := g.Verify(b.Context(), p.goodToken().sign(b), terms()); err != nil {
		b.Fatal(err)
	}
	for name, change := range rows {
		f := p.goodToken()
		change(f)
		raw := f.sign(b)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := g.Verify(b.Context(), raw, terms()); err == nil {
					b.Fatal("believed")
				}
			}
		})
	}
}
