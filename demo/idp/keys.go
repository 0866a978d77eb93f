package idp

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// signingAlgorithm is the one that every OpenID provider must offer (Discovery 1.0 §3).
const signingAlgorithm = jose.RS256

// retiredFor is how long a key that signs no more stays published.
const retiredFor = 10 * time.Minute

// keyRing holds the provider's keys, newest first; the first one signs.
type keyRing struct {
	now  func() time.Time
	mu   sync.Mutex
	keys []signingKey
}

// signingKey is a private key and, once another one signs, the end of its publication.
type signingKey struct {
	jose.JSONWebKey
	gone time.Time
}

func newKeyRing(now func() time.Time) (*keyRing, error) {
	k := &keyRing{now: now}
	_, err := k.rotate()
	return k, err
}

// rotate makes a new key sign at once and returns its kid. What the old keys signed can be verified
// for ten minutes more.
func (k *keyRing) rotate() (string, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", fmt.Errorf("make signing key: %w", err)
	}
	key := jose.JSONWebKey{Key: private, Algorithm: string(signingAlgorithm), Use: "sig"}
	print, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("name signing key: %w", err)
	}
	key.KeyID = base64.RawURLEncoding.EncodeToString(print)
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.keys) > 0 {
		k.keys[0].gone = k.now().Add(retiredFor)
	}
	k.keys = append([]signingKey{{JSONWebKey: key}}, k.keys...)
	return key.KeyID, nil
}

// published are the keys in use and those that were lately, newest first.
func (k *keyRing) published() []signingKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	k.keys = slices.DeleteFunc(k.keys, func(key signingKey) bool { return !key.gone.IsZero() && now.After(key.gone) })
	return slices.Clone(k.keys)
}

func (k *keyRing) public() jose.JSONWebKeySet {
	var set jose.JSONWebKeySet
	for _, key := range k.published() {
		set.Keys = append(set.Keys, key.Public())
	}
	return set
}

// sign makes a JWT of claims.
func (k *keyRing) sign(typ jose.ContentType, claims map[string]any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encode claims: %w", err)
	}
	options := (&jose.SignerOptions{}).WithType(typ)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: signingAlgorithm, Key: k.published()[0].JSONWebKey}, options)
	if err != nil {
		return "", fmt.Errorf("make signer: %w", err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	return signed.CompactSerialize()
}

// open returns the payload of a JWT that one of our keys signed. Whether it has expired is the
// caller's business.
func (k *keyRing) open(token string) ([]byte, error) {
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{signingAlgorithm})
	if err != nil {
		return nil, fmt.Errorf("parse token: %w", err)
	}
	for _, key := range k.published() {
		if key.KeyID == signed.Signatures[0].Header.KeyID {
			return signed.Verify(key.Public())
		}
	}
	return nil, errors.New("the token is signed by no key of ours")
}
