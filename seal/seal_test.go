package seal_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"chatpass/seal"
)

func TestOnlyTheSamePlaceOpensAValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := sealer(t, masterKey(t))
		plain := rapid.SliceOf(rapid.Byte()).Draw(t, "plain")
		place := rapid.SliceOf(rapid.Byte()).Draw(t, "place")
		other := rapid.SliceOf(rapid.Byte()).Draw(t, "other")
		sealed := sealValue(t, s, plain, place)
		got, err := s.Open(sealed, place)
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("open: got %q, %v, want %q", got, err, plain)
		}
		if bytes.Equal(place, other) {
			return
		}
		if _, err := s.Open(sealed, other); !errors.Is(err, seal.ErrWrongKey) {
			t.Fatalf("open in another place: got %v, want ErrWrongKey", err)
		}
	})
}

func TestAnAlteredValueDoesNotOpen(t *testing.T) {
	s := sealer(t, masterKey(t))
	sealed := sealValue(t, s, []byte("secret"), []byte("place"))
	for i := range sealed {
		altered := bytes.Clone(sealed)
		altered[i] ^= 1
		if _, err := s.Open(altered, []byte("place")); !errors.Is(err, seal.ErrWrongKey) {
			t.Errorf("byte %d altered: got %v, want ErrWrongKey", i, err)
		}
		if _, err := s.Open(sealed[:i], []byte("place")); !errors.Is(err, seal.ErrWrongKey) {
			t.Errorf("cut to %d bytes: got %v, want ErrWrongKey", i, err)
		}
	}
}

func TestAnotherMasterKeyOpensNothing(t *testing.T) {
	one, two := sealer(t, masterKey(t)), sealer(t, masterKey(t))
	sealed := sealValue(t, one, []byte("secret"), nil)
	if _, err := two.Open(sealed, nil); !errors.Is(err, seal.ErrWrongKey) {
		t.Errorf("got %v, want ErrWrongKey", err)
	}
	if bytes.Equal(one.Sum("index", []byte("alice")), two.Sum("index", []byte("alice"))) {
		t.Error("two master keys have the same sums")
	}
}

func TestSealingTwiceGivesTwoResults(t *testing.T) {
	s := sealer(t, masterKey(t))
	if bytes.Equal(sealValue(t, s, []byte("x"), nil), sealValue(t, s, []byte("x"), nil)) {
		t.Error("the same value was sealed the same way twice")
	}
}

func TestAnAddedKeySealsAndTheOldStillOpen(t *testing.T) {
	master := masterKey(t)
	first := sealer(t, master)
	sealed := [][]byte{sealValue(t, first, []byte("secret"), nil)}
	for range 3 {
		var err error
		if master, err = seal.Rotate(master); err != nil {
			t.Fatal(err)
		}
		sealed = append(sealed, sealValue(t, sealer(t, master), []byte("secret"), nil))
	}
	last := sealer(t, master)
	for i, value := range sealed {
		if got, err := last.Open(value, nil); err != nil || string(got) != "secret" {
			t.Errorf("value of key %d: got %q, %v", i+1, got, err)
		}
		if _, err := first.Open(value, nil); i > 0 && !errors.Is(err, seal.ErrWrongKey) {
			t.Errorf("key 1 on the value of key %d: got %v, want ErrWrongKey", i+1, err)
		}
	}
	if !bytes.Equal(first.Sum("index", []byte("alice")), last.Sum("index", []byte("alice"))) {
		t.Error("adding a key changed the sums")
	}
}

func TestSumsOfTwoPurposesDiffer(t *testing.T) {
	s := sealer(t, masterKey(t))
	seen := map[string]string{}
	for _, in := range [][2]string{{"a", ""}, {"b", ""}, {"a", "b"}, {"ab", ""}, {"", "ab"}, {"a", "\x00b"}} {
		sum := string(s.Sum(in[0], []byte(in[1])))
		if was, ok := seen[sum]; ok {
			t.Errorf("sum of %q equals that of %q", in, was)
		}
		seen[sum] = in[0] + "|" + in[1]
		if len(sum) != sha256.Size {
			t.Errorf("sum of %q has %d bytes", in, len(sum))
		}
	}
}

