package keys_test

import (
	"slices"
	"testing"
	"time"

	"chatpass/keys"
)

// A key set that is remembered is served in the very bytes in which it was served before, so that no cache
// sees a change.
func TestARememberedKeySetHasTheSameBytes(t *testing.T) {
	for _, algorithm := range []string{"ES256", "ES384", "EdDSA", "RS256"} {
		cfg := newClock().config(&door{memory: &memory{}})
		cfg.Algorithm = algorithm
		served := open(t, cfg).KeySet()
		got, ok := remember(t, served, nil).KeySet(epoch)
		if !ok || string(got.Body) != string(served.Body) || got.ETag != served.ETag {
			t.Errorf("%s: got %s %s, want %s %s", algorithm, got.ETag, got.Body, served.ETag, served.Body)
		}
	}
}

// Denied keys and those past their `exp` are left out; a set without keys is none.
func TestARememberedKeySetForgets(t *testing.T) {
	c := newClock()
	cfg := c.config(&door{memory: &memory{}})
	ring := open(t, cfg)
	first, later := ring.KeySet(), c.now().Add(6*cfg.Active)
	c.advance(cfg.Active)
	tick(t, ring)
	all := ring.KeySet()
	kids := inState(ring, keys.Pending)
	for name, test := range map[string]struct {
		set    keys.KeySet
		denied []string
		now    time.Time
		want   []string
	}{
		"nothing":             {first, nil, epoch, kidsOf(t, first)},
		"a denied key":        {first, kidsOf(t, first)[:1], epoch, kidsOf(t, first)[1:]},
		"all denied":          {first, kidsOf(t, first), epoch, nil},
		"just before the end": {all, nil, later.Add(-time.Second), kidsOf(t, all)},
		"at the end":          {all, nil, later, kids[1:]},
		"after the end":       {first, nil, later, nil},
	} {
		got, ok := remember(t, test.set, test.denied).KeySet(test.now)
		if ok != (test.want != nil) || ok && !slices.Equal(kidsOf(t, got), test.want) {
			t.Errorf("%s: got %s, want the keys %v", name, got.Body, test.want)
		}
	}
}

func TestOnlyAKeySetOfOursIsRemembered(t *testing.T) {
	for _, text := range []string{"", "{", "null x", `{"keys":[1]}`, `{"keys":[{"exp":1}]}`, `{"keys":[{"kid":"a"}]}`, `{"keys":[{"kid":"a","exp":"1"}]}`} {
		if _, err := keys.Remember([]byte(text), nil); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}

func remember(t *testing.T, set keys.KeySet, denied []string) *keys.Remembered {
	t.Helper()
	r, err := keys.Remember(set.Body, denied)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// kidsOf lists the kids of a set, sorted.
func kidsOf(t *testing.T, set keys.KeySet) []string {
	t.Helper()
	var kids []string
	for kid := range published(t, set) {
		kids = append(kids, kid)
	}
	slices.Sort(kids)
	return kids
}
