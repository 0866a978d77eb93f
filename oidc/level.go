package oidc

import (
	"encoding/json"
	"slices"
	"strings"

	"chatpass/identity"
)

// Values of [Config.StepUpRequest]: the parameter by which an issuer is asked for a level of authentication.
const (
	ByACRValues = "acr_values" // OpenID Connect Core 1.0 §3.1.2.1
	ByClaims    = "claims"     // ibid. §5.5.1.1; Entra's authentication contexts are asked for so alone
)

// addLevel asks for one of some levels of authentication. Those of the configuration are a wish; what a
// sign-in itself asks for is essential, and checked when it comes back.
func (is *issuer) addLevel(params map[string]string, asked []string) {
	levels := asked
	if len(levels) == 0 {
		levels = is.cfg.ACRValues
	}
	switch {
	case len(levels) == 0:
	case is.cfg.StepUpRequest == ByClaims:
		params["claims"] = levelClaim(is.cfg.StepUpClaim, levels, len(asked) > 0)
	default:
		params["acr_values"] = strings.Join(levels, " ")
	}
}

// levelClaim is the claims parameter that asks for one of the levels. A single one goes as `value`, which is
// all that Entra takes.
func levelClaim(claim string, levels []string, essential bool) string {
	want := map[string]any{"values": levels}
	if len(levels) == 1 {
		want = map[string]any{"value": levels[0]}
	}
	if essential {
		want["essential"] = true
	}
	raw, _ := json.Marshal(map[string]any{"id_token": map[string]any{claim: want}}) // strings always encode
	return string(raw)
}

// level returns the level of authentication that an ID token states, preferably one that was asked for:
// Entra lists in `acrs` all that were reached, Auth0 in `amr` how.
func (is *issuer) level(c claims, asked []string) (string, error) {
	if is.cfg.StepUpClaim == "acr" {
		return c.text("acr")
	}
	reached, err := c.texts(is.cfg.StepUpClaim)
	for _, level := range asked {
		if slices.Contains(reached, level) {
			return level, err
		}
	}
	if len(reached) == 0 {
		return "", err
	}
	return reached[0], err
}

// checkLevel holds the issuer to what a sign-in asked for.
func (is *issuer) checkLevel(who *identity.Identity, c claims, asked []string) error {
	if len(asked) == 0 {
		return nil
	}
	level, err := is.level(c, asked)
	if err != nil {
		return err
	}
	if !slices.Contains(asked, level) {
		return identity.Reject(identity.StepUpUnmet, "acr "+clip(level), "one of "+clip(strings.Join(asked, " ")))
	}
	who.ACR = level
	return nil
}
