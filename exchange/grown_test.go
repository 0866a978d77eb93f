package exchange_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"chatpass/exchange"
	"chatpass/identity"
	"chatpass/jwks"
	"chatpass/policy"
)

// grown gives the app all that a backend can ask for: a client that signs, a verifier, people who may
// act, and another app beside it.
func grown(t testing.TB, h *house, apps []exchange.App) []exchange.App {
	t.Helper()
	var err error
	if h.signing, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	accepts := apps[0].Clients[0].Accepts
	apps[0].Clients = append(
		apps[0].Clients,
		exchange.Client{ID: "signer", Type: exchange.Backend, Accepts: accepts, Keys: keySet(t, h.signing)},
		exchange.Client{ID: "other-back", Type: exchange.Backend, Accepts: accepts, Secret: []byte("0ther")},
		exchange.Client{ID: "orders-api", Type: exchange.Inspector, Secret: []byte("0rders")},
	)
	apps[0].Actors = []exchange.Actor{
		{Issuer: "desk", Accepts: []string{"phone-desk"}, Rules: rules(t, policy.Source{Admit: "false"}), Scopes: []string{"chat:write"}, Lifetime: time.Hour},
		{Issuer: "desk", Accepts: []string{"agent-desk"}, Rules: rules(t, policy.Source{Admit: "'agents' in claims.groups"}), Scopes: []string{"chat:read"}, Lifetime: 2 * time.Minute},
	}
	sales := apps[0]
	sales.Name, sales.Actors = "sales", nil
	sales.Clients = []exchange.Client{{ID: "sales-back", Type: exchange.Backend, Accepts: accepts, Secret: []byte("s4les")}}
	h.people["agent.id.token"] = identity.Identity{
		IDP: "desk", Issuer: "https://desk", SubjectIssuer: "https://desk", Subject: "bob@desk", UpstreamSubject: "bob@desk",
		Client: "agent-desk", IssuedAt: h.now, Expires: h.now.Add(5 * time.Minute),
		Claims: map[string]any{"iss": "https://desk", "sub": "bob@desk", "groups": []any{"agents"}},
	}
	return append(apps, sales)
}

func keySet(t testing.TB, keys ...*ecdsa.PrivateKey) *jwks.Set {
	t.Helper()
	set, err := jwks.Static(keyDocument(t, keys...), nil)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func keyDocument(t testing.TB, keys ...*ecdsa.PrivateKey) []byte {
	t.Helper()
	var set jose.JSONWebKeySet
	for i, key := range keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: key.Public(), KeyID: "c" + string(rune('1'+i)), Algorithm: "ES256", Use: "sig"})
	}
	document, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return document
}

// backends are the credentials of the support app's backends.
func backend(name string) exchange.Credentials {
	secret := map[string]string{"back": "s3cret", "other-back": "0ther", "orders-api": "0rders", "sales-back": "s4les"}[name]
	return exchange.Credentials{ClientID: name, Presented: true, Secret: secret}
}

// wide is a context of Ada's for both services and all scopes, given to the client "back".
func (h *house) wide(t testing.TB) exchange.Context {
	t.Helper()
	req := ask()
	req.Credentials, req.Audience = backend("back"), []string{"https://api", "https://crm"}
	got, err := h.Exchange(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// narrowing presents a context.
func narrowing(client, token string) exchange.Request {
	return exchange.Request{Credentials: backend(client), SubjectToken: token, SubjectTokenType: exchange.AccessToken}
}

// forge signs a context with other claims.
func (h *house) forge(t testing.TB, token, typ string, change func(map[string]any)) string {
	t.Helper()
	claims := claimsOf(t, token)
	for _, name := range []string{"iat", "exp"} {
		claims[name] = int64(claims[name].(float64))
	}
	change(claims)
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	forged, err := h.pen.Sign(t.Context(), typ, payload)
	if err != nil {
		t.Fatal(err)
	}
	return forged
}

// actsThrough is the chain of actors in a context, the newest first.
func actsThrough(claims map[string]any) []string {
	var chain []string
	for act, ok := claims["act"].(map[string]any); ok; act, ok = act["act"].(map[string]any) {
		for _, name := range []string{"client_id", "sub"} {
			if text, there := act[name].(string); there {
				chain = append(chain, text)
			}
		}
	}
	return slices.Clip(chain)
}

func policySource(admit string) policy.Source { return policy.Source{Admit: admit} }
