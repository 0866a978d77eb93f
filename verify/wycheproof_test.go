package verify_test

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"chatpass/verify"
)

// wycheproof is a file of testdata/wycheproof.
type wycheproof struct {
	NumberOfTests int               `json:"numberOfTests"`
	TestGroups    []wycheproofGroup `json:"testGroups"`
}

// A wycheproofGroup has one key or one set of them: the public half, or a secret that must not be believed
// because it is published.
type wycheproofGroup struct {
	Comment string           `json:"comment"`
	Public  json.RawMessage  `json:"public"`
	Private json.RawMessage  `json:"private"`
	Tests   []wycheproofTest `json:"tests"`
}

type wycheproofTest struct {
	ID      int             `json:"tcId"`
	Comment string          `json:"comment"`
	JWS     json.RawMessage `json:"jws"`
	Result  string          `json:"result"`
}

// token is a compact JWS, or a JSON object as it stands.
func (w wycheproofTest) token() string {
	var compact string
	if err := json.Unmarshal(w.JWS, &compact); err != nil {
		return string(w.JWS)
	}
	return compact
}

func readWycheproof(t *testing.T, name string) wycheproof {
	t.Helper()
	raw, err := os.ReadFile("testdata/wycheproof/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var file wycheproof
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	return file
}

// keySet is what an issuer with the group's key publishes.
func (g wycheproofGroup) keySet(t *testing.T) string {
	t.Helper()
	raw := g.Public
	if raw == nil {
		raw = g.Private
	}
	var set struct {
		Keys []object `json:"keys"`
	}
	if err := json.Unmarshal(raw, &set); err != nil {
		t.Fatal(err)
	}
	if set.Keys != nil {
		return string(raw)
	}
	return fmt.Sprintf(`{"keys":[%s]}`, raw)
}

// Of the valid ones those are accepted that are signed with an algorithm of ours, and no other.
func TestNoInvalidVectorOfWycheproofIsAccepted(t *testing.T) {
	for name, want := range map[string]int{"json_web_signature_test.json": 16, "json_web_key_test.json": 1} {
		file := readWycheproof(t, name)
		seen, accepted := 0, 0
		for _, group := range file.TestGroups {
			i := newIssuer(t, home)
			i.answers[keysPath] = group.keySet(t)
			v := verifier(t, i, verify.AllowTyp("", "JWT"))
			for _, test := range group.Tests {
				seen++
				err := v.Signed(t.Context(), test.token())
				if err == nil {
					accepted++
				}
				if err == nil && test.Result != "valid" {
					t.Errorf("%s, %d %s: an invalid one is accepted", group.Comment, test.ID, test.Comment)
				}
			}
		}
		if seen != file.NumberOfTests || accepted != want {
			t.Errorf("%s: accepted %d of %d, want %d of %d", name, accepted, seen, want, file.NumberOfTests)
		}
	}
}
