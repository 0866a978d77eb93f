package oidc_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"chatpass/identity"
	"chatpass/oidc"
)

// entra is an issuer that is asked for levels by the claims parameter, and lists those reached in `acrs`.
func entra(cfg *oidc.Config) { cfg.StepUpRequest, cfg.StepUpClaim = oidc.ByClaims, "acrs" }

func TestLevelIsAskedForAsTheIssuerTakesIt(t *testing.T) {
	wish := func(cfg *oidc.Config) { cfg.ACRValues = []string{"c1", "c2"} }
	for name, row := range map[string]struct {
		changes     []func(*oidc.Config)
		asked       []string
		acr, claims string
	}{
		"nothing":               {},
		"acr_values":            {asked: []string{"mfa", "hwk"}, acr: "mfa hwk"},
		"acr_values, a wish":    {changes: []func(*oidc.Config){wish}, acr: "c1 c2"},
		"a claim":               {changes: []func(*oidc.Config){entra}, asked: []string{"c1"}, claims: `{"id_token":{"acrs":{"essential":true,"value":"c1"}}}`},
		"one of several claims": {changes: []func(*oidc.Config){entra}, asked: []string{"c1", "c2"}, claims: `{"id_token":{"acrs":{"essential":true,"values":["c1","c2"]}}}`},
		"a claim, a wish":       {changes: []func(*oidc.Config){entra, wish}, claims: `{"id_token":{"acrs":{"values":["c1","c2"]}}}`},
	} {
		t.Run(name, func(t *testing.T) {
			p, c := newIDP(t), newClock()
			_, query := begin(t, newGate(t, p, c, row.changes...), oidc.Ask{ACRValues: row.asked})
			if diff := cmp.Diff([]string{row.acr, row.claims}, []string{query.Get("acr_values"), query.Get("claims")}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLevelIsReadWhereTheIssuerStatesIt(t *testing.T) {
	for name, row := range map[string]struct {
		acrs  any
		asked []string
		want  string
		code  identity.Code
	}{
		"the one asked for":       {[]string{"c1", "c2"}, []string{"c3", "c2"}, "c2", ""},
		"a single string":         {"c1", []string{"c1"}, "c1", ""},
		"the first, if not asked": {[]string{"c1", "c2"}, nil, "c1", ""},
		"none, and none asked":    {nil, nil, "", ""},
		"none of those asked for": {[]string{"c1"}, []string{"c2"}, "", identity.StepUpUnmet},
		"none at all":             {nil, []string{"c2"}, "", identity.StepUpUnmet},
		"not a list of texts":     {[]any{1}, []string{"c2"}, "", identity.MalformedToken},
	} {
		t.Run(name, func(t *testing.T) {
			p, c := newIDP(t), newClock()
			g := newGate(t, p, c, entra)
			login, _ := begin(t, g, oidc.Ask{ACRValues: row.asked})
			// Its acr says nothing: Entra's does not tell what was reached.
			p.grant(t, p.signInToken(login).with(map[string]any{"acrs": row.acrs, "acr": "1"}))
			in, err := g.Finish(t.Context(), login, callback(login))
			if row.code != "" {
				wantCode(t, err, row.code)
				return
			}
			if err != nil || in.Identity.ACR != row.want {
				t.Errorf("got acr %q, %v, want %q", in.Identity.ACR, err, row.want)
			}
		})
	}
}

func TestIssuerThatCannotStepUpSaysSo(t *testing.T) {
	p, c := newIDP(t), newClock()
	g := newGate(t, p, c)
	login, _ := begin(t, g, oidc.Ask{ACRValues: []string{"mfa"}})
	_, err := g.Finish(t.Context(), login, callback(login, "error", "unmet_authentication_requirements"))
	wantCode(t, err, identity.StepUpUnmet)
}
