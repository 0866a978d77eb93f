package exchange

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"

	"chatpass/decision"
	"chatpass/identity"
	"chatpass/jwks"
	"chatpass/session"
)

const (
	// maxToken is the size in bytes beyond which a token is not looked at.
	maxToken = 16 << 10
	// maxJTI is the greatest size of an assertion's `jti` in bytes.
	maxJTI = 255
	// assertionLife is the longest life of a client assertion.
	assertionLife = 5 * time.Minute
	// clockSkew is how far another clock may differ from ours.
	clockSkew = time.Minute
	// keysFresh is how long a client's key set is held to be what the client publishes. It is shorter
	// than the life of a [jwks.Set] and longer than the interval of [Exchanger.Run].
	keysFresh = 30 * time.Minute
)

// AssertionAlgorithms are those that a client assertion may be signed with (RFC 7518 §3.1).
func AssertionAlgorithms() []string { return []string{"ES256", "ES384", "EdDSA", "PS256", "RS256"} }

// An assertion is what a client proves itself with (private_key_jwt: OpenID Connect Core 1.0 §9, RFC
// 7523 §3), taken apart. Nothing in it is verified yet.
type assertion struct {
	signed   *jose.JSONWebSignature
	kid, alg string
	assertionClaims
}

type assertionClaims struct {
	Issuer  string `json:"iss"`
	Subject string `json:"sub"`
	// Audience is one string: a list would let an assertion for somebody else be used here
	// (draft-ietf-oauth-rfc7523bis).
	Audience  string   `json:"aud"`
	ID        string   `json:"jti"`
	Expires   *float64 `json:"exp"`
	IssuedAt  *float64 `json:"iat"`
	NotBefore *float64 `json:"nbf"`
}

// byAssertion returns the client that signed the assertion, and uses the assertion up. Whatever is
// wrong, a stranger hears the same as a client after the same work.
func (x *Exchanger) byAssertion(ctx context.Context, c Credentials) (*Client, error) {
	a, err := readAssertion(c.Assertion)
	if err != nil {
		return nil, err
	}
	name := cmp.Or(c.ClientID, a.Subject) // RFC 7521 §4.2: client_id may be left out
	client := x.clients[name]
	if err := a.check(name, cmp.Or(client.assertionAudience(), x.cfg.Issuer), x.cfg.Now()); err != nil {
		return nil, err
	}
	key, err := x.assertionKey(ctx, client, a)
	if err != nil {
		return nil, err
	}
	if _, err := a.signed.Verify(key); err != nil || client == nil || client.Keys == nil { // whoever could sign for a decoy is nobody all the same
		return nil, unproven(signatureFault(client), "a signature by the client's key")
	}
	return client, x.useUp(ctx, client, a)
}

// signatureFault says to the operator alone what the client must not learn.
func signatureFault(client *Client) string {
	switch {
	case client == nil:
		return "an assertion for a name that no client has"
	case client.Keys == nil:
		return "an assertion for a client that authenticates by " + client.AuthMethod()
	}
	return "a signature by no key of the client"
}

// claimed is the client that a request claims to be of, believed by nobody.
func (c Credentials) claimed() string {
	if c.ClientID != "" {
		return c.ClientID
	}
	a, _ := readAssertion(c.Assertion) // empty, if it cannot be read
	return a.Subject
}

// readAssertion reads an assertion. Keys that it brings along are no members of it.
func readAssertion(text string) (assertion, error) {
	if len(text) > maxToken {
		return assertion{}, unproven(strconv.Itoa(len(text))+" bytes", "at most "+strconv.Itoa(maxToken))
	}
	var allowed []jose.SignatureAlgorithm
	for _, alg := range AssertionAlgorithms() {
		allowed = append(allowed, jose.SignatureAlgorithm(alg))
	}
	signed, err := jose.ParseSignedCompact(text, allowed)
	if err != nil {
		return assertion{}, unproven("no JWT, or another algorithm", "a JWT signed with one of "+strings.Join(AssertionAlgorithms(), " "))
	}
	header := signed.Signatures[0].Protected
	for _, name := range []jose.HeaderKey{"crit", "b64"} {
		if _, there := header.ExtraHeaders[name]; there {
			return assertion{}, unproven("a header "+string(name), "none of crit, b64")
		}
	}
	typ, _ := header.ExtraHeaders[jose.HeaderType].(string)
	if !isAssertion(typ) {
		return assertion{}, unproven("typ "+decision.Clip(typ), "no typ, JWT or client-authentication+jwt")
	}
	a := assertion{signed: signed, kid: header.KeyID, alg: header.Algorithm}
	if err := json.Unmarshal(signed.UnsafePayloadWithoutVerification(), &a.assertionClaims); err != nil {
		return assertion{}, unproven("claims that are repeated or of the wrong type", "iss, sub, jti and one aud, all strings; exp, a number")
	}
	return a, nil
}

