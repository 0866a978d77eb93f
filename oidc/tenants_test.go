package oidc_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"chatpass/identity"
	"chatpass/oidc"
)

const (
	tenantA, tenantB = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490", "72f988bf-86f1-41af-91ab-2d7cd011db47"
	foreignTenant    = "11111111-2222-3333-4444-555555555555"
)

// manyTenants makes p a provider as Entra is, and returns a gate that trusts two of its tenants.
func manyTenants(t testing.TB, p *idp, edits ...func(*oidc.Config)) *oidc.Gate {
	p.doc["issuer"] = p.URL + "/{tenantid}/v2.0"
	tenants := func(cfg *oidc.Config) {
		cfg.Issuer, cfg.Tenants = p.URL+"/{tenantid}/v2.0", []string{tenantA, tenantB}
	}
	return newGate(t, p, newClock(), append([]func(*oidc.Config){tenants}, edits...)...)
}

func (p *idp) tenantToken(tenant string) *forgery {
	return p.goodToken().with(map[string]any{"iss": p.URL + "/" + tenant + "/v2.0", "tid": tenant})
}

func TestTenantsPeopleAreKeptApart(t *testing.T) {
	p := newIDP(t)
	g := manyTenants(t, p)
	for _, tenant := range []string{tenantA, tenantB} {
		who, err := g.Verify(t.Context(), p.tenantToken(tenant).sign(t), terms())
		if err != nil {
			t.Fatal(err)
		}
		if want := p.URL + "/" + tenant + "/v2.0"; who.Issuer != want || who.SubjectIssuer != want || who.IDP != "corp" {
			t.Errorf("tenant %s: got %+v", tenant, who)
		}
	}
	if p.tenantAsked != "organizations" {
		t.Errorf("discovered at %q", p.tenantAsked)
	}
	moved := manyTenants(t, p, func(cfg *oidc.Config) {
		cfg.SubjectIssuer, cfg.Aliases = "https://sts.example/{tenantid}/", []string{"https://sts.example/{tenantid}/"}
	})
	who, err := moved.Verify(t.Context(), p.tenantToken(tenantB).with(map[string]any{"iss": "https://sts.example/" + tenantB + "/"}).sign(t), terms())
	if err != nil || who.SubjectIssuer != "https://sts.example/"+tenantB+"/" || who.Issuer != p.URL+"/"+tenantB+"/v2.0" {
		t.Errorf("by an alias: got %+v, %v", who, err)
	}
}

func TestTokenOfAnotherTenantIsRejected(t *testing.T) {
	p := newIDP(t)
	g := manyTenants(t, p)
	iss := func(tenant string) string { return p.URL + "/" + tenant + "/v2.0" }
	rows := []attack{
		{"a foreign tenant", func(f *forgery) { f.payload["iss"], f.payload["tid"] = iss(foreignTenant), foreignTenant }, identity.IssuerNotTrusted},
		{"a foreign tenant that says to be ours", set("iss", iss(foreignTenant)), identity.IssuerNotTrusted},
		{"A's iss with B's tid", set("tid", tenantB), identity.IssuerNotTrusted},
		{"B's iss with A's tid", set("iss", iss(tenantB)), identity.IssuerNotTrusted},
		{"A's iss with a foreign tid", set("tid", foreignTenant), identity.IssuerNotTrusted},
		{"no tid", drop("tid"), identity.ClaimMissing},
		{"tid empty", set("tid", ""), identity.ClaimMissing},
		{"tid null", set("tid", nil), identity.ClaimMissing},
		{"tid a list", set("tid", []string{tenantA}), identity.MalformedToken},
		{"tid a number", set("tid", 8), identity.MalformedToken},
		{"tid in capitals", set("tid", strings.ToUpper(tenantA)), identity.IssuerNotTrusted},
		{"iss and tid in capitals", func(f *forgery) {
			f.payload["iss"], f.payload["tid"] = iss(strings.ToUpper(tenantA)), strings.ToUpper(tenantA)
		}, identity.IssuerNotTrusted},
		{"the template as iss", set("iss", iss("{tenantid}")), identity.IssuerNotTrusted},
		{"the template as iss and tid", func(f *forgery) { f.payload["iss"], f.payload["tid"] = iss("{tenantid}"), "{tenantid}" }, identity.IssuerNotTrusted},
		{"all tenants as iss", func(f *forgery) { f.payload["iss"], f.payload["tid"] = iss("organizations"), "organizations" }, identity.IssuerNotTrusted},
		{"an empty tenant", func(f *forgery) { f.payload["iss"], f.payload["tid"] = iss(""), "" }, identity.IssuerNotTrusted},
		{"a path around the tenant", set("iss", iss(foreignTenant+"/../"+tenantA)), identity.IssuerNotTrusted},
		{"iss with a slash at its end", set("iss", iss(tenantA)+"/"), identity.IssuerNotTrusted},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			f := p.tenantToken(tenantA)
			if _, err := g.Verify(t.Context(), f.sign(t), terms()); err != nil {
				t.Fatalf("before the change: %v", err)
			}
			row.change(f)
			_, err := g.Verify(t.Context(), f.sign(t), terms())
			wantCode(t, err, row.want)
		})
	}
}

