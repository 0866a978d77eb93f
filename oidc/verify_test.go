package oidc_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"chatpass/identity"
	"chatpass/oidc"
)

func encode(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

func wantCode(t *testing.T, err error, want identity.Code) *identity.Rejection {
	t.Helper()
	rejection, ok := errors.AsType[*identity.Rejection](err)
	if !ok || !errors.Is(err, identity.ErrRejected) {
		t.Fatalf("got %v, want a rejection %s", err, want)
	}
	if _, down := errors.AsType[*identity.Outage](err); down || rejection.Code != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if rejection.Measured == "" || rejection.Required == "" {
		t.Errorf("%s does not say what was measured and what required", err)
	}
	return rejection
}

func wantOutage(t *testing.T, err error) {
	t.Helper()
	down, ok := errors.AsType[*identity.Outage](err)
	if !ok || down.Code != identity.NoIssuerKey || errors.Is(err, identity.ErrRejected) {
		t.Errorf("got %v, want an outage", err)
	}
}

func TestGoodTokenIsBelieved(t *testing.T) {
	p, c := newIDP(t), newClock()
	ps := p.keys[1]
	ps.alg = "PS256"
	g := newGate(t, p, c)
	for _, key := range append(p.keys, ps) {
		got, err := g.Verify(t.Context(), p.goodToken().signedBy(key).sign(t), terms())
		if err != nil {
			t.Fatalf("%s: %v", key.alg, err)
		}
		want := identity.Identity{
			IDP: "corp", Issuer: p.URL, SubjectIssuer: p.URL, Subject: "u-81", UpstreamSubject: "u-81",
			UpstreamSession: "s-1", Client: shop, ACR: "mfa", AMR: []string{"pwd", "otp"},
			IssuedAt: time.Unix(start().Unix()-10, 0), Expires: time.Unix(start().Unix()+300, 0),
			AuthTime: time.Unix(start().Unix()-60, 0),
			Claims: map[string]any{
				"iss": p.URL, "sub": "u-81", "aud": shop, "iat": float64(start().Unix() - 10), "exp": float64(start().Unix() + 300),
				"auth_time": float64(start().Unix() - 60), "sid": "s-1", "acr": "mfa", "amr": []any{"pwd", "otp"},
				"email": "alice@example.com", "groups": []any{"gold"},
			},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", key.alg, diff)
		}
	}
	if p.discoveries.Load() != 1 || p.keyFetches.Load() != 1 {
		t.Errorf("got %d discoveries and %d key fetches, want one each", p.discoveries.Load(), p.keyFetches.Load())
	}
}

// Each of these differs from the good token in a way that real issuers do.
func TestHarmlessDifferencesAreAccepted(t *testing.T) {
	rows := map[string]func(*forgery){
		"no typ":                       func(f *forgery) { delete(f.header, "typ") },
		"typ in lower case":            func(f *forgery) { f.header["typ"] = "jwt" },
		"typ as a media type":          func(f *forgery) { f.header["typ"] = "application/JWT" },
		"jku of the issuer":            func(f *forgery) { f.header["jku"] = "https://idp.example/keys" },
		"x5t":                          func(f *forgery) { f.header["x5t"] = "abc" },
		"aud as a list":                func(f *forgery) { f.payload["aud"] = []string{shop} },
		"two accepted audiences, azp":  func(f *forgery) { f.payload["aud"], f.payload["azp"] = []string{shop, "shop-ios"}, shop },
		"single aud with its own azp":  func(f *forgery) { f.payload["azp"] = shop },
		"another accepted azp":         func(f *forgery) { f.payload["azp"] = "shop-ios" },
		"fractional times":             func(f *forgery) { f.payload["iat"] = float64(start().Unix()) - 0.5 },
		"null in an optional claim":    func(f *forgery) { f.payload["acr"], f.payload["auth_time"] = nil, nil },
		"amr as a string":              func(f *forgery) { f.payload["amr"] = "pwd" },
		"auth_time 0":                  func(f *forgery) { f.payload["auth_time"] = 0 },
		"expired within the skew":      func(f *forgery) { f.payload["exp"] = start().Unix() - 59 },
		"issued ahead within the skew": func(f *forgery) { f.payload["iat"] = start().Unix() + 60 },
		"nbf ahead within the skew":    func(f *forgery) { f.payload["nbf"] = start().Unix() + 60 },
		"token_use id":                 func(f *forgery) { f.payload["token_use"] = "id" },
		"a scope for the app's rules":  func(f *forgery) { f.payload["scope"] = "chat" },
		"a claim typ of ID":            func(f *forgery) { f.payload["typ"] = "ID" },
		"nonce of whoever signed in":   func(f *forgery) { f.payload["nonce"] = "n" },
		"a subject of 255":             func(f *forgery) { f.payload["sub"] = strings.Repeat("a", 255) },
		"distributed claims": func(f *forgery) {
			f.payload["_claim_names"], f.payload["_claim_sources"] = map[string]string{"groups": "s"}, map[string]any{"s": map[string]string{"endpoint": "http://169.254.169.254/"}}
		},
		"as old as may be":              func(f *forgery) { f.payload["iat"] = start().Unix() - 3600 },
		"nested as deep as may be":      func(f *forgery) { f.payload["deep"] = nested(31) },
		"a claim that looks like a key": func(f *forgery) { f.payload["SUBJECT"] = "x" },
	}
	p, c := newIDP(t), newClock()
	g := newGate(t, p, c)
	for name, change := range rows {
		t.Run(name, func(t *testing.T) {
			f := p.goodToken()
			change(f)
			if _, err := g.Verify(t.Context(), f.sign(t), terms()); err != nil {
				t.Error(err)
			}
		})
	}
}

// To a rule, has(claims.email) must mean that there is one.
// A token is that of the client it was issued to, whoever else it is for (OIDC Core 1.0 §2, azp).
func TestTheAuthorizedPartyIsTheClient(t *testing.T) {
	p, c := newIDP(t), newClock()
	g := newGate(t, p, c)
	for want, change := range map[string]func(*forgery){
		shop:       func(*forgery) {},
		"shop-ios": func(f *forgery) { f.payload["aud"], f.payload["azp"] = []string{shop, "shop-ios"}, "shop-ios" },
	} {
		f := p.goodToken()
		change(f)
		if who, err := g.Verify(t.Context(), f.sign(t), terms()); err != nil || who.Client != want {
			t.Errorf("got client %q, %v, want %q", who.Client, err, want)
		}
	}
}

func TestNullIsNoClaim(t *testing.T) {
	p, c := newIDP(t), newClock()
	f := p.goodToken()
	f.payload["email"] = nil
	who, err := newGate(t, p, c).Verify(t.Context(), f.sign(t), terms())
	if err != nil {
		t.Fatal(err)
	}
	if email, there := who.Claims["email"]; there {
		t.Errorf("there is a claim email of %v", email)
	}
}

func nested(depth int) any {
	var v any = map[string]any{}
	for range depth - 1 {
		v = []any{v}
	}
	return v
}

func TestRejectionTellsTheMeasuredAndTheRequiredAge(t *testing.T) {
	p, c := newIDP(t), newClock()
	g := newGate(t, p, c)
	strict := terms()
	strict.MaxAge = 5 * time.Minute
	rows := []struct {
		claims             map[string]any
		measured, required string
	}{
		{map[string]any{"iat": start().Unix() - 401}, "6m41s", "at most 5m0s"},
		{map[string]any{"exp": start().Unix() - 72}, "10s, 1m12s beyond its exp", "less than 1m0s beyond its exp"},
		{map[string]any{"iat": start().Unix() + 90}, "issued 1m30s ahead", "at most 1m0s ahead"},
		{map[string]any{"sub": nil}, "no sub", "sub"},
		{map[string]any{"aud": "crm"}, `audience "crm"`, "one of shop-web, shop-ios"},
	}
	for _, row := range rows {
		_, err := g.Verify(t.Context(), p.goodToken().with(row.claims).sign(t), strict)
		rejection, ok := errors.AsType[*identity.Rejection](err)
		if !ok || rejection.Measured != row.measured || rejection.Required != row.required {
			t.Errorf("%v: got %v", row.claims, err)
		}
	}
	strict.MaxAge = 2 * time.Hour // the issuer's own limit still holds
	_, err := g.Verify(t.Context(), p.goodToken().with(map[string]any{"iat": start().Unix() - 3700}).sign(t), strict)
	wantCode(t, err, identity.TokenExpired)
}

func TestRefusedBeforeAnythingIsFetched(t *testing.T) {
	p, c := newIDP(t), newClock()
	g := newGate(t, p, c)
	rows := map[string]func(*forgery){
		"foreign issuer": set("iss", "https://evil.example"),
		"alg none":       setHeader("alg", "none"),
		"crit":           setHeader("crit", []string{"exp"}),
		"typ at+jwt":     setHeader("typ", "at+jwt"),
		"sub twice":      inPayload(`"sub"`, `"sub":"bob","sub"`),
		"malformed":      inToken(func(s string) string { return s + "." }),
	}
	for name, change := range rows {
		f := p.goodToken()
		change(f)
		if _, err := g.Verify(t.Context(), f.sign(t), terms()); !errors.Is(err, identity.ErrRejected) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := g.Verify(t.Context(), p.goodToken().sign(t), identity.Terms{Accepts: map[string][]string{"other": {shop}}})
	wantCode(t, err, identity.IssuerNotTrusted)
	if p.fetches() != 0 {
		t.Errorf("got %d fetches, want none", p.fetches())
	}
}

func TestEmptyTermsAcceptNobody(t *testing.T) {
	p, c := newIDP(t), newClock()
	g := newGate(t, p, c)
	for name, terms := range map[string]identity.Terms{
		"no issuers": {}, "no clients": {Accepts: map[string][]string{"corp": nil}}, "an empty client": {Accepts: map[string][]string{"corp": {""}}},
	} {
		if _, err := g.Verify(t.Context(), p.goodToken().sign(t), terms); !errors.Is(err, identity.ErrRejected) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSubjectClaimIssuerAndAliases(t *testing.T) {
	p, c := newIDP(t), newClock()
	g := newGate(t, p, c, func(cfg *oidc.Config) {
		cfg.SubjectClaim, cfg.SubjectIssuer, cfg.Aliases = "oid", "https://old.example", []string{"accounts.example"}
	})
	f := p.goodToken().with(map[string]any{"iss": "accounts.example", "oid": "o-7"})
	who, err := g.Verify(t.Context(), f.sign(t), terms())
	if err != nil {
		t.Fatal(err)
	}
	if who.Subject != "o-7" || who.UpstreamSubject != "u-81" || who.SubjectIssuer != "https://old.example" || who.Issuer != p.URL {
		t.Errorf("got %+v", who)
	}
	_, err = g.Verify(t.Context(), p.goodToken().sign(t), terms())
	wantCode(t, err, identity.ClaimMissing)
	_, err = g.Verify(t.Context(), p.goodToken().with(map[string]any{"oid": 7}).sign(t), terms())
	wantCode(t, err, identity.MalformedToken)
}

func TestOneIssuerConfiguredTwiceIsChosenByAudience(t *testing.T) {
	p, c := newIDP(t), newClock()
	cfg := oidc.Config{Name: "web", Issuer: p.URL, ClientID: clientID, Client: p.Client(), Now: c.now}
	second := cfg
	second.Name = "staff"
	g, err := oidc.New([]oidc.Config{cfg, second})
	if err != nil {
		t.Fatal(err)
	}
	both := identity.Terms{Accepts: map[string][]string{"web": {shop}, "staff": {"agent-desk"}}}
	for aud, want := range map[string]string{shop: "web", "agent-desk": "staff"} {
		who, err := g.Verify(t.Context(), p.goodToken().with(map[string]any{"aud": aud}).sign(t), both)
		if err != nil || who.IDP != want {
			t.Errorf("%s: got %q, %v", aud, who.IDP, err)
		}
	}
	_, err = g.Verify(t.Context(), p.goodToken().with(map[string]any{"aud": "crm"}).sign(t), both)
	wantCode(t, err, identity.AudienceMismatch)
}

func TestKeysAreLookedUpPerIssuer(t *testing.T) {
	p, other, c := newIDP(t), newIDP(t), newClock()
	g, err := oidc.New([]oidc.Config{
		{Name: "corp", Issuer: p.URL, ClientID: clientID, Client: p.Client(), Now: c.now},
		{Name: "other", Issuer: other.URL, ClientID: clientID, Client: other.Client(), Now: c.now},
	})
	if err != nil {
		t.Fatal(err)
	}
	both := identity.Terms{Accepts: map[string][]string{"corp": {shop}, "other": {shop}}}
	if _, err := g.Verify(t.Context(), other.goodToken().sign(t), both); err != nil {
		t.Fatal(err)
	}
	f := other.goodToken()
	f.payload["iss"] = p.URL
	_, err = g.Verify(t.Context(), f.sign(t), both)
	wantCode(t, err, identity.SignatureInvalid)
}

func TestConfigurationFaultsAreToldTogether(t *testing.T) {
	_, err := oidc.New([]oidc.Config{
		{Name: "a", Issuer: "http://idp.example", ClientSecret: "s", PrivateKey: []byte("k"), Algorithms: []string{"none", "HS256", "RS256", "es256"}, ClockSkew: time.Hour},
		{Name: "b", Issuer: "https://idp.example?x=1", ClientID: "c", SubjectClaim: "email", MaxTokenAge: -1},
		{Name: "c", Issuer: "idp.example", ClientID: "c", JWKS: []byte("{}")},
		{Name: "c", Issuer: "https://idp.example", ClientID: "c", JWKS: []byte("{}")},
		{Name: "d", Issuer: "https://idp.example", ClientID: "c"},
		{Name: "d", Issuer: "https://idp.example", ClientID: "c"},
		{Name: "e", Issuer: "https://idp.example", ClientID: "c", PrivateKey: []byte("{}")},
		{Name: "f", Issuer: "https://idp.example/{tenantid}"},
		{Name: "g", Issuer: "https://idp.example", Tenants: []string{"a"}},
		{Name: "h", Issuer: "https://idp.example/{tenantid}", Tenants: []string{"", "{tenantid}", "a/b"}, SubjectIssuer: "https://old.example", Aliases: []string{"one"}},
	})
	if err == nil {
		t.Fatal("got no error")
	}
	for _, want := range []string{
		`issuer a:`, `must use https`, `"none"`, `"HS256"`, `"es256"`, `no client id`, `clock skew 1h`,
		`both a client secret and a private key`, `issuer e: read private key: neither PEM nor a private JWK`,
		`issuer f: the issuer URL has {tenantid} and no tenants`, `issuer g: tenants need {tenantid}`,
		`tenant "" is`, `tenant "{tenantid}" is`, `tenant "a/b" is`, `"https://old.example" would be the same`, `"one" would be the same`,
		`no query`, `subject claim email`, `max token age`, `not an absolute URL`, `read key set`, `configured twice`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not mention %q:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), `algorithm "RS256"`) {
		t.Errorf("RS256 refused:\n%v", err)
	}
}

// An issuer that only the client's accepts lacks is another mistake than one that nobody has configured.
func TestIssuerThatAcceptsDoesNotNameIsTold(t *testing.T) {
	p := newIDP(t)
	g := newGate(t, p, newClock())
	other := terms()
	other.Accepts = map[string][]string{"plant": {"shop"}}
	_, err := g.Verify(t.Context(), p.goodToken().sign(t), other)
	wantCode(t, err, identity.IssuerNotTrusted)
	if rejection, _ := errors.AsType[*identity.Rejection](err); !strings.HasSuffix(rejection.Measured, `" (corp), which accepts does not name`) {
		t.Errorf("measured %q", rejection.Measured)
	}
	if _, err := g.Verify(t.Context(), p.goodToken().sign(t), terms()); err != nil {
		t.Errorf("on good terms: %v", err)
	}
}

// What a token is refused for is the first thing that is wrong with it: nothing after that is read.
func TestFirstFaultIsTold(t *testing.T) {
	p := newIDP(t)
	g := newGate(t, p, newClock())
	for want, change := range map[string]func(*forgery){
		"header is not base64url":  parts(func(p []string) { p[0] = "!" + p[0] }),
		"payload is not base64url": parts(func(p []string) { p[1] = "!" + p[1] }),
		"algorithm \"none\"": func(f *forgery) {
			f.header["alg"] = "none"
			parts(func(p []string) { p[1] = "!" })(f)
		},
	} {
		f := p.goodToken()
		change(f)
		_, err := g.Verify(t.Context(), f.sign(t), terms())
		if rejection, ok := errors.AsType[*identity.Rejection](err); !ok || rejection.Measured != want {
			t.Errorf("measured %+v, want %q", rejection, want)
		}
	}
}
