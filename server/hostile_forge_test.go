package server_test

import (
	"bytes"
	"compress/flate"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// forgery is an ID token in the making. It is signed last, whatever has become of it.
type forgery struct {
	header, payload map[string]any
	// The texts stand for what is encoded and sent, and may name its parts: see [fill].
	headerText, payloadText, text string
	sign                          func(input string) string
}

// goodToken is an ID token for the shop, issued a minute ago, of somebody who was not here before.
func (tg *target) goodToken(is *upstream) *forgery {
	tg.people++
	return &forgery{
		header: map[string]any{"alg": "ES256", "kid": is.kid, "typ": "JWT"},
		payload: map[string]any{
			"iss": is.URL, "sub": fmt.Sprint("u-81-", tg.people), "aud": "shop-web", "iat": tg.noon.Unix() - 60, "exp": tg.noon.Unix() + 300,
			"auth_time": tg.noon.Unix() - 120, "sid": fmt.Sprint("upstream-session-", tg.people), "acr": "mfa", "amr": []string{"pwd", "otp"},
			"nonce": "n-0S6_WzA2Mj", "email": "ada@example.com", "name": "Ada Lovelace", "groups": []string{"gold"},
		},
		headerText: "{{members}}", payloadText: "{{members}}", text: "{header}.{payload}.{signature}",
		sign: is.es256,
	}
}

// token returns the compact serialisation (RFC 7515 §3.1), or what the text makes of it.
func (f *forgery) token(t testing.TB) string {
	t.Helper()
	part := func(text string, members map[string]any) string {
		raw, err := json.Marshal(members)
		if err != nil {
			t.Fatal(err)
		}
		return encoded([]byte(fill(t, text, map[string]string{"members": string(raw[1 : len(raw)-1])})))
	}
	header, payload := part(f.headerText, f.header), part(f.payloadText, f.payload)
	signature := f.sign(header + "." + payload)
	whole := header + "." + payload + "." + signature
	cut := min(20, len(header)+len(payload)) // some forgeries are short
	return fill(t, f.text, map[string]string{
		"header": header, "payload": payload, "signature": signature,
		"token": whole, "start": whole[:cut], "rest": whole[cut:],
		"respelt signature": respelt(signature),
	})
}

// respelt changes the last bits of a part that no byte is made of: another spelling of the same bytes.
func respelt(part string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	if part == "" {
		return part
	}
	last := strings.IndexByte(alphabet, part[len(part)-1])
	return part[:len(part)-1] + string(alphabet[last^1])
}

var hole = regexp.MustCompile(`\{([A-Za-z][A-Za-z ]*)(?:([*+-])(\d+))?\}`)

// fill puts values in the place of {name}; {x*9} is xxxxxxxxx, {deep*3} is [[[]]], {now-60} is a minute ago,
// {LF} a line feed. What it does not know it leaves: somebody later may.
func fill(t testing.TB, text string, values map[string]string) string {
	t.Helper()
	return hole.ReplaceAllStringFunc(text, func(found string) string {
		parts := hole.FindStringSubmatch(found)
		n, _ := strconv.Atoi(parts[3])
		value, known := values[parts[1]]
		switch {
		case parts[2] == "*" && parts[1] == "deep":
			return strings.Repeat("[", n) + strings.Repeat("]", n)
		case parts[2] == "*":
			return strings.Repeat(parts[1], n)
		case !known:
			return found
		case parts[2] == "":
			return value
		}
		at, err := strconv.Atoi(value)
		if err != nil {
			t.Fatalf("%s: %v", found, err)
		}
		if parts[2] == "-" {
			n = -n
		}
		return strconv.Itoa(at + n)
	})
}

// signers are those who sign f in its owner's place, or otherwise. Each may write into the header what
// belongs to its trick.
func (a *attempt) signers(t testing.TB, f *forgery, owner signingKey) map[string]func() {
	stranger := a.stranger
	bring := func(member string, value any) func() {
		return func() { f.sign, f.header[member] = stranger.es256, value }
	}
	unsigned := func(alg string) func() {
		return func() { f.header["alg"], f.sign = alg, func(string) string { return "" } }
	}
	mac := func(secret []byte) func() {
		return func() {
			f.header["alg"] = "HS256"
			f.sign = func(input string) string { return hs256(secret, input) }
		}
	}
	der, err := x509.MarshalPKIXPublicKey(owner.private.Public())
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := json.Marshal(owner.jwkMembers())
	if err != nil {
		t.Fatal(err)
	}
	return map[string]func(){
		"a stranger":                     func() { f.sign = stranger.es256 },
		"a stranger without kid":         func() { f.sign = stranger.es256; delete(f.header, "kid") },
		"a stranger by the name of kid2": bring("kid", "kid2"),
		"a stranger who brings jwk":      bring("jwk", stranger.jwkMembers()),
		"a stranger who points with jku": bring("jku", stranger.URL+"/keys"),
		"a stranger who points with x5u": bring("x5u", stranger.URL+"/certificate"),
		"a stranger who brings x5c":      bring("x5c", []string{stranger.selfSigned(t)}),
		"the partner":                    func() { f.sign = a.target.partner.es256 },
		"nobody, alg none":               unsigned("none"),
		"nobody, alg None":               unsigned("None"),
		"nobody, alg NONE":               unsigned("NONE"),
		"nobody, alg nOnE":               unsigned("nOnE"),
		"nobody, alg empty":              unsigned(""),
		"HS256 with the public key, PEM": mac(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		"HS256 with the public key, DER": mac(der),
		"HS256 with the public key, JWK": mac(jwk),
		"HS256 with an empty secret":     mac(nil),
		"HS256 with the kid":             mac([]byte(owner.kid)),
	}
}

func hs256(secret []byte, input string) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return encoded(mac.Sum(nil))
}

// encrypted is a JWE (RFC 7516 §3.1) of zeros that took up that many bytes before they were compressed.
func encrypted(t testing.TB, size int) string {
	t.Helper()
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestCompression)
	if err == nil {
		_, err = w.Write(make([]byte, size))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	header := encoded([]byte(`{"alg":"dir","enc":"A256GCM","zip":"DEF","typ":"JWT","kid":"k1"}`))
	return fmt.Sprintf("%s..%s.%s.%s", header, encoded(make([]byte, 12)), encoded(packed.Bytes()), encoded(make([]byte, 16)))
}
