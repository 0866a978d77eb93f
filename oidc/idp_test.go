package oidc_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"

	"chatpass/identity"
	"chatpass/jwks"
	"chatpass/oidc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	clientID = "chatpass"
	secret   = "s3cret/+&="
	shop     = "shop-web"
)

// start is the instant at which all tests begin.
func start() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// clock is a settable clock.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ns.Store(start().UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()) }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

// signingKey is a private key of an identity provider.
type signingKey struct {
	kid, alg string
	key      crypto.Signer
}

func newKey(t testing.TB, kid, alg string) signingKey {
	var key crypto.Signer
	var err error
	switch alg {
	case "ES256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "EdDSA":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	return signingKey{kid, alg, key}
}

func (k signingKey) public() jose.JSONWebKey {
	return jose.JSONWebKey{Key: k.key.Public(), KeyID: k.kid, Use: "sig"}
}

// idp is an identity provider on loopback, whose every answer can be changed.
type idp struct {
	*httptest.Server
	discoveries, keyFetches, redemptions atomic.Int64

	mu       sync.Mutex
	doc      map[string]any
	keys     []signingKey
	keyPage  http.HandlerFunc // in place of the key set
	docPage  http.HandlerFunc // in place of the discovery document
	tokens   http.HandlerFunc // the token endpoint
	redeemed *http.Request    // the last token request, form parsed
	userinfo http.HandlerFunc // the userinfo endpoint

	tenantAsked string // of the last discovery
	keyIssuers  map[string]string
}

func newIDP(t testing.TB) *idp {
	p := &idp{keys: []signingKey{newKey(t, "es", "ES256"), newKey(t, "rs", "RS256"), newKey(t, "ed", "EdDSA")}}
	p.Server = httptest.NewServer(p.handler())
	p.doc = map[string]any{
		"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token",
		"jwks_uri": p.URL + "/keys", "end_session_endpoint": p.URL + "/bye?realm=a",
		"id_token_signing_alg_values_supported": []string{"ES256", "RS256", "EdDSA"},
	}
	t.Cleanup(p.Close)
	return p
}

func (p *idp) handler() http.Handler {
	mux := http.NewServeMux()
	document := func(w http.ResponseWriter, r *http.Request) {
		p.discoveries.Add(1)
		p.answer(w, r, func() (http.HandlerFunc, any) { p.tenantAsked = r.PathValue("tenant"); return p.docPage, p.doc })
	}
	mux.HandleFunc("GET /.well-known/openid-configuration", document)
	mux.HandleFunc("GET /{tenant}/v2.0/.well-known/openid-configuration", document)
	mux.HandleFunc("GET /{kind}/{name}/.well-known/openid-configuration", document)
	mux.HandleFunc("GET /userinfo", func(w http.ResponseWriter, r *http.Request) {
		p.answer(w, r, func() (http.HandlerFunc, any) { return p.userinfo, nil })
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, r *http.Request) {
		p.keyFetches.Add(1)
		p.answer(w, r, func() (http.HandlerFunc, any) { return p.keyPage, p.keySet() })
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		p.redemptions.Add(1)
		_ = r.ParseForm()
		p.mu.Lock()
		p.redeemed = r
		p.mu.Unlock()
		p.answer(w, r, func() (http.HandlerFunc, any) { return p.tokens, nil })
	})
	return mux
}

func (p *idp) answer(w http.ResponseWriter, r *http.Request, what func() (http.HandlerFunc, any)) {
	p.mu.Lock()
	page, body := what()
	raw, _ := json.Marshal(body)
	p.mu.Unlock()
	if page != nil {
		page(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(raw)
}

// keySet has a member issuer in every key of keyIssuers, as Entra's has.
func (p *idp) keySet() any {
	keys := []map[string]any{}
	for _, k := range p.keys {
		public, _ := k.public().MarshalJSON()
		one := map[string]any{}
		_ = json.Unmarshal(public, &one)
		if issuer, ok := p.keyIssuers[k.kid]; ok {
			one["issuer"] = issuer
		}
		keys = append(keys, one)
	}
	return map[string]any{"keys": keys}
}

// change edits the provider under its lock.
func (p *idp) change(edit func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	edit()
}

func (p *idp) fetches() int64 { return p.discoveries.Load() + p.keyFetches.Load() }

// newGate returns a gate that knows p under the name corp.
func newGate(t testing.TB, p *idp, c *clock, edits ...func(*oidc.Config)) *oidc.Gate {
	client := jwks.NewClient(jwks.ClientConfig{AllowPrivate: true})
	t.Cleanup(client.CloseIdleConnections)
	cfg := oidc.Config{
		Name: "corp", Issuer: p.URL, ClientID: clientID, ClientSecret: secret, Scopes: []string{"email", "openid"},
		RedirectURL: "https://chat.example/v1/login/callback/corp", Client: client, Now: c.now,
	}
	for _, edit := range edits {
		edit(&cfg)
	}
	g, err := oidc.New([]oidc.Config{cfg})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func terms() identity.Terms {
	return identity.Terms{App: "support", Accepts: map[string][]string{"corp": {shop, "shop-ios"}}}
}

// forgery is a token in the making: the good one, until a test changes something.
type forgery struct {
	key             signingKey
	header, payload map[string]any
	// rawHeader and rawPayload edit the JSON, token the signed result.
	rawHeader, rawPayload, token func(string) string
}

// goodToken is an ID token of p for the shop, issued 10 s ago.
func (p *idp) goodToken() *forgery {
	return &forgery{
		key:    p.keys[0],
		header: map[string]any{"alg": p.keys[0].alg, "kid": p.keys[0].kid, "typ": "JWT"},
		payload: map[string]any{
			"iss": p.URL, "sub": "u-81", "aud": shop, "iat": start().Unix() - 10, "exp": start().Unix() + 300,
			"auth_time": start().Unix() - 60, "sid": "s-1", "acr": "mfa", "amr": []string{"pwd", "otp"},
			"email": "alice@example.com", "groups": []string{"gold"},
		},
	}
}

func (f *forgery) signedBy(k signingKey) *forgery {
	f.key = k
	f.header["alg"], f.header["kid"] = k.alg, k.kid
	return f
}

func (f *forgery) with(claims map[string]any) *forgery {
	maps.Copy(f.payload, claims)
	return f
}

func edit(with func(string) string, s string) string {
	if with == nil {
		return s
	}
	return with(s)
}

// sign signs whatever has become of the token, however malformed.
func (f *forgery) sign(t testing.TB) string {
	t.Helper()
	header, err := json.Marshal(f.header)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(f.payload)
	if err != nil {
		t.Fatal(err)
	}
	input := encode([]byte(edit(f.rawHeader, string(header)))) + "." + encode([]byte(edit(f.rawPayload, string(payload))))
	return edit(f.token, input+"."+encode(signature(t, f.key, []byte(input))))
}

func signature(t testing.TB, k signingKey, input []byte) []byte {
	t.Helper()
	signed, err := rawSignature(k, input)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func rawSignature(k signingKey, input []byte) ([]byte, error) {
	switch key := k.key.(type) {
	case ed25519.PrivateKey:
		return ed25519.Sign(key, input), nil
	case *rsa.PrivateKey:
		digest := crypto.SHA256.New()
		digest.Write(input)
		if k.alg == "PS256" {
			return rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest.Sum(nil), &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
		return rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest.Sum(nil))
	case *ecdsa.PrivateKey:
		hash, size := crypto.SHA256, 32
		if k.alg == "ES384" {
			hash, size = crypto.SHA384, 48
		}
		digest := hash.New()
		digest.Write(input)
		r, s, err := ecdsa.Sign(rand.Reader, key, digest.Sum(nil))
		if err != nil {
			return nil, err
		}
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...), nil
	}
	return nil, fmt.Errorf("unknown key %T", k.key)
}

// callback is the issuer's answer to login.
func callback(login oidc.Login, more ...string) url.Values {
	v := url.Values{"state": {login.State}, "code": {"c-1"}}
	for i := 0; i < len(more); i += 2 {
		v.Set(more[i], more[i+1])
	}
	return v
}
