package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"chatpass/exchange"
)

// contextClass is the class of keys that sign contexts.
const contextClass = "context"

// keySet serves our public keys (RFC 7517 §5), from memory.
func (s *Server) keySet(w http.ResponseWriter, r *http.Request) error {
	set := s.cfg.Ring.KeySet()
	h := w.Header()
	h.Set("Cache-Control", fmt.Sprintf("public, max-age=%d, stale-while-revalidate=60, stale-if-error=3600", seconds(s.cfg.JWKSMaxAge)))
	return writePublic(w, r, "application/jwk-set+json", set.ETag, set.Body)
}

// metadataBody is RFC 8414 §2, true to what is built. Verifiers made for OpenID Connect Discovery read
// it too: hence the algorithms under that name.
type metadataBody struct {
	Issuer              string   `json:"issuer"`
	TokenEndpoint       string   `json:"token_endpoint"`
	JWKSURI             string   `json:"jwks_uri"`
	ScopesSupported     []string `json:"scopes_supported,omitempty"`
	ResponseTypes       []string `json:"response_types_supported"`
	GrantTypes          []string `json:"grant_types_supported"`
	TokenEndpointAuth   []string `json:"token_endpoint_auth_methods_supported"`
	SubjectTypes        []string `json:"subject_types_supported"`
	IDTokenSigningAlgs  []string `json:"id_token_signing_alg_values_supported"`
	RequestURIParameter bool     `json:"request_uri_parameter_supported"` // its default would be true
}

func (s *Server) metadata(w http.ResponseWriter, r *http.Request) error {
	var scopes, subjects []string
	for _, app := range s.cfg.Exchanger.Apps() {
		scopes = append(scopes, app.Scopes...)
		subjects = append(subjects, subjectType(app.Subject))
	}
	body, err := json.Marshal(metadataBody{
		Issuer: s.cfg.Issuer, TokenEndpoint: s.cfg.Issuer + "/oauth2/token", JWKSURI: s.cfg.Issuer + "/.well-known/jwks.json",
		ScopesSupported: distinct(scopes), SubjectTypes: distinct(subjects),
		ResponseTypes: []string{"none"}, GrantTypes: []string{tokenExchange},
		TokenEndpointAuth: s.authMethods(), IDTokenSigningAlgs: s.cfg.Ring.Algorithms(contextClass),
	})
	if err != nil {
		return fmt.Errorf("encode metadata: %w", err)
	}
	w.Header().Set("Cache-Control", fmt.Sprintf("public, max-age=%d", seconds(s.cfg.JWKSMaxAge)))
	return writePublic(w, r, "application/json", etagOf(body), body)
}

// authMethods lists how clients prove themselves, as far as any does.
func (s *Server) authMethods() []string {
	methods := []string{}
	for _, c := range s.cfg.Exchanger.Clients() {
		if c.Type == exchange.Backend {
			methods = append(methods, "client_secret_basic")
		} else {
			methods = append(methods, "none")
		}
	}
	return distinct(methods)
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
