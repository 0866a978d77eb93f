package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"chatpass/exchange"
	"chatpass/keys"
)

// contextClass is the class of keys that sign contexts.
const contextClass = "context"

// keySet serves our public keys (RFC 7517 §5), from memory.
func (s *Server) keySet(w http.ResponseWriter, r *http.Request) error {
	return s.writeKeySet(w, r, s.cfg.Ring.KeySet())
}

func (s *Server) writeKeySet(w http.ResponseWriter, r *http.Request, set keys.KeySet) error {
	w.Header().Set("Cache-Control", s.maxAge+", stale-while-revalidate=60, stale-if-error=3600")
	return writePublic(w, r, "application/jwk-set+json", set.ETag, set.Body)
}

// metadataBody is RFC 8414 §2, true to what is built. Verifiers made for OpenID Connect Discovery read
// it too: hence the algorithms under that name.
type metadataBody struct {
	Issuer                string   `json:"issuer"`
	TokenEndpoint         string   `json:"token_endpoint"`
	IntrospectionEndpoint string   `json:"introspection_endpoint,omitempty"`
	RevocationEndpoint    string   `json:"revocation_endpoint"`
	JWKSURI               string   `json:"jwks_uri"`
	ScopesSupported       []string `json:"scopes_supported,omitempty"`
	ResponseTypes         []string `json:"response_types_supported"`
	GrantTypes            []string `json:"grant_types_supported"`
	TokenAuth             []string `json:"token_endpoint_auth_methods_supported"`
	TokenAuthAlgs         []string `json:"token_endpoint_auth_signing_alg_values_supported,omitempty"`
	IntrospectionAuth     []string `json:"introspection_endpoint_auth_methods_supported,omitempty"`
	IntrospectionAuthAlgs []string `json:"introspection_endpoint_auth_signing_alg_values_supported,omitempty"`
	RevocationAuth        []string `json:"revocation_endpoint_auth_methods_supported"`
	RevocationAuthAlgs    []string `json:"revocation_endpoint_auth_signing_alg_values_supported,omitempty"`
	SubjectTypes          []string `json:"subject_types_supported"`
	IDTokenSigningAlgs    []string `json:"id_token_signing_alg_values_supported"`
	RequestURIParameter   bool     `json:"request_uri_parameter_supported"` // its default would be true
}

func (s *Server) metadata(w http.ResponseWriter, r *http.Request) error {
	var scopes, subjects []string
	for _, app := range s.cfg.Exchanger.Apps() {
		scopes = append(scopes, app.Scopes...)
		subjects = append(subjects, subjectType(app.Subject))
	}
	m := metadataBody{
		Issuer: s.cfg.Issuer, JWKSURI: s.cfg.Issuer + "/.well-known/jwks.json",
		TokenEndpoint: s.cfg.Issuer + "/oauth2/token", RevocationEndpoint: s.cfg.Issuer + "/oauth2/revoke",
		ScopesSupported: distinct(scopes), SubjectTypes: distinct(subjects),
		ResponseTypes: []string{"none"}, GrantTypes: []string{tokenExchange}, IDTokenSigningAlgs: s.cfg.Ring.Algorithms(contextClass),
	}
	m.TokenAuth, m.TokenAuthAlgs = s.authMethods(exchange.Browser, exchange.Native, exchange.Backend)
	m.RevocationAuth, m.RevocationAuthAlgs = m.TokenAuth, m.TokenAuthAlgs
	m.IntrospectionAuth, m.IntrospectionAuthAlgs = s.authMethods(exchange.Backend, exchange.Inspector)
	if len(m.IntrospectionAuth) > 0 { // else there is nobody who may ask
		m.IntrospectionEndpoint = s.cfg.Issuer + "/oauth2/introspect"
	}
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode metadata: %w", err)
	}
	w.Header().Set("Cache-Control", s.maxAge)
	return writePublic(w, r, "application/json", etagOf(body), body)
}

// authMethods lists how the clients of these types prove themselves, and the algorithms of those that
// sign.
func (s *Server) authMethods(types ...exchange.ClientType) (methods, algorithms []string) {
	for _, c := range s.cfg.Exchanger.Clients() {
		if slices.Contains(types, c.Type) {
			methods = append(methods, c.AuthMethod())
		}
		if slices.Contains(types, c.Type) && c.Keys != nil {
			algorithms = exchange.AssertionAlgorithms()
		}
	}
	return distinct(methods), algorithms
}

func subjectType(kind exchange.SubjectKind) string {
	if kind == exchange.Pairwise {
		return "pairwise"
	}
	return "public"
}

func distinct(list []string) []string {
	sorted := slices.Sorted(slices.Values(list))
	return slices.Compact(sorted)
}
