package verify

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Middleware answers requests that do not carry a good context and hands the others to next, which gets
// the context from [FromContext]. The context must have all of the scopes, besides what the verifier
// demands (see [Verifier.Require]). It is read from the Authorization header and from nowhere else. The
// answers are those of RFC 6750 §3 and RFC 9470 §3:
//
//	no credentials              401, WWW-Authenticate: Bearer
//	a context that is rejected  401, error="invalid_token"
//	sent in two ways            400, error="invalid_request"
//	a scope is missing          403, error="insufficient_scope", scope="…"
//	sign in again, or better    401, error="insufficient_user_authentication", acr_values="…", max_age="…"
//	could not tell              503, Retry-After
//
// Put CORS outside of it: a browser's preflight has no credentials.
func (v *Verifier) Middleware(next http.Handler, scopes ...string) http.Handler {
	strict := v.Require(Demand{Scopes: scopes})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		verified, refusal := strict.admit(r)
		if refusal != nil {
			refusal.write(w)
			return
		}
		next.ServeHTTP(w, r.WithContext(NewContext(r.Context(), verified)))
	})
}

// admit returns the request's context, or how to answer it.
func (v *Verifier) admit(r *http.Request) (*Context, *refusal) {
	token, answer := bearer(r)
	if answer != nil {
		return nil, answer
	}
	verified, err := v.Verify(r.Context(), token)
	if err != nil {
		return nil, refuse(err)
	}
	return verified, nil
}

// bearer returns the request's bearer token (RFC 6750 §2.1).
func bearer(r *http.Request) (string, *refusal) {
	credentials := r.Header.Values("Authorization")
	if len(credentials) == 0 {
		return "", &refusal{status: http.StatusUnauthorized}
	}
	if len(credentials) > 1 || tokenInQuery(r.URL) {
		return "", &refusal{status: http.StatusBadRequest, code: "invalid_request", description: "the token was sent more than once"}
	}
	scheme, token, _ := strings.Cut(credentials[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", &refusal{status: http.StatusUnauthorized}
	}
	return strings.TrimLeft(token, " "), nil
}

// tokenInQuery reports whether the second way of RFC 6750 §2.3 was tried. Its token is never looked at.
func tokenInQuery(u *url.URL) bool {
	return u.RawQuery != "" && u.Query().Has("access_token")
}

// A refusal is an answer to a request that may not pass. Its texts are fixed: nothing of the request
// comes back.
type refusal struct {
	status            int
	code, description string
	demand            Demand
}

func refuse(err error) *refusal {
	rejected, ok := errors.AsType[*Error](err)
	switch {
	case !ok:
		return &refusal{status: http.StatusServiceUnavailable, code: "temporarily_unavailable", description: "the token cannot be checked now"}
	case rejected.Reason == InsufficientScope:
		return &refusal{http.StatusForbidden, "insufficient_scope", "the token lacks a scope", rejected.Demand}
	case rejected.Reason == InsufficientAuthentication:
		return &refusal{http.StatusUnauthorized, "insufficient_user_authentication", "the customer must sign in again", rejected.Demand}
	}
	return &refusal{status: http.StatusUnauthorized, code: "invalid_token", description: "the token is not accepted: " + string(rejected.Reason)}
}

func (r *refusal) write(w http.ResponseWriter) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	if r.status == http.StatusServiceUnavailable {
		header.Set("Retry-After", "5")
	} else {
		header.Set("WWW-Authenticate", r.challenge())
	}
	if r.code == "" {
		w.WriteHeader(r.status)
		return
	}
	header.Set("Content-Type", "application/json")
	w.WriteHeader(r.status)
	fmt.Fprintf(w, `{"error":%q,"error_description":%q}`+"\n", r.code, r.description)
}

// challenge is the value of WWW-Authenticate. Nothing in it needs escaping: see [isScope].
func (r *refusal) challenge() string {
	if r.code == "" {
		return "Bearer"
	}
	challenge := fmt.Sprintf(`Bearer error="%s", error_description="%s"`, r.code, r.description)
	if scopes := joinScopes(r.demand.Scopes); scopes != "" {
		challenge += fmt.Sprintf(`, scope="%s"`, scopes)
	}
	if levels := joinScopes(r.demand.ACR); levels != "" {
		challenge += fmt.Sprintf(`, acr_values="%s"`, levels)
	}
	if r.demand.MaxAuthAge > 0 {
		challenge += fmt.Sprintf(`, max_age="%d"`, int64(r.demand.MaxAuthAge.Seconds()))
	}
	return challenge
}

// joinScopes leaves out what cannot be a scope, or an acr value, which no context has either.
func joinScopes(scopes []string) string {
	var valid []string
	for _, scope := range scopes {
		if isScope(scope) {
			valid = append(valid, scope)
		}
	}
	return strings.Join(valid, " ")
}
