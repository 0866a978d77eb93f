package e2e_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/client"
	"github.com/zitadel/oidc/v3/pkg/client/tokenexchange"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"golang.org/x/oauth2/google/externalaccount"
)

// A library exchanges tokens, was written by others, and is used as its own documentation says.
type library struct {
	exchange func(*testing.T, trade) outcome
	// silent libraries tell their caller OAuth's error and its description only.
	silent bool
}

var libraries = map[string]library{
	"x/oauth2/google/externalaccount, supplier": {exchange: withSupplier},
	"x/oauth2/google/externalaccount, file":     {exchange: withFile},
	"x/oauth2/clientcredentials":                {exchange: withOAuth2},
	"zitadel/oidc":                              {exchange: withZitadel, silent: true},
	"zitadel/oidc, private_key_jwt":             {exchange: withZitadelKey, silent: true},
	"openid-client":                             {exchange: withOpenIDClient},
	"openid-client, private_key_jwt":            {exchange: withOpenIDClientKey},
}

// keyedBackend is the backend client that has a key where the other has a secret.
const keyedBackend = "support-keyed"

// registerKeyed adds that client to the configuration, and returns its private key.
func (s site) registerKeyed(t *testing.T) jose.JSONWebKey {
	t.Helper()
	key := newKey(t)
	write(t, s.dir, "keyed.json", encode(t, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key.Public()}}))
	s.edit(t, "    clients:", "    clients:\n      "+keyedBackend+": {type: backend, auth: private_key_jwt, jwks: file:"+
		filepath.Join(s.dir, "keyed.json")+", accepts: {corp: [shop-web]}}")
	return key
}

// A trade is what a backend wants, and both of the ways in which it can prove itself.
type trade struct {
	site             site
	secret           string
	key              jose.JSONWebKey
	idToken          string
	audience, scopes []string
}

// tradeOf is a good trade.
func (s site) tradeOf(idToken string, key jose.JSONWebKey) trade {
	return trade{
		site: s, secret: strings.TrimPrefix(secrets[1], "BACKEND_SECRET="), key: key, idToken: idToken,
		audience: []string{audience}, scopes: []string{"chat:read", "chat:write"},
	}
}

// An outcome is what a library tells its caller: a context, or why there is none.
type outcome struct {
	context   string
	expiresIn time.Duration
	failure
}

// A failure is our answer as far as a library hands it on.
type failure struct {
	Status int    `json:"status"`
	Error  string `json:"error"`
	Code   string `json:"code"`
	Retry  string `json:"retry"`
}

func (o outcome) want(t *testing.T, want failure) {
	t.Helper()
	if o.failure != want || o.context != "" {
		t.Errorf("got a context of %d bytes and %+v, want none and %+v", len(o.context), o.failure, want)
	}
}

// Contexts that other people's libraries fetch are good to other people's verifiers.
func TestOthersLibrariesExchange(t *testing.T) {
	site, upstream := newSiteWithIssuer(t)
	key := site.registerKeyed(t)
	site.serve(t)
	idToken := shopIDToken(t, upstream, "alice")
	expected := site.asBackend(t, idToken).want(t, http.StatusOK) // the same person in the same session
	for name, library := range libraries {
		t.Run(name, func(t *testing.T) {
			got := library.exchange(t, site.tradeOf(idToken, key))
			if got.context == "" || got.expiresIn < 9*time.Minute || got.expiresIn > 10*time.Minute {
				t.Fatalf("got a context of %d bytes for %s, %+v; want one for 10 minutes", len(got.context), got.expiresIn, got.failure)
			}
			for verifier, verify := range discovering {
				claims := verify(t, site, got.context)
				if claims == nil {
					t.Fatalf("%s does not believe the context", verifier)
				}
				checkClaims(t, claims, expected)
				if verify(t, site, tampered(got.context)) != nil {
					t.Errorf("%s believes a context whose claims were changed", verifier)
				}
			}
		})
	}
}

// discovering are verifiers that are told no more than our issuer URL, where they can do with that.
var discovering = map[string]func(*testing.T, site, string) map[string]any{
	"verify": verifyWithOurs, "go-oidc": verifyWithDiscovery, "jose": verifyWithJose,
}

