package oidc_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"chatpass/identity"
)

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
		{"carriage return inside", inToken(func(s string) string { return s[:20] + "\r" + s[20:] }), identity.MalformedToken},
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
		{"not UTF-8", inPayload("alice", "al\xff"), identity.MalformedToken},
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
		{"scp of an access token", set("scp", []string{"openid"}), identity.NotAnIDToken},
		{"token_use access", set("token_use", "access"), identity.NotAnIDToken},
		{"scope beside client_id", func(f *forgery) { f.payload["scope"], f.payload["client_id"] = "openid", shop }, identity.NotAnIDToken},
		{"scope beside cid", func(f *forgery) { f.payload["scope"], f.payload["cid"] = "openid", shop }, identity.NotAnIDToken},
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

// docs/refusals.md says which code a fault of a claim has: a wrong type makes the token malformed (CP-110),
// and what is not there, or empty, is missing (CP-214).
func TestWrongTypeIsMalformedAndAbsenceIsMissing(t *testing.T) {
	p, c := newIDP(t), newClock()
	g := newGate(t, p, c)
	for _, claim := range []string{"iss", "sub", "aud", "exp", "iat"} {
		for _, row := range []struct {
			value any
			want  identity.Code
		}{{map[string]any{"not": "this"}, identity.MalformedToken}, {nil, identity.ClaimMissing}} {
			if claim == "iss" && row.value == nil {
				row.want = identity.IssuerNotTrusted // no issuer to ask more of
			}
			_, err := g.Verify(t.Context(), p.goodToken().with(map[string]any{claim: row.value}).sign(t), terms())
			wantCode(t, err, row.want)
		}
	}
}