// isAssertion tells assertions from other JWTs by their `typ`, which means the same in any case and with
// the prefix application/ (RFC 7515 §4.1.9).
func isAssertion(typ string) bool {
	kind := strings.TrimPrefix(strings.ToLower(typ), "application/")
	return slices.Contains([]string{"", "jwt", "client-authentication+jwt"}, kind)
}

// check holds the claims against the rules of RFC 7523 §3.
func (a assertion) check(client, audience string, now time.Time) error {
	switch {
	case client == "" || a.Issuer != client || a.Subject != client:
		return unproven("iss or sub of another", "the client_id as iss and sub")
	case a.Audience != audience:
		return unproven("audience "+decision.Clip(a.Audience), audience)
	case a.ID == "" || len(a.ID) > maxJTI:
		return unproven("a jti of "+strconv.Itoa(len(a.ID))+" bytes", "1 to "+strconv.Itoa(maxJTI))
	}
	return a.checkTimes(now)
}

func (a assertion) checkTimes(now time.Time) error {
	at, skew := float64(now.UnixMilli())/1000, clockSkew.Seconds()
	begun := at
	if a.IssuedAt != nil {
		begun = *a.IssuedAt
	}
	switch {
	case a.Expires == nil:
		return unproven("no exp", "exp")
	case *a.Expires <= at-skew:
		return unproven("expired", "exp in the future")
	case begun > at+skew || a.NotBefore != nil && *a.NotBefore > at+skew:
		return unproven("iat or nbf in the future", "iat and nbf in the past")
	case *a.Expires-begun > assertionLife.Seconds():
		return unproven("a longer life", "at most "+assertionLife.String())
	}
	return nil
}

// assertionKey returns the key that must have signed the assertion: a decoy, where there is none. A fetch
// that an unknown key id causes goes on without us, since the time it takes would tell which clients
// exist. Its error is an outage: the client's keys could not be fetched for long.
func (x *Exchanger) assertionKey(ctx context.Context, client *Client, a assertion) (any, error) {
	decoy := x.decoys[a.alg]
	if client == nil || client.Keys == nil {
		return decoy, nil
	}
	fresh := x.cfg.Now().Sub(client.Keys.Fetched()) < keysFresh
	if fresh {
		ended, end := context.WithCancel(ctx)
		end()
		ctx = ended
	}
	key, err := client.Keys.Key(ctx, a.kid, a.alg)
	_, unknown := errors.AsType[*jwks.UnknownKeyError](err)
	switch {
	case unknown || fresh && errors.Is(err, context.Canceled):
		return decoy, nil
	case err != nil:
		return nil, &identity.Outage{Code: identity.NoIssuerKey, Err: fmt.Errorf("fetch keys of client %s: %w", client.ID, err)}
	}
	return key.Key, nil
}

// useUp remembers the assertion for as long as it could come again, so that no replica takes it twice.
func (x *Exchanger) useUp(ctx context.Context, client *Client, a assertion) error {
	until := time.UnixMilli(int64(*a.Expires * 1000)).Add(2 * clockSkew)
	err := x.cfg.Store.PutOnce(ctx, "client-assertion", client.ID+"\x00"+a.ID, until)
	if errors.Is(err, session.ErrExists) {
		return unproven("a jti seen before", "a new jti")
	}
	if err != nil {
		return fmt.Errorf("record client assertion: %w", err)
	}
	return nil
}

// newDecoys makes a public key for each algorithm of assertions. Nobody has their private halves: the
// RSA modulus is a number without known factors.
func newDecoys() (map[string]any, error) {
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make decoy key: %w", err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make decoy key: %w", err)
	}
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make decoy key: %w", err)
	}
	modulus := make([]byte, 2048/8)
	rand.Read(modulus) //nolint:errcheck // never fails (crypto/rand)
	modulus[0] |= 0x80
	modulus[len(modulus)-1] |= 1
	rsaKey := &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: 65537}
	return map[string]any{"ES256": p256.Public(), "ES384": p384.Public(), "EdDSA": edwards, "PS256": rsaKey, "RS256": rsaKey}, nil
}
