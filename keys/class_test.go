package keys_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"chatpass/identity"
	"chatpass/keys"
)

func twoClasses(t testing.TB) *keys.Ring {
	cfg := newClock().config(&door{memory: &memory{}})
	cfg.Classes = []string{"context", "status"}
	return open(t, cfg)
}

func TestTokenVerifiesInItsClassAlone(t *testing.T) {
	ring := twoClasses(t)
	for _, class := range []string{"context", "status"} {
		token, err := ring.Class(class).Sign(t.Context(), "some+jwt", []byte(`{"class":"`+class+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range []string{"context", "status", "", "unknown"} {
			got, err := ring.Class(other).Verify(token)
			if other == class {
				want := keys.Token{Typ: "some+jwt", Claims: []byte(`{"class":"` + class + `"}`)}
				if diff := cmp.Diff(want, got); diff != "" || err != nil {
					t.Errorf("in its own class: %v %s", err, diff)
				}
				continue
			}
			if !errors.Is(err, identity.ErrRejected) || got.Claims != nil {
				t.Errorf("token of class %s in class %q: got %v, %v", class, other, got, err)
			}
		}
	}
}

func TestUnknownClassSignsNothing(t *testing.T) {
	wantOutage(t, signErr(open(t, newClock().config(&door{memory: &memory{}})), "unknown"))
}

func TestForgedTokensAreRejected(t *testing.T) {
	ring := twoClasses(t)
	good := sign(t, ring)
	parts := strings.Split(good, ".")
	kid := header(t, good)["kid"].(string)
	foreign, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		token string
		code  identity.Code
	}{
		"empty":             {"", identity.MalformedToken},
		"two parts":         {parts[0] + "." + parts[1], identity.MalformedToken},
		"four parts":        {good + ".x", identity.MalformedToken},
		"not base64":        {"%." + parts[1] + "." + parts[2], identity.MalformedToken},
		"too large":         {good + strings.Repeat("A", 16<<10), identity.TooLarge},
		"no algorithm":      {encode(`{"alg":"none","kid":"`+kid+`"}`) + "." + parts[1] + ".", identity.AlgorithmNotAllowed},
		"other payload":     {parts[0] + "." + encode(`{"sub":"b"}`) + "." + parts[2], identity.SignatureInvalid},
		"other header":      {encode(`{"alg":"ES256","kid":"`+kid+`"}`) + "." + parts[1] + "." + parts[2], identity.SignatureInvalid},
		"no signature":      {parts[0] + "." + parts[1] + ".", identity.SignatureInvalid},
		"foreign key":       {forge(t, jose.ES256, foreign, kid, false), identity.SignatureInvalid},
		"key in the header": {forge(t, jose.ES256, foreign, kid, true), identity.KeyUnknown},
		"unknown kid":       {forge(t, jose.ES256, foreign, "other", false), identity.KeyUnknown},
		"no kid":            {forge(t, jose.ES256, foreign, "", false), identity.KeyUnknown},
		"other algorithm":   {forge(t, jose.EdDSA, edwards, kid, false), identity.AlgorithmNotAllowed},
		"public key as MAC secret": {
			forge(t, jose.HS256, publicDER(t, published(t, ring.KeySet())[kid].Key), kid, false),
			identity.AlgorithmNotAllowed,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ring.Class("context").Verify(c.token)
			if rejection, ok := errors.AsType[*identity.Rejection](err); !ok || rejection.Code != c.code || got.Claims != nil {
				t.Errorf("got %v, %v; want a rejection %s", got, err, c.code)
			}
		})
	}
}

// A key of another algorithm in the same class is not a way round: each key has the one it was made for.
func TestAlgorithmIsTheKeys(t *testing.T) {
	store, c := &door{memory: &memory{}}, newClock()
	cfg := c.config(store)
	cfg.Algorithm = "RS256"
	open(t, cfg)
	cfg.Algorithm = "PS256"
	ring := open(t, cfg)
	rs256 := inState(ring, keys.Active)[0]
	private := privateKey(t, find(t, store, rs256))
	_, err := ring.Class("context").Verify(forge(t, jose.PS256, private, rs256, false))
	if rejection, ok := errors.AsType[*identity.Rejection](err); !ok || rejection.Code != identity.AlgorithmNotAllowed {
		t.Errorf("an RS256 key verifies PS256: %v", err)
	}
	if _, err := ring.Class("context").Verify(forge(t, jose.RS256, private, rs256, false)); err != nil {
		t.Error(err)
	}
}

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// publicDER is a public key as anybody may know it.
func publicDER(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func forge(t *testing.T, alg jose.SignatureAlgorithm, key any, kid string, embed bool) string {
	t.Helper()
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, &jose.SignerOptions{EmbedJWK: embed})
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign([]byte(`{"sub":"a"}`))
	if err != nil {
		t.Fatal(err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func FuzzVerifyRejects(f *testing.F) {
	ring := twoClasses(f)
	good := sign(f, ring)
	f.Add(good)
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add(`{"payload":"e30","signatures":[{}]}`)
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := ring.Class("context").Verify(token); !errors.Is(err, identity.ErrRejected) && token != good {
			t.Errorf("%q: got %v", token, err)
		}
		if _, err := ring.Class("status").Verify(token); !errors.Is(err, identity.ErrRejected) {
			t.Errorf("%q in another class: got %v", token, err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	ring := twoClasses(b)
	token, err := ring.Class("context").Sign(context.Background(), "at+jwt", []byte(payload))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ring.Class("context").Verify(token); err != nil {
			b.Fatal(err)
		}
	}
}
