package oidc_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
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

func nested(depth int) any {
	var v any = map[string]any{}
	for range depth - 1 {
		v = []any{v}
	}
	return v
}

type attack struct {
	name   string
	change func(*forgery)
	want   identity.Code
}

func set(claim string, value any) func(*forgery) {
	return func(f *forgery) { f.payload[claim] = value }
}

func setHeader(name string, value any) func(*forgery) {
	return func(f *forgery) { f.header[name] = value }
}

func drop(claim string) func(*forgery) { return func(f *forgery) { delete(f.payload, claim) } }

func inPayload(old, new string) func(*forgery) {
	return func(f *forgery) {
		f.rawPayload = func(s string) string { return strings.Replace(s, old, new, 1) }
	}
}

func inToken(edit func(string) string) func(*forgery) {
	return func(f *forgery) { f.token = edit }
}

func parts(edit func([]string)) func(*forgery) {
	return inToken(func(s string) string {
		p := strings.Split(s, ".")
		edit(p)
		return strings.Join(p, ".")
	})
}

// flipBit changes the last bits of a part that no byte is made of: another spelling of the same bytes.
func flipBit(part string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, part[len(part)-1])
	return part[:len(part)-1] + string(alphabet[last^1])
}

// attacks differ from the good token in one thing each.
func attacks(t testing.TB) []attack {
	stranger := newKey(t, "stranger", "ES256")
	foreign := newKey(t, "foreign", "ES384")
	day := int64(24 * 3600)
	now := start().Unix()
	return slices.Concat([]attack{
		{"empty", inToken(func(string) string { return "" }), identity.MalformedToken},
		{"more than 16 KiB", set("pad", strings.Repeat("x", 16<<10)), identity.TooLarge},
		{"one dot", inToken(func(s string) string { return strings.Replace(s, ".", "", 1) }), identity.MalformedToken},
		{"three dots", inToken(func(s string) string { return s + "." }), identity.MalformedToken},
		{"a thousand dots", inToken(func(string) string { return strings.Repeat(".", 1000) }), identity.MalformedToken},
		{"no signature", parts(func(p []string) { p[2] = "" }), identity.MalformedToken},
		{"leading space", inToken(func(s string) string { return " " + s }), identity.MalformedToken},
		{"line end inside", inToken(func(s string) string { return s[:20] + "\n" + s[20:] }), identity.MalformedToken},
		{"padding", parts(func(p []string) { p[0] += "=" }), identity.MalformedToken},
		{"base64 of the other alphabet", parts(func(p []string) { p[1] = "+" + p[1][1:] }), identity.MalformedToken},
		{"JSON serialisation", inToken(func(s string) string {
			p := strings.Split(s, ".")
			return fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, p[0], p[1], p[2])
		}), identity.MalformedToken},
		{"another spelling of the signature", parts(func(p []string) { p[2] = flipBit(p[2]) }), identity.MalformedToken},
		{"payload changed", parts(func(p []string) { p[1] = encode([]byte(strings.Replace(decode(p[1]), "u-81", "u-82", 1))) }), identity.SignatureInvalid},
		{"signature changed", parts(func(p []string) { p[2] = "AAAA" + p[2][4:] }), identity.SignatureInvalid},
		{"signature cut", parts(func(p []string) { p[2] = p[2][:84] }), identity.SignatureInvalid},
		{"signature of zeros", parts(func(p []string) { p[2] = encode(make([]byte, 64)) }), identity.SignatureInvalid},
	}, []attack{
		{"alg none", setHeader("alg", "none"), identity.AlgorithmNotAllowed},
		{"alg None", setHeader("alg", "None"), identity.AlgorithmNotAllowed},
		{"no alg", func(f *forgery) { delete(f.header, "alg") }, identity.AlgorithmNotAllowed},
		{"alg in lower case", setHeader("alg", "es256"), identity.AlgorithmNotAllowed},
		{"alg not configured", func(f *forgery) { f.signedBy(foreign) }, identity.AlgorithmNotAllowed},
		{"HMAC with the public key", func(f *forgery) {
			f.header["alg"] = "HS256"
			f.token = func(s string) string { return hmacOf(s, f.key) }
		}, identity.AlgorithmNotAllowed},
		{"alg of another kind of key", setHeader("alg", "RS256"), identity.KeyUnknown},
		{"alg a number", setHeader("alg", 256), identity.MalformedToken},
		{"kid of nobody", setHeader("kid", "nobody"), identity.KeyUnknown},
		{"kid a path", setHeader("kid", "../../../dev/null"), identity.KeyUnknown},
		{"kid a list", setHeader("kid", []string{"es"}), identity.MalformedToken},
		{"foreign key without kid", func(f *forgery) { f.signedBy(stranger); delete(f.header, "kid") }, identity.SignatureInvalid},
		{"foreign key under a known kid", func(f *forgery) { f.signedBy(stranger); f.header["kid"] = "es" }, identity.SignatureInvalid},
		{"brings its own key", func(f *forgery) { f.signedBy(stranger); f.header["jwk"] = stranger.public() }, identity.KeyUnknown},
		{"brings its own key under a known kid", func(f *forgery) {
			f.signedBy(stranger)
			f.header["jwk"], f.header["kid"] = stranger.public(), "es"
		}, identity.SignatureInvalid},
		{"points to its own keys", func(f *forgery) {
			f.signedBy(stranger)
			f.header["jku"], f.header["x5u"], f.header["kid"] = "http://127.0.0.1:1/keys", "http://127.0.0.1:1/cert", "es"
		}, identity.SignatureInvalid},
		{"unreadable certificate", setHeader("x5c", []string{"no certificate"}), identity.MalformedToken},
		{"crit", setHeader("crit", []string{"exp"}), identity.HeaderUnsupported},
		{"empty crit", setHeader("crit", []string{}), identity.HeaderUnsupported},
		{"crit null", setHeader("crit", nil), identity.HeaderUnsupported},
		{"b64 false", setHeader("b64", false), identity.HeaderUnsupported},
		{"compressed", setHeader("zip", "DEF"), identity.HeaderUnsupported},
		{"enc in a signed token", setHeader("enc", "A256GCM"), identity.HeaderUnsupported},
		{"five parts", inToken(func(s string) string { return s + ".AAAA.AAAA" }), identity.HeaderUnsupported},
		{"encrypted", inToken(func(string) string { return encode([]byte(`{"alg":"RSA-OAEP","enc":"A256GCM"}`)) + ".AA.AA.AA.AA" }), identity.HeaderUnsupported},
		{"header an array", func(f *forgery) { f.rawHeader = func(string) string { return `[]` } }, identity.MalformedToken},
		{"header null", func(f *forgery) { f.rawHeader = func(string) string { return `null` } }, identity.MalformedToken},
		{"alg twice", func(f *forgery) { f.rawHeader = func(s string) string { return `{"alg":"none",` + s[1:] } }, identity.ClaimAmbiguous},
	}, []attack{
		{"typ at+jwt", setHeader("typ", "at+jwt"), identity.NotAnIDToken},
		{"typ application/at+jwt", setHeader("typ", "application/at+jwt"), identity.NotAnIDToken},
		{"typ logout+jwt", setHeader("typ", "logout+jwt"), identity.NotAnIDToken},
		{"typ secevent+jwt", setHeader("typ", "secevent+jwt"), identity.NotAnIDToken},
		{"typ dpop+jwt", setHeader("typ", "DPoP+JWT"), identity.NotAnIDToken},
		{"typ a number", setHeader("typ", 1), identity.MalformedToken},
		{"a logout token", set("events", map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}), identity.NotAnIDToken},
		{"events null", set("events", nil), identity.NotAnIDToken},
		{"an access token of Keycloak", set("typ", "Bearer"), identity.NotAnIDToken},
		{"a logout token of Keycloak", set("typ", "Logout"), identity.NotAnIDToken},
	}, []attack{
		{"payload not JSON", func(f *forgery) { f.rawPayload = func(string) string { return "hello" } }, identity.MalformedToken},
		{"payload an array", func(f *forgery) { f.rawPayload = func(s string) string { return "[" + s + "]" } }, identity.MalformedToken},
		{"payload twice", func(f *forgery) { f.rawPayload = func(s string) string { return s + s } }, identity.MalformedToken},
		{"payload empty", func(f *forgery) { f.rawPayload = func(string) string { return "" } }, identity.MalformedToken},
		{"not UTF-8", inPayload("u-81", "u-\xff"), identity.MalformedToken},
		{"number out of range", inPayload(`"sub"`, `"n":1e400,"sub"`), identity.MalformedToken},
		{"nested deeper than 32", set("deep", nested(33)), identity.MalformedToken},
		{"sub twice", inPayload(`"sub"`, `"sub":"bob","sub"`), identity.ClaimAmbiguous},
		{"sub twice, once escaped", inPayload(`"sub"`, `"\u0073ub":"bob","sub"`), identity.ClaimAmbiguous},
		{"a nested member twice", inPayload(`"sub"`, `"address":{"a":1,"a":2},"sub"`), identity.ClaimAmbiguous},
		{"Sub beside sub", set("Sub", "bob"), identity.ClaimAmbiguous},
		{"sub with a long s", set("ſub", "bob"), identity.ClaimAmbiguous},
		{"AUD beside aud", set("AUD", shop), identity.ClaimAmbiguous},
		{"Exp beside exp", set("Exp", now+day), identity.ClaimAmbiguous},
	}, []attack{
		{"foreign issuer", set("iss", "https://evil.example"), identity.IssuerNotTrusted},
		{"no issuer", drop("iss"), identity.IssuerNotTrusted},
		{"issuer a number", set("iss", 7), identity.MalformedToken},
		{"issuer with a slash more", func(f *forgery) { f.payload["iss"] = f.payload["iss"].(string) + "/" }, identity.IssuerNotTrusted},
		{"issuer in capitals", func(f *forgery) { f.payload["iss"] = strings.ToUpper(f.payload["iss"].(string)) }, identity.IssuerNotTrusted},
		{"no sub", drop("sub"), identity.ClaimMissing},
		{"sub null", set("sub", nil), identity.ClaimMissing},
		{"sub empty", set("sub", ""), identity.ClaimMissing},
		{"sub a number", set("sub", 81), identity.MalformedToken},
		{"sub of 256", set("sub", strings.Repeat("a", 256)), identity.ClaimMissing},
		{"sub with a line end", set("sub", "u-81\nadmin"), identity.MalformedToken},
		{"sub beyond ASCII", set("sub", "ü-81"), identity.MalformedToken},
		{"sid a number", set("sid", 1), identity.MalformedToken},
		{"acr a number", set("acr", 1), identity.MalformedToken},
		{"amr of numbers", set("amr", []int{1}), identity.MalformedToken},
		{"nonce an object, which only go-oidc reads", set("nonce", map[string]any{}), identity.MalformedToken},
	}, []attack{
		{"no iat", drop("iat"), identity.ClaimMissing},
		{"iat a string", set("iat", fmt.Sprint(now)), identity.MalformedToken},
		{"iat negative", set("iat", -1), identity.MalformedToken},
		{"iat an hour ahead", set("iat", now+3600), identity.IssuedInFuture},
		{"iat beyond the skew", set("iat", now+61), identity.IssuedInFuture},
		{"iat beyond the greatest age", set("iat", now-3601), identity.TokenExpired},
		{"iat in milliseconds", set("iat", now*1000), identity.MalformedToken},
		{"no exp", drop("exp"), identity.ClaimMissing},
		{"exp past the skew", set("exp", now-60), identity.TokenExpired},
		{"exp a string", set("exp", fmt.Sprint(now+300)), identity.MalformedToken},
		{"exp 1e300", set("exp", 1e300), identity.MalformedToken},
		{"exp in the year 3,000,000", set("exp", int64(94_608_000_000_000)), identity.MalformedToken},
		{"exp null", set("exp", nil), identity.ClaimMissing},
		{"nbf 5 minutes ahead", set("nbf", now+300), identity.IssuedInFuture},
		{"nbf a string", set("nbf", "soon"), identity.MalformedToken},
		{"auth_time a string", set("auth_time", "yesterday"), identity.MalformedToken},
		{"no aud", drop("aud"), identity.ClaimMissing},
		{"aud an empty list", set("aud", []string{}), identity.ClaimMissing},
		{"aud an object", set("aud", map[string]any{shop: true}), identity.MalformedToken},
		{"aud of numbers", set("aud", []any{shop, 1}), identity.MalformedToken},
		{"aud of another client", set("aud", "crm"), identity.AudienceMismatch},
		{"aud of ours, not of an accepted client", set("aud", clientID), identity.AudienceMismatch},
		{"aud in capitals", set("aud", strings.ToUpper(shop)), identity.AudienceMismatch},
		{"accepted and foreign aud", func(f *forgery) { f.payload["aud"], f.payload["azp"] = []string{shop, "crm"}, shop }, identity.AudienceMismatch},
		{"two aud without azp", set("aud", []string{shop, "shop-ios"}), identity.AudienceMismatch},
		{"foreign azp", set("azp", "crm"), identity.AudienceMismatch},
		{"azp empty", set("azp", ""), identity.AudienceMismatch},
		{"azp null", set("azp", nil), identity.AudienceMismatch},
		{"azp a list", set("azp", []string{shop}), identity.MalformedToken},
	})
}

