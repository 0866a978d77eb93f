package server_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"chatpass/jwks"
	"chatpass/oidc"
)

// upstream is an issuer on loopback that can be made to misbehave.
type upstream struct {
	*httptest.Server
	signingKey
	fetches atomic.Int64
	abroad  string // another host, for redirects

	// What it answers: members of its discovery document and of its key to change, a text in place of
	// all of it, another status, or a way to behave.
	document, jwk              map[string]any
	documentText, keysText     string
	documentStatus, keysStatus string
	documentPage, keysPage     http.HandlerFunc
	timeout                    time.Duration // how long we wait for it; 0: as usual
}

// signingKey is a private key, deterministic in what it signs.
type signingKey struct {
	kid     string
	private *ecdsa.PrivateKey
}

func newSigningKey(t testing.TB, kid string) signingKey {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signingKey{kid, private}
}

// es256 signs a JWS signing input (RFC 7518 §3.4).
func (k signingKey) es256(input string) string {
	digest := sha256.Sum256([]byte(input))
	der, err := k.private.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		return err.Error()
	}
	var point struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &point); err != nil {
		return err.Error()
	}
	return encoded(append(point.R.FillBytes(make([]byte, 32)), point.S.FillBytes(make([]byte, 32))...))
}

// selfSigned is a certificate of the key in standard base64, as `x5c` has it (RFC 7515 §4.1.6).
func (k signingKey) selfSigned(t testing.TB) string {
	t.Helper()
	form := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, form, form, k.private.Public(), k.private)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}

// jwkMembers is the public key as a JWK, ready to be changed.
func (k signingKey) jwkMembers() map[string]any {
	members := map[string]any{}
	raw, err := jose.JSONWebKey{Key: k.private.Public(), KeyID: k.kid, Use: "sig", Algorithm: "ES256"}.MarshalJSON()
	if err == nil {
		err = json.Unmarshal(raw, &members)
	}
	if err != nil {
		members["error"] = err.Error()
	}
	return members
}

func newUpstream(t testing.TB, kid string) *upstream {
	t.Helper()
	return (&upstream{signingKey: newSigningKey(t, kid)}).open(t)
}

// open lets the issuer listen.
func (u *upstream) open(t testing.TB) *upstream {
	t.Helper()
	u.document, u.jwk = map[string]any{}, map[string]any{}
	u.Server = httptest.NewServer(http.HandlerFunc(u.answer))
	t.Cleanup(u.Close)
	return u
}

func (u *upstream) answer(w http.ResponseWriter, r *http.Request) {
	u.fetches.Add(1)
	page, text, status, members := u.documentPage, u.documentText, u.documentStatus, map[string]any{
		"issuer": u.URL, "authorization_endpoint": u.URL + "/auth", "token_endpoint": u.URL + "/token", "jwks_uri": u.URL + "/keys",
	}
	maps.Copy(members, u.document)
	if r.URL.Path == "/keys" {
		key := u.jwkMembers()
		maps.Copy(key, u.jwk)
		page, text, status, members = u.keysPage, u.keysText, u.keysStatus, map[string]any{"keys": []any{key}}
	}
	switch {
	case page != nil:
		page(w, r)
	case text != "":
		fmt.Fprint(w, text)
	default:
		w.Header().Set("Content-Type", "application/json")
		if code, err := strconv.Atoi(status); err == nil {
			w.WriteHeader(code)
		}
		_ = json.NewEncoder(w).Encode(members)
	}
}

// behave lets the issuer answer in that way, and us not wait long for it.
func (u *upstream) behave(page *http.HandlerFunc, way string) error {
	*page = u.pages()[way]
	if *page == nil {
		return fmt.Errorf("unknown way %q", way)
	}
	u.timeout = 200 * time.Millisecond
	return nil
}

// pages are the ways in which an issuer can behave.
func (u *upstream) pages() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"an error page": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "ada@example.com", 500) },
		"redirect to another host": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, u.abroad+r.URL.Path, http.StatusFound)
		},
		"redirect to itself": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) },
		"silence":            func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"a space at a time": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				fmt.Fprint(w, " ")
				_ = http.NewResponseController(w).Flush()
			}
		},
		"50 MB": func(w http.ResponseWriter, _ *http.Request) {
			chunk := strings.Repeat(" ", 1<<20)
			for range 50 {
				if _, err := fmt.Fprint(w, chunk); err != nil {
					return
				}
			}
		},
	}
}

func (u *upstream) config(name string, now func() time.Time) oidc.Config {
	return oidc.Config{
		Name: name, Issuer: u.URL, ClientID: "chatpass", ClientSecret: "s", SubjectClaim: "sub", SubjectIssuer: u.URL, Algorithms: []string{"ES256"},
		ClockSkew: time.Minute, MaxTokenAge: 2 * time.Hour, RedirectURL: ours + "/v1/login/callback/" + name,
		Client: jwks.NewClient(jwks.ClientConfig{AllowPrivate: true, Timeout: u.timeout}), Now: now,
	}
}

// tenants is where the tenant's id stands in the issuer URL of a provider with many tenants.
const tenants = "/{tenantid}/v2.0"

// tenantConfig is that of a provider two of whose tenants may sign in.
func (u *upstream) tenantConfig(now func() time.Time) oidc.Config {
	cfg := u.config("entra", now)
	cfg.Issuer, cfg.SubjectIssuer, cfg.Tenants = u.URL+tenants, u.URL+tenants, []string{"tenant-1", "tenant-2"}
	cfg.SubjectClaim = "oid"
	return cfg
}

func encoded(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }
