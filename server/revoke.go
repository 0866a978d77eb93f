package server

import "net/http"

// revoke ends the session of a context or of an ID token (RFC 7009 §2). That there is nothing to end is
// no error.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(r)
	s.letClientRead(w, r, form.Get("client_id"))
	if err != nil {
		return err
	}
	req, err := s.readToken(r, form)
	if err != nil {
		return err
	}
	if err := s.cfg.Exchanger.Revoke(r.Context(), req); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}
