package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4/json"
	"golang.org/x/oauth2"

	"chatpass/jwks"
)

const maxDocument = 512 << 10

// metadata is what is used of a discovery document (OpenID Connect Discovery 1.0 §3, RFC 8414, RFC 9207 §3).
type metadata struct {
	Issuer                string   `json:"issuer"`
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	TokenEndpoint         string   `json:"token_endpoint"`
	JWKSURI               string   `json:"jwks_uri"`
	UserinfoEndpoint      string   `json:"userinfo_endpoint"`
	EndSessionEndpoint    string   `json:"end_session_endpoint"`
	RevocationEndpoint    string   `json:"revocation_endpoint"` // RFC 8414 §2
	Scopes                []string `json:"scopes_supported"`
	TokenAuthMethods      []string `json:"token_endpoint_auth_methods_supported"`
	AssertionAlgorithms   []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	IDTokenAlgorithms     []string `json:"id_token_signing_alg_values_supported"`
	SendsIssuer           bool     `json:"authorization_response_iss_parameter_supported"`
}

// discover reads the issuer's discovery document. Its error is a [*Fault].
func (is *issuer) discover(ctx context.Context) (*provider, error) {
	// The document says itself whose it is: checkMetadata compares that.
	ctx = gooidc.InsecureIssuerURLContext(gooidc.ClientContext(ctx, is.pages), is.cfg.Issuer)
	doc, err := gooidc.NewProvider(ctx, is.cfg.discoveryURL())
	if err != nil {
		return nil, is.discoveryFault(err)
	}
	found := &provider{}
	var raw json.RawMessage
	if err = doc.Claims(&raw); err == nil {
		err = json.Unmarshal(raw, &found.metadata) // go-oidc's own reading folds case and takes the last of two
	}
	if err != nil {
		return nil, is.fault("its discovery document repeats a member or has one of the wrong type", "ask its operator to repair it")
	}
	if err := is.checkMetadata(found.metadata); err != nil {
		return nil, err
	}
	found.keys, err = is.keySet(ctx, found.JWKSURI)
	if err != nil {
		return nil, is.keyFault(err)
	}
	return found, nil
}

func (is *issuer) checkMetadata(m metadata) error {
	if m.Issuer != is.cfg.Issuer {
		return is.misnamed(m.Issuer)
	}
	endpoints := []struct {
		name, url string
		optional  bool
	}{
		{"authorization_endpoint", m.AuthorizationEndpoint, false},
		{"token_endpoint", m.TokenEndpoint, false},
		{"jwks_uri", m.JWKSURI, false},
		{"userinfo_endpoint", m.UserinfoEndpoint, !is.cfg.Userinfo},
		{"end_session_endpoint", m.EndSessionEndpoint, true},
		{"revocation_endpoint", m.RevocationEndpoint, true},
	}
	for _, e := range endpoints {
		if e.url == "" && e.optional {
			continue
		}
		if err := is.cfg.checkEndpoint(e.url); err != nil {
			return is.fault(fmt.Sprintf("the %s in its discovery document %s", e.name, err), "ask its operator to repair it")
		}
	}
	return nil
}

// checkEndpoint admits https, and http where the issuer itself may be asked by http.
func (c Config) checkEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	switch {
	case endpoint == "":
		return errors.New("is missing")
	case err != nil || u.Host == "" || u.Fragment != "" || u.User != nil:
		return errors.New("is not an absolute URL without fragment and user")
	case u.Scheme != "https" && (!c.plainHTTP(u) || strings.HasPrefix(c.Issuer, "https:")):
		return errors.New("is not https")
	}
	return nil
}

// authStyle chooses how we authenticate at the token endpoint. It is never left to x/oauth2 to find out
// by trying, since the first try uses up the code.
func (is *issuer) authStyle(m metadata) (oauth2.AuthStyle, error) {
	if is.key != nil {
		return oauth2.AuthStyleInParams, is.checkAssertion(m)
	}
	methods := m.TokenAuthMethods
	if len(methods) == 0 { // the default of OpenID Connect Discovery 1.0 §3
		methods = []string{"client_secret_basic"}
	}
	switch {
	case is.cfg.ClientSecret == "" || slices.Contains(methods, "client_secret_post") && !slices.Contains(methods, "client_secret_basic"):
		return oauth2.AuthStyleInParams, nil
	case slices.Contains(methods, "client_secret_basic"):
		return oauth2.AuthStyleInHeader, nil
	}
	return 0, is.fault("its token endpoint takes neither client_secret_basic nor client_secret_post",
		"register us there with one of the two")
}

