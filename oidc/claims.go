package oidc

import (
	"maps"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"chatpass/identity"
)

// lastSecond is 9999-12-31T23:59:59Z; nobody means a later time.
const lastSecond = 253402300799

// sessionExpiry is the claim by which an issuer bounds the sessions of a sign-in, a NumericDate (OpenID IPSIE
// Session Lifecycle profile 1).
const sessionExpiry = "session_expiry"

// claims is a decoded JSON object: a payload, or a header. A member that is null counts as absent.
type claims map[string]any

// ambiguous returns the name of a claim that a reader who folds case would take from another one.
// go-oidc is such a reader: to it, {"sub":"alice","Sub":"bob"} is bob.
func (c claims) ambiguous() string {
	known := []string{
		"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "azp", "nonce", "auth_time", "acr", "acrs", "amr", "sid",
		"events", "at_hash", "c_hash", "_claim_names", "_claim_sources", sessionExpiry,
	}
	for name := range c {
		if isLower(name) { // nearly all are: such a name folds to itself alone
			continue
		}
		for _, k := range known {
			if name != k && strings.EqualFold(name, k) {
				return k
			}
		}
	}
	return ""
}

// accessToken names the claim by which the payload shows itself to be that of an access token; empty if
// none does. Such tokens come from the same issuer, signed with the same keys and without a type: Entra and
// Okta list in `scp` what they are good for, Cognito says `token_use`, and RFC 9068 §2.2 has `scope` beside
// `client_id`.
func (c claims) accessToken() string {
	switch use := c["token_use"]; {
	case c["scp"] != nil:
		return "scp"
	case use != nil && use != "id":
		return "token_use"
	case c["scope"] != nil && (c["client_id"] != nil || c["cid"] != nil):
		return "scope"
	}
	return ""
}

func isLower(name string) bool {
	for i := range len(name) {
		if name[i] >= utf8.RuneSelf || name[i] >= 'A' && name[i] <= 'Z' {
			return false
		}
	}
	return true
}

// present returns the members that are not null: rules would take a null for a value.
func (c claims) present() claims {
	there := maps.Clone(c)
	maps.DeleteFunc(there, func(_ string, v any) bool { return v == nil })
	return there
}

// text returns a string claim; "" if it is absent.
func (c claims) text(name string) (string, error) {
	if c[name] == nil {
		return "", nil
	}
	text, ok := c[name].(string)
	if !ok {
		return "", malformed(name + " is not a string")
	}
	return text, nil
}

// texts returns a claim that is a string or a list of strings.
func (c claims) texts(name string) ([]string, error) {
	switch v := c[name].(type) {
	case nil:
		return nil, nil
	case string:
		return []string{v}, nil
	case []any:
		texts := make([]string, 0, len(v))
		for _, element := range v {
			text, ok := element.(string)
			if !ok {
				return nil, malformed(name + " holds other than strings")
			}
			texts = append(texts, text)
		}
		return texts, nil
	}
	return nil, malformed(name + " is neither a string nor a list")
}

// instant returns a NumericDate (RFC 7519 §2); the zero time if it is absent.
func (c claims) instant(name string) (time.Time, error) {
	if c[name] == nil {
		return time.Time{}, nil
	}
	seconds, ok := c[name].(float64)
	if !ok || seconds < 0 || seconds > lastSecond {
		return time.Time{}, malformed(name + " is not a time: seconds since 1970, up to the year 9999")
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9)), nil
}

// required is instant for a claim that must be there.
func (c claims) required(name string) (time.Time, error) {
	t, err := c.instant(name)
	if err == nil && t.IsZero() {
		err = missing(name)
	}
	return t, err
}

// subject returns a claim that names a person: 1 to 255 bytes, and printable ASCII if it is `sub`
// (OpenID Connect Core 1.0 §2).
func (c claims) subject(name string) (string, error) {
	text, err := c.text(name)
	switch {
	case err != nil:
		return "", err
	case text == "":
		return "", missing(name)
	case len(text) > 255:
		return "", identity.Reject(identity.ClaimMissing, name+" of more than 255 bytes", name+" of 1 to 255 bytes")
	case strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || name == "sub" && r > 0x7f }):
		return "", malformed(name + " holds characters that it must not")
	}
	return text, nil
}

// party checks whom the token is for, and returns the client it was issued to: every audience must be
// accepted, and with several the authorized party must be named and accepted too
// (OpenID Connect Core 1.0 §3.1.3.7, rules 3 to 5).
func (c claims) party(accepted []string) (string, error) {
	audience, err := c.texts("aud")
	if err != nil {
		return "", err
	}
	azp, err := c.text("azp")
	if err != nil {
		return "", err
	}
	_, authorized := c["azp"]
	switch {
	case len(audience) == 0:
		return "", missing("aud")
	case len(audience) > 1 && !authorized:
		return "", identity.Reject(identity.AudienceMismatch, "several audiences and no azp", "azp")
	case authorized && !slices.Contains(accepted, azp):
		return "", identity.Reject(identity.AudienceMismatch, "azp "+clip(azp), oneOf(accepted))
	}
	for _, aud := range audience {
		if !slices.Contains(accepted, aud) {
			return "", identity.Reject(identity.AudienceMismatch, "audience "+clip(aud), oneOf(accepted))
		}
	}
	if authorized {
		return azp, nil
	}
	return audience[0], nil
}

func missing(name string) error {
	return identity.Reject(identity.ClaimMissing, "no "+name, name)
}
