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

// sdkFile serves the browser SDK: under v1 for a short while, under its exact version for ever.
func (s *Server) sdkFile(w http.ResponseWriter, r *http.Request) error {
	body, err := fs.ReadFile(sdk.Files(), r.PathValue("file"))
	caching := map[string]string{
		"v1":        "public, max-age=300",
		sdk.Version: "public, max-age=31536000, immutable",
	}[r.PathValue("version")]
	if err != nil || caching == "" {
		f := s.fault(r, exchange.Refuse(identity.MethodNotAllowed, "there is no such file: the SDK is at /sdk/v1/chatpass.js and /sdk/v1/chatpass.iife.js"))
		f.status = http.StatusNotFound
		s.writeError(w, r, f)
		return nil
	}
	w.Header().Set("Cache-Control", caching)
	return writePublic(w, r, sdkType(r.PathValue("file")), etagOf(body), body)
}

func sdkType(file string) string {
	if len(file) > 3 && file[len(file)-3:] == ".js" {
		return "text/javascript; charset=utf-8"
	}
	return "application/json"
}