// checkAssertion holds our key against what the issuer announces.
func (is *issuer) checkAssertion(m metadata) error {
	if len(m.TokenAuthMethods) > 0 && !slices.Contains(m.TokenAuthMethods, "private_key_jwt") {
		return is.fault("its token endpoint does not take private_key_jwt", "write client_secret in place of private_key, if it takes that")
	}
	if _, ok := is.key.algorithm(m.AssertionAlgorithms); !ok {
		return is.wrongKeyKind(m)
	}
	return nil
}

// check asks for everything now.
func (is *issuer) check(ctx context.Context) error {
	if is.static != nil {
		return is.checkAlgorithms(is.static, nil)
	}
	found, err := is.discoverOnce(ctx)
	if err != nil {
		return err
	}
	if err := found.keys.Refresh(ctx); err != nil {
		return is.keyFault(err)
	}
	if err := is.checkAlgorithms(found.keys, found.IDTokenAlgorithms); err != nil {
		return err
	}
	_, err = is.authStyle(found.metadata)
	return err
}

func (is *issuer) checkAlgorithms(keys *jwks.Set, announced []string) error {
	usable := func(alg string) bool { return keys.Usable(alg) > 0 }
	if slices.ContainsFunc(is.cfg.Algorithms, usable) {
		return nil
	}
	remedy := "add the algorithm that it signs with to algorithms"
	if len(announced) > 0 {
		remedy += fmt.Sprintf("; it announces %s", clip(strings.Join(announced, ", ")))
	}
	return is.fault("it publishes no key for "+strings.Join(is.cfg.Algorithms, ", "), remedy)
}

func (is *issuer) fault(problem, remedy string) *Fault {
	return &Fault{Name: is.cfg.Name, Issuer: is.cfg.Issuer, Problem: problem, Remedy: remedy}
}

func (is *issuer) misnamed(issuer string) *Fault {
	return is.fault(fmt.Sprintf("its discovery document is that of issuer %s", clip(issuer)),
		"set issuer to exactly that value, if that is who you mean")
}

// discoveryFault turns go-oidc's errors, some of which carry the answer's body, into ours.
func (is *issuer) discoveryFault(err error) *Fault {
	const remedy = "check that issuer is exactly the URL below which /.well-known/openid-configuration is served"
	if status, ok := errors.AsType[*statusError](err); ok {
		return is.fault(fmt.Sprintf("status %d in place of its discovery document", status.code), remedy)
	}
	if network, ok := errors.AsType[*url.Error](err); ok {
		f := is.fault("it cannot be reached", "check its name, the network, proxy and ca")
		f.Err = network
		return f
	}
	return is.fault("its answer is not a discovery document (JSON of at most 512 KiB)", remedy)
}

func (is *issuer) keyFault(err error) *Fault {
	f := is.fault("its keys could not be fetched", "check its jwks_uri, the network, proxy and ca")
	if _, partly := errors.AsType[*jwks.SkippedError](err); partly {
		f = is.fault("it publishes bad keys", "ask its operator to replace them; tokens signed with them are refused")
	}
	f.Err = err
	return f
}

// documents returns a client for documents: only 200 is an answer, and a body ends in an error at the limit.
func documents(client http.Client) *http.Client {
	client.Transport = documentTransport{client.Transport}
	return &client
}

type documentTransport struct{ next http.RoundTripper }

func (t documentTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	next := t.next
	if next == nil {
		next = http.DefaultTransport
	}
	resp, err := next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	redirect := resp.StatusCode >= 300 && resp.StatusCode < 400
	if resp.StatusCode != http.StatusOK && !redirect {
		resp.Body.Close()
		return nil, &statusError{code: resp.StatusCode}
	}
	resp.Body = http.MaxBytesReader(nil, resp.Body, maxDocument)
	return resp, nil
}

type statusError struct{ code int }

func (e *statusError) Error() string { return fmt.Sprintf("status %d", e.code) }
