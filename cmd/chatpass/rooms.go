package main

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"chatpass/config"
	"chatpass/exchange"
	"chatpass/jwks"
	"chatpass/keys"
	"chatpass/oidc"
	"chatpass/policy"
	"chatpass/server"
	"chatpass/session"
)

// linger is how long a session is remembered after its end: long enough that every context of it has
// expired, and that a widget which comes back hears why it ended.
const linger = 10 * time.Minute

// plans is the configuration, translated for the rooms: each knows its own part and no other.
type plans struct {
	cfg     *config.Config
	apps    []exchange.App
	issuers []oidc.Config
	keys    keys.Config
}

// readPlans reads the configuration that the flag names and translates it. Its error is
// [config.Faults]: everything that is wrong, whoever saw it.
func readPlans(flag string) (plans, error) {
	cfg, err := readConfig(flag)
	if cfg == nil {
		return plans{}, err
	}
	p, found := plan(cfg)
	faults, _ := errors.AsType[config.Faults](err)
	said := slices.Clone(faults)
	for _, f := range found {
		follows := func(said config.Fault) bool { return said.Path == f.Path || strings.HasPrefix(said.Path, f.Path+".") }
		if !slices.ContainsFunc(said, follows) {
			faults = append(faults, f)
		}
	}
	if len(faults) > 0 {
		return plans{}, faults.Sorted()
	}
	return p, nil
}

// plan translates the configuration, and returns what only a room can see to be wrong, in the places
// of the file.
func plan(cfg *config.Config) (plans, config.Faults) {
	faults := unbuilt(cfg)
	p := plans{cfg: cfg, keys: keysConfig(cfg)}
	for _, c := range cfg.Apps {
		app, err := appConfig(c)
		var wrong [2]config.Faults
		app.Clients, wrong[0] = clientsOf(cfg, c)
		app.Actors, wrong[1] = actorsOf(cfg, c)
		faults = append(faults, slices.Concat(placed(cfg, "apps."+c.Name+".", err), wrong[0], wrong[1])...)
		p.apps = append(p.apps, app)
	}
	for _, c := range cfg.Issuers {
		issuer, err := issuerConfig(cfg, c)
		if err != nil {
			faults = append(faults, cfg.Fault("issuers."+c.Name+".ca", err.Error(), "write file:/path of PEM certificates"))
		}
		faults = append(faults, unusableKeys(cfg, c)...)
		p.issuers = append(p.issuers, issuer)
	}
	return p, append(faults, placed(cfg, "", p.keys.Check())...)
}

// placed puts the faults that a room found into the places of the file.
func placed(cfg *config.Config, prefix string, err error) config.Faults {
	var all config.Faults
	if found, ok := errors.AsType[policy.Faults](err); ok {
		for _, f := range found {
			one := cfg.Fault(prefix+f.Path, f.Message, f.Remedy)
			if f.Line > 0 {
				one.Line, one.Column = one.Line+f.Line-1, one.Column+f.Column-1
			}
			all = append(all, one)
		}
	} else if found, ok := errors.AsType[keys.Faults](err); ok {
		for _, f := range found {
			all = append(all, cfg.Fault(f.Path, f.Message, f.Remedy))
		}
	}
	return all
}

// unbuilt refuses what the file may say and this binary cannot do: silence would be worse.
func unbuilt(cfg *config.Config) config.Faults {
	if withPKCS11 || cfg.Keys.PKCS11 == (config.PKCS11{}) {
		return nil
	}
	return config.Faults{cfg.Fault("keys.pkcs11", "this binary is built without PKCS#11", "build with -tags pkcs11, or remove the section: keys are sealed in the store then")}
}

// unusableKeys finds in an issuer's files what only those who use the keys can see.
func unusableKeys(cfg *config.Config, c config.Issuer) config.Faults {
	var all config.Faults
	if text := c.PrivateKey.Reveal(); text != "" {
		if _, err := oidc.ReadClientKey([]byte(text)); err != nil {
			all = append(all, cfg.Fault("issuers."+c.Name+".private_key", "cannot be used: "+err.Error(), "make one with openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256"))
		}
	}
	if len(c.JWKS) > 0 {
		if _, err := jwks.Static(c.JWKS, time.Now); err != nil {
			all = append(all, cfg.Fault("issuers."+c.Name+".jwks", "cannot be used: "+err.Error(), "keep only the public keys in it that the issuer signs with"))
		}
	}
	return all
}

// contextClass and statusClass are the classes of signing keys: nothing that is signed for one purpose
// verifies for the other.
const contextClass, statusClass = "context", "status"

