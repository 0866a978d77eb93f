package keys

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Fault is a value of the configuration that cannot be used.
type Fault struct {
	Path    string // of the value in the configuration file, such as "keys.retiring"
	Message string // what is wrong, with the numbers
	Remedy  string // what to write instead
}

// Faults are all that is wrong with a [Config].
type Faults []Fault

func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.Path + ": " + fault.Message + "; " + fault.Remedy
	}
	return strings.Join(lines, "\n")
}

// Limits of the configured durations.
const (
	minPublishAhead = 15 * time.Minute
	minActive       = time.Hour
	minMaxAge       = time.Minute
	minLease        = 5 * time.Minute
	maxMaxAge       = 24 * time.Hour
	maxSpan         = 365 * 24 * time.Hour

	shortActive = 4 * time.Second
	shortLease  = time.Second
	shortMaxAge = time.Second
)

// Check says whether the configuration fits together: whether a key can be published long enough
// before it signs, and stay long enough after. Its error is a [Faults] that holds every fault.
func (c Config) Check() error {
	var faults Faults
	for _, fault := range slices.Concat(c.checkNames(), c.checkLimits(), c.checkRelations()) {
		if fault.Path != "" {
			faults = append(faults, fault)
		}
	}
	if len(faults) == 0 {
		return nil
	}
	return faults
}

func (c *Config) checkNames() []Fault {
	var faults []Fault
	if _, ok := algorithmNamed(c.Algorithm); !ok {
		faults = append(faults, Fault{
			"keys.algorithm", fmt.Sprintf("%q is not an algorithm that keys are made for", c.Algorithm),
			"write ES256, ES384, EdDSA, PS256 or RS256",
		})
	}
	if len(c.Classes) == 0 || slices.Contains(c.Classes, "") {
		faults = append(faults, Fault{"keys", "there is no class of keys, or one without a name", "name at least one"})
	}
	for i, kid := range c.Denied {
		if raw, err := base64.RawURLEncoding.DecodeString(kid); err != nil || len(raw) != 32 {
			faults = append(faults, Fault{
				fmt.Sprintf("keys.denied[%d]", i), "this is not the kid of a key made here: 43 characters of base64url",
				"copy the kid from `chatpass keys list`",
			})
		}
	}
	return faults
}

// checkLimits holds each duration against its own bounds. A zero Fault is none.
func (c *Config) checkLimits() []Fault {
	active, maxAge, ahead := minActive, minMaxAge, minPublishAhead
	if c.Short {
		active, maxAge, ahead = shortActive, shortMaxAge, 0
	}
	return []Fault{
		within("keys.publish_ahead", c.PublishAhead, ahead, maxSpan),
		within("keys.active", c.Active, active, maxSpan),
		within("keys.retiring", c.Retiring, 0, maxSpan),
		within("keys.jwks_max_age", c.JWKSMaxAge, maxAge, maxMaxAge),
		within("apps.*.context_lifetime", c.LongestLifetime, time.Second, maxSpan),
	}
}

func within(path string, d, least, most time.Duration) Fault {
	if d >= least && d <= most {
		return Fault{}
	}
	return Fault{
		path, fmt.Sprintf("%s is not between %s and %s", plain(d), plain(least), plain(most)),
		fmt.Sprintf("write %s to %s", plain(least), plain(most)),
	}
}

// checkRelations holds the durations against each other.
func (c *Config) checkRelations() []Fault {
	lease := minLease
	if c.Short {
		lease = shortLease
	}
	return []Fault{
		atLeast("keys.publish_ahead", c.PublishAhead, c.JWKSMaxAge+c.skew(), fmt.Sprintf(
			"jwks_max_age %s + skew %s: verifiers would meet keys that their copy of the key set lacks",
			plain(c.JWKSMaxAge), plain(c.skew()))),
		atLeast("keys.active", c.Active, c.PublishAhead, fmt.Sprintf(
			"publish_ahead %s: no published key would be ready to take over", plain(c.PublishAhead))),
		atLeast("keys.retiring", c.Retiring, c.aftermath()+lease, fmt.Sprintf(
			"longest context lifetime %s + 2 × skew %s + jwks_max_age %s + signing lease %s: contexts would outlive their key",
			plain(c.LongestLifetime), plain(c.skew()), plain(c.JWKSMaxAge), plain(lease))),
	}
}

func atLeast(path string, d, least time.Duration, sum string) Fault {
	if d >= least {
		return Fault{}
	}
	return Fault{
		path, fmt.Sprintf("%s is less than %s = %s", plain(d), plain(least), sum),
		fmt.Sprintf("write at least %s", plain(least)),
	}
}

// plain writes a duration as people do: 48h, not 48h0m0s.
func plain(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
