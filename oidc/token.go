package oidc

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"chatpass/identity"
	"chatpass/jwks/strict"
)

const (
	maxToken = 16 << 10
	maxDepth = 32
	// maxShown is how much of a foreign string is shown, in bytes.
	maxShown = 64
)

// A token is a compact JWS (RFC 7515 §3.1), taken apart once. Nothing in it is verified yet.
type token struct {
	raw           string
	alg, kid, typ string
	payload       []byte
	claims        claims
	iss           string
	passed        identity.Passed // is told of the checks that the token passes
}

// open takes a token apart, refusing it before it costs anything: no key is looked for and nothing is
// fetched for a token that does not pass.
func open(raw string, passed identity.Passed) (token, error) {
	t := token{raw: raw, passed: passed}
	if len(raw) > maxToken {
		return t, identity.Reject(identity.TooLarge, strconv.Itoa(len(raw))+" bytes", "at most "+strconv.Itoa(maxToken)+" bytes")
	}
	dots := strings.Count(raw, ".")
	if dots != 2 && dots != 4 {
		return t, malformed("no compact JWS: two dots between base64url")
	}
	head, rest, _ := strings.Cut(raw, ".")
	if err := t.readHeader(head); err != nil {
		return t, err
	}
	if dots == 4 {
		return t, identity.Reject(identity.HeaderUnsupported, "five parts, as of an encrypted token", "a signed token")
	}
	body, signature, _ := strings.Cut(rest, ".")
	if _, err := decode(signature); err != nil || signature == "" {
		return t, malformed("signature is not base64url")
	}
	if err := t.readPayload(body); err != nil {
		return t, err
	}
	t.passed.Tell("token shape", strconv.Itoa(len(raw))+" bytes in three parts", "a signed JWT of at most "+strconv.Itoa(maxToken)+" bytes")
	return t, nil
}

// decode reads base64url in its one spelling (RFC 7515 §2). Go's decoder skips line ends, and go-oidc skips
// all white space: two spellings of one token must not both be good.
func decode(part string) ([]byte, error) {
	if strings.ContainsRune(part, '\n') || strings.ContainsRune(part, '\r') {
		return nil, base64.CorruptInputError(0)
	}
	return base64.RawURLEncoding.Strict().DecodeString(part)
}

// readHeader reads the members that matter. Keys that a token brings along or points to (jwk, jku, x5c,
// x5u) are not among them (RFC 8725 §3.10).
func (t *token) readHeader(part string) error {
	raw, err := decode(part)
	if err != nil {
		return malformed("header is not base64url")
	}
	header, err := unmarshal(raw)
	if err != nil {
		return err
	}
	for _, name := range []string{"crit", "enc", "zip", "b64"} {
		if _, there := header[name]; there {
			return identity.Reject(identity.HeaderUnsupported, "header "+name, "none of crit, enc, zip, b64")
		}
	}
	if err := firstError(
		func() (err error) { t.alg, err = header.text("alg"); return },
		func() (err error) { t.kid, err = header.text("kid"); return },
		func() (err error) { t.typ, err = header.text("typ"); return },
	); err != nil {
		return err
	}
	if !asymmetric(t.alg) {
		return identity.Reject(identity.AlgorithmNotAllowed, "algorithm "+clip(t.alg), "an asymmetric signature")
	}
	return nil
}

func (t *token) readPayload(part string) error {
	var err error
	if t.payload, err = decode(part); err != nil {
		return malformed("payload is not base64url")
	}
	if t.claims, err = unmarshal(t.payload); err != nil {
		return err
	}
	if name := t.claims.ambiguous(); name != "" {
		return identity.Reject(identity.ClaimAmbiguous, "a name that differs from "+name+" in case only", "one spelling")
	}
	t.iss, err = t.claims.text("iss")
	return err
}

// unmarshal reads a header, a payload, or an answer of the issuer that stands for one.
func unmarshal(raw []byte) (claims, error) {
	object, err := strict.Object(raw, maxDepth)
	switch {
	case errors.Is(err, strict.ErrRepeated):
		return nil, identity.Reject(identity.ClaimAmbiguous, err.Error(), "distinct member names")
	case errors.Is(err, strict.ErrDepth):
		return nil, malformed(fmt.Sprintf("nested deeper than %d", maxDepth))
	case err != nil:
		return nil, malformed(err.Error())
	}
	return object, nil
}

// isTyped says whether the header's typ is absent or one of types. Case does not matter, nor does the
// prefix application/ (RFC 7515 §4.1.9).
func (t token) isTyped(types ...string) bool {
	if t.typ == "" {
		return true
	}
	typ := strings.TrimPrefix(strings.ToLower(t.typ), "application/")
	for _, want := range types {
		if typ == want {
			return true
		}
	}
	return false
}

func malformed(measured string) error {
	return identity.Reject(identity.MalformedToken, measured, "a well-formed token")
}

// clip makes a foreign string safe to show. That it was cut is seen, so that no half of an e-mail address
// passes for something else.
func clip(s string) string {
	if len(s) > maxShown {
		s = s[:maxShown] + "…"
	}
	return strconv.Quote(s)
}