func keysConfig(cfg *config.Config) keys.Config {
	k := keys.Config{
		Algorithm: cfg.Keys.Algorithm, Classes: []string{contextClass, statusClass},
		PublishAhead: cfg.Keys.PublishAhead, Active: cfg.Keys.Active, Retiring: cfg.Keys.Retiring,
		JWKSMaxAge: cfg.Keys.JWKSMaxAge, Denied: cfg.Keys.Denied, LeaveModule: cfg.Keys.PKCS11.Leave, Short: cfg.DangerouslyShortLifetimes, Now: time.Now,
	}
	for _, app := range cfg.Apps {
		k.LongestLifetime = max(k.LongestLifetime, app.ContextLifetime)
	}
	return k
}

// labels are what people call the issuers.
func labels(cfg *config.Config) map[string]string {
	all := map[string]string{}
	for _, c := range cfg.Issuers {
		all[c.Name] = c.Label
	}
	return all
}

func limits(c config.Limits) server.Limits {
	return server.Limits{
		RefusalsPerIP: c.RefusalsPerMinutePerIP, ExchangesPerClient: c.ExchangesPerMinutePerClient, ContextsPerSession: c.ContextsPerMinutePerSession,
	}
}

func appConfig(c config.App) (exchange.App, error) {
	source := policy.Source{Admit: c.Admit, Claims: map[string]policy.Mapping{}}
	for name, m := range c.Claims {
		source.Claims[name] = policy.Mapping{Expr: m.Expr, From: m.From, Prefix: m.Prefix, Strip: m.Strip}
	}
	kind := exchange.SubjectKind(c.Subject)
	if kind != exchange.Pairwise && kind != exchange.Upstream {
		kind, source.Subject = exchange.ByRule, c.Subject
	}
	rules, err := policy.Compile(source)
	app := exchange.App{
		Name: c.Name, Audience: c.Audience, Issuers: c.Issuers, Origins: c.Origins, ReturnTo: c.ReturnTo,
		Scopes: c.Scopes, Lifetime: c.ContextLifetime, Typ: c.ContextTyp, Rules: rules,
		Subject: kind, Sector: cmp.Or(c.SubjectSector, c.Name), Salt: []byte(c.SubjectSalt.Reveal()),
		SignIn: session.Limits{
			Idle: c.Session.Idle, Absolute: c.Session.Absolute, Unasked: c.Session.Unasked, Linger: c.ContextLifetime + linger,
		},
		Liveness: session.Liveness{Every: c.Session.Liveness, Grace: c.Session.LivenessGrace}, Degraded: c.DegradedRenewal,
		Derived:          session.Limits{Absolute: c.Session.SiteAbsolute.Limit, Linger: c.ContextLifetime + linger},
		DerivedBySubject: c.Session.SiteAbsolute.Subject, Kiosk: c.Session.Kiosk,
		StepUp: exchange.StepUp{ACR: c.StepUp.ACR, Lifetime: c.StepUp.Lifetime},
	}
	if app.DerivedBySubject {
		app.Derived.Absolute = c.Session.Absolute
	}
	return app, err
}

func issuerConfig(cfg *config.Config, c config.Issuer) (oidc.Config, error) {
	issuer := oidc.Config{
		Name: c.Name, Issuer: c.Issuer, Tenants: c.Tenants, Aliases: c.IssuerAliases, Scopes: c.Scopes, Refresh: c.Refresh, Userinfo: c.Userinfo,
		FrontchannelLogout: c.FrontchannelLogout,
		ClientID:           c.ClientID, ClientSecret: c.ClientSecret.Reveal(),
		PrivateKey: []byte(c.PrivateKey.Reveal()), AssertionAudience: c.AssertionAudience,
		SubjectClaim: c.SubjectClaim, SubjectIssuer: c.SubjectIssuer,
		ACRValues: c.ACRValues, StepUpRequest: c.StepUp.Request, StepUpClaim: c.StepUp.Claim, Algorithms: c.Algorithms, ClockSkew: c.ClockSkew, MaxTokenAge: c.MaxTokenAge,
		RedirectURL: strings.TrimSuffix(cfg.Issuer, "/") + "/v1/login/callback/" + url.PathEscape(c.Name),
		JWKS:        c.JWKS, Now: time.Now, AllowHTTP: cfg.DangerouslyAllowHTTP,
	}
	client := jwks.ClientConfig{AllowPrivate: true, AllowHTTP: cfg.DangerouslyAllowHTTP}
	if proxy := cmp.Or(c.Proxy.Reveal(), cfg.Proxy.Reveal()); proxy != "" {
		parsed, err := url.Parse(proxy)
		if err != nil {
			return issuer, fmt.Errorf("proxy is not a URL")
		}
		client.Proxy = parsed
	}
	if len(c.CA) > 0 {
		client.RootCAs = x509.NewCertPool()
		if !client.RootCAs.AppendCertsFromPEM(c.CA) {
			return issuer, errors.New("holds no certificate")
		}
	}
	issuer.Client = jwks.NewClient(client)
	return issuer, nil
}
