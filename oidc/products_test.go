package oidc_test

import (
	"maps"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"chatpass/identity"
	"chatpass/oidc"
)

// A product is an identity provider that people buy or run, as far as it differs from the standards or from
// others: what it says of itself, what its tokens say, and what docs/issuers.md has written for it.
type product struct {
	lines  []string // of its block there
	config func(p *idp, cfg *oidc.Config)
	doc    func(p *idp) map[string]any // differences of its discovery document
	claims func(p *idp) map[string]any // of its ID tokens
	twin   func(p *idp) map[string]any // of a token that is nearly its own, and not

	subject, scope, acr string
	answer              map[string]any // more of its answer to a code
	grant               identity.Grant
	level               string            // asked of it
	asked               map[string]string // how it hears that
	reached, missed     map[string]any    // claims that say so, and that do not
	signsOut            bool              // it has an end-session endpoint
	tells               string            // how it tells of a sign-out: "back" or "front" channel; empty: not at all
}

var products = map[string]product{
	"entra": {
		lines: []string{"issuer: https://login.microsoftonline.com/{tenantid}/v2.0", "subject_claim: oid", "step_up: {request: claims, claim: acrs}", "frontchannel_logout: true"},
		config: func(p *idp, cfg *oidc.Config) {
			cfg.Issuer, cfg.Tenants = p.URL+"/{tenantid}/v2.0", []string{tenantA}
			cfg.SubjectClaim, cfg.StepUpRequest, cfg.StepUpClaim, cfg.FrontchannelLogout = "oid", oidc.ByClaims, "acrs", true
		},
		doc: func(p *idp) map[string]any {
			return map[string]any{"issuer": p.URL + "/{tenantid}/v2.0", "scopes_supported": []string{"openid", "profile", "email", "offline_access"}, "frontchannel_logout_supported": true}
		},
		claims: func(p *idp) map[string]any {
			return map[string]any{"iss": p.URL + "/" + tenantA + "/v2.0", "tid": tenantA, "oid": "o-7", "sub": "pairwise", "ver": "2.0", "acr": nil}
		},
		twin: func(p *idp) map[string]any {
			return map[string]any{"iss": p.URL + "/" + foreignTenant + "/v2.0", "tid": foreignTenant}
		},
		subject: "o-7", scope: "openid email offline_access",
		answer: map[string]any{"refresh_token": refreshToken, "ext_expires_in": 4000}, grant: identity.Grant{RefreshToken: refreshToken},
		level: "c1", asked: map[string]string{"claims": `{"id_token":{"acrs":{"essential":true,"value":"c1"}}}`},
		reached: map[string]any{"acrs": []string{"c1", "c2"}}, missed: map[string]any{"acrs": []string{"c2"}, "acr": "c1"},
		signsOut: true, tells: "front",
	},
	"okta": {
		lines:  []string{"issuer: https://example.okta.com/oauth2/default"},
		config: func(p *idp, cfg *oidc.Config) { cfg.Issuer = p.URL + "/oauth2/default" },
		doc: func(p *idp) map[string]any {
			return map[string]any{"issuer": p.URL + "/oauth2/default", "scopes_supported": []string{"openid", "profile", "email", "offline_access"}, "backchannel_logout_supported": true}
		},
		claims: func(p *idp) map[string]any {
			return map[string]any{"iss": p.URL + "/oauth2/default", "sub": "00u1", "ver": 1, "idp": "00o1", "acr": "urn:okta:loa:1fa:pwd", "amr": []string{"pwd"}}
		},
		twin:    func(p *idp) map[string]any { return map[string]any{"iss": p.URL} }, // the organisation's own authorization server
		subject: "00u1", scope: "openid email offline_access", acr: "urn:okta:loa:1fa:pwd",
		answer: map[string]any{"refresh_token": refreshToken}, grant: identity.Grant{RefreshToken: refreshToken},
		level: "urn:okta:loa:2fa:any", asked: map[string]string{"acr_values": "urn:okta:loa:2fa:any"},
		reached: map[string]any{"acr": "urn:okta:loa:2fa:any"}, missed: map[string]any{"acr": "urn:okta:loa:1fa:any"},
		signsOut: true, tells: "back",
	},
	"google": {
		lines: []string{"issuer_aliases: [accounts.google.com]", `refresh: "off"`},
		config: func(_ *idp, cfg *oidc.Config) {
			cfg.Aliases, cfg.Refresh = []string{"accounts.google.com"}, oidc.RefreshOff
		},
		doc: func(*idp) map[string]any {
			return map[string]any{"scopes_supported": []string{"openid", "email", "profile"}, "end_session_endpoint": nil}
		},
		claims: func(*idp) map[string]any {
			return map[string]any{"iss": "accounts.google.com", "sub": "1076", "hd": "example.com", "azp": clientID, "acr": nil, "amr": nil, "auth_time": nil, "sid": nil}
		},
		twin:    func(*idp) map[string]any { return map[string]any{"iss": "http://accounts.google.com"} },
		subject: "1076", scope: "openid email",
		level: "mfa", asked: map[string]string{"acr_values": "mfa"}, missed: map[string]any{},
	},
	"keycloak": {
		lines: []string{"issuer: https://id.example.com/realms/company", "issuer_aliases: [https://keycloak.internal.example/realms/company]"},
		config: func(p *idp, cfg *oidc.Config) {
			cfg.Issuer, cfg.Aliases = p.URL+"/realms/company", []string{"https://keycloak.internal.example/realms/company"}
		},
		doc: func(p *idp) map[string]any {
			return map[string]any{"issuer": p.URL + "/realms/company", "scopes_supported": []string{"openid", "offline_access", "email"}, "backchannel_logout_supported": true, "acr_values_supported": []string{"0", "1"}}
		},
		claims: func(*idp) map[string]any {
			return map[string]any{"iss": "https://keycloak.internal.example/realms/company", "sub": "f:1:ada", "typ": "ID", "azp": clientID, "session_state": "s-1", "acr": "1", "aud": []string{clientID}}
		},
		twin:    func(p *idp) map[string]any { return map[string]any{"iss": p.URL + "/realms/master"} },
		subject: "f:1:ada", scope: "openid email offline_access", acr: "1",
		answer: map[string]any{"refresh_token": refreshToken, "refresh_expires_in": 1800, "not-before-policy": 0, "session_state": "s-1"},
		grant:  identity.Grant{RefreshToken: refreshToken, Lapses: start().Add(30 * time.Minute)},
		level:  "gold", asked: map[string]string{"acr_values": "gold"},
		reached: map[string]any{"acr": "gold"}, missed: map[string]any{"acr": "1"},
		signsOut: true, tells: "back",
	},
	"auth0": {
		lines:  []string{"issuer: https://example.eu.auth0.com/", "step_up: {request: acr_values, claim: amr}"},
		config: func(p *idp, cfg *oidc.Config) { cfg.Issuer, cfg.StepUpClaim = p.URL+"/", "amr" },
		doc: func(p *idp) map[string]any {
			return map[string]any{"issuer": p.URL + "/", "scopes_supported": []string{"openid", "profile", "offline_access", "email"}, "backchannel_logout_supported": true}
		},
		claims: func(p *idp) map[string]any {
			return map[string]any{"iss": p.URL + "/", "sub": "auth0|81", "https://example.com/tier": "gold", "acr": nil, "amr": nil}
		},
		twin:    func(p *idp) map[string]any { return map[string]any{"iss": p.URL} }, // without the slash it is nobody's name
		subject: "auth0|81", scope: "openid email offline_access",
		answer: map[string]any{"refresh_token": refreshToken}, grant: identity.Grant{RefreshToken: refreshToken},
		level: "mfa", asked: map[string]string{"acr_values": "mfa"},
		reached: map[string]any{"amr": []string{"mfa"}}, missed: map[string]any{"acr": "mfa"},
		signsOut: true, tells: "back",
	},
}

