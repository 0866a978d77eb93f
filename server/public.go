package server

import (
	"crypto/sha256"
	"encoding/base64"
	"io/fs"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"chatpass/exchange"
	"chatpass/identity"
	"chatpass/sdk"
	"chatpass/status"
)

// writePublic serves bytes that anybody may keep: with HEAD, ETag and 304 (RFC 9110 §13.1.2). It is always
// the whole of them: ranges and other conditions are optional (§13.1.1, §14.2), and their refusals would be
// no JSON.
func writePublic(w http.ResponseWriter, r *http.Request, contentType, etag string, body []byte) error {
	header := w.Header()
	header.Set("Etag", etag)
	if isKnown(r, etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	header.Set("Content-Type", contentType)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client has gone: there is nobody left to tell
	}
	return nil
}

// isKnown tells whether who asks has what the ETag stands for. Ours have no quote inside: in a list they
// stand as they are, weak or not.
func isKnown(r *http.Request, etag string) bool {
	return slices.ContainsFunc(r.Header["If-None-Match"], func(list string) bool {
		return list == "*" || strings.Contains(list, etag)
	})
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
		return s.notFound(w, r, "there is no such file: the SDK is at /sdk/v1/chatpass.js and /sdk/v1/chatpass.iife.js, and as chatpass version says")
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
