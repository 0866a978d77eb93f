package oidc

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"chatpass/jwks"
)

const (
	defaultSkew     = time.Minute
	maxSkew         = 5 * time.Minute
	defaultTokenAge = time.Hour
	defaultTimeout  = 5 * time.Second
)

// Config is one upstream issuer. Zero durations and empty lists take the defaults.
type Config struct {
	// Name is the issuer's name in the configuration, Issuer its URL, compared byte for byte. With
	// Tenants it is a template: {tenantid} stands for the tenant's id.
	Name, Issuer string
	// Tenants are the ids of the tenants whose people may sign in, compared byte for byte.
	Tenants []string
	// ClientID is what the issuer calls us; without it, nobody signs in with the issuer, and its tokens
	// are for exchanges alone. Without ClientSecret and PrivateKey we are a public client to it.
	ClientID, ClientSecret string
	// PrivateKey is how we prove who we are instead of ClientSecret (private_key_jwt): see [ReadClientKey].
	PrivateKey []byte
	// AssertionAudience is whom our assertions are for: the issuer, unless [TokenEndpointAudience] says
	// otherwise or there are Tenants.
	AssertionAudience string
	// Userinfo asks for the userinfo document at each sign-in, too.
	Userinfo bool
	// Scopes are asked for at sign-in; `openid` is always added.
	Scopes []string
	// Refresh is [RefreshAuto] (default), [RefreshOn] or [RefreshOff].
	Refresh string
	// SubjectClaim names the claim that identifies a person; default `sub`. Never an e-mail address.
	SubjectClaim string
	// SubjectIssuer goes into pairwise subjects instead of Issuer; default Issuer. With Tenants it is a
	// template too: two tenants' people never share an id.
	SubjectIssuer string
	// Aliases are further values of `iss` that this issuer uses in its tokens; with Tenants, templates.
	Aliases []string
	// ACRValues are asked for at each sign-in that names none itself. They are a wish (OpenID Connect
	// Core 1.0 §3.1.2.1): what was given is in the identity, for rules to judge.
	ACRValues []string
	// StepUpRequest is how levels of authentication are asked for: [ByACRValues] (default) or [ByClaims].
	// StepUpClaim is the claim of the ID token that states what was reached: `acr` (default), or a list
	// such as Entra's `acrs` or Auth0's `amr`.
	StepUpRequest, StepUpClaim string
	// Algorithms are the signature algorithms accepted; default RS256, ES256, PS256, EdDSA.
	Algorithms []string
	// ClockSkew is how far the issuer's clock may be off; default 60 s, at most 300 s.
	ClockSkew time.Duration
	// MaxTokenAge is the greatest age of `iat` in [Gate.Verify]; default 60 min.
	MaxTokenAge time.Duration
	// FrontchannelLogout: the issuer's word in a frame of the browser ends sessions, see
	// [Gate.FrontchannelLogout].
	FrontchannelLogout bool
	// RedirectURL is where the issuer sends people back to; needed for sign-in only.
	RedirectURL string
	// JWKS is a fixed key set document for an issuer whose keys cannot be fetched; may be nil.
	JWKS []byte
	// AllowHTTP admits plain http beyond loopback. Dangerous.
	AllowHTTP bool
	// Client makes all calls to the issuer. Nil means a guarded client that admits private addresses:
	// see [jwks.NewClient].
	Client *http.Client
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Report is called with the issuer's name after each discovery and each fetch of keys; a nil error
	// means that all was well. May be nil.
	Report func(issuer string, err error)
}

func (c Config) withDefaults() Config {
	if c.Client == nil {
		c.Client = jwks.NewClient(jwks.ClientConfig{AllowPrivate: true, AllowHTTP: c.AllowHTTP})
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Report == nil {
		c.Report = func(string, error) {}
	}
	if c.ClockSkew == 0 {
		c.ClockSkew = defaultSkew
	}
	if c.MaxTokenAge == 0 {
		c.MaxTokenAge = defaultTokenAge
	}
	if c.SubjectClaim == "" {
		c.SubjectClaim = "sub"
	}
	if c.Refresh == "" {
		c.Refresh = RefreshAuto
	}
	if c.StepUpClaim == "" {
		c.StepUpClaim = "acr"
	}
	if c.SubjectIssuer == "" {
		c.SubjectIssuer = c.Issuer
	}
	if len(c.Algorithms) == 0 {
		c.Algorithms = []string{"RS256", "ES256", "PS256", "EdDSA"}
	}
	c.Scopes = append([]string{"openid"}, slices.DeleteFunc(slices.Clone(c.Scopes), func(s string) bool { return s == "openid" })...)
	return c
}

// check returns every fault at once.
func (c Config) check() error {
	var faults []error
	fault := func(wrong bool, format string, args ...any) {
		if wrong {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	fault(c.Name == "", "has no name")
	fault(c.ClientID == "" && (c.ClientSecret != "" || len(c.PrivateKey) > 0), "has no client id to authenticate as")
	fault(c.SubjectClaim == "email", "subject claim email: an address can pass to somebody else; use sub")
	fault(c.ClockSkew < 0 || c.ClockSkew > maxSkew, "clock skew %s: must be 0 to %s", c.ClockSkew, maxSkew)
	fault(c.MaxTokenAge < 0, "max token age %s: must not be negative", c.MaxTokenAge)
	fault(slices.Contains(c.Aliases, ""), "has an empty alias")
	fault(c.ClientSecret != "" && len(c.PrivateKey) > 0, "has both a client secret and a private key: keep one of them")
	for _, alg := range c.Algorithms {
		fault(!asymmetric(alg), "algorithm %q: must be one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA", alg)
	}
	return errors.Join(append(faults, c.checkIssuer(), c.checkTenants())...)
}

func (c Config) checkIssuer() error {
	u, err := url.Parse(c.Issuer)
	switch {
	case err != nil || u.Host == "":
		return fmt.Errorf("issuer %q is not an absolute URL", c.Issuer)
	case u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return fmt.Errorf("issuer URL must have no query, fragment or user (OpenID Connect Discovery 1.0 §3)")
	case u.Scheme != "https" && !c.plainHTTP(u):
		return fmt.Errorf("issuer %q must use https (http is for loopback)", c.Issuer)
	}
	return nil
}

// plainHTTP says whether u is http where that is allowed.
func (c Config) plainHTTP(u *url.URL) bool {
	return u.Scheme == "http" && (c.AllowHTTP || loopback(u.Hostname()))
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback() || host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// asymmetric leaves out none and the MAC algorithms for good: with those, whoever can check a token can
// make one (RFC 8725 §3.1, §3.2).
func asymmetric(alg string) bool {
	switch jose.SignatureAlgorithm(alg) {
	case jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512,
		jose.ES256, jose.ES384, jose.ES512, jose.EdDSA:
		return true
	}
	return false
}
