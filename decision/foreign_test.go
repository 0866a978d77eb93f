package decision_test

import (
	"strings"
	"testing"

	"chatpass/decision"
	"chatpass/identity"
)

const jwt = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl"

// A token in the wrong place must not be read in a log, nor a part of it; nor who somebody is.
func TestNoTokenAndNobodyIsShown(t *testing.T) {
	for given, want := range map[string]string{
		jwt:                           "(52 bytes of a token)",
		"GET /oauth2/token/" + jwt:    "GET /oauth2/token/(52 bytes of a token)",
		jwt + " " + jwt:               "(52 bytes of a token) (52 bytes of a token)",
		"Bearer " + jwt[:30]:          "Bearer (30 bytes of a token)",
		strings.Repeat("x", 60) + jwt: strings.Repeat("x", 60) + "(52 …",
		"eyJ":                         "(3 bytes of a token)",
		"iss ada@example.com":         "iss (15 bytes of an e-mail address)",
		`key "ada@example.com"`:       `key "(15 bytes of an e-mail address)"`,
		"ada@example.com,bob@x.co.uk": "(15 bytes of an e-mail address),(11 bytes of an e-mail address)",
		"mailto:ada@example.com?x":    "mailto:(15 bytes of an e-mail address)?x",
		"a@b":                         "a@b",
		"user@":                       "user@",
		`kid "desk ada@exam…"`:        `kid "desk (11 bytes of an e-mail address)"`,
		"ada@…":                       "(7 bytes of an e-mail address)",
		"https://api.example.com":     "https://api.example.com",
	} {
		if got := decision.Clip(given); got != want {
			t.Errorf("%q is shown as %q, want %q", given, got, want)
		}
	}
}

// A name that nobody registered helps whoever mistyped it; a secret in its place helps a thief.
func TestNamesAreShownAndSecretsAreNot(t *testing.T) {
	for _, name := range []string{"", "suport-web", "web", "shop_ios.v2", "SupportWeb", "support-web-2", "ORDERS-API"} {
		if got := decision.Name(name); got != name {
			t.Errorf("%q is shown as %q", name, got)
		}
	}
	for _, secret := range []string{
		jwt, jwt[:20], "eyJ", "Xq7tR2mPz9Lw4KcV", "0f3a9c1e7b5d2840", "ada@example.com", "s3cret%", "a b", "a\nb", "ü",
		strings.Repeat("a", 33), "c2lnbmF0dXJlLW9mLWEtdG9rZW4tMQ",
	} {
		if got := decision.Name(secret); strings.Contains(got, secret) || !strings.HasSuffix(got, " bytes that are no name)") {
			t.Errorf("%q is shown as %q", secret, got)
		}
	}
}

// A key may be named after whoever made it, and a rung names the key that it wants.
func TestNoRungNamesAnybody(t *testing.T) {
	var d decision.Decision
	d.Pass("token key", `key id "ada@example.com"`, `the key "ada@example.com"`)
	d.End(decision.Refused, identity.SignatureInvalid, `not by "ada@example.com"`, `a signature by key "ada@example.com"`)
	for _, r := range d.Ladder {
		if strings.Contains(r.Measured+r.Required, "ada") {
			t.Errorf("%+v", r)
		}
	}
}
