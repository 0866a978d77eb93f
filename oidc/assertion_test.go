package oidc_test

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"chatpass/oidc"
)

func newPrivate(t testing.TB, kind string) any {
	t.Helper()
	var key any
	var err error
	switch kind {
	case "P-256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "P-384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "P-224":
		key, err = ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	case "Ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case "X25519":
		key, err = ecdh.X25519().GenerateKey(rand.Reader)
	case "weak":
		key, err = rsa.GenerateKey(rand.Reader, 1024)
	default:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func asPEM(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func asJWK(t testing.TB, key any, alg string) []byte {
	t.Helper()
	text, err := jose.JSONWebKey{Key: key, KeyID: "a name of its own", Algorithm: alg}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// assertion verifies with the public half what the issuer was sent, as an independent reader.
func (p *idp) assertion(t *testing.T, key *oidc.ClientKey) (jose.Header, jwt.Claims) {
	t.Helper()
	form := p.redeemed.PostForm
	if form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" || form.Get("client_id") != clientID || form.Has("client_secret") {
		t.Errorf("got form %v", form)
	}
	if _, _, basic := p.redeemed.BasicAuth(); basic {
		t.Error("authenticated twice")
	}
	parsed, err := jwt.ParseSigned(form.Get("client_assertion"), []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.ES384, jose.EdDSA})
	if err != nil {
		t.Fatal(err)
	}
	var public jose.JSONWebKey
	if err := json.Unmarshal([]byte(key.Public()), &public); err != nil || !public.IsPublic() {
		t.Fatalf("public half: %v", err)
	}
	var claims jwt.Claims
	if err := parsed.Claims(public.Key, &claims); err != nil {
		t.Fatal(err)
	}
	thumbprint, _ := public.Thumbprint(crypto.SHA256)
	if want := base64.RawURLEncoding.EncodeToString(thumbprint); parsed.Headers[0].KeyID != want || public.KeyID != want {
		t.Errorf("kid %q and %q, want the thumbprint %q", parsed.Headers[0].KeyID, public.KeyID, want)
	}
	return parsed.Headers[0], claims
}

func TestAssertionProvesWhoWeAre(t *testing.T) {
	rows := []struct {
		name, kind, jwkAlg, audience string
		announced                    any
		wantAlg                      string
	}{
		{"P-256", "P-256", "", "", nil, "ES256"},
		{"P-384", "P-384", "", "", []string{"ES256", "ES384"}, "ES384"},
		{"Ed25519", "Ed25519", "", "", nil, "EdDSA"},
		{"RSA", "RSA", "", "", nil, "RS256"},
		{"RSA where PS256 is announced", "RSA", "", "", []string{"ES256", "PS256"}, "PS256"},
		{"a JWK for PS256", "RSA", "PS256", "", []string{"RS256", "PS256"}, "PS256"},
		{"for the token endpoint", "P-256", "", oidc.TokenEndpointAudience, nil, "ES256"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			p, c, private := newIDP(t), newClock(), newPrivate(t, row.kind)
			p.doc["token_endpoint_auth_methods_supported"] = []string{"client_secret_basic", "private_key_jwt"}
			if row.announced != nil {
				p.doc["token_endpoint_auth_signing_alg_values_supported"] = row.announced
			}
			text := asPEM(t, private)
			if row.jwkAlg != "" {
				text = asJWK(t, private, row.jwkAlg)
			}
			g := newGate(t, p, c, func(cfg *oidc.Config) {
				cfg.ClientSecret, cfg.PrivateKey, cfg.AssertionAudience = "", text, row.audience
			})
			if err := g.Check(t.Context(), "corp"); err != nil {
				t.Fatal(err)
			}
			key, err := oidc.ReadClientKey(text)
			if err != nil {
				t.Fatal(err)
			}
			seen := map[string]bool{}
			for range 2 {
				login, _ := begin(t, g, oidc.Ask{})
				p.grant(t, p.signInToken(login))
				if _, err := g.Finish(t.Context(), login, callback(login)); err != nil {
					t.Fatal(err)
				}
				header, claims := p.assertion(t, key)
				if header.Algorithm != row.wantAlg || header.ExtraHeaders["typ"] != "JWT" {
					t.Errorf("got header %+v", header)
				}
				want := p.URL
				if row.audience != "" {
					want += "/token"
				}
				if claims.Issuer != clientID || claims.Subject != clientID || len(claims.Audience) != 1 || claims.Audience[0] != want {
					t.Errorf("got %+v", claims)
				}
				if issued, life := claims.IssuedAt.Time(), claims.Expiry.Time().Sub(claims.IssuedAt.Time()); !issued.Equal(start()) || life <= 0 || life > 5*time.Minute {
					t.Errorf("issued %v for %v", issued, life)
				}
				if len(claims.ID) < 20 || seen[claims.ID] {
					t.Errorf("jti %q", claims.ID)
				}
				seen[claims.ID] = true
			}
		})
	}
}

// `aud` is one string: of a list, some issuers would take any element as being them (RFC 7523bis).
func TestAssertionAudienceIsOneString(t *testing.T) {
	p := newIDP(t)
	g := manyTenants(t, p, func(cfg *oidc.Config) { cfg.ClientSecret, cfg.PrivateKey = "", asPEM(t, newPrivate(t, "P-256")) })
	login, _ := begin(t, g, oidc.Ask{})
	p.grant(t, p.signInToken(login).with(map[string]any{"iss": p.URL + "/" + tenantA + "/v2.0", "tid": tenantA}))
	if _, err := g.Finish(t.Context(), login, callback(login)); err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal([]byte(decode(strings.Split(p.redeemed.PostForm.Get("client_assertion"), ".")[1])), &claims); err != nil {
		t.Fatal(err)
	}
	if claims["aud"] != p.URL+"/token" {
		t.Errorf("of a template: got aud %v, want the token endpoint", claims["aud"])
	}
}

func TestKeyThatTheIssuerDoesNotTakeIsTold(t *testing.T) {
	for member, row := range map[string]struct {
		value any
		want  string
	}{
		"token_endpoint_auth_methods_supported":            {[]string{"client_secret_basic"}, "does not take private_key_jwt"},
		"token_endpoint_auth_signing_alg_values_supported": {[]string{"RS256", "HS256"}, `whose kind of key is for ES256; make a key for one of the algorithms that it announces, "RS256, HS256"`},
	} {
		p, c := newIDP(t), newClock()
		p.doc[member] = row.value
		g := newGate(t, p, c, func(cfg *oidc.Config) { cfg.ClientSecret, cfg.PrivateKey = "", asPEM(t, newPrivate(t, "P-256")) })
		_, _, begun := g.Begin(t.Context(), "corp", oidc.Ask{})
		_, finished := g.Finish(t.Context(), oidc.Login{IDP: "corp", State: "s", Nonce: "n", Verifier: "v"}, url.Values{"state": {"s"}, "code": {"c"}})
		for _, err := range []error{g.Check(t.Context(), "corp"), begun, finished} {
			if fault, ok := errors.AsType[*oidc.Fault](err); !ok || !strings.Contains(fault.Error(), row.want) {
				t.Errorf("%s: got %v", member, err)
			}
		}
		if p.redemptions.Load() != 0 {
			t.Error("the code was sent")
		}
	}
}

func TestPrivateKeyThatCannotSignIsRefused(t *testing.T) {
	good := asJWK(t, newPrivate(t, "P-256"), "")
	public := jose.JSONWebKey{Key: newPrivate(t, "P-256").(*ecdsa.PrivateKey).Public()}
	bare, _ := public.MarshalJSON()
	rows := map[string][]byte{
		"nothing":            nil,
		"text":               []byte("s3cr3t-value"),
		"a public key":       bare,
		"a symmetric key":    []byte(`{"kty":"oct","k":"c2VjcmV0LXZhbHVl"}`),
		"two keys":           append(good, good...),
		"another curve":      asPEM(t, newPrivate(t, "P-224")),
		"key agreement":      asPEM(t, newPrivate(t, "X25519")),
		"PEM of another":     pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("s3cr3t-value")}),
		"alg of another key": asJWK(t, newPrivate(t, "P-256"), "RS256"),
		"HMAC":               asJWK(t, newPrivate(t, "RSA"), "HS256"),
		"weak RSA":           asPEM(t, newPrivate(t, "weak")),
	}
	for name, text := range rows {
		key, err := oidc.ReadClientKey(text)
		if err == nil || strings.Contains(err.Error(), "s3cr3t") || strings.Contains(err.Error(), "c2VjcmV0") {
			t.Errorf("%s: got %v, %v", name, key, err)
		}
	}
	if _, err := oidc.ReadClientKey(append([]byte("\n "), good...)); err != nil {
		t.Error(err)
	}
}