// start brings the product up, and a gate configured for it.
func (at product) start(t *testing.T) (*idp, *oidc.Gate) {
	t.Helper()
	p := newIDP(t)
	maps.Copy(p.doc, at.doc(p))
	maps.DeleteFunc(p.doc, func(_ string, v any) bool { return v == nil })
	return p, newGate(t, p, newClock(), func(cfg *oidc.Config) { at.config(p, cfg) })
}

// token is an ID token as the product makes it.
func (at product) token(p *idp, more map[string]any) *forgery {
	f := p.goodToken().with(at.claims(p)).with(more)
	maps.DeleteFunc(f.payload, func(_ string, v any) bool { return v == nil })
	return f
}

// signIn sends somebody there and back; the ID token says more.
func (at product) signIn(t *testing.T, p *idp, g *oidc.Gate, ask oidc.Ask, more map[string]any) (oidc.SignedIn, url.Values, error) {
	t.Helper()
	login, query := begin(t, g, ask)
	said := map[string]any{"aud": clientID, "nonce": login.Nonce}
	maps.Copy(said, more)
	body := map[string]any{"access_token": "at-1", "token_type": "Bearer", "id_token": at.token(p, said).sign(t)}
	maps.Copy(body, at.answer)
	p.respond(t, http.StatusOK, body)
	in, err := g.Finish(t.Context(), login, callback(login))
	return in, query, err
}

