package verify_test

import (
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"chatpass/verify"
)

// A forger makes one change to a good context.
type forger struct {
	testing.TB
	key, other signer // published; other is of another algorithm
	rsa        signer // published too
}

func (f forger) good() string { return f.key.good(f, f.claims()) }

func (f forger) claims() object { return claims(home, start()) }

// header signs good claims under a changed header.
func (f forger) header(name string, value any) string {
	return f.key.sign(f, encode(f, with(f.key.header(), name, value)), encode(f, f.claims()))
}

// claim signs changed claims.
func (f forger) claim(name string, value any) string {
	return f.key.good(f, with(f.claims(), name, value))
}

// rawHeader and rawPayload sign whatever they are given in place of the good one.
func (f forger) rawHeader(raw string) string {
	return f.key.sign(f, base64.RawURLEncoding.EncodeToString([]byte(raw)), encode(f, f.claims()))
}

func (f forger) rawPayload(raw string) string {
	return f.key.sign(f, encode(f, f.key.header()), base64.RawURLEncoding.EncodeToString([]byte(raw)))
}

// edit replaces a piece of the good payload's JSON.
func (f forger) edit(old, new string) string {
	raw, err := base64.RawURLEncoding.DecodeString(encode(f, f.claims()))
	if err != nil || strings.Count(string(raw), old) != 1 {
		f.Fatalf("cannot replace %s in %s", old, raw)
	}
	return f.rawPayload(strings.Replace(string(raw), old, new, 1))
}

