package oidc_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"chatpass/identity"
	"chatpass/oidc"
)

const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// logoutToken is a good one (OpenID Connect Back-Channel Logout 1.0 §2.4).
func (p *idp) logoutToken() *forgery {
	f := p.goodToken()
	f.header["typ"] = "logout+jwt"
	f.payload = map[string]any{
		"iss": p.URL, "sub": "u-81", "sid": "s-1", "aud": clientID, "iat": start().Unix() - 10, "exp": start().Unix() + 110,
		"jti": "j-1", "events": map[string]any{logoutEvent: map[string]any{}},
	}
	return f
}

func TestGoodLogoutTokenIsBelieved(t *testing.T) {
	p, c := newIDP(t), newClock()
	g := newGate(t, p, c)
	issued := time.Unix(start().Unix()-10, 0)
	want := oidc.Logout{Issuer: p.URL, Subject: "u-81", Session: "s-1", JTI: "j-1", IssuedAt: issued, Expires: issued.Add(5 * time.Minute)}
	noSub, noSID := want, want
	noSub.Subject, noSID.Session = "", ""
	rows := []struct {
		name   string
		change func(*forgery)
		want   oidc.Logout
	}{
		{"whole", func(*forgery) {}, want},
		{"typ JWT", setHeader("typ", "JWT"), want},
		{"no typ", func(f *forgery) { delete(f.header, "typ") }, want},
		{"typ as a media type", setHeader("typ", "application/Logout+JWT"), want},
		{"no exp", drop("exp"), want},
		{"aud a list", set("aud", []string{clientID}), want},
		{"events with others", set("events", map[string]any{logoutEvent: map[string]any{"a": 1}, "https://x.example": 1}), want},
		{"session only", drop("sub"), noSub},
		{"person only", drop("sid"), noSID},
	}
	for _, row := range rows {
		f := p.logoutToken()
		row.change(f)
		got, err := g.VerifyLogout(t.Context(), "corp", f.sign(t), nil)
		if diff := cmp.Diff(row.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v, %s", row.name, err, diff)
		}
	}
}

func TestHostileLogoutTokenIsRejected(t *testing.T) {
	now := start().Unix()
	stranger := newKey(t, "stranger", "ES256")
	rows := []attack{
		{"an ID token", func(f *forgery) { f.header["typ"] = "JWT"; delete(f.payload, "events") }, identity.NotAnIDToken},
		{"typ at+jwt", setHeader("typ", "at+jwt"), identity.NotAnIDToken},
		{"typ secevent+jwt", setHeader("typ", "secevent+jwt"), identity.NotAnIDToken},
		{"events a list", set("events", []string{logoutEvent}), identity.NotAnIDToken},
		{"events empty", set("events", map[string]any{}), identity.NotAnIDToken},
		{"event in capitals", set("events", map[string]any{strings.ToUpper(logoutEvent): map[string]any{}}), identity.NotAnIDToken},
		{"event not an object", set("events", map[string]any{logoutEvent: true}), identity.NotAnIDToken},
		{"event null", set("events", map[string]any{logoutEvent: nil}), identity.NotAnIDToken},
		{"a nonce", set("nonce", "n"), identity.NotAnIDToken},
		{"a nonce of null", set("nonce", nil), identity.NotAnIDToken},
		{"neither sub nor sid", func(f *forgery) { delete(f.payload, "sub"); delete(f.payload, "sid") }, identity.ClaimMissing},
		{"sub empty", set("sub", ""), identity.ClaimMissing},
		{"sub a number", set("sub", 81), identity.MalformedToken},
		{"sid a number", set("sid", 1), identity.MalformedToken},
		{"no jti", drop("jti"), identity.ClaimMissing},
		{"jti empty", set("jti", ""), identity.ClaimMissing},
		{"jti of 256", set("jti", strings.Repeat("j", 256)), identity.ClaimMissing},
		{"jti a number", set("jti", 1), identity.MalformedToken},
		{"no iat", drop("iat"), identity.ClaimMissing},
		{"iat older than 5 minutes", set("iat", now-301), identity.TokenExpired},
		{"iat older than 5 minutes, no exp", func(f *forgery) { f.payload["iat"] = now - 301; delete(f.payload, "exp") }, identity.TokenExpired},
		{"iat ahead", set("iat", now+61), identity.IssuedInFuture},
		{"expired", set("exp", now-60), identity.TokenExpired},
		{"exp a string", set("exp", "tomorrow"), identity.MalformedToken},
		{"for another client", set("aud", shop), identity.AudienceMismatch},
		{"for nobody", drop("aud"), identity.ClaimMissing},
		{"of another issuer", set("iss", "https://evil.example"), identity.IssuerNotTrusted},
		{"alg none", setHeader("alg", "none"), identity.AlgorithmNotAllowed},
		{"kid of nobody", setHeader("kid", "nobody"), identity.KeyUnknown},
		{"foreign key", func(f *forgery) { f.signedBy(stranger); f.header["kid"] = "es" }, identity.SignatureInvalid},
		{"encrypted", inToken(func(s string) string { return s + ".AA.AA" }), identity.HeaderUnsupported},
		{"crit", setHeader("crit", []string{"exp"}), identity.HeaderUnsupported},
		{"sid twice", inPayload(`"sid"`, `"sid":"s-2","sid"`), identity.ClaimAmbiguous},
		{"Events beside events", set("Events", 1), identity.ClaimAmbiguous},
		{"more than 16 KiB", set("pad", strings.Repeat("x", 16<<10)), identity.TooLarge},
		{"not a token", inToken(func(string) string { return "hello" }), identity.MalformedToken},
	}
	p, c := newIDP(t), newClock()
	g := newGate(t, p, c)
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			f := p.logoutToken()
			if _, err := g.VerifyLogout(t.Context(), "corp", f.sign(t), nil); err != nil {
				t.Fatalf("good token: %v", err)
			}
			row.change(f)
			got, err := g.VerifyLogout(t.Context(), "corp", f.sign(t), nil)
			wantCode(t, err, row.want)
			if got != (oidc.Logout{}) {
				t.Errorf("got %+v beside the error", got)
			}
		})
	}
	_, err := g.Verify(t.Context(), p.logoutToken().with(map[string]any{"aud": shop}).sign(t), terms())
	wantCode(t, err, identity.NotAnIDToken)
}

func TestLogoutWhileTheKeysCannotBeFetchedIsAnOutage(t *testing.T) {
	p, c := newIDP(t), newClock()
	p.keyPage = status(500)
	_, err := newGate(t, p, c).VerifyLogout(t.Context(), "corp", p.logoutToken().sign(t), nil)
	wantOutage(t, err)
}

func TestFrontchannelLogoutIsOffUnlessConfigured(t *testing.T) {
	p := newIDP(t)
	silent := newGate(t, p, newClock())
	if _, err := silent.FrontchannelLogout("corp", p.URL, "s-1"); !errors.Is(err, identity.ErrRejected) {
		t.Errorf("of an issuer that is not to be heard: %v", err)
	}
	heard := newGate(t, p, newClock(), func(c *oidc.Config) { c.FrontchannelLogout = true })
	got, err := heard.FrontchannelLogout("corp", p.URL, "s-1")
	if diff := cmp.Diff(oidc.Logout{Issuer: p.URL, Session: "s-1"}, got); err != nil || diff != "" {
		t.Errorf("%v, %s", err, diff)
	}
	if _, err := heard.FrontchannelLogout("nobody", p.URL, "s-1"); !errors.Is(err, identity.ErrRejected) {
		t.Errorf("of nobody: %v", err)
	}
}
