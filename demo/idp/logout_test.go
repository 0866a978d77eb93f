package idp_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// heard returns the logout token that the relying party got, verified; the provider has answered, so
// it has arrived.
func (b *bench) heard() (sub, sid string) {
	b.t.Helper()
	select {
	case raw := <-b.told:
		token, err := b.verifier.VerifyLogout(b.t.Context(), raw)
		if err != nil {
			b.t.Fatal(err)
		}
		signed, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.RS256})
		if err != nil || signed.Signatures[0].Header.ExtraHeaders["typ"] != "logout+jwt" {
			b.t.Errorf("typ is not logout+jwt: %v", err)
		}
		var claims struct {
			JTI   string
			Nonce *string
			IAT   int64
			EXP   int64
		}
		decode(b.t, string(signed.UnsafePayloadWithoutVerification()), &claims)
		if len(claims.JTI) < 16 || claims.Nonce != nil || claims.EXP-claims.IAT != 120 {
			b.t.Errorf("logout token: %+v", claims)
		}
		return token.Subject, token.SessionID
	default:
		return "", ""
	}
}

func (b *bench) sidOf(sub string) (raw, sid string) {
	b.t.Helper()
	raw, token := b.idToken(sub)
	var claims struct {
		SID string `json:"sid"`
	}
	if err := token.Claims(&claims); err != nil {
		b.t.Fatal(err)
	}
	return raw, claims.SID
}

// signedIn tells whether the browser has a session.
func (b *bench) signedIn() bool {
	b.t.Helper()
	_, _, to := b.get(b.authorizeURL(with("prompt", "none")))
	return to.Query().Has("code")
}

func TestClientsHearOfEndedSessions(t *testing.T) {
	for name, end := range map[string]func(*bench){
		"end session":      func(b *bench) { b.operate("end", ada) },
		"disable":          func(b *bench) { b.operate("disable", ada) },
		"another person":   func(b *bench) { b.signIn(ben) },
		"person signs out": func(b *bench) { b.press(b.issuer+"/logout/confirm", nil) },
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t)
			_, want := b.sidOf(ada)
			end(b)
			if sub, sid := b.heard(); sub != ada || sid != want {
				t.Errorf("heard of %q %q, want %q %q", sub, sid, ada, want)
			}
			end(b)
			if sub, _ := b.heard(); sub != "" {
				t.Errorf("heard of %s twice", sub)
			}
		})
	}
}

func TestAClientWithoutTokensHearsNothing(t *testing.T) {
	b := start(t)
	b.signIn(ada) // the code is never redeemed
	b.operate("end", ada)
	if sub, _ := b.heard(); sub != "" {
		t.Errorf("heard of %s", sub)
	}
}

func TestAClientThatIsDownKeepsNobodySignedIn(t *testing.T) {
	b := start(t)
	b.idToken(ada)
	b.rp.Close()
	b.operate("end", ada)
	if b.signedIn() {
		t.Error("still signed in")
	}
}

func TestASignOutThatTheClientProvesAsksNobody(t *testing.T) {
	b := start(t)
	raw, want := b.sidOf(ada)
	status, _, to := b.get(b.issuer + "/logout?" + url.Values{
		"id_token_hint": {raw}, "post_logout_redirect_uri": {"http://127.0.0.1:1/bye"}, "state": {"s&1"},
	}.Encode())
	if status != http.StatusSeeOther || to.String() != "http://127.0.0.1:1/bye?state=s%261" {
		t.Errorf("status %d, sent to %q", status, to)
	}
	if _, sid := b.heard(); sid != want {
		t.Errorf("heard of %q, want %q", sid, want)
	}
	if b.signedIn() {
		t.Error("still signed in")
	}
}

func TestASignOutThatNobodyProvesAsks(t *testing.T) {
	b := start(t)
	adas, _ := b.sidOf(ada)
	b.idToken(ben)
	b.heard() // of Ada, whom Ben replaced
	for name, q := range map[string]url.Values{
		"no hint":         {},
		"only the client": {"client_id": {"shop"}, "post_logout_redirect_uri": {"http://127.0.0.1:1/bye"}},
		"hint of another": {"id_token_hint": {adas}},
	} {
		status, body, _ := b.get(b.issuer + "/logout?" + q.Encode())
		if status != http.StatusOK || !strings.Contains(body, "Sign out, Ben?") || !b.signedIn() {
			t.Errorf("%s: status %d, signed in %v", name, status, b.signedIn())
		}
	}
	q := url.Values{"client_id": {"shop"}, "post_logout_redirect_uri": {"http://127.0.0.1:1/bye"}}
	if _, _, to := b.press(b.issuer+"/logout/confirm?"+q.Encode(), nil); to.String() != "http://127.0.0.1:1/bye" || b.signedIn() {
		t.Errorf("confirmed: sent to %q, signed in %v", to, b.signedIn())
	}
}

func TestAFaultySignOutDoesNothing(t *testing.T) {
	b := start(t)
	raw, _ := b.sidOf(ada)
	for name, q := range map[string]url.Values{
		"address without client":   {"post_logout_redirect_uri": {"http://127.0.0.1:1/bye"}},
		"unregistered address":     {"id_token_hint": {raw}, "post_logout_redirect_uri": {"http://127.0.0.1:1/bye/"}},
		"another client's address": {"client_id": {"other"}, "post_logout_redirect_uri": {"http://127.0.0.1:1/bye"}},
		"unknown client":           {"client_id": {"x"}},
		"hint of another client":   {"client_id": {"other"}, "id_token_hint": {raw}},
		"forged hint":              {"id_token_hint": {raw[:len(raw)-6] + "AAAAAA"}},
	} {
		for _, path := range []string{"/logout?", "/logout/confirm?"} {
			status, _, to := b.press(b.issuer+path+q.Encode(), nil)
			if status != http.StatusBadRequest || to.String() != "" || !b.signedIn() {
				t.Errorf("%s at %s: status %d, sent to %q, signed in %v", name, path, status, to, b.signedIn())
			}
		}
	}
}

func TestTheOperatorSeesWhoIsSignedIn(t *testing.T) {
	b := start(t)
	b.signIn(ada)
	_, body, _ := b.get(b.issuer + "/operator")
	if strings.Count(body, ">signed in<") != 1 || strings.Count(body, ">disabled<") != 1 || !strings.Contains(body, "Ada signed in to shop") {
		t.Error(body)
	}
	for _, path := range []string{"/operator/end", "/operator/explode"} {
		if status, _, _ := b.press(b.issuer+path, nil); status != http.StatusBadRequest {
			t.Errorf("%s without a person: status %d", path, status)
		}
	}
	if status, _, _ := b.press(b.issuer+"/operator/explode", url.Values{"person": {ada}}); status != http.StatusNotFound {
		t.Errorf("unknown button: status %d", status)
	}
}
