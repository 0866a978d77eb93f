package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"io/fs"
	"net/http"
	"time"

	"chatpass/exchange"
	"chatpass/identity"
	"chatpass/sdk"
	"chatpass/status"
)

// writePublic serves bytes that anybody may keep: with HEAD, ETag and 304 (RFC 9110 §13).
func writePublic(w http.ResponseWriter, r *http.Request, contentType, etag string, body []byte) error {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("ETag", etag)
	for _, condition := range []string{"Range", "If-Match", "If-Unmodified-Since"} { // their refusals would be no JSON
		r.Header.Del(condition)
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	return nil
}

func etagOf(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
}

// statusList serves a Token Status List (draft-ietf-oauth-status-list §8.1), from memory. What is between
// us and a verifier may share an answer, and must not add to the list's `ttl`.
func (s *Server) statusList(w http.ResponseWriter, r *http.Request) error {
	list, ok := s.cfg.Lists.Find(r.Context(), r.PathValue("list"))
	if !ok {
		return s.notFound(w, r, "there is no such status list, or none any more")
	}
	w.Header().Set("Cache-Control", "public, max-age=1")
	return writePublic(w, r, status.MediaType, etagOf(list.Token), list.Token)
}

// sdkFile serves the browser SDK: under v1 for a short while, under its exact version for ever.
func (s *Server) sdkFile(w http.ResponseWriter, r *http.Request) error {
	body, err := fs.ReadFile(sdk.Files(), r.PathValue("file"))
	caching := map[string]string{
		"v1":        "public, max-age=300",
		sdk.Version: "public, max-age=31536000, immutable",
	}[r.PathValue("version")]
	if err != nil || caching == "" {
		return s.notFound(w, r, "there is no such file: the SDK is at /sdk/v1/chatpass.js and /sdk/v1/chatpass.iife.js")
	}
	w.Header().Set("Cache-Control", caching)
	return writePublic(w, r, sdkType(r.PathValue("file")), etagOf(body), body)
}

func (s *Server) notFound(w http.ResponseWriter, r *http.Request, description string) error {
	f := s.fault(r, exchange.Refuse(identity.MethodNotAllowed, description))
	f.status = http.StatusNotFound
	s.writeError(w, r, f)
	return nil
}

func sdkType(file string) string {
	if len(file) > 3 && file[len(file)-3:] == ".js" {
		return "text/javascript; charset=utf-8"
	}
	return "application/json"
}
