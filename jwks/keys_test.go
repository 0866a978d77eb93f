package jwks_test

import (
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"chatpass/jwks"
)

// member is the good key as a map, for changing one thing at a time.
func member(t testing.TB, key jose.JSONWebKey) map[string]any {
	raw, err := json.Marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func document(t testing.TB, keys ...map[string]any) string {
	body, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func b64(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }

// Each row is one change to a good key; the other key of the set must stay usable.
func TestBadKeyIsSkippedAndTheOperatorTold(t *testing.T) {
	odd := new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 1023), big.NewInt(1))
	huge := new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 8192), big.NewInt(1))
	even := new(big.Int).Lsh(big.NewInt(1), 2047)
	rsaGood, ecGood, edGood := rsaKey(t, "bad"), ecKey(t, "bad", elliptic.P256()), edKey(t, "bad")
	rows := []struct {
		name   string
		key    jose.JSONWebKey
		alg    string
		member string
		value  any
		told   bool
	}{
		{"RSA of 1024 bits", rsaGood, "RS256", "n", b64(odd), true},
		{"RSA of 8193 bits", rsaGood, "RS256", "n", b64(huge), true},
		{"even modulus", rsaGood, "RS256", "n", b64(even), true},
		{"modulus with the mark of ROCA", rsaGood, "RS256", "n", b64(new(big.Int).Exp(big.NewInt(65537), big.NewInt(128), nil)), true},
		{"exponent 1", rsaGood, "RS256", "e", "AQ", true},
		{"exponent 2", rsaGood, "RS256", "e", "Ag", true},
		{"even exponent", rsaGood, "RS256", "e", "BA", true},
		{"exponent beyond 31 bits", rsaGood, "RS256", "e", "AQAAAAE", true},
		{"no exponent", rsaGood, "RS256", "e", "", true},
		{"modulus not base64url", rsaGood, "RS256", "n", "+++", true},
		{"private RSA exponent", rsaGood, "RS256", "d", "AQAB", true},
		{"point off the curve", ecGood, "ES256", "x", b64(elliptic.P256().Params().Gx), true},
		{"short coordinate", ecGood, "ES256", "x", "AQ", true},
		{"private scalar", ecGood, "ES256", "d", "AQAB", true},
		{"empty private scalar", ecGood, "ES256", "d", "", true},
		{"low-order Ed25519 point", edGood, "EdDSA", "x", base64.RawURLEncoding.EncodeToString(make([]byte, 32)), true},
		{"symmetric", ecGood, "ES256", "kty", "oct", true},
		{"kid is a number", ecGood, "ES256", "kid", 7, true},
		{"for encryption", ecGood, "ES256", "use", "enc", false},
		{"key_ops without verify", ecGood, "ES256", "key_ops", []string{"encrypt"}, false},
		{"empty key_ops", ecGood, "ES256", "key_ops", []string{}, false},
		{"unknown kty", ecGood, "ES256", "kty", "LWE", false},
		{"unknown curve", ecGood, "ES256", "crv", "secp256k1", false},
		{"Ed448", edGood, "EdDSA", "crv", "Ed448", false},
		{"algorithm of another kind", ecGood, "ES256", "alg", "RSA-OAEP", false},
		{"algorithm of another curve", ecGood, "ES256", "alg", "ES384", false},
		{"alg none", ecGood, "ES256", "alg", "none", false},
	}
	p := newPublisher(t)
	client := jwks.NewClient(jwks.ClientConfig{AllowPrivate: true})
	t.Cleanup(client.CloseIdleConnections)
	var heard error
	s := jwks.New(jwks.Config{URL: p.URL, Client: client, Report: func(err error) { heard = err }})
	publish := func(t *testing.T, keys ...map[string]any) {
		p.answer(http.StatusOK, document(t, keys...))
		if err := s.Refresh(t.Context()); err != nil {
			t.Fatalf("refresh: %v", err)
		}
	}
	other := member(t, ecKey(t, "other", elliptic.P256()))
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			key := member(t, row.key)
			publish(t, other, key)
			if _, err := s.Key(t.Context(), "bad", row.alg); err != nil || heard != nil {
				t.Fatalf("good key: %v, told %v", err, heard)
			}
			key[row.member] = row.value
			publish(t, other, key)
			if _, told := errors.AsType[*jwks.SkippedError](heard); told != row.told {
				t.Errorf("operator heard %v, want told %v", heard, row.told)
			}
			if _, err := s.Key(t.Context(), "bad", row.alg); err == nil {
				t.Error("the bad key is in use")
			}
			wantKey(t, s, "other")
		})
	}
}

