package keys_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"

	"chatpass/keys"
)

// published reads a key set as a stranger does, and fails on anything that is not a public key.
func published(t testing.TB, set keys.KeySet) map[string]jose.JSONWebKey {
	t.Helper()
	var parsed jose.JSONWebKeySet
	if err := json.Unmarshal(set.Body, &parsed); err != nil {
		t.Fatal(err)
	}
	found := map[string]jose.JSONWebKey{}
	for _, key := range parsed.Keys {
		if _, twice := found[key.KeyID]; twice || !key.IsPublic() || !key.Valid() {
			t.Fatalf("key set serves %q twice, or not as a public key:\n%s", key.KeyID, set.Body)
		}
		found[key.KeyID] = key
	}
	return found
}

func header(t interface{ Fatal(...any) }, token string) map[string]any {
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[0])
	if err != nil {
		t.Fatal(err)
	}
	var h map[string]any
	if err := json.Unmarshal(raw, &h); err != nil {
		t.Fatal(err)
	}
	return h
}

var allAlgorithms = []string{"ES256", "ES384", "EdDSA", "PS256", "RS256"}

func TestSignaturesVerifyElsewhere(t *testing.T) {
	for _, alg := range allAlgorithms {
		t.Run(alg, func(t *testing.T) {
			cfg := newClock().config(&door{memory: &memory{}})
			cfg.Algorithm = alg
			ring := open(t, cfg)
			const claims = `{"iss":"https://chat-auth.example.com","sub":"ä"}`
			for range 5 {
				token, err := ring.Class("context").Sign(t.Context(), "at+jwt", []byte(claims))
				if err != nil {
					t.Fatal(err)
				}
				kid := inState(ring, keys.Active)[0]
				if diff := cmp.Diff(map[string]any{"alg": alg, "kid": kid, "typ": "at+jwt"}, header(t, token)); diff != "" {
					t.Fatal(diff)
				}
				byGoJOSE(t, ring, token, claims)
				byStdlib(t, alg, published(t, ring.KeySet())[kid].Key, token)
				byJWX(t, alg, published(t, ring.KeySet())[kid].Key, token, claims)
			}
		})
	}
}

// R and S keep their width also when they begin with zeros, as one in 128 signatures does.
func TestECDSASignatureHasFixedWidth(t *testing.T) {
	for alg, width := range map[string]int{"ES256": 64, "ES384": 96} {
		cfg := newClock().config(&door{memory: &memory{}})
		cfg.Algorithm = alg
		ring := open(t, cfg)
		for range 1500 {
			token := sign(t, ring)
			sig := token[strings.LastIndexByte(token, '.')+1:]
			if n := base64.RawURLEncoding.DecodedLen(len(sig)); n != width {
				t.Fatalf("%s: signature of %d bytes", alg, n)
			}
		}
	}
}

func byGoJOSE(t *testing.T, ring *keys.Ring, token, claims string) {
	t.Helper()
	alg := header(t, token)["alg"].(string)
	parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
	if err != nil {
		t.Fatal(err)
	}
	got, err := parsed.Verify(published(t, ring.KeySet())[parsed.Signatures[0].Header.KeyID])
	if err != nil || string(got) != claims {
		t.Fatalf("go-jose: got %s, %v", got, err)
	}
}

func byStdlib(t *testing.T, alg string, public any, token string) {
	t.Helper()
	input := token[:strings.LastIndexByte(token, '.')]
	sig, err := base64.RawURLEncoding.DecodeString(token[len(input)+1:])
	if err != nil {
		t.Fatal(err)
	}
	short, long := sha256.Sum256([]byte(input)), sha512.Sum384([]byte(input))
	valid := map[string]func() bool{
		"ES256": func() bool { return verifyECDSA(public.(*ecdsa.PublicKey), short[:], sig, 32) },
		"ES384": func() bool { return verifyECDSA(public.(*ecdsa.PublicKey), long[:], sig, 48) },
		"EdDSA": func() bool { return ed25519.Verify(public.(ed25519.PublicKey), []byte(input), sig) },
		"RS256": func() bool {
			return rsa.VerifyPKCS1v15(public.(*rsa.PublicKey), crypto.SHA256, short[:], sig) == nil
		},
		"PS256": func() bool {
			return rsa.VerifyPSS(public.(*rsa.PublicKey), crypto.SHA256, short[:], sig, &rsa.PSSOptions{SaltLength: 32}) == nil
		},
	}
	if !valid[alg]() {
		t.Fatalf("standard library refuses the %s signature of %s", alg, token)
	}
}

func verifyECDSA(public *ecdsa.PublicKey, digest, sig []byte, width int) bool {
	r, s := new(big.Int).SetBytes(sig[:width]), new(big.Int).SetBytes(sig[width:])
	return len(sig) == 2*width && ecdsa.Verify(public, digest, r, s)
}

func byJWX(t *testing.T, alg string, public any, token, claims string) {
	t.Helper()
	got, err := jws.Verify([]byte(token), jws.WithKey(jwa.KeyAlgorithmFrom(alg), public))
	if err != nil || string(got) != claims {
		t.Fatalf("jwx: got %s, %v", got, err)
	}
}