// hmac signs with HS256 under a published key, as if it were a secret.
func (f forger) hmac(secret []byte) string {
	input := encode(f, with(f.key.header(), "alg", "HS256")) + "." + encode(f, f.claims())
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (f forger) publicDER() []byte {
	der, err := x509.MarshalPKIXPublicKey(f.key.private.Public())
	if err != nil {
		f.Fatal(err)
	}
	return der
}

// derSignature signs as everybody but JOSE does.
func (f forger) derSignature() string {
	input := encode(f, f.key.header()) + "." + encode(f, f.claims())
	digest := sha256.Sum256([]byte(input))
	signature, err := ecdsa.SignASN1(rand.Reader, f.key.private.(*ecdsa.PrivateKey), digest[:])
	if err != nil {
		f.Fatal(err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// longSalt signs PS256 with a salt longer than the digest (RFC 7518 §3.5 wants it as long).
func (f forger) longSalt() string {
	input := encode(f, with(f.rsa.header(), "alg", "PS256")) + "." + encode(f, f.claims())
	digest := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPSS(rand.Reader, f.rsa.private.(*rsa.PrivateKey), 5, digest[:], &rsa.PSSOptions{SaltLength: 64})
	if err != nil {
		f.Fatal(err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// parts changes the parts of the good context after it was signed.
func (f forger) parts(change func(header, payload, signature string) string) string {
	p := strings.Split(f.good(), ".")
	return change(p[0], p[1], p[2])
}

func (f forger) signatureBytes(change func([]byte) []byte) string {
	return f.parts(func(h, p, s string) string {
		raw, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil {
			f.Fatal(err)
		}
		return h + "." + p + "." + base64.RawURLEncoding.EncodeToString(change(raw))
	})
}

func TestOneChangeMakesAContextRefused(t *testing.T) {
	f := forger{TB: t, key: newSigner(t, "k1", "ES256"), other: newSigner(t, "k2", "EdDSA"), rsa: newSigner(t, "k3", "PS256")}
	v := verifier(t, newIssuer(t, home, f.key, f.other, f.rsa))
	fixed := func(token string) func(forger) string { return func(forger) string { return token } }
	header := func(name string, value any) func(forger) string {
		return func(f forger) string { return f.header(name, value) }
	}
	claim := func(name string, value any) func(forger) string {
		return func(f forger) string { return f.claim(name, value) }
	}
	edit := func(old, new string) func(forger) string { return func(f forger) string { return f.edit(old, new) } }
	rawHeader := func(raw string) func(forger) string { return func(f forger) string { return f.rawHeader(raw) } }
	rawPayload := func(raw string) func(forger) string { return func(f forger) string { return f.rawPayload(raw) } }
	parts := func(change func(h, p, s string) string) func(forger) string {
		return func(f forger) string { return f.parts(change) }
	}

	tests := []struct {
		name   string
		forge  func(forger) string
		reason verify.Reason
	}{
		// Shape.
		{"empty", fixed(""), verify.Malformed},
		{"one part", fixed("abc"), verify.Malformed},
		{"two parts", parts(func(h, p, _ string) string { return h + "." + p }), verify.Malformed},
		{"four parts", parts(func(h, p, s string) string { return h + "." + p + "." + s + "." }), verify.Malformed},
		{"five parts, a JWE", parts(func(h, p, s string) string { return h + "." + p + "." + s + ".a.b" }), verify.Malformed},
		{"JSON serialisation", fixed(`{"payload":"e30","protected":"e30","signature":"AA"}`), verify.Malformed},
		{"no signature", parts(func(h, p, _ string) string { return h + "." + p + "." }), verify.Signature},
		{"no payload", parts(func(h, _, s string) string { return h + ".." + s }), verify.Signature},
		{"padded", parts(func(h, p, s string) string { return h + "." + p + "." + s + "==" }), verify.Malformed},
		{"leading space", parts(func(h, p, s string) string { return " " + h + "." + p + "." + s }), verify.Malformed},
		{"trailing newline", parts(func(h, p, s string) string { return h + "." + p + "." + s + "\n" }), verify.Malformed},
		{"line break in the header", parts(func(h, p, s string) string { return h[:8] + "\r\n" + h[8:] + "." + p + "." + s }), verify.Malformed},
		{"standard base64", parts(func(h, p, s string) string { return h + "." + p + "." + s[:85] + "+" }), verify.Malformed},
		{"loose last bits", parts(func(h, p, s string) string { return h + "." + p + "." + s[:85] + loosen(s[85:]) }), verify.Malformed},
		{"full-width dot", parts(func(h, p, s string) string { return h + "." + p + "．" + s }), verify.Malformed},
		{"16 KiB and one byte", func(f forger) string {
			t := f.claim("pad", strings.Repeat("x", 11_000))
			return t + strings.Repeat("A", 16<<10+1-len(t))
		}, verify.TooLarge},
		{"header of 3 KB", header("pad", strings.Repeat("x", 3000)), verify.TooLarge},

		// Header.
		{"alg none", header("alg", "none"), verify.Algorithm},
		{"alg None", header("alg", "None"), verify.Algorithm},
		{"alg nOnE, no signature", func(f forger) string {
			return encode(f, object{"alg": "nOnE", "typ": "at+jwt", "kid": "k1"}) + "." + encode(f, f.claims()) + "."
		}, verify.Algorithm},
		{"alg in lower case", header("alg", "es256"), verify.Algorithm},
		{"alg with a space", header("alg", "ES256 "), verify.Algorithm},
		{"no alg", header("alg", nil), verify.Algorithm},
		{"alg a number", header("alg", 256), verify.Malformed},
		{"HS256 under the public key", func(f forger) string { return f.hmac(f.publicDER()) }, verify.Algorithm},
		{"RS512", header("alg", "RS512"), verify.Algorithm},
		{"ES256K", header("alg", "ES256K"), verify.Algorithm},
		{"alg of another curve", header("alg", "ES384"), verify.UnknownKey},
		{"alg of another kind of key", header("alg", "EdDSA"), verify.UnknownKey},
		{"RS256 under a key for PS256", func(f forger) string {
			forged := f.rsa
			forged.alg = "RS256"
			return forged.good(f, f.claims())
		}, verify.UnknownKey},
		{"another published key's id", header("kid", "k2"), verify.UnknownKey},
		{"kid of nobody", header("kid", "k9"), verify.UnknownKey},
		{"no kid", header("kid", nil), verify.UnknownKey},
		{"empty kid", header("kid", ""), verify.UnknownKey},
		{"kid a path", header("kid", "../../../../dev/null"), verify.UnknownKey},
		{"kid SQL", header("kid", "' or 1=1 --"), verify.UnknownKey},
		{"kid with a newline", header("kid", "k1\n"), verify.UnknownKey},
		{"kid null", rawHeader(`{"alg":"ES256","kid":null,"typ":"at+jwt"}`), verify.UnknownKey},
		{"kid a list", rawHeader(`{"alg":"ES256","kid":["k1"],"typ":"at+jwt"}`), verify.Malformed},
		{"two kids", rawHeader(`{"alg":"ES256","kid":"k2","kid":"k1","typ":"at+jwt"}`), verify.Malformed},
		{"two kids, one escaped", rawHeader(`{"alg":"ES256","kid":"k2","\u006bid":"k1","typ":"at+jwt"}`), verify.Malformed},
		{"kid in capitals", rawHeader(`{"alg":"ES256","KID":"k1","typ":"at+jwt"}`), verify.UnknownKey},
		{"two algs", rawHeader(`{"alg":"none","alg":"ES256","kid":"k1","typ":"at+jwt"}`), verify.Malformed},
		{"no typ", header("typ", nil), verify.Type},
		{"typ JWT", header("typ", "JWT"), verify.Type},
		{"typ of a logout token", header("typ", "logout+jwt"), verify.Type},
		{"typ of a status list", header("typ", "statuslist+jwt"), verify.Type},
		{"crit", header("crit", []string{"exp"}), verify.HeaderUnsupported},
		{"crit empty", header("crit", []string{}), verify.HeaderUnsupported},
		{"crit null", rawHeader(`{"alg":"ES256","kid":"k1","typ":"at+jwt","crit":null}`), verify.HeaderUnsupported},
		{"crit b64", rawHeader(`{"alg":"ES256","kid":"k1","typ":"at+jwt","crit":["b64"],"b64":false}`), verify.HeaderUnsupported},
		{"b64 false", header("b64", false), verify.HeaderUnsupported},
		{"b64 true", header("b64", true), verify.HeaderUnsupported},
		{"zip", header("zip", "DEF"), verify.HeaderUnsupported},
		{"enc", header("enc", "A128GCM"), verify.HeaderUnsupported},
		{"header not an object", rawHeader(`["ES256"]`), verify.Malformed},
		{"header null", rawHeader(`null`), verify.Malformed},
		{"header not UTF-8", rawHeader("{\"alg\":\"ES256\",\"kid\":\"k1\",\"typ\":\"at+jwt\",\"x\":\"\xff\"}"), verify.Malformed},
		{"header with a tail", rawHeader(`{"alg":"ES256","kid":"k1","typ":"at+jwt"}{}`), verify.Malformed},
		{"key embedded, signed with it", func(f forger) string {
			own := newSigner(f, "k1", "ES256")
			return own.sign(f, encode(f, with(own.header(), "jwk", own.jwk(f))), encode(f, f.claims()))
		}, verify.Signature},
		{"key by address, signed with it", func(f forger) string {
			own := newSigner(f, "k1", "ES256")
			return own.sign(f, encode(f, with(own.header(), "jku", "https://evil.example/keys")), encode(f, f.claims()))
		}, verify.Signature},

		// Signature.
		{"signed by a stranger", func(f forger) string { return newSigner(f, "k1", "ES256").good(f, f.claims()) }, verify.Signature},
		{"another context's signature", func(f forger) string {
			other := f.claim("sub", "c-2")
			return f.parts(func(h, p, _ string) string { return h + "." + p + other[strings.LastIndexByte(other, '.'):] })
		}, verify.Signature},
		{"payload exchanged", func(f forger) string {
			return f.parts(func(h, _, s string) string { return h + "." + encode(f, with(f.claims(), "sub", "c-2")) + "." + s })
		}, verify.Signature},
		{"zero signature", func(f forger) string { return f.signatureBytes(func(s []byte) []byte { return make([]byte, len(s)) }) }, verify.Signature},
		{"short signature", func(f forger) string { return f.signatureBytes(func(s []byte) []byte { return s[:63] }) }, verify.Signature},
		{"long signature", func(f forger) string { return f.signatureBytes(func(s []byte) []byte { return append(s, 0) }) }, verify.Signature},
		{"signature split elsewhere", func(f forger) string {
			return f.signatureBytes(func(s []byte) []byte { return append([]byte{0}, append(s[:32:32], append([]byte{0}, s[32:]...)...)...) })
		}, verify.Signature},
		{"signature with a zero between", func(f forger) string {
			return f.signatureBytes(func(s []byte) []byte { return append(s[:32:32], append([]byte{0}, s[32:]...)...) })
		}, verify.Signature},
		{"DER signature", forger.derSignature, verify.Signature},
		{"salt of another length", forger.longSalt, verify.Signature},

		// Claims.
		{"another issuer", claim("iss", "https://evil.example"), verify.Issuer},
		{"issuer with a slash", claim("iss", home+"/"), verify.Issuer},
		{"issuer in capitals", claim("iss", strings.ToUpper(home)), verify.Issuer},
		{"another audience", claim("aud", "https://other.example.com"), verify.Audience},
		{"audience with a slash", claim("aud", audience+"/"), verify.Audience},
		{"other audiences", claim("aud", []string{"https://other.example.com", "x"}), verify.Audience},
		{"audience a list in a list", claim("aud", []any{[]string{audience}}), verify.ClaimInvalid},
		{"audience and a number", claim("aud", []any{audience, 7}), verify.ClaimInvalid},
		{"no audience in the list", claim("aud", []string{}), verify.ClaimInvalid},
		{"empty audience", claim("aud", ""), verify.ClaimInvalid},
		{"audience an object", claim("aud", object{audience: true}), verify.ClaimInvalid},
		{"no iss", claim("iss", nil), verify.ClaimMissing},
		{"no aud", claim("aud", nil), verify.ClaimMissing},
		{"no sub", claim("sub", nil), verify.ClaimMissing},
		{"no client_id", claim("client_id", nil), verify.ClaimMissing},
		{"no jti", claim("jti", nil), verify.ClaimMissing},
		{"no iat", claim("iat", nil), verify.ClaimMissing},
		{"no exp", claim("exp", nil), verify.ClaimMissing},
		{"no chat", claim("chat", nil), verify.ClaimMissing},
		{"empty sub", claim("sub", ""), verify.ClaimInvalid},
		{"empty jti", claim("jti", ""), verify.ClaimInvalid},
		{"empty client_id", claim("client_id", ""), verify.ClaimInvalid},
		{"sub a number", claim("sub", 1), verify.ClaimInvalid},
		{"sub null", edit(`"sub":"c-1"`, `"sub":null`), verify.ClaimInvalid},
		{"nbf null", edit(`"jti":"j-1"`, `"jti":"j-1","nbf":null`), verify.ClaimInvalid},
		{"exp a string", claim("exp", "9999999999"), verify.ClaimInvalid},
		{"exp negative", claim("exp", -1), verify.ClaimInvalid},
		{"exp huge", claim("exp", 1e300), verify.ClaimInvalid},
		{"exp in milliseconds", claim("exp", start().Add(time.Hour).UnixMilli()), verify.ClaimInvalid},
		{"a number beyond all numbers", edit(`"jti":"j-1"`, `"jti":"j-1","big":1e999`), verify.Malformed},
		{"exp past", claim("exp", start().Add(-time.Hour).Unix()), verify.Expired},
		{"exp zero", claim("exp", 0), verify.Expired},
		{"iat ahead", claim("iat", start().Add(time.Hour).Unix()), verify.NotYetValid},
		{"nbf ahead", claim("nbf", start().Add(time.Hour).Unix()), verify.NotYetValid},
		{"auth_time a string", claim("auth_time", "yesterday"), verify.ClaimInvalid},
		{"scope a list", claim("scope", []string{"chat:read"}), verify.ClaimInvalid},
		{"amr a string", claim("amr", "pwd"), verify.ClaimInvalid},
		{"two subs", edit(`"sub":"c-1"`, `"sub":"c-1","sub":"c-2"`), verify.Malformed},
		{"two subs, one escaped", edit(`"sub":"c-1"`, `"sub":"c-1","\u0073ub":"c-2"`), verify.Malformed},
		{"two members deep in a mapped claim", edit(`"tier":"gold"`, `"tier":{"a":[{"b":1,"b":2}]}`), verify.Malformed},
		{"two apps", edit(`"app":"support"`, `"app":"support","app":"sales"`), verify.Malformed},
		{"Sub beside no sub", edit(`"sub":"c-1"`, `"Sub":"c-1"`), verify.ClaimMissing},
		{"payload a list", rawPayload(`[]`), verify.Malformed},
		{"payload null", rawPayload(`null`), verify.Malformed},
		{"payload empty", rawPayload(``), verify.Malformed},
		{"payload with a tail", rawPayload(`{} {}`), verify.Malformed},
		{"payload not UTF-8", edit(`"tier":"gold"`, "\"tier\":\"\xff\""), verify.Malformed},
		{"payload with a byte order mark", rawPayload("\ufeff{}"), verify.Malformed},
		{"chat version 2", claim("chat", object{"ver": 2, "app": "support"}), verify.ChatVersion},
		{"chat version 1.5", claim("chat", object{"ver": 1.5, "app": "support"}), verify.ChatVersion},
		{"chat version missing", claim("chat", object{"app": "support"}), verify.ChatVersion},
		{"chat version a string", claim("chat", object{"ver": "1", "app": "support"}), verify.ClaimInvalid},
		{"chat without app", claim("chat", object{"ver": 1}), verify.ClaimMissing},
		{"chat of an empty app", claim("chat", object{"ver": 1, "app": ""}), verify.ClaimInvalid},
		{"chat a string", claim("chat", "support"), verify.ClaimInvalid},
		{"chat null", edit(`"chat":{`, `"chat":null,"x":{`), verify.ClaimInvalid},
		{"conversation a number", claim("chat", object{"ver": 1, "app": "support", "conversation": 7}), verify.ClaimInvalid},
		{"act a string", claim("act", "agent"), verify.ClaimInvalid},
		{"act of nobody", claim("act", object{"iss": "https://agents.example.com"}), verify.ClaimInvalid},
		{"act nested four deep", claim("act", object{"sub": "a", "act": object{"sub": "b", "act": object{"sub": "c", "act": object{"sub": "d"}}}}), verify.ClaimInvalid},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := f
			f.TB = t
			if _, err := v.Verify(t.Context(), f.good()); err != nil {
				t.Fatalf("before the change: %v", err)
			}
			got, err := v.Verify(t.Context(), test.forge(f))
			wantReason(t, err, test.reason)
			if got != nil {
				t.Error("got a context beside the error")
			}
			if err != nil && strings.Contains(err.Error(), "c-1") {
				t.Errorf("the error repeats a claim: %v", err)
			}
		})
	}
}

// loosen sets a bit that base64url ignores in the last character of 64 bytes.
func loosen(last string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return alphabet[strings.Index(alphabet, last)|1:][:1]
}