// A provider's common key set may say of a key whose tokens it is for.
func TestKeyOfOneTenantSignsForThatTenantAlone(t *testing.T) {
	p := newIDP(t)
	g := manyTenants(t, p)
	p.keyIssuers = map[string]string{"es": p.URL + "/" + tenantB + "/v2.0", "rs": p.URL + "/{tenantid}/v2.0", "ed": p.URL + "/" + foreignTenant + "/v2.0"}
	rows := []struct {
		tenant string
		key    int
		good   bool
	}{{tenantA, 0, false}, {tenantB, 0, true}, {tenantA, 1, true}, {tenantB, 1, true}, {tenantA, 2, false}}
	for _, row := range rows {
		f := p.tenantToken(row.tenant).signedBy(p.keys[row.key])
		_, err := g.Verify(t.Context(), f.sign(t), terms())
		if row.good && err != nil {
			t.Errorf("key %d for tenant %s: %v", row.key, row.tenant, err)
		} else if !row.good {
			wantCode(t, err, identity.KeyUnknown)
		}
	}
	alone := newIDP(t)
	alone.keyIssuers = map[string]string{"es": alone.URL, "rs": "https://other.example", "ed": "https://{tenantid}.example"}
	g = newGate(t, alone, newClock(), func(cfg *oidc.Config) { cfg.Aliases = []string{"accounts.example", "https://t.example"} })
	for i, good := range []bool{true, false, false} {
		if _, err := g.Verify(t.Context(), alone.goodToken().signedBy(alone.keys[i]).sign(t), terms()); (err == nil) != good {
			t.Errorf("without tenants, key %d: %v", i, err)
		}
	}
	for name, f := range map[string]*forgery{
		"by an alias":                  alone.goodToken().with(map[string]any{"iss": "accounts.example"}),
		"by the token's own tenant id": alone.goodToken().signedBy(alone.keys[2]).with(map[string]any{"iss": "https://t.example", "tid": "t"}),
	} {
		if _, err := g.Verify(t.Context(), f.sign(t), terms()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTenantSignsItsPeopleOut(t *testing.T) {
	p := newIDP(t)
	g := manyTenants(t, p)
	iss := func(tenant string) string { return p.URL + "/" + tenant + "/v2.0" }
	for name, change := range map[string]func(*forgery){"with tid": set("tid", tenantB), "without tid": func(*forgery) {}} {
		f := p.logoutToken().with(map[string]any{"iss": iss(tenantB)})
		change(f)
		out, err := g.VerifyLogout(t.Context(), "corp", f.sign(t), nil)
		if err != nil || out.Issuer != iss(tenantB) {
			t.Errorf("%s: got %+v, %v", name, out, err)
		}
	}
	for _, row := range []attack{
		{"a foreign tenant", set("iss", iss(foreignTenant)), identity.IssuerNotTrusted},
		{"the template as iss", set("iss", iss("{tenantid}")), identity.IssuerNotTrusted},
		{"A's iss with B's tid", set("tid", tenantB), identity.IssuerNotTrusted},
		{"tid a list", set("tid", []string{tenantA}), identity.MalformedToken},
	} {
		f := p.logoutToken().with(map[string]any{"iss": iss(tenantA)})
		row.change(f)
		_, err := g.VerifyLogout(t.Context(), "corp", f.sign(t), nil)
		wantCode(t, err, row.want)
	}
}

func TestPeopleOfATenantSignIn(t *testing.T) {
	p := newIDP(t)
	g := manyTenants(t, p)
	login, query := begin(t, g, oidc.Ask{})
	if query.Get("client_id") != clientID {
		t.Errorf("got %v", query)
	}
	tid := func(tenant string) map[string]any {
		return map[string]any{"iss": p.URL + "/" + tenant + "/v2.0", "tid": tenant}
	}
	p.grant(t, p.signInToken(login).with(tid(tenantA)))
	for name, answer := range map[string]url.Values{
		"no iss": callback(login), "the tenant's iss": callback(login, "iss", p.URL+"/"+tenantA+"/v2.0"), "the template": callback(login, "iss", p.URL+"/{tenantid}/v2.0"),
	} {
		in, err := g.Finish(t.Context(), login, answer)
		if err != nil || in.Identity.Issuer != p.URL+"/"+tenantA+"/v2.0" {
			t.Errorf("%s: got %+v, %v", name, in.Identity, err)
		}
	}
	_, err := g.Finish(t.Context(), login, callback(login, "iss", p.URL+"/"+foreignTenant+"/v2.0"))
	wantCode(t, err, identity.IssuerNotTrusted)
	p.grant(t, p.signInToken(login).with(tid(foreignTenant)))
	_, err = g.Finish(t.Context(), login, callback(login))
	wantCode(t, err, identity.IssuerNotTrusted)
}

func TestDocumentOfOneTenantIsNotThatOfAll(t *testing.T) {
	p := newIDP(t)
	g := manyTenants(t, p)
	p.change(func() { p.doc["issuer"] = p.URL + "/" + tenantA + "/v2.0" })
	if err := g.Check(t.Context(), "corp"); err == nil || !strings.Contains(err.Error(), "its discovery document is that of issuer") {
		t.Errorf("got %v", err)
	}
	personal := manyTenants(t, p, func(cfg *oidc.Config) { cfg.Tenants = append(cfg.Tenants, "9188040d-6c67-4c5b-b112-36a304b66dad") })
	if err := personal.Check(t.Context(), "corp"); err != nil || p.tenantAsked != "common" {
		t.Errorf("private accounts: asked %q, %v", p.tenantAsked, err)
	}
}

// A session goes on only while its issuer is the one of that name, and its tenant is let in.
func TestGateKnowsWhoseTokensAreMeantByAName(t *testing.T) {
	p := newIDP(t)
	many := manyTenants(t, p)
	one := newGate(t, p, newClock(), func(cfg *oidc.Config) { cfg.Aliases = []string{"accounts.example"} })
	moved := newGate(t, p, newClock(), func(cfg *oidc.Config) { cfg.SubjectIssuer = "https://old.example" })
	for _, row := range []struct {
		gate      *oidc.Gate
		name, url string
		want      bool
	}{
		{one, "corp", p.URL, true},
		{one, "corp", "accounts.example", true},
		{one, "corp", "https://old.example", false},
		{one, "corp", "", false},
		{moved, "corp", p.URL, true},
		{moved, "corp", "https://old.example", true},
		{one, "other", p.URL, false},
		{many, "corp", p.URL + "/" + tenantA + "/v2.0", true},
		{many, "corp", p.URL + "/" + foreignTenant + "/v2.0", false},
		{many, "corp", p.URL + "/{tenantid}/v2.0", false},
	} {
		if got := row.gate.Knows(row.name, row.url); got != row.want {
			t.Errorf("%s %s: got %v", row.name, row.url, got)
		}
	}
}

// The dry run looks at everything but the signature, and asks nobody.
func TestRehearsalFetchesNothing(t *testing.T) {
	p, c := newIDP(t), newClock()
	g := newGate(t, p, c)
	var told []string
	asked := terms()
	asked.Passed = func(check, _, _ string) { told = append(told, check) }
	who, err := g.Rehearse(p.goodToken().sign(t), asked)
	if err != nil || who.Subject != "u-81" || who.Client != shop {
		t.Errorf("got %+v, %v", who, err)
	}
	if len(told) < 5 || p.fetches() != 0 {
		t.Errorf("told of %v, %d fetches", told, p.fetches())
	}
	for _, row := range []attack{
		{"malformed", inToken(func(s string) string { return s + "." }), identity.MalformedToken},
		{"foreign issuer", set("iss", "https://evil.example"), identity.IssuerNotTrusted},
		{"a logout token", set("events", map[string]any{}), identity.NotAnIDToken},
		{"alg not configured", func(f *forgery) { f.header["alg"] = "ES512" }, identity.AlgorithmNotAllowed},
		{"expired", set("exp", start().Add(-time.Hour).Unix()), identity.TokenExpired},
		{"another client's", set("aud", "crm"), identity.AudienceMismatch},
	} {
		f := p.goodToken()
		row.change(f)
		_, err := g.Rehearse(f.sign(t), terms())
		wantCode(t, err, row.want)
	}
}