func verifyWithDiscovery(t *testing.T, s site, token string) map[string]any {
	t.Helper()
	discovered, err := gooidc.NewProvider(t.Context(), s.issuer)
	if err != nil {
		t.Fatal(err)
	}
	verified, err := discovered.Verifier(&gooidc.Config{ClientID: audience}).Verify(t.Context(), token)
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

// What was wrong with a request reaches whoever wrote the backend, whatever library is between.
func TestOthersLibrariesNameTheRefusal(t *testing.T) {
	upstream, stranger := newTestIssuer(t), newTestIssuer(t)
	site := newSite(t, upstream.URL)
	key := site.registerKeyed(t)
	site.serve(t)
	for name, refused := range map[string]struct {
		spoil func(*trade)
		failure
	}{
		"expired":         {func(w *trade) { w.idToken = upstream.idToken(t, -10*time.Minute) }, failure{http.StatusBadRequest, "invalid_request", "CP-205", "login"}},
		"foreign":         {func(w *trade) { w.idToken = stranger.idToken(t, time.Hour) }, failure{http.StatusBadRequest, "invalid_request", "CP-201", "no"}},
		"wrong proof":     {func(w *trade) { w.secret, w.key = "a guess", newKey(t) }, failure{http.StatusUnauthorized, "invalid_client", "CP-107", "no"}},
		"no such service": {func(w *trade) { w.audience = []string{"https://elsewhere.example"} }, failure{http.StatusBadRequest, "invalid_target", "CP-303", "no"}},
		"no such scope":   {func(w *trade) { w.scopes = []string{"chat:admin"} }, failure{http.StatusBadRequest, "invalid_scope", "CP-304", "no"}},
	} {
		for with, library := range libraries {
			t.Run(name+", "+with, func(t *testing.T) {
				wish := site.tradeOf(upstream.idToken(t, time.Hour), key)
				refused.spoil(&wish)
				library.exchange(t, wish).want(t, library.hears(refused.failure))
			})
		}
	}
}

// An outage reaches the caller as one, never as a refused token or a refused client; and it ends without
// anybody doing anything.
func TestOthersLibrariesTellAnOutageFromARefusal(t *testing.T) {
	upstream := newTestIssuer(t)
	upstream.down.Store(true) // before the service asks for its keys
	site := newSite(t, upstream.URL)
	key := site.registerKeyed(t)
	site.serve(t)
	wish := site.tradeOf(upstream.idToken(t, time.Hour), key)
	for name, library := range libraries {
		t.Run(name, func(t *testing.T) {
			library.exchange(t, wish).want(t, library.hears(failure{http.StatusServiceUnavailable, "temporarily_unavailable", "CP-902", "later"}))
		})
	}
	upstream.down.Store(false)
	for name, library := range libraries {
		t.Run(name+" afterwards", func(t *testing.T) {
			eventually(t, func() error {
				if got := library.exchange(t, wish); got.context == "" {
					return fmt.Errorf("still %+v", got.failure)
				}
				return nil
			})
		})
	}
}

// A backend asks what a context is worth, and ends its session, with a library that finds both endpoints
// in our metadata.
func TestOthersLibrariesIntrospectAndRevoke(t *testing.T) {
	for _, proof := range []string{"secret", "key"} {
		t.Run(proof, func(t *testing.T) {
			upstream := newTestIssuer(t)
			site := newSite(t, upstream.URL)
			wish := site.tradeOf(upstream.idToken(t, time.Hour), site.registerKeyed(t))
			site.serve(t)
			issued := site.asBackend(t, wish.idToken).want(t, http.StatusOK)
			request := map[string]map[string]any{
				"secret": {"clientId": backend, "secret": wish.secret}, "key": {"clientId": keyedBackend, "key": wish.key},
			}[proof]
			request["issuer"], request["token"] = site.issuer, issued.AccessToken
			var said struct{ Before, After map[string]any }
			script(t, "clients/revoke.mjs", request, &said)
			if said.Before["active"] != true || said.Before["sub"] != issued.Customer {
				t.Errorf("before: %v, want active and of customer %s", said.Before, issued.Customer)
			}
			if len(said.After) != 1 || said.After["active"] != false {
				t.Errorf("after: %v, want inactive and no more", said.After)
			}
			site.asBackend(t, wish.idToken).want(t, http.StatusUnauthorized) // the session is over
		})
	}
}

// hears is what of a failure the library's caller gets to know.
func (l library) hears(f failure) failure {
	if l.silent {
		return failure{Error: f.Error}
	}
	return f
}

// withAccount hands over a secret that RFC 6749 §2.3.1 leaves as it is: externalaccount encodes none.
func withAccount(t *testing.T, w trade, source externalaccount.Config) outcome {
	t.Helper()
	source.Audience, source.TokenURL, source.SubjectTokenType = w.audience[0], w.site.issuer+"/oauth2/token", string(oidc.IDTokenType)
	source.ClientID, source.ClientSecret, source.Scopes = backend, w.secret, w.scopes
	tokens, err := externalaccount.NewTokenSource(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	token, err := tokens.Token()
	if err != nil {
		return outcome{failure: failureIn(t, err.Error())}
	}
	return outcome{context: token.AccessToken, expiresIn: time.Until(token.Expiry)}
}

// failureIn reads an error of externalaccount: text is all that it has.
func failureIn(t *testing.T, text string) failure {
	t.Helper()
	var f failure
	status, body, found := strings.Cut(strings.TrimPrefix(text, "oauth2/google: status code "), ": ")
	if _, err := fmt.Sscan(status, &f.Status); !found || err != nil {
		t.Fatalf("got %q, want a status and our answer", text)
	}
	decode(t, []byte(body), &f)
	return f
}

func withSupplier(t *testing.T, w trade) outcome {
	t.Helper()
	return withAccount(t, w, externalaccount.Config{SubjectTokenSupplier: supplier(w.idToken)})
}

// A supplier has an ID token at hand.
type supplier string

func (s supplier) SubjectToken(context.Context, externalaccount.SupplierOptions) (string, error) {
	return string(s), nil
}

func withFile(t *testing.T, w trade) outcome {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "id-token", w.idToken+"\n")
	return withAccount(t, w, externalaccount.Config{CredentialSource: &externalaccount.CredentialSource{File: filepath.Join(dir, "id-token")}})
}

// withOAuth2 says AuthStyleInHeader: a library that finds out by trial repeats a refused request in a
// way that is refused for another reason, and reports that one.
func withOAuth2(t *testing.T, w trade) outcome {
	t.Helper()
	form := exchangeForm(w.idToken)
	form["audience"] = w.audience
	config := clientcredentials.Config{
		ClientID: backend, ClientSecret: w.secret, TokenURL: w.site.issuer + "/oauth2/token",
		AuthStyle: oauth2.AuthStyleInHeader, Scopes: w.scopes, EndpointParams: form,
	}
	token, err := config.Token(t.Context())
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		f := failure{}
		decode(t, refused.Body, &f)
		f.Error, f.Status = refused.ErrorCode, refused.Response.StatusCode
		return outcome{failure: f}
	}
	if err != nil {
		t.Fatal(err)
	}
	return outcome{context: token.AccessToken, expiresIn: time.Until(token.Expiry)}
}

