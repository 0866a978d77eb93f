package keys

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/go-jose/go-jose/v4"

	"chatpass/identity"
)

// maxToken is the size in bytes beyond which a token is not looked at.
const maxToken = 16 << 10

// A Class is one use of signing keys. A token of one class never verifies as another.
type Class struct {
	ring *Ring
	name string
}

// Class returns the class of that name.
func (r *Ring) Class(name string) *Class { return &Class{r, name} }

// Sign returns the compact serialisation (RFC 7515 §3.1) of claims, a JSON object, under a header of
// `alg`, `kid` and the given `typ`. Its error is an [identity.Outage] if no key may sign now.
func (c *Class) Sign(_ context.Context, typ string, claims []byte) (string, error) {
	v := c.ring.view.Load()
	s := v.signers[c.name]
	if s == nil || c.ring.cfg.Elapsed() >= v.until[c.name] {
		return "", &identity.Outage{
			Code: identity.NoSigningKey,
			Err:  fmt.Errorf("no key of class %q is in lease", c.name),
		}
	}
	return s.sign(typ, claims)
}

func (s *signer) sign(typ string, claims []byte) (string, error) {
	header, err := s.header(typ)
	if err != nil {
		return "", err
	}
	token := make([]byte, 0, len(header)+base64.RawURLEncoding.EncodedLen(len(claims))+2+maxSignature)
	token = append(append(token, header...), '.')
	token = base64.RawURLEncoding.AppendEncode(token, claims)
	sig, err := s.alg.sign(s.key, token)
	if err != nil {
		return "", fmt.Errorf("sign with key %s: %w", s.record.KID, err)
	}
	return string(base64.RawURLEncoding.AppendEncode(append(token, '.'), sig)), nil
}

// maxSignature is the encoded size of an RSA signature, the longest of ours.
const maxSignature = (rsaBits/8*4 + 2) / 3

// header returns the encoded protected header. A service signs under a handful of types, so each is
// made once.
func (s *signer) header(typ string) (string, error) {
	if known, ok := s.headers.Load(typ); ok {
		return known.(string), nil
	}
	raw, err := json.Marshal(struct {
		Alg string `json:"alg"`
		Kid string `json:"kid"`
		Typ string `json:"typ"`
	}{s.alg.name, s.record.KID, typ})
	if err != nil {
		return "", fmt.Errorf("encode header: %w", err)
	}
	encoded := base64.RawURLEncoding.EncodeToString(raw)
	s.headers.Store(typ, encoded)
	return encoded, nil
}

// A Token is what a key of ours has signed. Whether it is valid still is for the reader to say.
type Token struct {
	Typ    string // the header's `typ`
	Claims []byte // the payload as signed
}

// Verify checks that a served key of this class has signed the token: that its kid is of this class and
// its algorithm the key's own (RFC 8725 §3.1). It looks at no claim. Its error is an [identity.Rejection].
func (c *Class) Verify(token string) (Token, error) {
	if len(token) > maxToken {
		return Token{}, identity.Reject(identity.TooLarge, strconv.Itoa(len(token))+" bytes", "at most "+strconv.Itoa(maxToken))
	}
	v := c.ring.view.Load()
	jws, err := jose.ParseSignedCompact(token, joseAlgorithms(v.algorithms(c.name)))
	if err != nil {
		return Token{}, unreadable(err)
	}
	header := jws.Signatures[0].Protected
	key, ok := v.verifiers[header.KeyID]
	switch {
	case !ok || key.class != c.name:
		return Token{}, identity.Reject(identity.KeyUnknown, "no such key", "a key of class "+c.name)
	case header.Algorithm != key.algorithm:
		return Token{}, identity.Reject(identity.AlgorithmNotAllowed, header.Algorithm, key.algorithm)
	}
	claims, err := jws.Verify(key.public)
	if err != nil {
		rejection := identity.Reject(identity.SignatureInvalid, "no match", "our signature")
		rejection.Err = err
		return Token{}, rejection
	}
	typ, _ := header.ExtraHeaders[jose.HeaderType].(string)
	return Token{typ, claims}, nil
}

func joseAlgorithms(names []string) []jose.SignatureAlgorithm {
	algs := make([]jose.SignatureAlgorithm, len(names))
	for i, name := range names {
		algs[i] = jose.SignatureAlgorithm(name)
	}
	return algs
}

func unreadable(err error) error {
	code, required := identity.MalformedToken, "a signed JWT in compact form"
	if _, ok := errors.AsType[*jose.ErrUnexpectedSignatureAlgorithm](err); ok {
		code, required = identity.AlgorithmNotAllowed, "an algorithm of ours"
	}
	return &identity.Rejection{Code: code, Measured: "something else", Required: required, Err: err}
}