func TestSetIsRefusedWholeAndTheLastGoodKept(t *testing.T) {
	good := member(t, ecKey(t, "good", elliptic.P256()))
	var many []map[string]any
	for i := range 101 {
		key := member(t, ecKey(t, fmt.Sprint("many-", i), elliptic.P256()))
		many = append(many, key)
	}
	rows := map[string]string{
		"two keys with one kid": document(t, member(t, ecKey(t, "new", elliptic.P256())), member(t, ecKey(t, "new", elliptic.P256()))),
		"101 keys":              document(t, many...),
		"more than 512 KiB":     strings.TrimSuffix(document(t, good), "}") + `,"pad":"` + strings.Repeat("x", 512<<10) + `"}`,
		"duplicate keys member": `{"keys":[],"keys":[]}`,
		"keys in capitals":      `{"KEYS":[]}`,
		"an array":              `[]`,
		"HTML":                  `<!doctype html><title>Sign in</title>`,
		"nothing":               ``,
	}
	for name, body := range rows {
		t.Run(name, func(t *testing.T) {
			p, c := newPublisher(t), newClock()
			s := newSet(t, p, c)
			p.answer(http.StatusOK, document(t, good))
			wantKey(t, s, "good")
			p.answer(http.StatusOK, body)
			if err := s.Refresh(t.Context()); err == nil {
				t.Error("got no error")
			}
			wantKey(t, s, "good")
		})
	}
}

func TestEmptiedSetWithdrawsEveryKey(t *testing.T) {
	p, c := newPublisher(t, ecKey(t, "a", elliptic.P256())), newClock()
	s := newSet(t, p, c)
	wantKey(t, s, "a")
	p.answer(http.StatusOK, `{"keys":[]}`)
	if err := s.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantUnknown(t, s, "a", true)
}

func TestRSAUpTo8192BitsIsAccepted(t *testing.T) {
	modulus := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 8192), big.NewInt(1))
	key := map[string]any{"kty": "RSA", "kid": "big", "n": b64(modulus), "e": "AQAB"}
	s, err := jwks.Static([]byte(document(t, key)), nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Key(t.Context(), "big", "PS512")
	if err != nil {
		t.Fatal(err)
	}
	if public, ok := got.Key.(*rsa.PublicKey); !ok || public.N.Cmp(modulus) != 0 {
		t.Error("modulus differs")
	}
}

func TestCertificatesInAKeyNeverChooseIt(t *testing.T) {
	key := member(t, ecKey(t, "a", elliptic.P256()))
	key["x5c"], key["x5u"] = []string{"not a certificate"}, "http://169.254.169.254/"
	if _, err := jwks.Static([]byte(document(t, key)), nil); err != nil {
		t.Errorf("key with unusable x5c: %v", err)
	}
}

func FuzzStatic(f *testing.F) {
	f.Add(document(f, member(f, ecKey(f, "a", elliptic.P256())), member(f, edKey(f, "b")), member(f, rsaKey(f, "c"))))
	f.Add(`{"keys":[{"kty":"RSA","n":"","e":""},{"kty":"EC","crv":"P-256"},null,7,[],{}]}`)
	f.Fuzz(func(t *testing.T, body string) {
		s, err := jwks.Static([]byte(body), nil)
		if err != nil {
			if s != nil {
				t.Error("got a set and an error")
			}
			return
		}
		for _, alg := range []string{"HS256", "none", ""} {
			if n := s.Usable(alg); n != 0 {
				t.Errorf("%d keys fit %q", n, alg)
			}
		}
		key, err := s.Key(t.Context(), "", "RS256")
		if err != nil {
			if _, ok := errors.AsType[*jwks.UnknownKeyError](err); !ok {
				t.Errorf("static set: %v", err)
			}
			return
		}
		if public := key.Key.(*rsa.PublicKey); public.N.BitLen() < 2048 || public.N.BitLen() > 8192 || public.E < 3 {
			t.Errorf("accepted RSA key of %d bits, exponent %d", public.N.BitLen(), public.E)
		}
	})
}

func BenchmarkKey(b *testing.B) {
	s, err := jwks.Static([]byte(document(b, member(b, ecKey(b, rand.Text(), elliptic.P256())), member(b, ecKey(b, "a", elliptic.P256())))), nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Key(b.Context(), "a", "ES256"); err != nil {
			b.Fatal(err)
		}
	}
}
