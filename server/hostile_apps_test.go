package server_test

import (
	"encoding/json"
	"testing"
	"time"

	"chatpass/exchange"
	"chatpass/jwks"
	"chatpass/policy"
	"chatpass/session"
)

// apps are two apps with clients of every kind.
func (tg *target) apps(t testing.TB) []exchange.App {
	t.Helper()
	limits := session.Limits{Idle: time.Hour, Absolute: 10 * time.Hour, Linger: time.Hour}
	support := exchange.App{
		Name: "support", Audience: []string{"https://api.example.com", "https://orders.example.com", "orders", "urn:example#orders"}, Issuers: []string{"corp", "partner", "entra"},
		Origins: []string{shopPage}, Scopes: []string{"chat:read", "chat:write"}, Lifetime: 10 * time.Minute, Typ: "at+jwt",
		Rules:   compile(t, policy.Source{Admit: "has(claims.email)", Claims: map[string]policy.Mapping{"name": {Expr: "claims.name"}}}),
		Subject: exchange.Pairwise, Sector: "support", SignIn: limits, Derived: limits,
		Actors: []exchange.Actor{{
			Issuer: "corp", Accepts: []string{"agent-desk"}, Rules: compile(t, policy.Source{Admit: "'support-agents' in claims.groups"}),
			Scopes: []string{"chat:read"}, Lifetime: 2 * time.Minute,
		}, {
			Issuer: "partner", Accepts: []string{"hr-desk"}, Rules: compile(t, policy.Source{Admit: "true"}), Scopes: []string{"chat:read"}, Lifetime: 2 * time.Minute,
		}, {
			Issuer: "corp", Accepts: []string{"hr-desk"}, Rules: compile(t, policy.Source{Admit: "false"}), Scopes: []string{"chat:read"}, Lifetime: 2 * time.Minute,
		}},
	}
	sales := support
	sales.Name, sales.Sector, sales.Issuers, sales.Actors = "sales", "sales", []string{"partner"}, nil
	accepts := map[string][]string{"corp": {"shop-web", "shop-app"}, "partner": {"shop-web"}, "entra": {"shop-web"}}
	support.Clients = []exchange.Client{
		{ID: "web", Type: exchange.Browser, Accepts: accepts},
		{ID: "ios", Type: exchange.Native, Accepts: accepts},
		{ID: "android", Type: exchange.Native, Accepts: accepts},
		{ID: "back", Type: exchange.Backend, Accepts: accepts, Secret: []byte(password)},
		{ID: "signed", Type: exchange.Backend, Accepts: accepts, Keys: tg.clientKeys(t)},
		{ID: "inspector", Type: exchange.Inspector, Secret: []byte(password)},
		{ID: "unused", Type: exchange.Browser},
		{ID: "only-partner", Type: exchange.Browser, Accepts: map[string][]string{"partner": {"shop-web"}}},
	}
	sales.Clients = []exchange.Client{
		{ID: "sales-web", Type: exchange.Browser, Accepts: accepts},
		{ID: "sales-back", Type: exchange.Backend, Accepts: accepts, Secret: []byte(password)},
	}
	return []exchange.App{support, sales}
}

func compile(t testing.TB, source policy.Source) *policy.Rules {
	t.Helper()
	rules, err := policy.Compile(source)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func (tg *target) clientKeys(t testing.TB) *jwks.Set {
	t.Helper()
	document, err := json.Marshal(map[string]any{"keys": []any{tg.client.jwkMembers()}})
	if err != nil {
		t.Fatal(err)
	}
	set, err := jwks.Static(document, nil)
	if err != nil {
		t.Fatal(err)
	}
	return set
}
