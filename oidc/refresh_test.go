package oidc_test

import (
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"chatpass/identity"
	"chatpass/oidc"
)

const refreshToken = "rt-1-that-nobody-may-see"

// ada is whoever goodToken speaks of.
func (p *idp) ada() identity.Identity {
	return identity.Identity{IDP: "corp", Issuer: p.URL, Subject: "u-81", UpstreamSubject: "u-81"}
}

func TestOfflineAccessIsAskedForWhereItIsListed(t *testing.T) {
	rows := []struct {
		name, refresh string
		scopes        []string
		listed, asks  bool
	}{
		{name: "auto, listed", listed: true, asks: true},
		{name: "auto, not listed"},
		{name: "on, not listed", refresh: oidc.RefreshOn, asks: true},
		{name: "on, in scopes already", refresh: oidc.RefreshOn, scopes: []string{"offline_access", "email"}, asks: true},
		{name: "off, listed", refresh: oidc.RefreshOff, listed: true},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			p := newIDP(t)
			if row.listed {
				p.doc["scopes_supported"] = []string{"openid", "offline_access"}
			}
			g := newGate(t, p, newClock(), func(c *oidc.Config) {
				c.Refresh = row.refresh
				if row.scopes != nil {
					c.Scopes = row.scopes
				}
			})
			_, query := begin(t, g, oidc.Ask{})
			want := "openid email"
			if row.asks {
				want += " offline_access"
			}
			if got := query.Get("scope"); got != want {
				t.Errorf("asked for %q, want %q", got, want)
			}
		})
	}
}

