//go:build pkcs11

package pkcs11

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/asn1"
	"fmt"
	"io"
	"math/big"

	"github.com/miekg/pkcs11"
)

// A signer is a [crypto.Signer] over a key in the token.
type signer struct {
	module    *Module
	reference []byte
	public    crypto.PublicKey
}

func (k *signer) Public() crypto.PublicKey { return k.public }

// Sign signs what [crypto.Signer] says; randomness is the token's own.
func (k *signer) Sign(_ io.Reader, input []byte, opts crypto.SignerOpts) ([]byte, error) {
	mechanism, input, err := k.mechanism(input, opts)
	if err != nil {
		return nil, err
	}
	m := k.module
	sig, err := use(m, patience, func(s *session) ([]byte, error) {
		object, err := m.find(s, k.reference)
		if err != nil {
			return nil, err
		}
		if err := m.lib.SignInit(s.handle, []*pkcs11.Mechanism{mechanism}, object); err != nil {
			return nil, fmt.Errorf("begin signature: %w", err)
		}
		sig, err := m.lib.Sign(s.handle, input)
		if err != nil {
			return nil, fmt.Errorf("sign: %w", err)
		}
		return sig, nil
	})
	if public, ok := k.public.(*ecdsa.PublicKey); ok && err == nil {
		return inASN1(sig, public)
	}
	return sig, err
}

// mechanism returns how the token signs, and what it is to be given.
func (k *signer) mechanism(input []byte, opts crypto.SignerOpts) (*pkcs11.Mechanism, []byte, error) {
	hash := opts.HashFunc()
	if hash != 0 && len(input) != hash.Size() {
		return nil, nil, fmt.Errorf("sign: %d bytes are no digest of %s", len(input), hash)
	}
	switch k.public.(type) {
	case *ecdsa.PublicKey:
		return pkcs11.NewMechanism(pkcs11.CKM_ECDSA, nil), input, nil
	case ed25519.PublicKey:
		return pkcs11.NewMechanism(signEdDSA, nil), input, nil
	}
	if hash != crypto.SHA256 {
		return nil, nil, fmt.Errorf("sign: no RSA signature over %s is made here", hash)
	}
	if _, ok := opts.(*rsa.PSSOptions); ok {
		pss := pkcs11.NewPSSParams(pkcs11.CKM_SHA256, pkcs11.CKG_MGF1_SHA256, uint(hash.Size()))
		return pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS_PSS, pss), input, nil
	}
	return pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS, nil), append(digestInfo(), input...), nil
}

// digestInfo is what stands before a SHA-256 digest in a PKCS #1 v1.5 signature (RFC 8017 §9.2 note 1).
func digestInfo() []byte {
	return []byte{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20}
}

// inASN1 turns R ‖ S, each of the curve's width, into what Go calls an ECDSA signature.
func inASN1(sig []byte, public *ecdsa.PublicKey) ([]byte, error) {
	width := (public.Params().BitSize + 7) / 8
	if len(sig) != 2*width {
		return nil, outage(fmt.Errorf("the token made a signature of %d bytes", len(sig)))
	}
	return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(sig[:width]), new(big.Int).SetBytes(sig[width:])})
}
