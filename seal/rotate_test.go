package seal_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"chatpass/seal"
)

// The life of a key, step by step: what each file seals with, and whose values it opens.
func TestAKeyIsStagedThenCurrentThenOldThenGone(t *testing.T) {
	one := masterKey(t)
	staged := must(seal.Stage(one))(t)
	rotated := must(seal.Rotate(staged))(t)
	last, gone, err := seal.Retire(rotated)
	if err != nil {
		t.Fatal(err)
	}
	first := sealer(t, one).Keys()[0].ID
	if gone != (seal.Key{ID: first, Use: seal.Old}) {
		t.Errorf("retired %v, want the old %s", gone, first)
	}
	for _, tt := range []struct {
		name, uses string
		master     []byte
		opens      [4]bool // what it, staged, rotated and last have sealed
	}{
		{"one", "current", one, [4]bool{true, true, false, false}},
		{"staged", "current staged", staged, [4]bool{true, true, true, true}},
		{"rotated", "old current", rotated, [4]bool{true, true, true, true}},
		{"last", "current", last, [4]bool{false, false, true, true}},
	} {
		s := sealer(t, tt.master)
		if diff := cmp.Diff(tt.uses, uses(s)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
		for i, by := range [][]byte{one, staged, rotated, last} {
			_, err := s.Open(sealValue(t, sealer(t, by), []byte("x"), nil), nil)
			if opened := err == nil; opened != tt.opens[i] {
				t.Errorf("%s opens file %d: %v, %v", tt.name, i, opened, err)
			}
		}
		if !bytes.Equal(s.Sum("index", []byte("alice")), sealer(t, one).Sum("index", []byte("alice"))) {
			t.Errorf("%s has other sums", tt.name)
		}
	}
}

// However the steps are mixed: one key seals, those before it are old, at most one behind it is staged,
// and nothing but what a retired key sealed is lost.
func TestNoOrderOfStepsLosesAKey(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		master := masterKey(t)
		sealed := map[string][]byte{} // by the id of the key
		for _, step := range rapid.SliceOfN(rapid.SampledFrom([]string{"stage", "rotate", "retire"}), 0, 12).Draw(t, "steps") {
			was := sealer(t, master)
			next, gone, want := master, seal.Key{}, error(nil)
			var err error
			switch step {
			case "stage":
				if strings.HasSuffix(uses(was), "staged") {
					want = seal.ErrStaged
				}
				next, err = seal.Stage(master)
			case "rotate":
				next, err = seal.Rotate(master)
			case "retire":
				if !strings.HasPrefix(uses(was), "old") {
					want = seal.ErrNoOld
				}
				next, gone, err = seal.Retire(master)
			}
			if !errors.Is(err, want) {
				t.Fatalf("%s of %s: got %v, want %v", step, uses(was), err, want)
			}
			if err != nil {
				continue
			}
			master = next
			delete(sealed, gone.ID)
			s := sealer(t, master)
			value := sealValue(t, s, []byte("x"), nil)
			sealed[s.KeyOf(value).ID] = value
			for id, value := range sealed {
				if _, err := s.Open(value, nil); err != nil {
					t.Fatalf("after %s: value of key %s: %v", step, id, err)
				}
			}
			if got := strings.TrimLeft(strings.ReplaceAll(uses(s), "old", ""), " "); got != "current" && got != "current staged" {
				t.Fatalf("after %s: keys are %s", step, uses(s))
			}
		}
	})
}

func TestASealedValueNamesItsKey(t *testing.T) {
	old := sealer(t, masterKey(t))
	master := masterKey(t)
	was := sealValue(t, sealer(t, master), []byte("x"), nil)
	s := sealer(t, must(seal.Stage(must(seal.Rotate(master))(t)))(t))
	now, foreign := sealValue(t, s, []byte("x"), nil), sealValue(t, old, []byte("x"), nil)
	if !bytes.HasPrefix(now, s.Mark()) || bytes.HasPrefix(was, s.Mark()) {
		t.Errorf("mark is %x: new value begins with %x, old one with %x", s.Mark(), now[:5], was[:5])
	}
	for name, tt := range map[string]struct {
		value []byte
		want  seal.Key
	}{
		"of the current key": {now, seal.Key{ID: s.Keys()[1].ID, Use: seal.Current}},
		"of an old key":      {was, seal.Key{ID: s.Keys()[0].ID, Use: seal.Old}},
		"of no key of ours":  {foreign, seal.Key{ID: old.Keys()[0].ID, Use: seal.Unknown}},
		"never sealed":       {[]byte(`"plain"`), seal.Key{}},
		"empty":              {nil, seal.Key{}},
		"cut":                {now[:4], seal.Key{}},
	} {
		if got := s.KeyOf(tt.value); got != tt.want {
			t.Errorf("%s: got %+v, want %+v", name, got, tt.want)
		}
	}
	_, err := s.Open(foreign, nil)
	if !errors.Is(err, seal.ErrWrongKey) || !strings.Contains(err.Error(), old.Keys()[0].ID) {
		t.Errorf("value of another master key: got %v, want ErrWrongKey that names its key", err)
	}
}

func uses(s *seal.Sealer) string {
	var all []string
	for _, k := range s.Keys() {
		all = append(all, string(k.Use))
	}
	return strings.Join(all, " ")
}

func must(master []byte, err error) func(fataler) []byte {
	return func(t fataler) []byte {
		if err != nil {
			t.Fatal(err)
		}
		return master
	}
}
