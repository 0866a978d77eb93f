package exchange_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"chatpass/exchange"
	"chatpass/identity"
	"chatpass/jwks"
)

func wantOutage(t *testing.T, err error, want identity.Code) {
	t.Helper()
	outage, ok := errors.AsType[*identity.Outage](err)
	if _, refused := errors.AsType[*exchange.Error](err); refused || !ok || outage.Code != want {
		t.Errorf("got %v, want outage %s", err, want)
	}
}

// claims are those of a good assertion.
func (h *house) assertionClaims() map[string]any {
	return map[string]any{
		"iss": "signer", "sub": "signer", "aud": "https://chat-auth", "jti": rand.Text(),
		"iat": h.now.Unix(), "exp": h.now.Add(5 * time.Minute).Unix(),
	}
}

// assertion signs one; header adds to or replaces `typ` and `kid`.
func (h *house) assertion(t testing.TB, key *ecdsa.PrivateKey, header map[string]any, claims map[string]any) exchange.Credentials {
	t.Helper()
	options := (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", "c1")
	for name, value := range header {
		options.WithHeader(jose.HeaderKey(name), value)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return exchange.Credentials{Presented: true, Assertion: token}
}

func TestClientProvesItselfByAnAssertionOnce(t *testing.T) {
	h := newHouse(t)
	for name, credentials := range map[string]exchange.Credentials{
		"without client_id":   h.assertion(t, h.signing, nil, h.assertionClaims()),
		"explicit typ":        h.assertion(t, h.signing, map[string]any{"typ": "application/Client-Authentication+JWT"}, h.assertionClaims()),
		"a brought-along jwk": h.assertion(t, h.signing, map[string]any{"jku": "https://evil"}, h.assertionClaims()),
	} {
		req := ask()
		req.Credentials = credentials
		got, err := h.Exchange(t.Context(), req)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if client := claimsOf(t, got.Token)["client_id"]; client != "signer" || h.audit[len(h.audit)-1].Client != "signer" {
			t.Errorf("%s: client %v, audit %q", name, client, h.audit[len(h.audit)-1].Client)
		}
		_, err = h.Exchange(t.Context(), req)
		wantRefusal(t, err, identity.ClientAuthentication)
	}
}

func TestAssertionIsHeldAgainstEveryRule(t *testing.T) {
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	change := func(name string, value any) func(*testing.T, *house) exchange.Credentials {
		return func(t *testing.T, h *house) exchange.Credentials {
			t.Helper()
			claims := h.assertionClaims()
			claims[name] = value
			if value == nil {
				delete(claims, name)
			}
			return h.assertion(t, h.signing, nil, claims)
		}
	}
	later := func(name string, d time.Duration) func(*testing.T, *house) exchange.Credentials {
		return func(t *testing.T, h *house) exchange.Credentials {
			t.Helper()
			return change(name, h.now.Add(d).Unix())(t, h)
		}
	}
	header := func(name string, value any) func(*testing.T, *house) exchange.Credentials {
		return func(t *testing.T, h *house) exchange.Credentials {
			t.Helper()
			return h.assertion(t, h.signing, map[string]any{name: value}, h.assertionClaims())
		}
	}
	for name, present := range map[string]func(*testing.T, *house) exchange.Credentials{
		"another issuer":          change("iss", "back"),
		"another subject":         change("sub", "back"),
		"unknown client":          func(t *testing.T, h *house) exchange.Credentials { t.Helper(); return nobody(t, h) },
		"no subject":              change("sub", nil),
		"no audience":             change("aud", nil),
		"audience with a slash":   change("aud", "https://chat-auth/"),
		"the token endpoint":      change("aud", "https://chat-auth/oauth2/token"),
		"audience in a list":      change("aud", []string{"https://chat-auth"}),
		"no jti":                  change("jti", nil),
		"empty jti":               change("jti", ""),
		"long jti":                change("jti", strings.Repeat("j", 256)),
		"jti that is a number":    change("jti", 7),
		"no exp":                  change("exp", nil),
		"exp that is text":        change("exp", "tomorrow"),
		"exp in the year 3000000": change("exp", 1e14),
		"expired":                 later("exp", -2*time.Minute),
		"a life of 5 min 1 s":     later("exp", 5*time.Minute+time.Second),
		"issued in 2 min":         later("iat", 2*time.Minute),
		"issued an hour ago":      later("iat", -time.Hour),
		"not yet valid":           later("nbf", 2*time.Minute),
		"a stranger's key": func(t *testing.T, h *house) exchange.Credentials {
			t.Helper()
			return h.assertion(t, stranger, nil, h.assertionClaims())
		},
		"an unknown key":       header("kid", "c9"),
		"a context's typ":      header("typ", "at+jwt"),
		"a logout token's typ": header("typ", "logout+jwt"),
		"a critical header":    header("crit", []string{"exp"}),
		"b64":                  header("b64", true),
		"client_id of another": func(t *testing.T, h *house) exchange.Credentials {
			t.Helper()
			c := h.assertion(t, h.signing, nil, h.assertionClaims())
			c.ClientID = "back"
			return c
		},
		"for a client with a secret": func(t *testing.T, h *house) exchange.Credentials {
			t.Helper()
			claims := h.assertionClaims()
			claims["iss"], claims["sub"] = "back", "back"
			return h.assertion(t, h.signing, nil, claims)
		},
		"for a page": func(t *testing.T, h *house) exchange.Credentials {
			t.Helper()
			claims := h.assertionClaims()
			claims["iss"], claims["sub"] = "web", "web"
			return h.assertion(t, h.signing, nil, claims)
		},
		"no signature": func(t *testing.T, h *house) exchange.Credentials {
			t.Helper()
			c := h.assertion(t, h.signing, nil, h.assertionClaims())
			c.Assertion = c.Assertion[:strings.LastIndexByte(c.Assertion, '.')+1]
			return c
		},
		"alg none": func(t *testing.T, h *house) exchange.Credentials {
			t.Helper()
			c := h.assertion(t, h.signing, nil, h.assertionClaims())
			parts := strings.Split(c.Assertion, ".")
			c.Assertion = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + "."
			return c
		},
		"a repeated claim": func(t *testing.T, h *house) exchange.Credentials { t.Helper(); return h.raw(t, `"sub":"signer"`) },
		"garbage": func(*testing.T, *house) exchange.Credentials {
			return exchange.Credentials{Presented: true, Assertion: "a.b.c"}
		},
		"16 KiB and more": func(*testing.T, *house) exchange.Credentials {
			return exchange.Credentials{Presented: true, Assertion: strings.Repeat("a", 16<<10+1)}
		},
		"a secret for a client that signs": func(*testing.T, *house) exchange.Credentials {
			return exchange.Credentials{ClientID: "signer", Presented: true, Secret: ""}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			req := ask()
			req.Credentials = h.assertion(t, h.signing, nil, h.assertionClaims())
			if _, err := h.Exchange(t.Context(), req); err != nil {
				t.Fatalf("before the change: %v", err)
			}
			req.Credentials = present(t, h)
			_, err := h.Exchange(t.Context(), req)
			wantRefusal(t, err, identity.ClientAuthentication)
			if refusal, ok := errors.AsType[*exchange.Error](err); ok && (refusal.Description != "" || refusal.RetryAfter != 0) {
				t.Errorf("it hears more than others: %+v", refusal)
			}
		})
	}
}

func nobody(t *testing.T, h *house) exchange.Credentials {
	t.Helper()
	claims := h.assertionClaims()
	claims["iss"], claims["sub"] = "nobody", "nobody"
	return h.assertion(t, h.signing, nil, claims)
}

// raw signs a payload with one more member, as written.
func (h *house) raw(t *testing.T, member string) exchange.Credentials {
	t.Helper()
	payload, err := json.Marshal(h.assertionClaims())
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: h.signing}, (&jose.SignerOptions{}).WithHeader("kid", "c1"))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign([]byte("{" + member + "," + string(payload[1:])))
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return exchange.Credentials{Presented: true, Assertion: token}
}

