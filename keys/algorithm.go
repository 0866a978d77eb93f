package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // SHA-256 for crypto.Hash
	_ "crypto/sha512" // SHA-384 for crypto.Hash
	"encoding/asn1"
	"fmt"
	"math/big"
)

// rsaBits is the size of new RSA keys. A key signs for weeks, not for years.
const rsaBits = 2048

// An algorithm is one way to sign: RFC 7518 §3.3-3.5, RFC 8037 §3.1.
type algorithm struct {
	name  string
	curve elliptic.Curve // of ES256 and ES384, else nil
	hash  crypto.Hash    // 0 for EdDSA, which hashes by itself
	opts  crypto.SignerOpts
}

func algorithmNamed(name string) (algorithm, bool) {
	switch name {
	case "ES256":
		return algorithm{name, elliptic.P256(), crypto.SHA256, crypto.SHA256}, true
	case "ES384":
		return algorithm{name, elliptic.P384(), crypto.SHA384, crypto.SHA384}, true
	case "EdDSA":
		return algorithm{name, nil, 0, crypto.Hash(0)}, true
	case "RS256":
		return algorithm{name, nil, crypto.SHA256, crypto.SHA256}, true
	case "PS256":
		pss := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
		return algorithm{name, nil, crypto.SHA256, pss}, true
	}
	return algorithm{}, false
}

// generate makes a private key for the algorithm of that name.
func generate(name string) (crypto.Signer, error) {
	a, ok := algorithmNamed(name)
	switch {
	case !ok:
		return nil, fmt.Errorf("no algorithm is called %q", name)
	case a.curve != nil:
		return ecdsa.GenerateKey(a.curve, rand.Reader)
	case a.hash == 0:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	}
	return rsa.GenerateKey(rand.Reader, rsaBits)
}

// fits says whether public is a key for this algorithm; jwx signs ES256 with a P-384 key unasked.
func (a algorithm) fits(public crypto.PublicKey) bool {
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		return key.Curve == a.curve
	case ed25519.PublicKey:
		return a.hash == 0
	case *rsa.PublicKey:
		return a.hash == crypto.SHA256 && a.curve == nil && key.N.BitLen() >= rsaBits
	}
	return false
}

// sign returns the JWS signature of input.
func (a algorithm) sign(key crypto.Signer, input []byte) ([]byte, error) {
	if a.hash == 0 {
		return key.Sign(rand.Reader, input, a.opts)
	}
	h := a.hash.New()
	h.Write(input)
	sig, err := key.Sign(rand.Reader, h.Sum(nil), a.opts)
	if err != nil || a.curve == nil {
		return sig, err
	}
	return fixedWidth(sig, (a.curve.Params().BitSize+7)/8)
}

// fixedWidth turns an ASN.1 signature into R ‖ S, each of the curve's width (RFC 7518 §3.4).
func fixedWidth(sig []byte, width int) ([]byte, error) {
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(sig, &rs); err != nil {
		return nil, fmt.Errorf("read ECDSA signature: %w", err)
	}
	out := make([]byte, 2*width)
	rs.R.FillBytes(out[:width])
	rs.S.FillBytes(out[width:])
	return out, nil
}
