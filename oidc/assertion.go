package oidc

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
	"golang.org/x/oauth2"
)

const (
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	// assertionLife leaves room for clocks that differ: many issuers refuse more than 5 min.
	assertionLife = 3 * time.Minute
	minRSABits    = 2048
)

// TokenEndpointAudience as [Config.AssertionAudience] addresses our assertions to the token endpoint.
const TokenEndpointAudience = "token_endpoint"

// A ClientKey is our private key towards an issuer (private_key_jwt, OpenID Connect Core 1.0 §9).
type ClientKey struct {
	key        jose.JSONWebKey // its KeyID is the RFC 7638 thumbprint
	algorithms []string        // that it may sign with, the best known first
}

// ReadClientKey reads a private key: PKCS #8 PEM (RFC 5958) or a JWK (RFC 7517), RSA of at least 2048
// bits, ECDSA on P-256, P-384 or P-521, or Ed25519. Its error never holds any of the key.
func ReadClientKey(text []byte) (*ClientKey, error) {
	key, err := readPrivate(text)
	if err != nil {
		return nil, err
	}
	c := &ClientKey{key: key, algorithms: algorithmsOf(key.Key)}
	if key.Algorithm != "" { // a JWK may be for one algorithm only
		c.algorithms = slices.DeleteFunc(c.algorithms, func(alg string) bool { return alg != key.Algorithm })
	}
	if len(c.algorithms) == 0 {
		return nil, errors.New("not a private key to sign with: RSA of at least 2048 bits, P-256, P-384, P-521 or Ed25519")
	}
	thumbprint, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, errors.New("a key without a thumbprint (RFC 7638)")
	}
	c.key.KeyID = base64.RawURLEncoding.EncodeToString(thumbprint)
	return c, nil
}

func readPrivate(text []byte) (jose.JSONWebKey, error) {
	if block, _ := pem.Decode(text); block != nil {
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return jose.JSONWebKey{}, errors.New("not a PKCS #8 private key")
		}
		return jose.JSONWebKey{Key: key}, nil
	}
	var key jose.JSONWebKey
	if err := json.Unmarshal(bytes.TrimSpace(text), &key); err != nil || !key.Valid() || key.IsPublic() {
		return jose.JSONWebKey{}, errors.New("neither PEM nor a private JWK")
	}
	return key, nil
}

// algorithmsOf returns what a private key may sign with (RFC 7518 §3.1, RFC 8037 §3.1); none if it is weak
// or of another kind.
func algorithmsOf(private any) []string {
	switch key := private.(type) {
	case *rsa.PrivateKey:
		if key.N.BitLen() >= minRSABits {
			return []string{"RS256", "PS256", "RS384", "PS384", "RS512", "PS512"}
		}
	case *ecdsa.PrivateKey:
		return map[string][]string{"P-256": {"ES256"}, "P-384": {"ES384"}, "P-521": {"ES512"}}[key.Curve.Params().Name]
	case ed25519.PrivateKey:
		return []string{"EdDSA"}
	}
	return nil
}

// algorithm chooses one that the issuer announces to take; the best known if it announces none.
func (k *ClientKey) algorithm(announced []string) (string, bool) {
	if len(announced) == 0 {
		return k.algorithms[0], true
	}
	for _, alg := range k.algorithms {
		if slices.Contains(announced, alg) {
			return alg, true
		}
	}
	return "", false
}

// Public returns the public half as a JWK, which is what the issuer has to know.
func (k *ClientKey) Public() string {
	public := k.key.Public()
	public.Use = "sig"
	text, err := public.MarshalJSON()
	if err != nil {
		return "" // a key that was read can be written
	}
	return string(text)
}

// sign makes an assertion that we are clientID (RFC 7523 §3).
func (k *ClientKey) sign(alg, clientID, audience string, now time.Time) (string, error) {
	options := (&jose.SignerOptions{}).WithType("JWT")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: k.key}, options)
	if err != nil {
		return "", fmt.Errorf("sign client assertion: %w", err)
	}
	payload, err := json.Marshal(map[string]any{
		"iss": clientID, "sub": clientID, "aud": audience, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(assertionLife).Unix(),
	})
	if err != nil {
		return "", fmt.Errorf("sign client assertion: %w", err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign client assertion: %w", err)
	}
	return signed.CompactSerialize()
}

// authenticate returns the parameters of a token request that prove who we are, beyond what x/oauth2
// sends of itself.
func (is *issuer) authenticate(m metadata) ([]oauth2.AuthCodeOption, error) {
	assertion, err := is.assertion(m)
	if err != nil || assertion == "" {
		return nil, err
	}
	return []oauth2.AuthCodeOption{
		oauth2.SetAuthURLParam("client_assertion_type", assertionType), oauth2.SetAuthURLParam("client_assertion", assertion),
	}, nil
}

// assertion says who we are, signed with our key; "" without one.
func (is *issuer) assertion(m metadata) (string, error) {
	if is.key == nil {
		return "", nil
	}
	alg, ok := is.key.algorithm(m.AssertionAlgorithms)
	if !ok {
		return "", is.wrongKeyKind(m)
	}
	audience := m.Issuer
	if is.cfg.AssertionAudience == TokenEndpointAudience || len(is.cfg.Tenants) > 0 { // a template names nobody
		audience = m.TokenEndpoint
	}
	return is.key.sign(alg, is.cfg.ClientID, audience, is.cfg.Now())
}

func (is *issuer) wrongKeyKind(m metadata) error {
	return is.fault("its token endpoint takes no assertion signed by private_key, whose kind of key is for "+strings.Join(is.key.algorithms, ", "),
		"make a key for one of the algorithms that it announces, "+clip(strings.Join(m.AssertionAlgorithms, ", ")))
}
