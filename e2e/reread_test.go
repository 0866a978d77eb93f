package e2e_test

import (
	"errors"
	"net/http"
	"strings"
	"syscall"
	"testing"
)

// SIGHUP reads the configuration again: all of it counts, or nothing, and nobody is interrupted.
func TestHangupRereadsAllOrNothing(t *testing.T) {
	const added = "http://localhost:3998"
	site := newSite(t, "http://127.0.0.1:1")
	service := site.serve(t)
	hangup := func(says string) {
		t.Helper()
		service.signal(t, syscall.SIGHUP)
		eventually(t, func() error {
			if !strings.Contains(service.err.String(), says) {
				return errors.New("the log does not say " + says)
			}
			return nil
		})
	}

	if site.allows(t, added) {
		t.Fatal("an origin is allowed that is not in the file")
	}
	site.edit(t, `["http://localhost:3999"]`, `["http://localhost:3999", "`+added+`"]`)
	hangup("configuration was read again")
	if !site.allows(t, added) {
		t.Error("an origin that was added is not allowed")
	}

	site.edit(t, "admit: has(claims.email)", "admit: has(claims.email")
	site.edit(t, `, "`+added+`"]`, "]")
	hangup("the old one stays")
	if !site.allows(t, added) {
		t.Error("half of a broken configuration was taken")
	}

	site.edit(t, "admit: has(claims.email", "admit: has(claims.email)")
	site.edit(t, "algorithm: ES256", "algorithm: EdDSA")
	hangup("keys has changed: restart the service")
}

// allows says whether a page of that origin may call.
func (s site) allows(t *testing.T, origin string) bool {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, s.issuer+"/v1/context", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", origin)
	req.Header.Set("Access-Control-Request-Method", http.MethodPost)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return res.Header.Get("Access-Control-Allow-Origin") == origin
}
