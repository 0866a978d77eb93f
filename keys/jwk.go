package keys

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// A KeySet is our public keys as a JWK set (RFC 7517 §5): those that sign, will sign or have signed.
type KeySet struct {
	Body []byte // JSON, the same bytes on every replica; never modify them
	ETag string // of Body, with its quotes (RFC 9110 §8.8.3)
}

// thumbprint is the kid of a public key: base64url of its SHA-256 thumbprint (RFC 7638 §3, RFC 8037 §2).
func thumbprint(public crypto.PublicKey) (string, error) {
	key, err := jwk.FromRaw(public)
	if err != nil {
		return "", fmt.Errorf("encode public key: %w", err)
	}
	sum, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("hash public key: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

// newRecord is a fresh key, without class and times. What private is depends on where the key is kept.
func newRecord(algorithm string, public crypto.PublicKey, private []byte) (Record, error) {
	kid, err := thumbprint(public)
	if err != nil {
		return Record{}, err
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return Record{}, fmt.Errorf("encode public key: %w", err)
	}
	return Record{KID: kid, Algorithm: algorithm, Public: der, Private: private}, nil
}

// publicHalf reads the public half of a record, and refuses one that is not what the record says.
func publicHalf(r *Record) (crypto.PublicKey, algorithm, error) {
	public, err := x509.ParsePKIXPublicKey(r.Public)
	if err != nil {
		return nil, algorithm{}, fmt.Errorf("read public key %s: %w", r.KID, err)
	}
	alg, ok := algorithmNamed(r.Algorithm)
	if !ok || !alg.fits(public) {
		return nil, algorithm{}, fmt.Errorf("key %s is a %T and cannot be used with %s", r.KID, public, r.Algorithm)
	}
	kid, err := thumbprint(public)
	if err != nil || kid != r.KID {
		return nil, algorithm{}, fmt.Errorf("kid %s is not the thumbprint of its key", r.KID)
	}
	return public, alg, nil
}

// privateHalf reads the private half of a record, and refuses one that does not belong to public.
func privateHalf(r *Record, public crypto.PublicKey) (crypto.Signer, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(r.Private)
	if err != nil {
		return nil, fmt.Errorf("read private key %s: %w", r.KID, err)
	}
	private, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("private key %s is a %T and cannot sign", r.KID, parsed)
	}
	if own, ok := private.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !own.Equal(public) {
		return nil, fmt.Errorf("private key %s belongs to another public key", r.KID)
	}
	return private, nil
}

// addJWK adds the public key of r to set. The set refuses a key that it already has.
func addJWK(set jwk.Set, r *Record, public crypto.PublicKey) error {
	key, err := jwk.FromRaw(public)
	if err != nil {
		return fmt.Errorf("encode public key %s: %w", r.KID, err)
	}
	// nbf and exp never change, so that no cached copy of the set is ever wrong.
	members := map[string]any{
		jwk.KeyIDKey: r.KID, jwk.KeyUsageKey: string(jwk.ForSignature), jwk.AlgorithmKey: r.Algorithm,
		"nbf": r.Created.Unix(), "exp": r.NotAfter.Unix(),
	}
	for name, value := range members {
		if err := key.Set(name, value); err != nil {
			return fmt.Errorf("set %s of key %s: %w", name, r.KID, err)
		}
	}
	return set.AddKey(key)
}

func renderKeySet(set jwk.Set) (KeySet, error) {
	body, err := json.Marshal(set)
	if err != nil {
		return KeySet{}, fmt.Errorf("encode key set: %w", err)
	}
	return newKeySet(body), nil
}

func newKeySet(body []byte) KeySet {
	sum := sha256.Sum256(body)
	return KeySet{body, `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`}
}
