//go:build pkcs11

package pkcs11

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"

	"github.com/miekg/pkcs11"
)

// Ed25519 is of PKCS #11 v3.0 §2.3, which the library does not name.
const (
	genEdwards = 0x1055 // CKM_EC_EDWARDS_KEY_PAIR_GEN
	signEdDSA  = 0x1057 // CKM_EDDSA
)

// label is that of every key we make, so that people find them in the token.
const label = "chatpass signing key"

// mechanisms are what a token needs for an algorithm, and what its keys are made of.
type mechanisms struct {
	generate, sign uint
	curve          elliptic.Curve      // of ECDSA
	parameters     any                 // CKA_EC_PARAMS, to be DER
	public         []*pkcs11.Attribute // of RSA
}

func mechanismsOf(algorithm string) (mechanisms, error) {
	rsaKey := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_MODULUS_BITS, 2048), pkcs11.NewAttribute(pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}),
	}
	switch algorithm {
	case "ES256":
		return ecdsaOn(elliptic.P256(), asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}), nil
	case "ES384":
		return ecdsaOn(elliptic.P384(), asn1.ObjectIdentifier{1, 3, 132, 0, 34}), nil
	case "EdDSA":
		return mechanisms{generate: genEdwards, sign: signEdDSA, parameters: "edwards25519"}, nil
	case "RS256":
		return mechanisms{generate: pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, sign: pkcs11.CKM_RSA_PKCS, public: rsaKey}, nil
	case "PS256":
		return mechanisms{generate: pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, sign: pkcs11.CKM_RSA_PKCS_PSS, public: rsaKey}, nil
	}
	return mechanisms{}, fmt.Errorf("no algorithm is called %q", algorithm)
}

func ecdsaOn(curve elliptic.Curve, oid asn1.ObjectIdentifier) mechanisms {
	return mechanisms{generate: pkcs11.CKM_EC_KEY_PAIR_GEN, sign: pkcs11.CKM_ECDSA, curve: curve, parameters: oid}
}

// generate makes a key. Its public half is kept in the ring: in the token it ends with the session.
func (m *Module) generate(s *session, how mechanisms, reference []byte) (crypto.PublicKey, error) {
	public := append([]*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, false), pkcs11.NewAttribute(pkcs11.CKA_VERIFY, true),
	}, how.public...)
	if how.parameters != nil {
		der, err := asn1.Marshal(how.parameters)
		if err != nil {
			return nil, fmt.Errorf("encode curve: %w", err)
		}
		public = append(public, pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, der))
	}
	private := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true),
		pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true), pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, false),
		pkcs11.NewAttribute(pkcs11.CKA_SIGN, true),
		pkcs11.NewAttribute(pkcs11.CKA_ID, reference), pkcs11.NewAttribute(pkcs11.CKA_LABEL, label),
	}
	open, secret, err := m.lib.GenerateKeyPair(s.handle, []*pkcs11.Mechanism{pkcs11.NewMechanism(how.generate, nil)}, public, private)
	if err != nil {
		return nil, fmt.Errorf("generate key: %w", err)
	}
	key, err := m.publicHalf(s, how, open)
	if err != nil {
		return nil, errors.Join(err, m.lib.DestroyObject(s.handle, secret))
	}
	_ = m.lib.DestroyObject(s.handle, open) // else it goes with the session
	return key, nil
}

func (m *Module) publicHalf(s *session, how mechanisms, object pkcs11.ObjectHandle) (crypto.PublicKey, error) {
	if how.public != nil {
		found, err := m.lib.GetAttributeValue(s.handle, object, []*pkcs11.Attribute{
			pkcs11.NewAttribute(pkcs11.CKA_MODULUS, nil), pkcs11.NewAttribute(pkcs11.CKA_PUBLIC_EXPONENT, nil),
		})
		if err != nil {
			return nil, fmt.Errorf("read public key: %w", err)
		}
		e := new(big.Int).SetBytes(found[1].Value)
		return &rsa.PublicKey{N: new(big.Int).SetBytes(found[0].Value), E: int(e.Int64())}, nil
	}
	found, err := m.lib.GetAttributeValue(s.handle, object, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_EC_POINT, nil)})
	if err != nil {
		return nil, fmt.Errorf("read public key: %w", err)
	}
	point := found[0].Value
	var inner []byte // DER by the standard, but some tokens give the bare point
	if rest, err := asn1.Unmarshal(point, &inner); err == nil && len(rest) == 0 {
		point = inner
	}
	if how.curve != nil {
		return ecdsa.ParseUncompressedPublicKey(how.curve, point)
	}
	if len(point) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("read public key: a point of %d bytes is none of Ed25519", len(point))
	}
	return ed25519.PublicKey(point), nil
}

// find returns the private key of that reference.
func (m *Module) find(s *session, reference []byte) (pkcs11.ObjectHandle, error) {
	if object, ok := s.objects[string(reference)]; ok {
		return object, nil
	}
	err := m.lib.FindObjectsInit(s.handle, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY), pkcs11.NewAttribute(pkcs11.CKA_ID, reference),
	})
	if err != nil {
		return 0, fmt.Errorf("find key: %w", err)
	}
	found, _, err := m.lib.FindObjects(s.handle, 1)
	if err = errors.Join(err, m.lib.FindObjectsFinal(s.handle)); err != nil {
		return 0, fmt.Errorf("find key: %w", err)
	}
	if len(found) == 0 {
		return 0, errAbsent
	}
	s.objects[string(reference)] = found[0]
	return found[0], nil
}

func (m *Module) destroy(s *session, reference []byte) (none struct{}, err error) {
	object, err := m.find(s, reference)
	if err != nil {
		return none, err
	}
	delete(s.objects, string(reference))
	if err := m.lib.DestroyObject(s.handle, object); err != nil {
		return none, fmt.Errorf("destroy key: %w", err)
	}
	return none, nil
}
