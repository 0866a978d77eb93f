package oidc

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"chatpass/identity"
)

// tenantMark stands for a tenant's id in the issuer URL of a provider with many tenants. It is the word
// of Entra's discovery document, whose issuer is https://login.microsoftonline.com/{tenantid}/v2.0.
const tenantMark = "{tenantid}"

// personalTenant is the tenant in which Entra keeps everybody's private accounts.
const personalTenant = "9188040d-6c67-4c5b-b112-36a304b66dad"

// A tenant is who issues tokens behind a configured issuer: one of its tenants, or the issuer itself.
type tenant struct {
	id            string // the `tid` of its tokens; empty: the issuer has no tenants
	issuer        string // its URL
	subjectIssuer string // what stands for it in pairwise subjects
}

// byIssuer returns all who may issue tokens, by the `iss` of these. Whoever is not in it is not trusted:
// the template itself is in it for nobody.
func (c Config) byIssuer() map[string]tenant {
	ids := c.Tenants
	if len(ids) == 0 {
		ids = []string{""}
	}
	known := map[string]tenant{}
	for _, id := range ids {
		one := tenant{id, fill(c.Issuer, id), fill(c.SubjectIssuer, id)}
		for _, name := range c.Aliases {
			known[fill(name, id)] = one
		}
		known[one.issuer] = one
	}
	return known
}

// fill puts a tenant's id into a template. Without an id there is nothing to fill.
func fill(template, id string) string {
	if id == "" {
		return template
	}
	return strings.Replace(template, tenantMark, id, 1)
}

// checkTenants refuses an issuer that would trust the tenants of the whole world, or mix people of two.
func (c Config) checkTenants() error {
	marked := strings.Contains(c.Issuer, tenantMark)
	switch {
	case marked && len(c.Tenants) == 0:
		return errors.New("the issuer URL has " + tenantMark + " and no tenants are named: list the id of each tenant that may sign in")
	case !marked && len(c.Tenants) > 0:
		return errors.New("tenants need " + tenantMark + " in the issuer URL: write it in place of the tenant's id")
	case !marked:
		return nil
	}
	var faults []error
	for _, id := range c.Tenants {
		if id == "" || strings.ContainsAny(id, "{}/?#") {
			faults = append(faults, fmt.Errorf("tenant %q is not a tenant's id", id))
		}
	}
	for _, name := range append([]string{c.SubjectIssuer}, c.Aliases...) {
		if !strings.Contains(name, tenantMark) {
			faults = append(faults, fmt.Errorf("%q would be the same for all tenants: write %s into it", name, tenantMark))
		}
	}
	return errors.Join(faults...)
}

// discoveryURL is below what the discovery document is: for many tenants that which Entra keeps for all
// of them, and whose `issuer` is the template.
func (c Config) discoveryURL() string {
	if slices.Contains(c.Tenants, personalTenant) {
		return fill(c.Issuer, "common")
	}
	if len(c.Tenants) > 0 {
		return fill(c.Issuer, "organizations")
	}
	return c.Issuer
}

// check makes sure that a token names the tenant that its issuer URL names. Whether it must name
// one at all is the caller's to know.
func (t tenant) check(c claims, needed bool) error {
	if t.id == "" {
		return nil
	}
	tid, err := c.text("tid")
	switch {
	case err != nil:
		return err
	case tid == "" && needed:
		return missing("tid")
	case tid != "" && tid != t.id:
		return identity.Reject(identity.IssuerNotTrusted, "tenant "+clip(tid), "tenant "+clip(t.id)+", which iss names")
	}
	return nil
}

// isTenant says whether iss is a tenant's.
func (is *issuer) isTenant(iss string) bool { return is.tenants[iss].id != "" }

// ownKey says whether a key that its publisher keeps for keyIssuer may sign the token: Entra publishes
// the keys of all tenants in one set, some of them for one tenant alone.
func (is *issuer) ownKey(t token, keyIssuer string) bool {
	from := is.tenants[t.iss]
	id := from.id
	if id == "" {
		id, _ = t.claims["tid"].(string)
	}
	named := fill(keyIssuer, id)
	return named == t.iss || named == from.issuer
}

// Knows says whether tokens of the issuer with that URL, as in [identity.Identity], are those of the
// configured issuer of that name: its own, or of a tenant of it, also under the URL that it had before it
// moved and that stands for it in pairwise subjects. A name can be given to another issuer and a tenant be
// struck off while sessions go on that were begun before.
func (g *Gate) Knows(name, issuerURL string) bool {
	is, err := g.named(name)
	if err != nil {
		return false
	}
	moved := func(t tenant) bool { return t.subjectIssuer == issuerURL }
	return is.issues(issuerURL) || slices.ContainsFunc(slices.Collect(maps.Values(is.tenants)), moved)
}
