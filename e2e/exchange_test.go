package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	gooidc "github.com/coreos/go-oidc/v3/oidc"

	"chatpass/verify"
)

// An ID token that a certified identity provider issued becomes a context that strangers verify with
// nothing but our issuer URL, our key set's URL and their own audience.
func TestStrangersVerifyContexts(t *testing.T) {
	for _, algorithm := range []string{"ES256", "EdDSA", "RS256"} {
		t.Run(algorithm, func(t *testing.T) {
			site, upstream := newSiteWithIssuer(t, [2]string{"algorithm: ES256", "algorithm: " + algorithm})
			site.serve(t)
			idToken := shopIDToken(t, upstream, "alice")
			for client, context := range map[string]answer{
				"backend": site.asBackend(t, idToken),
				"page":    site.asPage(t, idToken, shopOrigin),
			} {
				context.want(t, http.StatusOK)
				for verifier, verify := range verifiers {
					t.Run(client+" "+verifier, func(t *testing.T) {
						checkClaims(t, verify(t, site, context.AccessToken), context)
						if verify(t, site, tampered(context.AccessToken)) != nil {
							t.Error("believes a context whose claims were changed")
						}
					})
				}
			}
		})
	}
}

// verifiers return the claims of a context, nil if they do not believe it.
var verifiers = map[string]func(*testing.T, site, string) map[string]any{
	"verify": verifyWithOurs, "go-oidc": verifyWithGoOIDC, "jose": verifyWithJose,
}

// Whoever asks with the wrong token, or from the wrong place, hears which and gets nothing.
func TestBadRequestsAreNamed(t *testing.T) {
	site, upstream := newSiteWithIssuer(t)
	service := site.serve(t)
	good := shopIDToken(t, upstream, "alice")
	stranger := startIssuer(t, 0) // certified, and unknown here
	wrongSecret := site.exchangeRequest(t, good)
	wrongSecret.SetBasicAuth(backend, "a guess")
	refused := map[string]struct {
		answer
		status int
		code   string
	}{
		"foreign issuer":       {site.asBackend(t, shopIDToken(t, stranger, "alice")), http.StatusBadRequest, "CP-201"},
		"forged":               {site.asBackend(t, tampered(good)), http.StatusBadRequest, "CP-203"},
		"not a token":          {site.asBackend(t, "alice"), http.StatusBadRequest, "CP-110"},
		"page not registered":  {site.asPage(t, good, "https://evil.example"), http.StatusForbidden, "CP-105"},
		"wrong secret":         {site.ask(t, wrongSecret), http.StatusUnauthorized, "CP-107"},
		"nobody says who asks": {site.ask(t, site.exchangeRequest(t, good)), http.StatusBadRequest, "CP-102"},
		"empty":                {site.ask(t, site.tokenRequest(t, nil)), http.StatusBadRequest, "CP-102"},
	}
	for name, r := range refused {
		t.Run(name, func(t *testing.T) {
			r.want(t, r.status)
			if r.Code != r.code || r.Description == "" || r.Retry == "" || r.AccessToken != "" {
				t.Errorf("got %s (%s) retry %q, want %s with a description", r.Code, r.Description, r.Retry, r.code)
			}
			eventually(t, func() error {
				if r.Decision == "" || !strings.Contains(service.err.String(), r.Decision) {
					return fmt.Errorf("decision %q is not in the log", r.Decision)
				}
				return nil
			})
		})
	}
	if said := service.err.String(); strings.Contains(said, good) || strings.Contains(said, "alice") {
		t.Error("the log holds a token or a person")
	}
}

func checkClaims(t *testing.T, claims map[string]any, context answer) {
	t.Helper()
	want := map[string]any{"sub": context.Customer, "aud": audience, "sid": context.SID, "idp": "corp", "name": "Alice", "tier": "gold", "scope": "chat:read chat:write"}
	for name, value := range want {
		if claims[name] != value {
			t.Errorf("%s: got %v, want %v", name, claims[name], value)
		}
	}
	for _, private := range []string{"email", "groups", "nonce"} {
		if _, leaked := claims[private]; leaked {
			t.Errorf("%s is in the context though no rule maps it", private)
		}
	}
}

// tampered makes the context speak for somebody else, and leaves the signature.
func tampered(token string) string {
	parts := strings.Split(token, ".")
	payload, _ := base64.RawURLEncoding.DecodeString(parts[1]) // whatever it gives is not what was signed
	forged := strings.Replace(string(payload), `"gold"`, `"iron"`, 1)
	return parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(forged)) + "." + parts[2]
}

func verifyWithOurs(t *testing.T, s site, token string) map[string]any {
	verifier, err := verify.New(s.issuer, audience)
	if err != nil {
		t.Fatal(err)
	}
	c, err := verifier.Verify(t.Context(), token)
	if err != nil {
		t.Log(err)
		return nil
	}
	claims := map[string]any{"sub": c.Customer, "aud": strings.Join(c.Audience, " "), "sid": c.SID, "idp": c.IDP, "scope": strings.Join(c.Scope, " ")}
	maps.Copy(claims, c.Claims)
	return claims
}

func verifyWithGoOIDC(t *testing.T, s site, token string) map[string]any {
	keys := gooidc.NewRemoteKeySet(t.Context(), s.at+"/.well-known/jwks.json")
	verified, err := gooidc.NewVerifier(s.issuer, keys, &gooidc.Config{
		ClientID: audience, SupportedSigningAlgs: []string{gooidc.ES256, gooidc.EdDSA, gooidc.RS256},
	}).Verify(t.Context(), token)
	if err != nil {
		t.Log(err)
		return nil
	}
	var claims map[string]any
	if err := verified.Claims(&claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func verifyWithJose(t *testing.T, s site, token string) map[string]any {
	node := exec.CommandContext(t.Context(), "node", "jose/verify.mjs", s.issuer, s.issuer+"/.well-known/jwks.json", audience)
	node.Stdin, node.Stderr = strings.NewReader(token), os.Stderr
	out, err := node.Output()
	if err != nil {
		t.Fatal(err)
	}
	var result struct {
		Claims map[string]any
		Error  string
	}
	if err := json.Unmarshal(out, &result); err != nil {
		t.Fatal(err)
	}
	if result.Error != "" {
		t.Log(result.Error)
	}
	return result.Claims
}

// keyID is the kid that a token names.
func keyID(t testing.TB, token string) string {
	t.Helper()
	header, _, _ := strings.Cut(token, ".")
	var named struct{ KID string }
	text, err := base64.RawURLEncoding.DecodeString(header)
	if err == nil {
		err = json.Unmarshal(text, &named)
	}
	if err != nil {
		t.Fatal(err)
	}
	return named.KID
}
