package account_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"chatpass/demo/account"
)

const audience = "https://account.example"

// issuer stands for chatpass: it publishes a key and signs whatever it is told.
type issuer struct {
	*httptest.Server
	key jose.JSONWebKey
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: jose.JSONWebKey{Key: private, KeyID: "k1", Algorithm: "ES256", Use: "sig"}}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/oauth-authorization-server", func(w http.ResponseWriter, _ *http.Request) {
		reply(t, w, map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/jwks"})
	})
	mux.HandleFunc("/jwks", func(w http.ResponseWriter, _ *http.Request) {
		reply(t, w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{i.key.Public()}})
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

func reply(t *testing.T, w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(body); err != nil {
		t.Error(err)
	}
}

// sign makes a good context, changed as told.
func (i *issuer) sign(t *testing.T, change map[string]any) string {
	t.Helper()
	now := time.Now()
	claims := map[string]any{
		"iss": i.URL, "aud": audience, "sub": "c-1", "client_id": "web", "scope": "chat:read chat:write", "jti": "j-1",
		"iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "chat": map[string]any{"ver": 1, "app": "demo"},
	}
	maps.Copy(claims, change)
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: i.key}, (&jose.SignerOptions{}).WithType("at+jwt"))
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
	return token
}

// ask answers the status, the challenge and the body.
func ask(t *testing.T, api http.Handler, path, token string) (int, string, map[string]any) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	api.ServeHTTP(w, r)
	var body map[string]any
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
			t.Fatalf("%v: %s", err, w.Body)
		}
	}
	return w.Code, w.Header().Get("WWW-Authenticate"), body
}

func newAPI(t *testing.T, i *issuer) http.Handler {
	t.Helper()
	api, err := account.New(i.URL, audience)
	if err != nil {
		t.Fatal(err)
	}
	return api
}

func TestTheContextSaysWhoseBalance(t *testing.T) {
	i := newIssuer(t)
	api := newAPI(t, i)
	_, _, plain := ask(t, api, "/balance", i.sign(t, nil))
	want := map[string]any{"customer": "c-1", "amount_cents": plain["amount_cents"], "currency": "EUR", "note": "invented for the demo"}
	if diff := cmp.Diff(want, plain); diff != "" {
		t.Errorf("balance (-want +got):\n%s", diff)
	}
	status, _, mapped := ask(t, api, "/balance?customer=c-2", i.sign(t, map[string]any{"name": "Ada", "tier": "gold", "jti": "j-2"}))
	want["name"], want["tier"] = "Ada", "gold"
	if diff := cmp.Diff(want, mapped); status != http.StatusOK || diff != "" {
		t.Errorf("the same customer's with mapped claims: status %d (-want +got):\n%s", status, diff)
	}
	_, _, other := ask(t, api, "/balance", i.sign(t, map[string]any{"sub": "c-2"}))
	if other["amount_cents"] == plain["amount_cents"] || other["customer"] != "c-2" {
		t.Errorf("another customer's: %v", other)
	}
	_, _, who := ask(t, api, "/customer", i.sign(t, map[string]any{"name": "Ada"}))
	if diff := cmp.Diff(map[string]any{"customer": "c-1", "name": "Ada"}, who); diff != "" {
		t.Errorf("customer (-want +got):\n%s", diff)
	}
}

func TestABadContextIsRefused(t *testing.T) {
	i, stranger := newIssuer(t), newIssuer(t)
	api := newAPI(t, i)
	for name, c := range map[string]struct {
		token     string
		status    int
		challenge string
	}{
		"none":             {"", http.StatusUnauthorized, "Bearer"},
		"garbage":          {"x.y.z", http.StatusUnauthorized, `error="invalid_token"`},
		"expired":          {i.sign(t, map[string]any{"iat": time.Now().Add(-10 * time.Minute).Unix(), "exp": time.Now().Add(-2 * time.Minute).Unix()}), http.StatusUnauthorized, `error="invalid_token"`},
		"another audience": {i.sign(t, map[string]any{"aud": "https://orders.example"}), http.StatusUnauthorized, `error="invalid_token"`},
		"another issuer":   {stranger.sign(t, map[string]any{"iss": i.URL}), http.StatusUnauthorized, `error="invalid_token"`},
		"another scope":    {i.sign(t, map[string]any{"scope": "chat:write"}), http.StatusForbidden, `error="insufficient_scope"`},
	} {
		for _, path := range []string{"/balance", "/customer"} {
			status, challenge, body := ask(t, api, path, c.token)
			if status != c.status || !strings.Contains(challenge, c.challenge) || body["customer"] != nil {
				t.Errorf("%s at %s: status %d, challenge %q, body %v", name, path, status, challenge, body)
			}
		}
	}
}

func TestADeadIssuerIsNotTheCustomersFault(t *testing.T) {
	i := newIssuer(t)
	token := i.sign(t, nil)
	i.Close()
	if status, challenge, _ := ask(t, newAPI(t, i), "/balance", token); status != http.StatusServiceUnavailable || challenge != "" {
		t.Errorf("status %d, challenge %q", status, challenge)
	}
}

func TestWrongSettingsAreRefused(t *testing.T) {
	if _, err := account.New("http://issuer.example", audience); err == nil {
		t.Error("a plain http issuer was accepted")
	}
	if _, err := account.New("http://localhost:8080", ""); err == nil {
		t.Error("an empty audience was accepted")
	}
}
