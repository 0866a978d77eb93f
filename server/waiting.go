package server

import (
	"errors"
	"net/http"

	"chatpass/identity"
	"chatpass/keys"
)

var errWaiting = &identity.Outage{
	Code: identity.StoreUnavailable, Err: errors.New("the store has not been reached since the start"),
}

// NewWaiting returns a front door for as long as there are no rooms, because the store cannot be reached:
// it serves the key set that set returns, if any, and answers 503 to everything else. Of cfg it needs no
// room and no limits; origins are those of all pages, which may read that answer.
func NewWaiting(cfg Config, origins []string, set func() (keys.KeySet, bool)) (http.Handler, error) {
	s, err := newServer(cfg)
	if err != nil {
		return nil, err
	}
	for _, origin := range origins {
		s.origins[origin] = true
	}
	keySet := func(w http.ResponseWriter, r *http.Request) error {
		if found, ok := set(); ok {
			return s.writeKeySet(w, r, found)
		}
		return errWaiting
	}
	mux := http.NewServeMux()
	mux.Handle(s.base+"/.well-known/jwks.json",
		s.observe("/.well-known/jwks.json", s.forAll(s.methods(verbs{"GET": keySet, "HEAD": keySet}))))
	mux.Handle("/", s.observe("", s.forPages(http.HandlerFunc(s.wait))))
	return mux, nil
}

// wait asks everybody to come back later.
func (s *Server) wait(w http.ResponseWriter, r *http.Request) {
	if s.origins[r.Header.Get("Origin")] {
		letRead(w, r, true)
	}
	s.answerError(w, r, errWaiting)
}
