package server

import (
	"net/http"
	"slices"

	"chatpass/exchange"
	"chatpass/identity"
)

// sdkHeader is sent by our browser SDK alone. A page of another origin can only send it after a
// preflight that we refuse.
const sdkHeader = "X-Chatpass-Client"

// pageCall is a call that a page makes with its visitor's cookies, checked to come from such a page.
type pageCall struct {
	client *exchange.Client
	origin string
}

// credentials is what the exchange wants to know of the caller.
func (c pageCall) credentials() exchange.Credentials {
	return exchange.Credentials{ClientID: c.client.ID, Origin: c.origin}
}

// checkPage holds a cookie-bearing request against the rules that keep other sites from acting in a
// visitor's browser: the SDK's header, fetch metadata where the browser sends it, and the origin.
// The page may read the answer once it is known to be one of the client's app.
func (s *Server) checkPage(w http.ResponseWriter, r *http.Request, clientID string) (pageCall, error) {
	call := pageCall{origin: s.originOf(r)}
	if call.origin == "" {
		return pageCall{}, exchange.Refuse(identity.OriginNotAllowed, "the Origin header is missing").Measured("no origin", "an origin of the app")
	}
	// With an Origin no client but a page's is one without a credential.
	client, err := s.cfg.Exchanger.Client(exchange.Credentials{ClientID: clientID, Origin: call.origin})
	if err != nil {
		return pageCall{}, err
	}
	letRead(w, r, true)
	call.client = client
	return call, s.checkFetch(r)
}

// checkFetch holds a request against what only a script of our SDK's sends.
func (s *Server) checkFetch(r *http.Request) error {
	if r.Header.Get(sdkHeader) == "" {
		return exchange.Refuse(identity.CSRFFailed, "the header X-Chatpass-Client is missing")
	}
	site := r.Header.Get("Sec-Fetch-Site")
	if !slices.Contains([]string{"", "same-origin", "same-site"}, site) && !(site == "cross-site" && s.cfg.CrossSite) {
		return exchange.Refuse(identity.CSRFFailed, "the page lies on another site than this service: browsers keep its cookie away from it, unless the configuration says cookie: cross-site")
	}
	switch r.Header.Get("Sec-Fetch-Mode") {
	case "", "cors", "same-origin":
	default:
		return exchange.Refuse(identity.CSRFFailed, "this endpoint answers scripts only")
	}
	return nil
}

// originOf is the request's Origin. A GET of a page on our own origin has none: browsers leave it out.
func (s *Server) originOf(r *http.Request) string {
	origin := r.Header.Get("Origin")
	if origin == "" && r.Method == http.MethodGet {
		if site := r.Header.Get("Sec-Fetch-Site"); site == "" || site == "same-origin" {
			return s.origin
		}
	}
	return origin
}
