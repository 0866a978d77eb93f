package server

import (
	"maps"
	"net/http"

	"github.com/rs/cors"

	"chatpass/exchange"
	"chatpass/identity"
)

// corsMaxAge is how long a browser may keep a preflight's answer, in seconds.
const corsMaxAge = 7200

// forPages lets the pages of all apps call with their visitors' cookies. A preflight does not say the
// client; whether the page may read an answer is seen when the client is known, see [letRead].
func (s *Server) forPages(h http.Handler) http.Handler { return s.cross(h, true) }

// forClients lets the pages of all apps call without cookies.
func (s *Server) forClients(h http.Handler) http.Handler { return s.cross(h, false) }

func (s *Server) cross(h http.Handler, cookies bool) http.Handler {
	preflight := cors.New(cors.Options{
		AllowOriginVaryRequestFunc: func(_ *http.Request, origin string) (bool, []string) {
			return s.origins[origin], nil
		},
		AllowCredentials: cookies,
		AllowedMethods:   []string{http.MethodGet, http.MethodPost},
		AllowedHeaders:   []string{"content-type", "x-chatpass-client"},
		MaxAge:           corsMaxAge,
	})
	vary := http.Header{"Vary": {"Origin"}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.Header.Values("Origin")) > 1 { // no browser sends two
			s.answerError(w, r, exchange.Refuse(identity.OriginNotAllowed, "the Origin header was sent twice").Measured("two origins", "one origin"))
			return
		}
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			preflight.HandlerFunc(w, r)
			return
		}
		maps.Copy(w.Header(), vary)
		h.ServeHTTP(w, r)
	})
}

// letRead lets the page that r came from read the answer, be it a good one or a refusal. The page's
// origin must be known to be one of its client's app.
func letRead(w http.ResponseWriter, r *http.Request, cookies bool) {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return
	}
	w.Header().Set("Access-Control-Allow-Origin", origin)
	w.Header().Set("Access-Control-Expose-Headers", "Retry-After, WWW-Authenticate, X-Request-Id, Date")
	if cookies {
		w.Header().Set("Access-Control-Allow-Credentials", "true")
	}
}

// letClientRead is [letRead] for a page that calls without cookies and names its client in a form. A
// backend's answers, which its credentials give away, are none of any page's business.
func (s *Server) letClientRead(w http.ResponseWriter, r *http.Request, clientID string) {
	if r.Header.Get("Authorization") != "" {
		return
	}
	client, err := s.cfg.Exchanger.Client(exchange.Credentials{ClientID: clientID, Origin: r.Header.Get("Origin")})
	if err == nil && client.Type == exchange.Browser {
		letRead(w, r, false)
	}
}

// forAll serves what is public: anybody may read it, nobody's cookies count.
func (s *Server) forAll(h http.Handler) http.Handler {
	open := http.Header{
		"Access-Control-Allow-Origin":  {"*"}, // also without an Origin: a cache may give it to a page
		"Cross-Origin-Resource-Policy": {"cross-origin"},
	}
	public := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		maps.Copy(w.Header(), open)
		h.ServeHTTP(w, r)
	})
	return cors.New(cors.Options{
		AllowedOrigins: []string{"*"},
		AllowedMethods: []string{http.MethodGet, http.MethodHead},
		ExposedHeaders: []string{"ETag", "X-Request-Id"},
		MaxAge:         corsMaxAge,
	}).Handler(public)
}