func withZitadel(t *testing.T, w trade) outcome {
	t.Helper()
	exchanger, err := tokenexchange.NewTokenExchangerClientCredentials(t.Context(), w.site.issuer, backend, w.secret)
	if err != nil {
		t.Fatal(err)
	}
	return w.withZitadel(t, exchanger)
}

// withZitadelKey brings its own assertion: that of NewTokenExchangerJWTProfile lives an hour, where five
// minutes are the most, and has a list as audience.
func withZitadelKey(t *testing.T, w trade) outcome {
	t.Helper()
	discovered, err := tokenexchange.NewTokenExchanger(t.Context(), w.site.issuer)
	if err != nil {
		t.Fatal(err)
	}
	return w.withZitadel(t, asserting{discovered, sign(t, w.key, map[string]any{
		"iss": keyedBackend, "sub": keyedBackend, "aud": w.site.issuer, "jti": rand.Text(), "exp": time.Now().Add(time.Minute).Unix(),
	})})
}

// An asserting exchanger authenticates with an assertion.
type asserting struct {
	tokenexchange.TokenExchanger
	assertion string
}

func (a asserting) AuthFn() (any, error) {
	return client.ClientAssertionFormAuthorization(a.assertion), nil
}

func (w trade) withZitadel(t *testing.T, exchanger tokenexchange.TokenExchanger) outcome {
	t.Helper()
	answer, err := tokenexchange.ExchangeToken(t.Context(), exchanger, w.idToken, oidc.IDTokenType, "", "", nil, w.audience, w.scopes, oidc.AccessTokenType)
	if refused, ok := errors.AsType[*oidc.Error](err); ok {
		return outcome{failure: failure{Error: string(refused.ErrorType)}}
	}
	if err != nil {
		t.Fatal(err)
	}
	return outcome{context: answer.AccessToken, expiresIn: time.Duration(answer.ExpiresIn) * time.Second}
}

func withOpenIDClient(t *testing.T, w trade) outcome {
	t.Helper()
	return w.withOpenIDClient(t, map[string]any{"clientId": backend, "secret": w.secret})
}

func withOpenIDClientKey(t *testing.T, w trade) outcome {
	t.Helper()
	return w.withOpenIDClient(t, map[string]any{"clientId": keyedBackend, "key": w.key})
}

func (w trade) withOpenIDClient(t *testing.T, request map[string]any) outcome {
	t.Helper()
	var said struct {
		Tokens struct {
			AccessToken string `json:"access_token"`
			ExpiresIn   int    `json:"expires_in"`
		}
		failure
	}
	request["issuer"], request["subjectToken"] = w.site.issuer, w.idToken
	request["parameters"] = map[string]string{"audience": w.audience[0], "scope": strings.Join(w.scopes, " ")}
	script(t, "clients/exchange.mjs", request, &said)
	return outcome{said.Tokens.AccessToken, time.Duration(said.Tokens.ExpiresIn) * time.Second, said.failure}
}

// script runs a Node.js program that reads and prints one JSON value.
func script(t *testing.T, file string, input, output any) {
	t.Helper()
	node := exec.CommandContext(t.Context(), "node", file)
	node.Stdin, node.Stderr = strings.NewReader(encode(t, input)), os.Stderr
	said, err := node.Output()
	if err != nil {
		t.Fatal(err)
	}
	decode(t, said, output)
}

func decode(t *testing.T, text []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%v: %q", err, text)
	}
}

func encode(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
