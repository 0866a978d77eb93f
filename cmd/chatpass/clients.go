package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"chatpass/config"
	"chatpass/exchange"
	"chatpass/jwks"
	"chatpass/policy"
)

// clientsOf translates an app's clients and verifiers, and returns what is wrong with their keys.
func clientsOf(cfg *config.Config, app config.App) ([]exchange.Client, config.Faults) {
	var clients []exchange.Client
	var faults config.Faults
	add := func(c exchange.Client, how config.Credentials, path string) {
		c.Secret = []byte(how.Secret.Reveal())
		if how.AssertionAudience == "token_endpoint" {
			c.AssertionAudience = cfg.Issuer + "/oauth2/token" // as in the metadata
		}
		keys, err := clientKeys(cfg, how)
		if err != nil {
			faults = append(faults, cfg.Fault(path+".jwks", "cannot be used: "+err.Error(), "keep only the public keys in it that the client signs with"))
		}
		c.Keys = keys
		clients = append(clients, c)
	}
	for _, c := range app.Clients {
		client := exchange.Client{ID: c.Name, Type: exchange.ClientType(c.Type), Accepts: c.Accepts}
		add(client, c.Credentials, "apps."+app.Name+".clients."+c.Name)
	}
	for _, v := range app.Verifiers {
		add(exchange.Client{ID: v.Name, Type: exchange.Inspector}, v.Credentials, "apps."+app.Name+".verifiers."+v.Name)
	}
	return clients, faults
}

// clientKeys returns the key set that a client's assertions are verified with; nil for another method.
func clientKeys(cfg *config.Config, how config.Credentials) (*jwks.Set, error) {
	switch {
	case how.Auth != "private_key_jwt":
		return nil, nil //nolint:nilnil // no keys is a configuration of its own
	case how.JWKSURI == "":
		return jwks.Static(how.JWKS, time.Now)
	}
	client, err := clientKeysClient(cfg)
	if err != nil {
		return nil, err
	}
	return jwks.New(jwks.Config{URL: how.JWKSURI, Client: client}), nil
}

func clientKeysClient(cfg *config.Config) (*http.Client, error) {
	guarded := jwks.ClientConfig{AllowPrivate: true, AllowHTTP: cfg.DangerouslyAllowHTTP}
	if text := cfg.Proxy.Reveal(); text != "" {
		proxy, err := url.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("proxy is not a URL")
		}
		guarded.Proxy = proxy
	}
	return jwks.NewClient(guarded), nil
}

// actorsOf translates an app's actor rules, and returns the faults of their expressions.
func actorsOf(cfg *config.Config, app config.App) ([]exchange.Actor, config.Faults) {
	var actors []exchange.Actor
	var faults config.Faults
	for i, a := range app.Actors {
		rules, err := policy.Compile(policy.Source{Admit: cmp.Or(a.Admit, "false")})
		faults = append(faults, placed(cfg, fmt.Sprintf("apps.%s.actors[%d].", app.Name, i), err)...)
		actors = append(actors, exchange.Actor{Issuer: a.Issuer, Accepts: a.Accepts, Rules: rules, Scopes: a.Scopes, Lifetime: a.Lifetime})
	}
	return actors, faults
}

// checkClientKeys asks for the key sets that clients publish.
func checkClientKeys(ctx context.Context, apps []exchange.App) []finding {
	var findings []finding
	for _, app := range apps {
		for _, c := range app.Clients {
			if c.Keys == nil || c.Keys.URL() == "" {
				continue
			}
			findings = append(findings, checkKeySet(ctx, c))
		}
	}
	return findings
}

func checkKeySet(ctx context.Context, c exchange.Client) finding {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	if err := c.Keys.Refresh(ctx); err != nil {
		return finding{"client " + c.ID, statusFault, fmt.Sprintf("its jwks_uri %s gives no key set; check the address, the network and proxy: %v", c.Keys.URL(), err)}
	}
	for _, alg := range exchange.AssertionAlgorithms() {
		if c.Keys.Usable(alg) > 0 {
			return finding{"client " + c.ID, statusOK, "its keys at " + c.Keys.URL() + " are good"}
		}
	}
	return finding{"client " + c.ID, statusFault, "its key set at " + c.Keys.URL() + " has no key to sign an assertion with; publish one for " + strings.Join(exchange.AssertionAlgorithms(), ", ")}
}
