package jwks

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"math/big"
	"net/http"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
)

const (
	maxDocument = 512 << 10
	maxKeys     = 100
	minRSABits  = 2048
	maxRSABits  = 8192
)

// SkippedError says that a set is in use without some of its keys, because they are dangerous: weak,
// malformed, off their curve, or published with their private half. Keys that are merely of no use
// here (of another kind, for encryption) are skipped in silence (RFC 7517 §5).
type SkippedError struct {
	// Keys says for each skipped key which and why, safe to show.
	Keys []string
}

func (e *SkippedError) Error() string {
	return "skipped bad keys: " + strings.Join(e.Keys, "; ")
}

// wireKey is a JWK as published, without the members that never choose a key here (x5c, x5u, x5t).
type wireKey struct {
	KeyType    string   `json:"kty"`
	Curve      string   `json:"crv"`
	KeyID      string   `json:"kid"`
	Algorithm  string   `json:"alg"`
	Use        string   `json:"use"`
	Operations []string `json:"key_ops"`
	Issuer     string   `json:"issuer"` // in the common key set of Entra's tenants: whose tokens the key is for

	N string `json:"n"`
	E string `json:"e"`
	X string `json:"x"`
	Y string `json:"y"`

	D    json.RawMessage `json:"d"`
	P    json.RawMessage `json:"p"`
	Q    json.RawMessage `json:"q"`
	DP   json.RawMessage `json:"dp"`
	DQ   json.RawMessage `json:"dq"`
	QI   json.RawMessage `json:"qi"`
	Oth  json.RawMessage `json:"oth"`
	K    json.RawMessage `json:"k"`
	Priv json.RawMessage `json:"priv"`
}

// fetch gets and parses the set at url. The error is a [*SkippedError] if the keys are usable all the same.
func fetch(ctx context.Context, client *http.Client, url string) ([]key, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("fetch key set: %w", err)
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetch key set: %w", err)
	}
	body, err := ReadBody(resp, maxDocument)
	if err != nil {
		return nil, fmt.Errorf("fetch key set from %s: %w", url, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch key set from %s: status %d", url, resp.StatusCode)
	}
	keys, err := parse(body)
	if err != nil {
		return keys, fmt.Errorf("read key set from %s: %w", url, err)
	}
	return keys, nil
}

// parse reads a JWK Set document. Only its error type says whether the keys may be used: see [SkippedError].
func parse(document []byte) ([]key, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(document, &set); err != nil {
		return nil, errors.New("not a JSON object with distinct members")
	}
	if set.Keys == nil {
		return nil, errors.New("no member \"keys\"")
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("%d keys, at most %d", len(set.Keys), maxKeys)
	}
	var keys []key
	var skipped []string
	for i, raw := range set.Keys {
		one, err := parseKey(raw)
		switch {
		case err != nil:
			skipped = append(skipped, fmt.Sprintf("key %d (%q): %v", i, clip(one.KeyID), err))
		case one.Key == nil:
		case one.KeyID != "" && slices.ContainsFunc(keys, func(k key) bool { return k.KeyID == one.KeyID }):
			return nil, fmt.Errorf("two keys with id %q", clip(one.KeyID))
		default:
			keys = append(keys, one)
		}
	}
	if len(skipped) > 0 {
		return keys, &SkippedError{Keys: skipped}
	}
	return keys, nil
}

// A key is a published key, and the issuer it is for if its publisher says so.
type key struct {
	jose.JSONWebKey
	issuer string
}

// parseKey returns no error and no key if the key is merely of no use for verifying signatures.
func parseKey(raw []byte) (key, error) {
	var wire wireKey
	if err := json.Unmarshal(raw, &wire); err != nil {
		return key{}, errors.New("not a JSON object with distinct members of the right types")
	}
	one := key{jose.JSONWebKey{KeyID: wire.KeyID, Algorithm: wire.Algorithm, Use: wire.Use}, wire.Issuer}
	if wire.private() {
		return one, errors.New("holds secret key material")
	}
	if !wire.verifies() {
		return key{}, nil
	}
	public, err := wire.public()
	if err != nil {
		return one, err
	}
	one.Key = public
	if wire.Algorithm != "" && !fits(one.JSONWebKey, wire.Algorithm) {
		return key{}, nil
	}
	return one, nil
}