// A master key file outlives the program that wrote it: what this one sealed and summed must be
// readable by every later version.
func TestAnOldMasterKeyFileStillReads(t *testing.T) {
	const old = "ATu7PCmNKLrUBkNjyLDfiJZzqtMTyE/zyA7TCzDzm1Svt3yVP2E24WF2bV33hWPnRql8CMr0I//0VBo="
	sealed, err := base64.StdEncoding.DecodeString(old)
	if err != nil {
		t.Fatal(err)
	}
	s := sealer(t, read(t, "master.json"))
	if got, err := s.Open(sealed, []byte("place")); err != nil || string(got) != "kept for years" {
		t.Errorf("open: got %q, %v", got, err)
	}
	mac := hmac.New(sha256.New, []byte("0123456789abcdef0123456789abcdef"))
	mac.Write([]byte("purpose\x00data"))
	if diff := cmp.Diff(mac.Sum(nil), s.Sum("purpose", []byte("data"))); diff != "" {
		t.Errorf("sum is not HMAC-SHA-256 of the file's key (-want +got):\n%s", diff)
	}
}

func TestABadMasterKeyIsRefusedWithoutQuotingIt(t *testing.T) {
	good := string(masterKey(t))
	var parts struct{ Seal, Sum json.RawMessage }
	if err := json.Unmarshal([]byte(good), &parts); err != nil {
		t.Fatal(err)
	}
	file := func(sealing, summing string) string { return `{"seal":` + sealing + `,"sum":` + summing + `}` }
	for name, bad := range map[string]string{
		"empty":            "",
		"not JSON":         "AQIDBAUGBwg=",
		"null":             "null",
		"no keysets":       "{}",
		"empty keysets":    file("{}", "{}"),
		"one Tink keyset":  string(parts.Seal),
		"an unknown field": strings.Replace(good, `"seal"`, `"more":1,"seal"`, 1),
		"something after":  good + good,
		"cut":              good[:len(good)/2],
		"swapped":          file(string(parts.Sum), string(parts.Seal)),
		"no sum":           file(string(parts.Seal), "{}"),
		"a weaker key":     file(string(read(t, "keyset-aes-gcm.json")), string(parts.Sum)),
		"two sum keys":     file(string(parts.Seal), string(read(t, "keyset-two-sums.json"))),
		"a canary key":     file(`{"primaryKeyId":1,"key":[{"keyData":"Y2FuYXJ5"}]}`, string(parts.Sum)),
		"too long":         good + strings.Repeat(" ", 64<<10),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := seal.New([]byte(bad))
			if err == nil {
				t.Fatal("accepted")
			}
			if strings.Contains(err.Error(), "Y2FuYXJ5") {
				t.Errorf("error quotes the key: %v", err)
			}
			if _, err := seal.Rotate([]byte(bad)); err == nil {
				t.Error("Rotate accepted it")
			}
		})
	}
}

func TestRotateKeepsTheFileReadable(t *testing.T) {
	master := masterKey(t)
	for {
		next, err := seal.Rotate(master)
		if err != nil {
			if len(master) < 32<<10 {
				t.Errorf("refused at %d bytes: %v", len(master), err)
			}
			break
		}
		master = next
	}
	sealer(t, master)
}

func FuzzNew(f *testing.F) {
	for _, name := range []string{"master.json", "keyset-aes-gcm.json", "keyset-two-sums.json"} {
		f.Add(read(f, name))
	}
	f.Fuzz(func(t *testing.T, master []byte) {
		s, err := seal.New(master)
		if err != nil {
			return
		}
		sealed := sealValue(t, s, []byte("x"), nil)
		if got, err := s.Open(sealed, nil); err != nil || string(got) != "x" {
			t.Errorf("an accepted key does not open what it sealed: %q, %v", got, err)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	s, plain := sealer(b, masterKey(b)), make([]byte, 2<<10)
	b.ReportAllocs()
	for b.Loop() {
		sealValue(b, s, plain, []byte("place"))
	}
}

func BenchmarkOpen(b *testing.B) {
	s := sealer(b, masterKey(b))
	sealed := sealValue(b, s, make([]byte, 2<<10), []byte("place"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Open(sealed, []byte("place")); err != nil {
			b.Fatal(err)
		}
	}
}

func read(t fataler, name string) []byte {
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// fataler is what testing.TB and rapid.T have in common.
type fataler interface{ Fatal(...any) }

func masterKey(t fataler) []byte {
	master, err := seal.NewMasterKey()
	if err != nil {
		t.Fatal(err)
	}
	return master
}

func sealer(t fataler, master []byte) *seal.Sealer {
	s, err := seal.New(master)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sealValue(t fataler, s *seal.Sealer, plain, ad []byte) []byte {
	sealed, err := s.Seal(plain, ad)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}
