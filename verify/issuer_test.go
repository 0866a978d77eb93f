package verify_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"

	"chatpass/verify"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const audience = "https://api.example.com"

// start is when the tests that set their own clock take place.
func start() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// object is a JSON object to be changed in one place.
type object = map[string]any

// claims are those of a good context of iss, made at now.
func claims(iss string, now time.Time) object {
	return object{
		"iss": iss, "aud": audience, "sub": "c-1", "client_id": "support-web", "jti": "j-1",
		"iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(), "scope": "chat:read chat:write",
		"sid": "s-1", "idp": "corp", "auth_time": now.Add(-time.Hour).Unix(), "acr": "gold", "amr": []string{"pwd", "otp"},
		"chat": object{"ver": 1, "app": "support", "origin": "https://www.example.com", "conversation": "k-1"},
		"act":  object{"iss": "https://agents.example.com", "sub": "agent-7", "act": object{"client_id": "support-backend"}},
		"tier": "gold", "groups": []string{"staff"}, "account": 9007199254740993,
	}
}

// with returns o with one member set, or removed if the value is nil.
func with(o object, name string, value any) object {
	changed := maps.Clone(o)
	changed[name] = value
	if value == nil {
		delete(changed, name)
	}
	return changed
}

// A signer holds one private key of an issuer.
type signer struct {
	kid, alg string
	private  crypto.Signer
}

func newSigner(t testing.TB, kid, alg string) signer {
	t.Helper()
	var private crypto.Signer
	var err error
	switch alg {
	case "ES256":
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "EdDSA":
		_, private, err = ed25519.GenerateKey(rand.Reader)
	default:
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	return signer{kid: kid, alg: alg, private: private}
}

// jwk is the public half as published.
func (s signer) jwk(t testing.TB) object {
	raw, err := json.Marshal(jose.JSONWebKey{Key: s.private.Public(), KeyID: s.kid, Algorithm: s.alg, Use: "sig"})
	if err != nil {
		t.Fatal(err)
	}
	var key object
	if err := json.Unmarshal(raw, &key); err != nil {
		t.Fatal(err)
	}
	return key
}

func (s signer) header() object { return object{"alg": s.alg, "kid": s.kid, "typ": "at+jwt"} }

// good is a context as the issuer makes it, signed with the standard library alone.
func (s signer) good(t testing.TB, claims object) string {
	return s.sign(t, encode(t, s.header()), encode(t, claims))
}

// sign joins two parts, whatever they are, with a signature over them.
func (s signer) sign(t testing.TB, header, payload string) string {
	t.Helper()
	input := header + "." + payload
	return input + "." + base64.RawURLEncoding.EncodeToString(s.signature(t, input))
}

func (s signer) signature(t testing.TB, input string) []byte {
	sum256, sum384 := sha256.Sum256([]byte(input)), sha512.Sum384([]byte(input))
	switch private := s.private.(type) {
	case *ecdsa.PrivateKey:
		digest := sum256[:]
		if s.alg == "ES384" {
			digest = sum384[:]
		}
		a, b, err := ecdsa.Sign(rand.Reader, private, digest)
		if err != nil {
			t.Fatal(err)
		}
		size := private.Params().BitSize / 8
		return append(a.FillBytes(make([]byte, size)), b.FillBytes(make([]byte, size))...)
	case ed25519.PrivateKey:
		return ed25519.Sign(private, []byte(input))
	}
	options := crypto.SignerOpts(crypto.SHA256)
	if s.alg == "PS256" {
		options = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	}
	signature, err := s.private.Sign(rand.Reader, sum256[:], options)
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

// goodByJOSE is the same context, signed by go-jose.
func (s signer) goodByJOSE(t testing.TB, claims object) string {
	t.Helper()
	options := (&jose.SignerOptions{}).WithType("at+jwt").WithHeader("kid", s.kid)
	by, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(s.alg), Key: s.private}, options)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := by.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

func encode(t testing.TB, o object) string {
	t.Helper()
	raw, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// An issuer publishes metadata and keys. It is a transport too, for tests in which nothing may wait for
// the network.
type issuer struct {
	url string

	mu       sync.Mutex
	down     bool
	metadata object
	answers  map[string]string // by path, instead of the usual one
	keys     []object
	asked    map[string]int
}

func newIssuer(t testing.TB, url string, signers ...signer) *issuer {
	i := &issuer{url: url, answers: map[string]string{}, asked: map[string]int{}}
	i.metadata = object{"issuer": url, "jwks_uri": url + "/.well-known/jwks.json"}
	i.publish(t, signers...)
	return i
}

func (i *issuer) publish(t testing.TB, signers ...signer) {
	i.change(func() {
		i.keys = []object{}
		for _, s := range signers {
			i.keys = append(i.keys, s.jwk(t))
		}
	})
}

func (i *issuer) change(how func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	how()
}

func (i *issuer) wantAsked(t *testing.T, path string, want int) {
	t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	if got := i.asked[path]; got != want {
		t.Errorf("asked for %s %d times, want %d", path, got, want)
	}
}

func (i *issuer) body(path string) (string, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.asked[path]++
	if i.down {
		return "", errors.New("connection refused")
	}
	if answer, ok := i.answers[path]; ok {
		return answer, nil
	}
	var document any
	switch path {
	case metadataPath:
		document = i.metadata
	case keysPath:
		document = object{"keys": i.keys}
	}
	raw, err := json.Marshal(document)
	return string(raw), err
}

const (
	metadataPath = "/.well-known/oauth-authorization-server"
	keysPath     = "/.well-known/jwks.json"
)

// RoundTrip answers without a network.
func (i *issuer) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := i.body(req.URL.Path)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusOK, ContentLength: -1, Body: io.NopCloser(bytes.NewReader([]byte(body))), Request: req}, nil
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := i.body(r.URL.Path)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	_, _ = io.WriteString(w, body)
}

// serve starts an issuer on a port of its own.
func serve(t testing.TB, signers ...signer) *issuer {
	i := newIssuer(t, "", signers...)
	server := httptest.NewServer(i)
	t.Cleanup(server.Close)
	i.url = server.URL
	i.metadata = object{"issuer": i.url, "jwks_uri": i.url + keysPath}
	return i
}

// client reaches served issuers, and leaves no connection open behind the test.
func client(t testing.TB) *http.Client {
	c := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// verifier of contexts of i, at a fixed time.
func verifier(t testing.TB, i *issuer, options ...verify.Option) *verify.Verifier {
	t.Helper()
	options = append([]verify.Option{verify.WithHTTPClient(&http.Client{Transport: i}), verify.WithClock(start)}, options...)
	v, err := verify.New(i.url, audience, options...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
