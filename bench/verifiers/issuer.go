package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	audience = "https://api.example.com"
	scope    = "chat:read"
	keysPath = "/.well-known/jwks.json"
)

// An issuer publishes its key, and has made a good context and some with one fault each.
type issuer struct {
	*httptest.Server
	alg   string
	token string
	bad   map[string]string // by what is wrong
}

func newIssuer(alg string) (*issuer, error) {
	private, err := newKey(alg)
	if err != nil {
		return nil, err
	}
	stranger, err := newKey(alg)
	if err != nil {
		return nil, err
	}
	i := &issuer{alg: alg}
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: private.Public(), KeyID: "k1", Algorithm: alg, Use: "sig"}}}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == keysPath {
			_ = json.NewEncoder(w).Encode(set)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": i.URL, "jwks_uri": i.URL + keysPath})
	}))
	if err := i.makeContexts(private, stranger); err != nil {
		i.Close()
		return nil, err
	}
	return i, nil
}

func newKey(alg string) (crypto.Signer, error) {
	switch alg {
	case "ES256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	case "RS256":
		return rsa.GenerateKey(rand.Reader, 2048)
	}
	return nil, fmt.Errorf("no key for %s", alg)
}

func (i *issuer) makeContexts(private, stranger crypto.Signer) error {
	now := time.Now()
	claims := map[string]any{
		"iss": i.URL, "aud": []string{audience}, "sub": "YXbq0lE3bH0yJ7cXr0pQvA", "client_id": "support-web",
		"jti": "01J8ZQ4V9N3K5T7W2X6Y8ZABCD", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "scope": "chat:read chat:write",
		"sid": "s-7Hq2mB0vTn4c", "idp": "corp", "auth_time": now.Add(-time.Hour).Unix(), "acr": "gold", "amr": []string{"pwd", "otp"},
		"chat": map[string]any{"ver": 1, "app": "support", "origin": "https://www.example.com"}, "tier": "gold", "name": "Ada Example",
	}
	var err error
	mint := func(by crypto.Signer, kid, typ, claim string, value any) string {
		changed := maps.Clone(claims)
		changed[claim] = value
		token, failed := sign(by, i.alg, kid, typ, changed)
		if failed != nil {
			err = failed
		}
		return token
	}
	i.token = mint(private, "k1", "at+jwt", "tier", "gold")
	i.bad = map[string]string{
		"the signature": mint(stranger, "k1", "at+jwt", "tier", "gold"),
		"kid":           mint(private, "k2", "at+jwt", "tier", "gold"),
		"typ":           mint(private, "k1", "JWT", "tier", "gold"),
		"iss":           mint(private, "k1", "at+jwt", "iss", "https://evil.example"),
		"aud":           mint(private, "k1", "at+jwt", "aud", []string{"https://other.example.com"}),
		"exp":           mint(private, "k1", "at+jwt", "exp", now.Add(-time.Hour).Unix()),
		"iat":           mint(private, "k1", "at+jwt", "iat", now.Add(time.Hour).Unix()),
		"scope":         mint(private, "k1", "at+jwt", "scope", "chat:write"),
	}
	return err
}

func sign(by crypto.Signer, alg, kid, typ string, claims map[string]any) (string, error) {
	options := (&jose.SignerOptions{}).WithType(jose.ContentType(typ)).WithHeader("kid", kid)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: by}, options)
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}
