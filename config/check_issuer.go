package config

import (
	"slices"
	"strings"
)

// tenantPlaceholder stands in an issuer URL for the tenant's id.
const tenantPlaceholder = "{tenantid}"

func (k *checker) checkIssuer(issuer *Issuer) {
	path := "issuers." + issuer.Name
	if k.fine(path+".issuer") && issuer.Issuer == k.cfg.Issuer {
		k.fault(path+".issuer", problem{"is our own issuer", "write the URL of the identity provider"})
	}
	k.checkIssuerClient(path, issuer)
	k.checkTenants(path, issuer)
	if slices.Contains([]string{"email", "preferred_username", "upn", "unique_name", "phone_number"}, issuer.SubjectClaim) {
		k.judge(path+".subject_claim", problem{issuer.SubjectClaim + " can pass from one person to another", "write sub, or another claim that never changes, such as oid"})
	}
	if i := slices.Index(issuer.IssuerAliases, issuer.Issuer); i >= 0 {
		k.judge(indexed(path+".issuer_aliases", i), problem{"is the issuer itself", "remove it"})
	}
	k.judge(path+".ca", checkCertificates(issuer.CA))
	k.judge(path+".jwks", checkKeySet(issuer.JWKS))
}

// checkIssuerClient checks how we authenticate at the issuer.
func (k *checker) checkIssuerClient(path string, issuer *Issuer) {
	k.judge(path+".private_key", checkPrivateKey(issuer.PrivateKey.Reveal()))
	id, secret, key := k.given(path+".client_id"), k.given(path+".client_secret"), k.given(path+".private_key")
	switch app, browser := k.signsIn(issuer); {
	case secret && key:
		k.judge(path+".private_key", problem{"is a second way to authenticate beside client_secret", "keep one of them"})
	case !id && (secret || key):
		k.fault(path+".client_id", problem{"is missing: client_secret and private_key belong to one", "write the client id that the issuer gave us"})
	case !id && browser:
		k.fault(path+".client_id", problem{"is missing: app " + app + " has a browser client and signs people in here", "write the client id that the issuer gave us"})
	case id && !secret && !key:
		k.advise(path+".client_id", problem{"has neither client_secret nor private_key", "add one, unless the issuer knows us as a public client"})
	}
}

// signsIn returns an app in which browsers may sign in with the issuer. An issuer with a static key set
// cannot be reached and takes part in exchanges only.
func (k *checker) signsIn(issuer *Issuer) (app string, ok bool) {
	if k.given("issuers." + issuer.Name + ".jwks") {
		return "", false
	}
	for _, a := range k.cfg.Apps {
		browser := slices.ContainsFunc(a.Clients, func(c Client) bool { return c.Type == "browser" })
		if browser && slices.Contains(a.Issuers, issuer.Name) {
			return a.Name, true
		}
	}
	return "", false
}

func (k *checker) checkTenants(path string, issuer *Issuer) {
	if !k.fine(path + ".issuer") {
		return
	}
	templated := strings.Contains(issuer.Issuer, tenantPlaceholder)
	switch {
	case strings.ContainsAny(strings.Replace(issuer.Issuer, "/"+tenantPlaceholder, "/", 1), "{}"):
		k.fault(path+".issuer", problem{"has braces in it", "write " + tenantPlaceholder + " once, as a part of the path, or no braces"})
	case templated && !k.given(path+".tenants"):
		k.fault(path+".tenants", problem{"is missing: the issuer URL has " + tenantPlaceholder, "write tenants: [id of each tenant that may sign in]"})
	case templated && len(issuer.Tenants) == 0:
		k.judge(path+".tenants", problem{"is empty: nobody could sign in", "write the id of each tenant that may sign in"})
	case !templated && len(issuer.Tenants) > 0:
		k.judge(path+".tenants", problem{"needs " + tenantPlaceholder + " in the issuer URL", "write an issuer such as https://login.microsoftonline.com/" + tenantPlaceholder + "/v2.0, or remove tenants"})
	}
	if templated {
		k.checkTemplates(path, issuer)
	}
}

// checkTemplates refuses a name that would be the same for all tenants: their people would share ids.
func (k *checker) checkTemplates(path string, issuer *Issuer) {
	shared := problem{"is the same for all tenants: people of two could get one id", "write " + tenantPlaceholder + " into it, or remove it"}
	if !strings.Contains(issuer.SubjectIssuer, tenantPlaceholder) {
		k.judge(path+".subject_issuer", shared)
	}
	for i, alias := range issuer.IssuerAliases {
		if !strings.Contains(alias, tenantPlaceholder) {
			k.judge(indexed(path+".issuer_aliases", i), shared)
		}
	}
	if issuer.AssertionAudience == "issuer" {
		k.judge(path+".assertion_audience", problem{"names nobody: the issuer URL is a template", "write token_endpoint, or remove it"})
	}
}

// names returns every `iss` that tokens of the issuer may have.
func (i *Issuer) names() []string {
	names := append([]string{i.Issuer}, i.IssuerAliases...)
	if len(i.Tenants) == 0 {
		return names
	}
	var filled []string
	for _, tenant := range i.Tenants {
		for _, name := range names {
			filled = append(filled, strings.Replace(name, tenantPlaceholder, tenant, 1))
		}
	}
	return filled
}
