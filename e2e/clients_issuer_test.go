package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// A testIssuer signs whatever a test wants signed, and can be down.
type testIssuer struct {
	*httptest.Server
	key  jose.JSONWebKey
	down atomic.Bool
}

func newTestIssuer(t *testing.T) *testIssuer {
	t.Helper()
	is := &testIssuer{key: newKey(t)}
	keys := encode(t, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{is.key.Public()}})
	is.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case is.down.Load():
			w.WriteHeader(http.StatusInternalServerError)
		case r.URL.Path == "/k":
			says("application/json", keys)(w, r)
		default:
			says("application/json", metadata(is.URL))(w, r)
		}
	}))
	t.Cleanup(is.Close)
	return is
}

// idToken is Alice's for the shop, 20 minutes old, with that much left of it.
func (is *testIssuer) idToken(t *testing.T, left time.Duration) string {
	t.Helper()
	return sign(t, is.key, map[string]any{
		"iss": is.URL, "sub": "alice", "aud": shopClient, "name": "Alice", "email": "alice@example.com", "groups": []string{"gold"},
		"iat": time.Now().Add(-20 * time.Minute).Unix(), "exp": time.Now().Add(left).Unix(),
	})
}

func sign(t *testing.T, key jose.JSONWebKey, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign([]byte(encode(t, claims)))
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// newKey is a private key for ES256.
func newKey(t *testing.T) jose.JSONWebKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return jose.JSONWebKey{Key: key, KeyID: rand.Text(), Algorithm: "ES256", Use: "sig"}
}
