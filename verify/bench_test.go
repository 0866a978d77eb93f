package verify_test

import (
	"crypto"
	"net/http"
	"net/http/httptest"
	"testing"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// BenchmarkVerify compares a whole verification with what others do to the same context under the same
// key: go-jose parses, verifies the signature and checks iss, aud and times; go-oidc also finds the key.
func BenchmarkVerify(b *testing.B) {
	for _, alg := range []string{"ES256", "EdDSA", "RS256"} {
		key := newSigner(b, "k1", alg)
		token := key.good(b, claims(home, start()))
		ours := verifier(b, newIssuer(b, home, key))
		b.Run(alg+"/chatpass", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ours.Verify(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(alg+"/go-jose", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := byJOSE(key, token); err != nil {
					b.Fatal(err)
				}
			}
		})
		theirs := gooidc.NewVerifier(home, &gooidc.StaticKeySet{PublicKeys: []crypto.PublicKey{key.private.Public()}}, &gooidc.Config{ClientID: audience, SupportedSigningAlgs: []string{alg}, Now: start})
		b.Run(alg+"/go-oidc", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := theirs.Verify(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func byJOSE(key signer, token string) error {
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(key.alg)})
	if err != nil {
		return err
	}
	var registered jwt.Claims
	var all map[string]any
	if err := parsed.Claims(key.private.Public(), &registered, &all); err != nil {
		return err
	}
	return registered.Validate(jwt.Expected{Issuer: home, AnyAudience: jwt.Audience{audience}, Time: start()})
}

// BenchmarkRefusal is what a stranger's token costs before any signature is looked at.
func BenchmarkRefusal(b *testing.B) {
	key, stranger := newSigner(b, "k1", "ES256"), newSigner(b, "k9", "ES256")
	token := stranger.good(b, claims(home, start()))
	v := verifier(b, newIssuer(b, home, key))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(b.Context(), token); err == nil {
			b.Fatal("accepted")
		}
	}
}

func BenchmarkMiddleware(b *testing.B) {
	key := newSigner(b, "k1", "ES256")
	h := verifier(b, newIssuer(b, home, key)).Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), "chat:read")
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+key.good(b, claims(home, start())))
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != http.StatusOK {
			b.Fatal(w.Code)
		}
	}
}