func decode(part string) string {
	raw, _ := base64.RawURLEncoding.DecodeString(part)
	return string(raw)
}

// hmacOf is the classic confusion: the public key, known to all, as the secret of a MAC.
func hmacOf(token string, k signingKey) string {
	raw, _ := k.public().MarshalJSON()
	input := token[:strings.LastIndexByte(token, '.')]
	mac := hmac.New(sha256.New, raw)
	mac.Write([]byte(input))
	return input + "." + encode(mac.Sum(nil))
}

func TestHostileTokenIsRejected(t *testing.T) {
	p, c := newIDP(t), newClock()
	g := newGate(t, p, c)
	if _, err := g.Verify(t.Context(), p.goodToken().sign(t), terms()); err != nil {
		t.Fatalf("good token: %v", err)
	}
	for _, a := range attacks(t) {
		t.Run(a.name, func(t *testing.T) {
			f := p.goodToken()
			a.change(f)
			raw := f.sign(t)
			who, err := g.Verify(t.Context(), raw, terms())
			wantCode(t, err, a.want)
			if !cmp.Equal(who, identity.Identity{}) {
				t.Errorf("got the identity %+v beside the error", who)
			}
			for _, private := range []string{"alice", "u-81", "bob", raw} {
				if raw != "" && strings.Contains(err.Error(), private) {
					t.Errorf("the error tells %q: %v", private, err)
				}
			}
			if len(err.Error()) > 400 {
				t.Errorf("error of %d bytes", len(err.Error()))
			}
		})
	}
	if got := p.fetches(); got != 2 {
		t.Errorf("hostile tokens caused %d fetches", got-2)
	}
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
		{map[string]any{"iat": start().Unix() - 401}, "issued 6m41s ago", "at most 5m0s"},
		{map[string]any{"exp": start().Unix() - 72}, "expired 1m12s ago", "less than 1m0s ago"},
		{map[string]any{"iat": start().Unix() + 90}, "issued 1m30s ahead", "at most 1m0s ahead"},
		{map[string]any{"sub": nil}, "no sub", "sub"},
		{map[string]any{"aud": "crm"}, `audience "crm"`, "accepted clients only"},
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
		{Name: "a", Issuer: "http://idp.example", Algorithms: []string{"none", "HS256", "RS256", "es256"}, ClockSkew: time.Hour},
		{Name: "b", Issuer: "https://idp.example?x=1", ClientID: "c", SubjectClaim: "email", MaxTokenAge: -1},
		{Name: "c", Issuer: "idp.example", ClientID: "c", JWKS: []byte("{}")},
		{Name: "c", Issuer: "https://idp.example", ClientID: "c", JWKS: []byte("{}")},
		{Name: "d", Issuer: "https://idp.example", ClientID: "c"},
		{Name: "d", Issuer: "https://idp.example", ClientID: "c"},
	})
	if err == nil {
		t.Fatal("got no error")
	}
	for _, want := range []string{
		`issuer a:`, `must use https`, `"none"`, `"HS256"`, `"es256"`, `no client id`, `clock skew 1h`,
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

// FuzzVerify: of all strings only the good token is believed, in its one spelling. All others are
// rejected; none is an outage, since the keys are at hand.
func FuzzVerify(f *testing.F) {
	key := newKey(f, "es", "EdDSA") // whose signatures are deterministic
	public, err := key.public().MarshalJSON()
	if err != nil {
		f.Fatal(err)
	}
	g, err := oidc.New([]oidc.Config{{
		Name: "corp", Issuer: "https://idp.example", ClientID: clientID, Now: start,
		JWKS: fmt.Appendf(nil, `{"keys":[%s]}`, public),
	}})
	if err != nil {
		f.Fatal(err)
	}
	good := &forgery{key: key, header: map[string]any{"alg": "EdDSA", "kid": "es"}, payload: map[string]any{
		"iss": "https://idp.example", "sub": "u", "aud": shop, "iat": start().Unix(), "exp": start().Unix() + 60,
	}}
	believed := good.sign(f)
	f.Add(believed)
	for _, a := range attacks(f) {
		copied := &forgery{key: key, header: maps.Clone(good.header), payload: maps.Clone(good.payload)}
		a.change(copied)
		f.Add(copied.sign(f))
	}
	f.Fuzz(func(t *testing.T, raw string) {
		who, err := g.Verify(t.Context(), raw, terms())
		switch {
		case err == nil && (raw != believed || who.Subject != "u"):
			t.Errorf("believed %q as %+v", raw, who)
		case err != nil && (raw == believed || !errors.Is(err, identity.ErrRejected)):
			t.Errorf("got %v for %q", err, raw)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	p, c := newIDP(b), newClock()
	g := newGate(b, p, c)
	for _, key := range p.keys {
		raw := p.goodToken().signedBy(key).sign(b)
		b.Run(key.alg, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := g.Verify(b.Context(), raw, terms()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRefuse measures what a stranger's token costs before any signature is looked at.
func BenchmarkRefuse(b *testing.B) {
	p, c := newIDP(b), newClock()
	g := newGate(b, p, c)
	rows := map[string]func(*forgery){
		"too large":      set("pad", strings.Repeat("x", 16<<10)),
		"no JWS":         inToken(func(s string) string { return strings.ReplaceAll(s, ".", "") }),
		"alg none":       setHeader("alg", "none"),
		"foreign issuer": set("iss", "https://evil.example"),
		"unknown kid":    setHeader("kid", "nobody"),
	}
	if _, err := g.Verify(b.Context(), p.goodToken().sign(b), terms()); err != nil {
		b.Fatal(err)
	}
	for name, change := range rows {
		f := p.goodToken()
		change(f)
		raw := f.sign(b)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := g.Verify(b.Context(), raw, terms()); err == nil {
					b.Fatal("believed")
				}
			}
		})
	}
}
