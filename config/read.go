package config

import (
	"reflect"
	"slices"
	"strings"
	"time"
)

// Read reads the configuration in the file at path; env looks up environment variables, as
// os.LookupEnv does. The error is [Faults], every one that could be found at once. Unless the file
// could not be parsed, the Config is there even with faults, as far as it could be read, so that the
// faults of rules and keys can join the report; it must not be served then.
func Read(path string, env func(string) (string, bool)) (*Config, error) {
	cfg := &Config{report: newReport(path)}
	text, err := readFile(path)
	if err != nil {
		return nil, Faults{{File: path, Message: "cannot be read: " + err.Error(), Remedy: "name a readable file"}}
	}
	root := cfg.report.parse(text)
	if root == nil {
		return nil, cfg.report.faults.Sorted()
	}
	d := decoder{report: &cfg.report, lines: strings.Split(string(text), "\n"), env: env}
	fillDefaults(reflect.ValueOf(cfg).Elem())
	d.section("", root, reflect.ValueOf(cfg).Elem())
	cfg.derive()

	k := checker{report: &cfg.report, cfg: cfg}
	for _, l := range d.leaves {
		k.leaf(l)
	}
	k.check()
	if len(cfg.report.faults) > 0 {
		return cfg, cfg.report.faults.Sorted()
	}
	return cfg, nil
}

// unaskedAge is the greatest age, unless the file says another, of a session about which the issuer cannot be asked.
const unaskedAge = 4 * time.Hour

// derive fills in what follows from other values.
func (c *Config) derive() {
	for i := range c.Issuers {
		issuer := &c.Issuers[i]
		if !slices.Contains(issuer.Scopes, "openid") {
			issuer.Scopes = append([]string{"openid"}, issuer.Scopes...)
		}
		if issuer.SubjectIssuer == "" {
			issuer.SubjectIssuer = issuer.Issuer
		}
	}
	for i := range c.Apps {
		app := &c.Apps[i]
		if app.SubjectSector == "" {
			app.SubjectSector = app.Name
		}
		if app.Session.Kiosk {
			c.deriveKiosk(app)
		}
		app.Session.Unasked = app.Session.Absolute
		if !c.report.given("apps." + app.Name + ".session.absolute") {
			app.Session.Unasked = min(app.Session.Absolute, unaskedAge)
		}
	}
}

// deriveKiosk shortens what the file leaves open for a device that many people share.
func (c *Config) deriveKiosk(app *App) {
	for key, limit := range map[string]struct {
		target *time.Duration
		kiosk  time.Duration
	}{
		"context_lifetime": {&app.ContextLifetime, 2 * time.Minute},
		"session.idle":     {&app.Session.Idle, 5 * time.Minute},
		"session.absolute": {&app.Session.Absolute, time.Hour},
	} {
		if !c.report.given("apps." + app.Name + "." + key) {
			*limit.target = limit.kiosk
		}
	}
}
