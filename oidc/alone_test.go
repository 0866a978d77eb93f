package oidc_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"chatpass/identity"
	"chatpass/oidc"
)

// Nobody signs in with an issuer that cannot be reached or does not know us, and nothing is tried.
func TestIssuerForExchangesAloneIsNeverAsked(t *testing.T) {
	key := newKey(t, "es", "ES256")
	public, _ := key.public().MarshalJSON()
	silent := &http.Client{Transport: inMemory{http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("asked for %s", r.URL) })}}
	fixed := oidc.Config{
		Name: "corp", Issuer: "https://idp.invalid", ClientID: clientID, RedirectURL: "https://chat.example/cb", Client: silent,
		JWKS: fmt.Appendf(nil, `{"keys":[%s]}`, public), Now: start,
	}
	nameless := fixed
	nameless.ClientID = ""
	unknown := nameless
	unknown.JWKS = nil
	p := &idp{keys: []signingKey{key}, Server: &httptest.Server{URL: fixed.Issuer}}
	for name, cfg := range map[string]oidc.Config{"a fixed key set": fixed, "and no client id": nameless, "no client id": unknown} {
		g, err := oidc.New([]oidc.Config{cfg})
		if err != nil {
			t.Fatal(err)
		}
		if cfg.JWKS != nil {
			if _, err := g.Verify(t.Context(), p.goodToken().sign(t), terms()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			f := p.goodToken().signedBy(newKey(t, "nobody", "ES256"))
			_, err := g.Verify(t.Context(), f.sign(t), terms())
			wantCode(t, err, identity.KeyUnknown)
		}
		_, _, err = g.Begin(t.Context(), "corp", oidc.Ask{})
		wantCode(t, err, identity.IssuerNotTrusted)
		_, err = g.Finish(t.Context(), oidc.Login{IDP: "corp", State: "s", Nonce: "n", Verifier: "v"}, url.Values{"state": {"s"}, "code": {"c"}})
		wantCode(t, err, identity.IssuerNotTrusted)
		if to, err := g.EndSession(t.Context(), "corp", "", "", ""); to != "" || err != nil {
			t.Errorf("%s: end session: %q, %v", name, to, err)
		}
		if cfg.JWKS != nil && cfg.ClientID == "" { // an `aud` of nobody is not ours
			_, err = g.VerifyLogout(t.Context(), "corp", p.logoutToken().with(map[string]any{"aud": ""}).sign(t), nil)
			wantCode(t, err, identity.AudienceMismatch)
		}
	}
}