// Where a signature has only one form, ours is jws.Sign's to the byte.
func TestSignEqualsJWS(t *testing.T) {
	for _, alg := range []string{"EdDSA", "RS256"} {
		store := &door{memory: &memory{}}
		cfg := newClock().config(store)
		cfg.Algorithm = alg
		ring := open(t, cfg)
		stored := active(t, store.read())
		private, err := x509.ParsePKCS8PrivateKey(stored.Private)
		if err != nil {
			t.Fatal(err)
		}
		protected := jws.NewHeaders()
		for name, value := range map[string]any{jws.KeyIDKey: stored.KID, jws.TypeKey: "at+jwt"} {
			if err := protected.Set(name, value); err != nil {
				t.Fatal(err)
			}
		}
		key := jws.WithKey(jwa.KeyAlgorithmFrom(alg), private, jws.WithProtectedHeaders(protected))
		want, err := jws.Sign([]byte(`{"sub":"a"}`), key)
		if err != nil {
			t.Fatal(err)
		}
		if got := sign(t, ring); got != string(want) {
			t.Errorf("%s: got  %s\nwant %s", alg, got, want)
		}
	}
}

func active(t testing.TB, ring keys.Snapshot) keys.Record {
	t.Helper()
	for _, k := range ring.Keys {
		if !k.Activated.IsZero() && k.Demoted.IsZero() {
			return k
		}
	}
	t.Fatal("no active key")
	return keys.Record{}
}

// A typ that needs escaping cannot add members to the header.
func TestHeaderIsEscaped(t *testing.T) {
	ring := open(t, newClock().config(&door{memory: &memory{}}))
	const typ = `x","jwk":{"kty":"oct"},"y":"`
	token, err := ring.Class("context").Sign(t.Context(), typ, []byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	if h := header(t, token); len(h) != 3 || h["typ"] != typ {
		t.Errorf("got header %v", h)
	}
}

func TestKIDIsThumbprint(t *testing.T) {
	for _, alg := range allAlgorithms {
		cfg := newClock().config(&door{memory: &memory{}})
		cfg.Algorithm = alg
		for kid, key := range published(t, open(t, cfg).KeySet()) {
			sum, err := key.Thumbprint(crypto.SHA256)
			if err != nil {
				t.Fatal(err)
			}
			if want := base64.RawURLEncoding.EncodeToString(sum); kid != want {
				t.Errorf("%s: kid is %s, go-jose's thumbprint %s", alg, kid, want)
			}
		}
	}
}

// The examples of RFC 7638 §3.1 and RFC 8037 appendix A.3 are served under the kids given there. The
// ring refuses to show a key whose kid is another.
func TestThumbprintVectors(t *testing.T) {
	for _, v := range []struct{ alg, kid, jwk string }{
		{"RS256", "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", `{"kty":"RSA","e":"AQAB","n":"` +
			"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc" +
			"_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQ" +
			"R0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bF" +
			"TWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw" + `"}`},
		{"EdDSA", "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", `{"kty":"OKP","crv":"Ed25519",
			"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`},
	} {
		var key jose.JSONWebKey
		if err := json.Unmarshal([]byte(v.jwk), &key); err != nil {
			t.Fatal(err)
		}
		public, err := x509.MarshalPKIXPublicKey(key.Key)
		if err != nil {
			t.Fatal(err)
		}
		store := &door{memory: &memory{}}
		store.ring = keys.Snapshot{Version: 1, Keys: []keys.Record{{
			KID: v.kid, Class: "context", Algorithm: v.alg, Public: public,
			Created: epoch, Published: epoch, Activated: epoch, Demoted: epoch, NotAfter: epoch.AddDate(0, 1, 0),
		}}}
		if _, ok := published(t, open(t, newClock().config(store)).KeySet())[v.kid]; !ok {
			t.Errorf("%s: the key of the RFC is not served", v.alg)
		}
	}
}

// A JWK says all that a verifier may want to know, and nothing private. Its times never change.
func TestKeySetMembers(t *testing.T) {
	private := []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
	for _, alg := range allAlgorithms {
		store, c := &door{memory: &memory{}}, newClock()
		cfg := c.config(store)
		cfg.Algorithm = alg
		ring := open(t, cfg)
		first := members(t, ring)
		for kid, jwk := range first {
			for _, name := range []string{"kty", "use", "alg", "kid", "nbf", "exp"} {
				if jwk[name] == nil {
					t.Errorf("%s: JWK lacks %s: %v", alg, name, jwk)
				}
			}
			for _, name := range private {
				if jwk[name] != nil {
					t.Errorf("%s: JWK has the private member %s", alg, name)
				}
			}
			if jwk["use"] != "sig" || jwk["alg"] != alg || jwk["kid"] != kid || jwk["nbf"] != float64(epoch.Unix()) {
				t.Errorf("%s: got %v", alg, jwk)
			}
		}
		for range 10 {
			c.advance(24 * time.Hour)
			tick(t, ring)
			for kid, jwk := range members(t, ring) {
				if before, ok := first[kid]; ok && !cmp.Equal(before, jwk) {
					t.Errorf("%s: JWK changed: %s", alg, cmp.Diff(before, jwk))
				}
			}
		}
	}
}

func members(t *testing.T, ring *keys.Ring) map[string]map[string]any {
	t.Helper()
	published(t, ring.KeySet())
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal(ring.KeySet().Body, &set); err != nil {
		t.Fatal(err)
	}
	found := map[string]map[string]any{}
	for _, jwk := range set.Keys {
		found[jwk["kid"].(string)] = jwk
	}
	return found
}