func TestAssertionIsUsedUpAcrossReplicas(t *testing.T) {
	h := newHouse(t)
	credentials := h.assertion(t, h.signing, nil, h.assertionClaims())
	var won atomic.Int64
	done := make(chan error, 8)
	for range cap(done) {
		go func() {
			_, err := h.Authenticate(t.Context(), credentials)
			if err == nil {
				won.Add(1)
			}
			done <- err
		}()
	}
	for range cap(done) {
		<-done
	}
	if won.Load() != 1 {
		t.Errorf("%d of %d took the same assertion", won.Load(), cap(done))
	}
}

// TestNobodyLearnsWhichClientsExist compares what a stranger hears with what the client itself hears.
func TestNobodyLearnsWhichClientsExist(t *testing.T) {
	h := newHouse(t)
	told := func(c exchange.Credentials) exchange.Error {
		_, err := h.Authenticate(t.Context(), c)
		refusal, ok := errors.AsType[*exchange.Error](err)
		if !ok {
			t.Fatalf("%+v: %v", c, err)
		}
		return exchange.Error{Code: refusal.Code, Description: refusal.Description, RetryAfter: refusal.RetryAfter, OAuth: refusal.OAuth}
	}
	want := told(exchange.Credentials{ClientID: "nobody", Presented: true, Secret: "x"})
	for _, name := range []string{"back", "signer", "orders-api", "web", "ios"} {
		if diff := cmp.Diff(want, told(exchange.Credentials{ClientID: name, Presented: true, Secret: "x"})); diff != "" {
			t.Errorf("%s with a wrong secret (-stranger +client):\n%s", name, diff)
		}
		claims := h.assertionClaims()
		claims["iss"], claims["sub"] = name, name
		if diff := cmp.Diff(want, told(h.assertion(t, h.signing, map[string]any{"kid": "c9"}, claims))); diff != "" {
			t.Errorf("%s with a wrong key (-stranger +client):\n%s", name, diff)
		}
	}
}