func TestSignInBringsAGrant(t *testing.T) {
	whole := map[string]any{"refresh_token": refreshToken, "refresh_token_expires_in": 3600}
	rows := []struct {
		name, refresh string
		more          map[string]any
		want          identity.Grant
	}{
		{"a token and its life", "", whole, identity.Grant{RefreshToken: refreshToken, Lapses: start().Add(time.Hour)}},
		{"a token alone", "", map[string]any{"refresh_token": refreshToken}, identity.Grant{RefreshToken: refreshToken}},
		{"a life that is no number", "", map[string]any{"refresh_token": refreshToken, "refresh_token_expires_in": "soon"}, identity.Grant{RefreshToken: refreshToken}},
		{"none", "", nil, identity.Grant{}},
		{"a token that is not wanted", oidc.RefreshOff, whole, identity.Grant{}},
		{"a token too large to keep", "", map[string]any{"refresh_token": strings.Repeat("x", 16<<10+1)}, identity.Grant{}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			p := newIDP(t)
			g := newGate(t, p, newClock(), func(c *oidc.Config) { c.Refresh = row.refresh })
			login, _ := begin(t, g, oidc.Ask{})
			body := map[string]any{"access_token": "at-1", "token_type": "Bearer", "id_token": p.signInToken(login).sign(t)}
			maps.Copy(body, row.more)
			p.respond(t, http.StatusOK, body)
			in, err := g.Finish(t.Context(), login, callback(login))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(row.want, in.Grant); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSessionExpiryIsRead(t *testing.T) {
	p := newIDP(t)
	g := newGate(t, p, newClock())
	ends := start().Add(2 * time.Hour)
	who, err := g.Verify(t.Context(), p.goodToken().with(map[string]any{"session_expiry": ends.Unix()}).sign(t), terms())
	if err != nil || !who.SessionEnds.Equal(ends) {
		t.Errorf("got %v, %v, want %v", who.SessionEnds, err, ends)
	}
	_, err = g.Verify(t.Context(), p.goodToken().with(map[string]any{"Session_Expiry": ends.Unix()}).sign(t), terms())
	wantCode(t, err, identity.ClaimAmbiguous)
}

func TestRefreshBringsTheNextToken(t *testing.T) {
	ends := start().Add(3 * time.Hour)
	own := func(p *idp) *forgery {
		return p.goodToken().with(map[string]any{"aud": clientID, "session_expiry": ends.Unix()})
	}
	rows := []struct {
		name string
		more func(*testing.T, *idp) map[string]any
		want identity.Grant
	}{
		{"rotated", func(*testing.T, *idp) map[string]any {
			return map[string]any{"refresh_token": "rt-2", "refresh_token_expires_in": 60}
		}, identity.Grant{RefreshToken: "rt-2", Lapses: start().Add(time.Minute)}},
		{"kept, and no ID token", func(*testing.T, *idp) map[string]any { return nil }, identity.Grant{}},
		{"ID token of the person", func(t *testing.T, p *idp) map[string]any {
			return map[string]any{"refresh_token": "rt-2", "id_token": own(p).sign(t)}
		}, identity.Grant{RefreshToken: "rt-2", Ends: ends}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			p := newIDP(t)
			g := newGate(t, p, newClock())
			body := map[string]any{"access_token": "at-1", "token_type": "Bearer"}
			maps.Copy(body, row.more(t, p))
			p.respond(t, http.StatusOK, body)
			got, err := g.Refresh(t.Context(), p.ada(), refreshToken)
			if err != nil {
				t.Fatal(err)
			}
			if !got.Ends.Equal(row.want.Ends) || !got.Lapses.Equal(row.want.Lapses) || got.RefreshToken != row.want.RefreshToken {
				t.Errorf("got %+v, want %+v", got, row.want)
			}
			sent := p.redeemed
			user, password, _ := sent.BasicAuth()
			if sent.PostForm.Get("grant_type") != "refresh_token" || sent.PostForm.Get("refresh_token") != refreshToken || sent.PostForm.Has("client_id") ||
				user != clientID || password == "" {
				t.Errorf("sent %v by %q", sent.PostForm, user)
			}
		})
	}
}

// Only invalid_grant speaks of the person. Whatever else the issuer says, or does not say, nobody is signed out by it.
func TestOnlyInvalidGrantEndsASignIn(t *testing.T) {
	answer := func(code int, body any) func(*testing.T, *idp) {
		return func(t *testing.T, p *idp) { p.respond(t, code, body) }
	}
	custom := func(h http.HandlerFunc) func(*testing.T, *idp) {
		return func(_ *testing.T, p *idp) { p.change(func() { p.tokens = h }) }
	}
	failing := func(code string) map[string]string {
		return map[string]string{"error": code, "error_description": "alice@example.com " + refreshToken}
	}
	withToken := func(claims map[string]any) func(*testing.T, *idp) {
		return func(t *testing.T, p *idp) {
			token := p.goodToken().with(map[string]any{"aud": clientID}).with(claims).sign(t)
			p.respond(t, http.StatusOK, map[string]any{"access_token": "at-1", "refresh_token": "rt-2", "id_token": token})
		}
	}
	rows := []struct {
		name  string
		setup func(*testing.T, *idp)
		want  string // "outage", "fault" or a code
	}{
		{"invalid_grant", answer(400, failing("invalid_grant")), string(identity.EndedByIssuer)},
		{"invalid_grant with 401", answer(401, failing("invalid_grant")), string(identity.EndedByIssuer)},
		{"invalid_grant with 503", answer(503, failing("invalid_grant")), "outage"},
		{"invalid_grant in a page", custom(page(`<pre>{"error":"invalid_grant"}</pre>`)), "outage"},
		{"invalid_grant with 200", answer(200, failing("invalid_grant")), "outage"},
		{"invalid_grant twice over", custom(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"error":"invalid_client","error":"invalid_grant"}`))
		}), "outage"},
		{"status 500", custom(status(500)), "outage"},
		{"status 429", answer(429, failing("slow_down")), "outage"},
		{"HTML 401 of a proxy", custom(status(401)), "outage"},
		{"JSON of another kind", answer(400, map[string]string{"message": "no"}), "outage"},
		{"error that is no text", answer(400, map[string]any{"error": 1}), "outage"},
		{"connection cut", custom(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), "outage"},
		{"redirect", custom(http.RedirectHandler("/elsewhere", http.StatusTemporaryRedirect).ServeHTTP), "outage"},
		{"no access token", answer(200, map[string]string{"refresh_token": "rt-2"}), "outage"},
		{"50 MB", custom(flood), "outage"},
		{"our secret is wrong", answer(401, failing("invalid_client")), "fault"},
		{"we may not refresh", answer(400, failing("unauthorized_client")), "fault"},
		{"no such grant", answer(400, failing("unsupported_grant_type")), "fault"},
		{"an error of its own", answer(400, failing("interaction_required")), "fault"},
		{"an ID token of somebody else", withToken(map[string]any{"sub": "u-82"}), "fault"},
		{"an ID token of another issuer", withToken(map[string]any{"iss": "https://evil.example"}), "fault"},
		{"an ID token that is none", answer(200, map[string]any{"access_token": "at-1", "id_token": "x"}), "fault"},
		{"a refresh token that is no text", answer(200, map[string]any{"access_token": "at-1", "refresh_token": 7}), "fault"},
		{"a refresh token too large to keep", answer(200, map[string]any{"access_token": "at-1", "refresh_token": strings.Repeat("x", 16<<10+1)}), "fault"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			p := newIDP(t)
			g := newGate(t, p, newClock())
			row.setup(t, p)
			_, err := g.Refresh(t.Context(), p.ada(), refreshToken)
			switch row.want {
			case "outage":
				wantOutage(t, err)
			case "fault":
				if fault, ok := errors.AsType[*oidc.Fault](err); !ok || fault.Remedy == "" || errors.Is(err, identity.ErrRejected) {
					t.Errorf("got %v, want a fault", err)
				}
			default:
				wantCode(t, err, identity.Code(row.want))
			}
			for _, secret := range []string{"alice", refreshToken, secret} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error tells %q: %v", secret, err)
				}
			}
			if p.redemptions.Load() != 1 {
				t.Errorf("the refresh token was sent %d times", p.redemptions.Load())
			}
		})
	}
}

func TestRefreshProvesWhoWeAre(t *testing.T) {
	rows := []struct {
		name string
		edit func(*oidc.Config)
		want map[string]bool // parameters that are sent, or not
	}{
		{"secret in the form", func(c *oidc.Config) {}, map[string]bool{"client_id": true, "client_secret": true, "client_assertion": false}},
		{
			"private key", func(c *oidc.Config) { c.ClientSecret, c.PrivateKey = "", asPEM(t, newPrivate(t, "P-256")) },
			map[string]bool{"client_id": true, "client_secret": false, "client_assertion": true},
		},
		{"public client", func(c *oidc.Config) { c.ClientSecret = "" }, map[string]bool{"client_id": true, "client_secret": false, "client_assertion": false}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			p := newIDP(t)
			p.doc["token_endpoint_auth_methods_supported"] = []string{"client_secret_post", "private_key_jwt"}
			p.doc["revocation_endpoint"] = p.URL + "/token"
			g := newGate(t, p, newClock(), row.edit)
			p.respond(t, http.StatusOK, map[string]any{"access_token": "at-1"})
			if _, err := g.Refresh(t.Context(), p.ada(), refreshToken); err != nil {
				t.Fatal(err)
			}
			refreshed := p.redeemed
			if err := g.Revoke(t.Context(), "corp", refreshToken); err != nil {
				t.Fatal(err)
			}
			for _, sent := range []*http.Request{refreshed, p.redeemed} {
				for name, want := range row.want {
					if got := sent.PostForm.Has(name); got != want || sent.Header.Get("Authorization") != "" {
						t.Errorf("%s sent: %v, want %v", name, got, want)
					}
				}
			}
			if form := p.redeemed.PostForm; form.Get("token") != refreshToken || form.Get("token_type_hint") != "refresh_token" {
				t.Errorf("revoked by %v", form)
			}
		})
	}
}

func TestRevocationThatDoesNotSucceedIsTold(t *testing.T) {
	p := newIDP(t)
	g := newGate(t, p, newClock())
	if err := g.Revoke(t.Context(), "corp", refreshToken); err != nil || p.redemptions.Load() != 0 {
		t.Errorf("an issuer without a revocation endpoint: %v, asked %d times", err, p.redemptions.Load())
	}
	p = newIDP(t)
	p.doc["revocation_endpoint"] = p.URL + "/token"
	g = newGate(t, p, newClock())
	p.change(func() { p.tokens = status(503) })
	wantOutage(t, g.Revoke(t.Context(), "corp", refreshToken))
	p.respond(t, http.StatusBadRequest, map[string]string{"error": "unsupported_token_type"})
	if _, ok := errors.AsType[*oidc.Fault](g.Revoke(t.Context(), "corp", refreshToken)); !ok {
		t.Error("a refusal is no fault")
	}
}

func TestRefreshNeverAsksAnIssuerThatSignsNobodyIn(t *testing.T) {
	p := newIDP(t)
	g := newGate(t, p, newClock(), func(c *oidc.Config) { c.ClientID, c.ClientSecret = "", "" })
	_, err := g.Refresh(t.Context(), p.ada(), refreshToken)
	if wantCode(t, err, identity.IssuerNotTrusted); p.redemptions.Load() != 0 {
		t.Error("it was asked")
	}
}
