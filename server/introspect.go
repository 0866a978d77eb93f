package server

import (
	"net/http"
	"net/url"

	"chatpass/exchange"
)

// introspect tells a backend or a verifier what a context means now (RFC 7662 §2). It is none of any
// page's business: there is no CORS here.
func (s *Server) introspect(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(r)
	if err != nil {
		return err
	}
	req, err := s.readToken(r, form)
	if err != nil {
		return err
	}
	found, err := s.cfg.Exchanger.Introspect(r.Context(), req)
	if err != nil {
		return err
	}
	answer := map[string]any{}
	for name, value := range found.Claims {
		answer[name] = value
	}
	if found.Active {
		answer["token_type"] = "Bearer"
	}
	answer["active"] = found.Active // last: an app may map a claim of that name
	writeJSON(w, http.StatusOK, answer)
	return nil
}

// readToken reads a request about a token: introspection and revocation (RFC 7009 §2.1) are asked alike.
// The hint at its type is not needed: a context is known by its signature.
func (s *Server) readToken(r *http.Request, form url.Values) (exchange.Request, error) {
	credentials, err := readCredentials(r, form)
	if err != nil {
		return exchange.Request{}, err
	}
	return exchange.Request{
		RequestID: requestID(r), Credentials: credentials, SubjectToken: form.Get("token"), Meet: s.meet(r),
	}, nil
}
