package keys_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"chatpass/keys"
)

func TestCheckAccepts(t *testing.T) {
	for name, change := range map[string]func(*keys.Config){
		"the defaults":    func(*keys.Config) {},
		"a fleet of ours": func(c *keys.Config) { c.PublishAhead, c.Active = 15*time.Minute, 24*time.Hour },
		"the tightest": func(c *keys.Config) {
			c.PublishAhead, c.Active = time.Hour, time.Hour
			c.Retiring = time.Hour + 2*time.Minute + 5*time.Minute + 5*time.Minute
		},
		"the tightest of seconds": func(c *keys.Config) {
			c.Short, c.JWKSMaxAge, c.LongestLifetime = true, time.Second, time.Second
			c.PublishAhead, c.Active, c.Retiring = 2*time.Second, 4*time.Second, 5*time.Second
		},
	} {
		cfg := usual(nil, time.Now)
		change(&cfg)
		if err := cfg.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if lease := cfg.Lease(); lease < time.Second || lease > time.Hour {
			t.Errorf("%s: lease is %s", name, lease)
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*keys.Config)
		want   []string // each a fault: path, then words of its message and remedy
	}{
		"contexts that outlive their key": {
			func(c *keys.Config) { c.Retiring = 65 * time.Minute },
			[]string{"keys.retiring|1h5m is less than 1h12m = longest context lifetime 1h + 2 × skew 1m + " +
				"jwks_max_age 5m + signing lease 5m|at least 1h12m"},
		},
		"published too late for caches": {
			func(c *keys.Config) { c.PublishAhead, c.JWKSMaxAge = 20*time.Minute, 20*time.Minute },
			[]string{"keys.publish_ahead|20m is less than 21m = jwks_max_age 20m + skew 1m|at least 21m"},
		},
		"replaced before a key is ready": {
			func(c *keys.Config) { c.Active = 47 * time.Hour },
			[]string{"keys.active|47h is less than 48h = publish_ahead 48h|at least 48h"},
		},
		"unknown algorithm": {
			func(c *keys.Config) { c.Algorithm = "HS256" },
			[]string{`keys.algorithm|"HS256"|write ES256, ES384, EdDSA, PS256 or RS256`},
		},
		"denied is not a kid": {
			func(c *keys.Config) { c.Denied = []string{strings.Repeat("A", 43), "key-1"} },
			[]string{"keys.denied[1]|not the kid|keys list"},
		},
		"no class": {func(c *keys.Config) { c.Classes = nil }, []string{"keys|no class|name"}},
		"minima": {
			func(c *keys.Config) {
				c.PublishAhead, c.Active, c.JWKSMaxAge, c.LongestLifetime = 14*time.Minute, 59*time.Minute, 30*time.Second, time.Second
			},
			[]string{
				"keys.publish_ahead|14m is not between 15m and 8760h|15m",
				"keys.active|59m is not between 1h and 8760h|1h",
				"keys.jwks_max_age|30s is not between 1m and 24h|1m",
			},
		},
		"short lifts no relation": {
			func(c *keys.Config) {
				c.Short, c.JWKSMaxAge, c.LongestLifetime = true, 3*time.Second, 2*time.Second
				c.PublishAhead, c.Active, c.Retiring = 3*time.Second, 2*time.Second, 7*time.Second
			},
			[]string{
				"keys.active|2s is not between 4s and 8760h|4s",
				"keys.publish_ahead|3s is less than 4s = jwks_max_age 3s + skew 1s|4s",
				"keys.active|2s is less than 3s = publish_ahead 3s|3s",
				"keys.retiring|7s is less than 8s = longest context lifetime 2s + 2 × skew 1s + " +
					"jwks_max_age 3s + signing lease 1s|8s",
			},
		},
		"nothing": {
			func(c *keys.Config) { *c = keys.Config{} },
			[]string{
				"keys.algorithm||", "keys|no class|", "keys.publish_ahead|0s|15m", "keys.active|0s|1h", "keys.jwks_max_age|0s|1m",
				"apps.*.context_lifetime|0s|1s", "keys.publish_ahead|0s is less than 1m|", "keys.retiring|0s is less than 7m|",
			},
		},
		"for ever": {
			func(c *keys.Config) { c.Active, c.Retiring = 1<<62, 1<<62 },
			[]string{"keys.active|between 1h and 8760h|", "keys.retiring|8760h|"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := usual(nil, time.Now)
			c.change(&cfg)
			faults, ok := errors.AsType[keys.Faults](cfg.Check())
			if !ok || len(faults) != len(c.want) {
				t.Fatalf("got %d faults, want %d:\n%v", len(faults), len(c.want), cfg.Check())
			}
			for i, want := range c.want {
				parts := strings.Split(want, "|")
				f := faults[i]
				if f.Path != parts[0] || !strings.Contains(f.Message, parts[1]) || !strings.Contains(f.Remedy, parts[2]) || f.Remedy == "" {
					t.Errorf("got  %+v\nwant %s", f, want)
				}
			}
			if lines := strings.Count(faults.Error(), "\n") + 1; lines != len(faults) {
				t.Errorf("%d lines for %d faults", lines, len(faults))
			}
		})
	}
}

func TestOpenRefusesBadConfig(t *testing.T) {
	cfg, store := newClock().config(nil), &door{memory: &memory{}}
	cfg.Store, cfg.Active = store, time.Hour
	_, err := keys.Open(context.Background(), cfg)
	if _, ok := errors.AsType[keys.Faults](err); !ok {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff(0, store.writes); diff != "" {
		t.Error("something was written")
	}
}
