package server

import (
	"net/http"

	"github.com/rs/cors"

	"chatpass/exchange"
	"chatpass/identity"
)

// corsMaxAge is how long a browser may keep a preflight's answer, in seconds.
const corsMaxAge = 7200

// forPages lets the pages of all apps call with their visitors' cookies. Which page may call for which
// client is checked later: a preflight does not say the client.
func (s *Server) forPages(h http.Handler) http.Handler { return s.cross(h, true) }

// forClients lets the pages of all apps call without cookies.
func (s *Server) forClients(h http.Handler) http.Handler { return s.cross(h, false) }

func (s *Server) cross(h http.Handler, cookies bool) http.Handler {
	allowed := cors.New(cors.Options{
		AllowOriginVaryRequestFunc: func(_ *http.Request, origin string) (bool, []string) {
			return s.origins[origin], nil
		},
		AllowCredentials: cookies,
		AllowedMethods:   []string{http.MethodGet, http.MethodPost},
		AllowedHeaders:   []string{"content-type", "x-chatpass-client"},
		ExposedHeaders:   []string{"Retry-After", "WWW-Authenticate", "X-Request-Id", "Date"},
		MaxAge:           corsMaxAge,
	}).Handler(h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.Header.Values("Origin")) > 1 { // no browser sends two
			s.answerError(w, r, exchange.Refuse(identity.OriginNotAllowed, "the Origin header was sent twice"))
			return
		}
		allowed.ServeHTTP(w, r)
	})
}

// forAll serves what is public: anybody may read it, nobody's cookies count.
func (s *Server) forAll(h http.Handler) http.Handler {
	public := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*") // also without an Origin: a cache may give it to a page
		w.Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
		h.ServeHTTP(w, r)
	})
	return cors.New(cors.Options{
		AllowedOrigins: []string{"*"},
		AllowedMethods: []string{http.MethodGet, http.MethodHead},
		ExposedHeaders: []string{"ETag", "X-Request-Id"},
		MaxAge:         corsMaxAge,
	}).Handler(public)
}

// withoutCORS takes back what the middleware allowed before the client was known.
func withoutCORS(w http.ResponseWriter) {
	w.Header().Del("Access-Control-Allow-Origin")
	w.Header().Del("Access-Control-Allow-Credentials")
}