// The identity providers that most companies have, imitated from their public documentation.
func TestProductsAreUnderstood(t *testing.T) {
	for name, at := range products {
		t.Run(name, func(t *testing.T) {
			p, g := at.start(t)
			in, query, err := at.signIn(t, p, g, oidc.Ask{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			who := in.Identity
			got := []any{who.Subject, who.UpstreamSubject, who.ACR, in.Grant, query.Get("scope")}
			if diff := cmp.Diff([]any{at.subject, at.claims(p)["sub"], at.acr, at.grant, at.scope}, got); diff != "" {
				t.Error(diff)
			}
			exchanged, err := g.Verify(t.Context(), at.token(p, map[string]any{"aud": shop, "azp": nil}).sign(t), terms())
			if err != nil || exchanged.Subject != at.subject || exchanged.SubjectIssuer != who.SubjectIssuer {
				t.Errorf("exchanged: %+v, %v, want the one who signed in: %+v", exchanged, err, who)
			}
			_, err = g.Verify(t.Context(), at.token(p, map[string]any{"aud": shop, "azp": nil}).with(at.twin(p)).sign(t), terms())
			wantCode(t, err, identity.IssuerNotTrusted)
			end, err := g.EndSession(t.Context(), "corp", in.IDToken, "https://chat.example/v1/logout/callback", "s")
			if err != nil || (end != "") != at.signsOut {
				t.Errorf("to sign out there: %q, %v", end, err)
			}
		})
	}
}

func TestProductsSayWhenSomebodySignsOut(t *testing.T) {
	for name, at := range products {
		t.Run(name, func(t *testing.T) {
			p, g := at.start(t)
			iss, _ := at.claims(p)["iss"].(string)
			if iss == "" {
				iss = p.URL
			}
			said := p.logoutToken().with(map[string]any{"iss": iss, "sub": at.claims(p)["sub"], "tid": at.claims(p)["tid"]})
			maps.DeleteFunc(said.payload, func(_ string, v any) bool { return v == nil })
			back, backErr := g.VerifyLogout(t.Context(), "corp", said.sign(t), nil)
			front, frontErr := g.FrontchannelLogout("corp", iss, "s-1")
			if at.tells == "back" && (backErr != nil || back.Subject != at.claims(p)["sub"] || back.Session != "s-1") {
				t.Errorf("by a logout token: %+v, %v", back, backErr)
			}
			if heard := frontErr == nil; heard != (at.tells == "front") || heard && front.Session != "s-1" {
				t.Errorf("by a frame: %+v, %v", front, frontErr)
			}
		})
	}
}

func TestProductsStepUpOrSayThatTheyDidNot(t *testing.T) {
	for name, at := range products {
		t.Run(name, func(t *testing.T) {
			p, g := at.start(t)
			ask := oidc.Ask{ACRValues: []string{at.level}}
			_, query, err := at.signIn(t, p, g, ask, at.missed)
			wantCode(t, err, identity.StepUpUnmet)
			for parameter, want := range at.asked {
				if got := query.Get(parameter); got != want {
					t.Errorf("asks by %s=%s, want %s", parameter, got, want)
				}
			}
			if at.reached == nil {
				return
			}
			if in, _, err := at.signIn(t, p, g, ask, at.reached); err != nil || in.Identity.ACR != at.level {
				t.Errorf("reached: %+v, %v", in.Identity, err)
			}
		})
	}
}

// What the page recommends is what is tried here.
func TestPageOfProductsHasWhatIsTried(t *testing.T) {
	text, err := os.ReadFile("../docs/issuers.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, at := range products {
		_, block, _ := strings.Cut(string(text), "```yaml\n"+name+":\n")
		block, _, _ = strings.Cut(block, "```")
		for _, line := range at.lines {
			if !strings.Contains(block, "  "+line+"\n") {
				t.Errorf("%s: no %q in\n%s", name, line, block)
			}
		}
	}
}
