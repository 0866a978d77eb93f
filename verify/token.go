package verify

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"math/big"
	"slices"
	"strings"

	"chatpass/jwks/strict"
)

const (
	maxToken  = 16 << 10
	maxHeader = 2 << 10 // ours are 120 bytes
	maxDepth  = 1000    // of nested arrays and objects
)

// A token is a context taken apart, not yet believed.
type token struct {
	header    header
	input     string // what is signed: the first two parts (RFC 7515 §5.2)
	payload   string // the second part
	signature []byte
}

// header is the JOSE header. Members that choose keys (jku, jwk, x5u, x5c) are never read.
type header struct {
	Algorithm, KeyID, Type string
	Unsupported            bool // it has crit, b64, zip or enc
}

// parse takes a token apart and checks everything that needs no key.
func (v *Verifier) parse(compact string) (token, error) {
	t, err := parse(compact, maxToken)
	if err != nil {
		return token{}, err
	}
	return t, checkHeader(t.header, v.types)
}

// parse takes a compact JWS of at most limit bytes apart.
func parse(compact string, limit int) (token, error) {
	if len(compact) > limit {
		return token{}, rejectf(TooLarge, "%d bytes, at most %d", len(compact), limit)
	}
	if strings.Count(compact, ".") != 2 {
		return token{}, reject(Malformed, "not three parts")
	}
	end := strings.LastIndexByte(compact, '.')
	start := strings.IndexByte(compact, '.')
	t := token{input: compact[:end], payload: compact[start+1 : end]}
	signature, err := decode(compact[end+1:])
	if err != nil {
		return token{}, err
	}
	t.signature = signature
	t.header, err = readHeader(compact[:start])
	return t, err
}

func readHeader(part string) (header, error) {
	if len(part) > maxHeader {
		return header{}, rejectf(TooLarge, "header of %d bytes, at most %d", len(part), maxHeader)
	}
	raw, err := decode(part)
	if err != nil {
		return header{}, err
	}
	members, err := readObject(raw)
	if err != nil {
		return header{}, err
	}
	var h header
	for _, name := range []string{"crit", "b64", "zip", "enc"} {
		if _, there := members[name]; there {
			h.Unsupported = true
		}
	}
	for name, into := range map[string]*string{"alg": &h.Algorithm, "kid": &h.KeyID, "typ": &h.Type} {
		text, ok := members[name].(string)
		if !ok && members[name] != nil {
			return header{}, reject(Malformed, "not a header with members of the right types")
		}
		*into = text
	}
	return h, nil
}

func checkHeader(h header, types []string) error {
	switch {
	case h.Unsupported:
		return reject(HeaderUnsupported, "crit, b64, zip or enc")
	case !slices.Contains(types, plainType(h.Type)):
		return rejectf(Type, "not %s", types[0])
	case !slices.Contains([]string{"ES256", "ES384", "EdDSA", "PS256", "RS256"}, h.Algorithm):
		return reject(Algorithm, "not allowed")
	case h.KeyID == "":
		return reject(UnknownKey, "no kid")
	}
	return nil
}

// plainType makes media types comparable: case does not matter and "application/" may be left out
// (RFC 7515 §4.1.9).
func plainType(typ string) string {
	return strings.TrimPrefix(strings.ToLower(typ), "application/")
}

// readObject reads a header or a payload.
func readObject(raw []byte) (map[string]any, error) {
	object, err := strict.Object(raw, maxDepth)
	if err != nil {
		return nil, &Error{Reason: Malformed, Err: err}
	}
	return object, nil
}

// decode reads base64url as RFC 7515 §2 wants it: no padding, no line breaks, one spelling for each value.
func decode(part string) ([]byte, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil || strings.ContainsAny(part, "\r\n") {
		return nil, reject(Malformed, "not base64url")
	}
	return raw, nil
}

// verifySignature verifies with exactly the algorithm that the key is for (RFC 7518 §3.3-3.5, RFC 8037 §3.1).
func verifySignature(alg string, key crypto.PublicKey, input string, signature []byte) bool {
	switch public := key.(type) {
	case *ecdsa.PublicKey:
		return verifyECDSA(alg, public, input, signature)
	case ed25519.PublicKey:
		return alg == "EdDSA" && ed25519.Verify(public, []byte(input), signature)
	case *rsa.PublicKey:
		digest := sha256.Sum256([]byte(input))
		switch alg {
		case "RS256":
			return rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature) == nil
		case "PS256":
			return rsa.VerifyPSS(public, crypto.SHA256, digest[:], signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
	}
	return false
}

// verifyECDSA expects R and S one after the other, each as long as the curve's order (RFC 7518 §3.4).
func verifyECDSA(alg string, key *ecdsa.PublicKey, input string, signature []byte) bool {
	var digest []byte
	switch {
	case alg == "ES256" && key.Params().BitSize == 256:
		sum := sha256.Sum256([]byte(input))
		digest = sum[:]
	case alg == "ES384" && key.Params().BitSize == 384:
		sum := sha512.Sum384([]byte(input))
		digest = sum[:]
	default:
		return false
	}
	n := key.Params().BitSize / 8
	if len(signature) != 2*n {
		return false
	}
	r, s := new(big.Int).SetBytes(signature[:n]), new(big.Int).SetBytes(signature[n:])
	return ecdsa.Verify(key, digest, r, s)
}