// publisher serves a client's key set, until it is away.
type publisher struct {
	*httptest.Server
	document atomic.Pointer[[]byte]
	away     atomic.Bool
	asked    atomic.Int64
}

func newPublisher(t *testing.T, keys ...*ecdsa.PrivateKey) *publisher {
	t.Helper()
	p := &publisher{}
	document := keyDocument(t, keys...)
	p.document.Store(&document)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p.asked.Add(1)
		if p.away.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_, _ = w.Write(*p.document.Load())
	}))
	t.Cleanup(p.Close)
	return p
}

// publishing makes the client that signs publish its keys.
func (h *house) publishing(t *testing.T, p *publisher) {
	t.Helper()
	for _, c := range h.Clients() {
		if c.ID == "signer" {
			c.Keys = jwks.New(jwks.Config{URL: p.URL, Client: jwks.NewClient(jwks.ClientConfig{AllowPrivate: true}), Now: func() time.Time { return h.now }})
		}
	}
}

func TestPublishedKeysThatCannotBeFetchedAreAnOutage(t *testing.T) {
	h := newHouse(t)
	p := newPublisher(t, h.signing)
	p.away.Store(true)
	h.publishing(t, p)
	_, err := h.Authenticate(t.Context(), h.assertion(t, h.signing, nil, h.assertionClaims()))
	wantOutage(t, err, identity.NoIssuerKey)
	p.away.Store(false)
	h.now = h.now.Add(2 * time.Second)
	if _, err := h.Authenticate(t.Context(), h.assertion(t, h.signing, nil, h.assertionClaims())); err != nil {
		t.Errorf("when it is back: %v", err)
	}
}

func TestNewKeyOfAClientIsTakenWithoutWaiting(t *testing.T) {
	h := newHouse(t)
	next, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := newPublisher(t, h.signing)
	h.publishing(t, p)
	h.RefreshKeys(t.Context())
	document := keyDocument(t, h.signing, next)
	p.document.Store(&document)
	h.now = h.now.Add(time.Minute)
	newest := map[string]any{"kid": "c2"}
	_, err = h.Authenticate(t.Context(), h.assertion(t, next, newest, h.assertionClaims()))
	if _, refused := errors.AsType[*exchange.Error](err); err != nil && !refused {
		t.Errorf("a key not known yet: %v", err)
	}
	for deadline := time.Now().Add(10 * time.Second); err != nil; {
		if time.Now().After(deadline) {
			t.Fatalf("the new key is never taken: %v", err)
		}
		_, err = h.Authenticate(t.Context(), h.assertion(t, next, newest, h.assertionClaims()))
	}
	if p.asked.Load() != 2 {
		t.Errorf("key set was asked for %d times, want 2", p.asked.Load())
	}
}

func TestStrangersCauseNoFetch(t *testing.T) {
	h := newHouse(t)
	p := newPublisher(t, h.signing)
	h.publishing(t, p)
	for range 100 {
		_, err := h.Authenticate(t.Context(), nobody(t, h))
		wantCode(t, err, identity.ClientAuthentication)
	}
	if p.asked.Load() != 0 {
		t.Errorf("strangers caused %d fetches", p.asked.Load())
	}
}

func wantCode(t *testing.T, err error, want identity.Code) {
	t.Helper()
	if refusal, ok := errors.AsType[*exchange.Error](err); !ok || refusal.Code != want {
		t.Errorf("got %v, want refusal %s", err, want)
	}
}

// FuzzAssertion feeds assertions that no client has signed.
func FuzzAssertion(f *testing.F) {
	h := newHouse(f)
	f.Add(h.assertion(f, h.signing, nil, h.assertionClaims()).Assertion + "x")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("eyJhbGciOiJFUzI1NiIsImNyaXQiOltdfQ.eyJzdWIiOjF9.AA")
	f.Fuzz(func(t *testing.T, assertion string) {
		_, err := h.Authenticate(t.Context(), exchange.Credentials{Presented: true, Assertion: assertion})
		if assertion == "" {
			return
		}
		wantCode(t, err, identity.ClientAuthentication)
	})
}

// The two take the same time: a stranger's assertion is verified with a decoy.
func BenchmarkRefusedAssertion(b *testing.B) {
	h := newHouse(b)
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range []string{"signer", "nobody"} {
		b.Run(name, func(b *testing.B) {
			claims := h.assertionClaims()
			claims["iss"], claims["sub"] = name, name
			credentials := h.assertion(b, stranger, nil, claims)
			for b.Loop() {
				if _, err := h.Authenticate(b.Context(), credentials); err == nil {
					b.Fatal("taken")
				}
			}
		})
	}
}