func (w wireKey) private() bool {
	secrets := [][]byte{w.D, w.P, w.Q, w.DP, w.DQ, w.QI, w.Oth, w.K, w.Priv}
	return w.KeyType == "oct" || slices.ContainsFunc(secrets, func(m []byte) bool { return m != nil })
}

// verifies says whether the key is meant for signatures and of a kind known here.
func (w wireKey) verifies() bool {
	if w.Use != "" && w.Use != "sig" || w.Operations != nil && !slices.Contains(w.Operations, "verify") {
		return false
	}
	switch w.KeyType {
	case "RSA":
		return true
	case "EC":
		return w.Curve == "P-256" || w.Curve == "P-384" || w.Curve == "P-521"
	case "OKP":
		return w.Curve == "Ed25519"
	}
	return false
}

func (w wireKey) public() (any, error) {
	if w.KeyType == "RSA" {
		return w.rsa()
	}
	bare, err := json.Marshal(map[string]string{"kty": w.KeyType, "crv": w.Curve, "x": w.X, "y": w.Y})
	if err != nil {
		return nil, err
	}
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON(bare); err != nil {
		return nil, fmt.Errorf("not a point of %s that may be a key", w.Curve)
	}
	return key.Key, nil
}

// rsa reads the modulus itself: go-jose stops at 4096 bits, RFC 7518 §3.3 sets no upper limit and ours is 8192.
func (w wireKey) rsa() (*rsa.PublicKey, error) {
	n, err := base64.RawURLEncoding.DecodeString(w.N)
	if err != nil {
		return nil, errors.New("modulus is not base64url")
	}
	e, err := base64.RawURLEncoding.DecodeString(w.E)
	if err != nil {
		return nil, errors.New("exponent is not base64url")
	}
	modulus, exponent := new(big.Int).SetBytes(n), new(big.Int).SetBytes(e)
	if bits := modulus.BitLen(); bits < minRSABits || bits > maxRSABits {
		return nil, fmt.Errorf("RSA modulus of %d bits, must be %d to %d", bits, minRSABits, maxRSABits)
	}
	if modulus.Bit(0) == 0 {
		return nil, errors.New("RSA modulus is even")
	}
	if !exponent.IsInt64() || exponent.Int64() < 3 || exponent.Int64() > math.MaxInt32 || exponent.Bit(0) == 0 {
		return nil, errors.New("RSA exponent is not an odd number between 3 and 2^31-1")
	}
	key := &rsa.PublicKey{N: modulus, E: int(exponent.Int64())}
	if isROCA(key) {
		return nil, errors.New("RSA modulus of a chip whose keys can be guessed (CVE-2017-15361)")
	}
	return key, nil
}

// A want is the key that a token asks for.
type want struct {
	kid, alg string
	issuer   func(string) bool // nil: whatever issuer a key is for
}

// find returns the one key that fits.
func find(keys []key, w want) (jose.JSONWebKey, bool) {
	var found jose.JSONWebKey
	n := 0
	for _, one := range keys {
		foreign := one.issuer != "" && w.issuer != nil && !w.issuer(one.issuer)
		if (w.kid == "" || one.KeyID == w.kid) && !foreign && fits(one.JSONWebKey, w.alg) {
			found = one.JSONWebKey
			n++
		}
	}
	return found, n == 1
}

// fits says whether key may verify signatures made with alg: the kind of key and the curve must be
// those of alg (RFC 7518 §3.1, RFC 8037 §3.1), and a key that names an algorithm is for that one only.
func fits(key jose.JSONWebKey, alg string) bool {
	if key.Algorithm != "" && key.Algorithm != alg {
		return false
	}
	switch public := key.Key.(type) {
	case *rsa.PublicKey:
		return slices.Contains([]string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}, alg)
	case *ecdsa.PublicKey:
		return alg == "ES256" && public.Curve == elliptic.P256() ||
			alg == "ES384" && public.Curve == elliptic.P384() ||
			alg == "ES512" && public.Curve == elliptic.P521()
	case ed25519.PublicKey:
		return alg == "EdDSA"
	}
	return false
}
