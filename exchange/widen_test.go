package exchange_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"chatpass/exchange"
)

// TestAGrantNeverWidens narrows and delegates in random chains. Whatever comes out says no more, is for
// no more and lives no longer than what went in, and every refusal has a code and a decision.
func TestAGrantNeverWidens(t *testing.T) {
	h := newHouse(t)
	began := h.now
	rapid.Check(t, func(rt *rapid.T) {
		h.now = began
		token := h.wide(t).Token
		for range rapid.IntRange(1, 8).Draw(rt, "steps") {
			h.now = h.now.Add(time.Duration(rapid.IntRange(0, 120).Draw(rt, "seconds")) * time.Second)
			got, err := h.Exchange(t.Context(), anyNarrowing(rt, token))
			if refusal, ok := errors.AsType[*exchange.Error](err); ok {
				if refusal.Code == "" || refusal.Decision == "" || got.Token != "" {
					rt.Fatalf("refusal %+v with %q", refusal, got.Token)
				}
				continue
			}
			if err != nil {
				rt.Fatal(err)
			}
			wantNoWider(rt, claimsOf(t, token), claimsOf(t, got.Token))
			token = got.Token
		}
	})
}

func anyNarrowing(rt *rapid.T, token string) exchange.Request {
	some := func(label string, of ...string) []string {
		return rapid.SliceOfN(rapid.SampledFrom(of), 0, 2).Draw(rt, label)
	}
	req := narrowing(rapid.SampledFrom([]string{"back", "other-back"}).Draw(rt, "client"), token)
	req.Audience = some("audience", "https://api", "https://crm")
	req.Scope = some("scope", "chat:read", "chat:write", "root")
	req.Conversation = rapid.SampledFrom([]string{"", "", "42", "43"}).Draw(rt, "conversation")
	if rapid.IntRange(0, 3).Draw(rt, "delegate") == 0 {
		req.ActorToken, req.ActorTokenType = "agent.id.token", exchange.IDToken
	}
	return req
}

func wantNoWider(rt *rapid.T, from, to map[string]any) {
	for _, aud := range texts(to["aud"]) {
		if !slices.Contains(texts(from["aud"]), aud) {
			rt.Errorf("audience %v out of %v", to["aud"], from["aud"])
		}
	}
	before, _ := from["scope"].(string)
	after, _ := to["scope"].(string)
	for _, scope := range strings.Fields(after) {
		if !slices.Contains(strings.Fields(before), scope) {
			rt.Errorf("scope %q out of %q", after, before)
		}
	}
	if to["exp"].(float64) > from["exp"].(float64) {
		rt.Errorf("expires at %v, what it comes from at %v", to["exp"], from["exp"])
	}
	was, is := actsThrough(from), actsThrough(to)
	if len(is) > 3 || len(is) < len(was) || !slices.Equal(was, is[len(is)-len(was):]) {
		rt.Errorf("acts through %v, what it comes from through %v", is, was)
	}
	chatFrom, chatTo := from["chat"].(map[string]any), to["chat"].(map[string]any)
	if chatFrom["conversation"] == nil {
		delete(chatTo, "conversation")
	}
	for _, name := range []string{"aud", "scope", "exp", "iat", "jti", "act", "client_id"} {
		delete(from, name)
		delete(to, name)
	}
	if diff := cmp.Diff(from, to); diff != "" {
		rt.Errorf("other claims changed (-from +to):\n%s", diff)
	}
}

func texts(claim any) []string {
	if text, ok := claim.(string); ok {
		return []string{text}
	}
	var all []string
	for _, element := range claim.([]any) {
		all = append(all, element.(string))
	}
	return all
}
