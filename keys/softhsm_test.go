//go:build pkcs11

package keys_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/pkcs11"

	"chatpass/identity"
	"chatpass/keys"
	token "chatpass/keys/pkcs11"
)

const userPIN = "correct-horse-1234"

// hsm is a token of SoftHSM2, alone in its folder.
type hsm struct {
	dir   string
	later time.Duration // how far its clock is ahead
	*token.Module
}

// softHSM is where Debian and others keep the library.
func softHSM(t testing.TB) string {
	t.Helper()
	for _, pattern := range []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/*/softhsm/libsofthsm2.so", "/usr/lib64/*/libsofthsm2.so"} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return found[0]
		}
	}
	t.Fatal("SoftHSM2 is not installed; on Debian and Ubuntu: sudo apt-get install softhsm2")
	return ""
}

func newToken(t testing.TB, pin string) *hsm {
	t.Helper()
	dir := t.TempDir()
	tokens := filepath.Join(dir, "tokens")
	if err := os.Mkdir(tokens, 0o700); err != nil {
		t.Fatal(err)
	}
	settings := filepath.Join(dir, "softhsm2.conf")
	if err := os.WriteFile(settings, []byte("directories.tokendir = "+tokens+"\nobjectstore.backend = file\nlog.level = ERROR\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", settings)
	make := exec.Command("softhsm2-util", "--init-token", "--free", "--label", "chatpass", "--pin", userPIN, "--so-pin", "12345678")
	if out, err := make.CombinedOutput(); err != nil {
		t.Fatalf("softhsm2-util: %v\n%s", err, out)
	}
	h := &hsm{dir: dir}
	h.plug(t, pin)
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func (h *hsm) plug(t testing.TB, pin string) {
	t.Helper()
	var err error
	if h.Module, err = token.Open(token.Config{Library: softHSM(t), Token: "chatpass", PIN: pin, Now: h.now}); err != nil {
		t.Fatal(err)
	}
}

func (h *hsm) now() time.Time { return time.Now().Add(h.later) }

// remove takes the token out of the library's folder; insert puts it back.
func (h *hsm) remove(t *testing.T) { h.move(t, "tokens", "elsewhere") }
func (h *hsm) insert(t *testing.T) { h.move(t, "elsewhere", "tokens") }

func (h *hsm) move(t *testing.T, from, to string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(h.dir, from, "*"))
	if err != nil || len(found) != 1 {
		t.Fatalf("tokens in %s: %v, %v", from, found, err)
	}
	must(t, os.MkdirAll(filepath.Join(h.dir, to), 0o700))
	must(t, os.Rename(found[0], filepath.Join(h.dir, to, filepath.Base(found[0]))))
}

// objects counts what is stored in the token, whatever it is.
func (h *hsm) objects(t *testing.T) int {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(h.dir, "tokens", "*", "*.object"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, path := range found {
		if filepath.Base(path) != "token.object" {
			n++
		}
	}
	return n
}

func TestHSMSignsWithEachAlgorithm(t *testing.T) {
	for _, alg := range allAlgorithms {
		t.Run(alg, func(t *testing.T) {
			h := newToken(t, userPIN)
			if err := h.Check(alg); err != nil {
				t.Fatal(err)
			}
			cfg := newClock().config(&door{memory: &memory{}})
			cfg.Algorithm, cfg.Module = alg, h
			ring := open(t, cfg)
			const claims = `{"iss":"https://chat-auth.example.com","sub":"ä"}`
			for range 5 {
				signed, err := ring.Class("context").Sign(t.Context(), "at+jwt", []byte(claims))
				if err != nil {
					t.Fatal(err)
				}
				kid := inState(ring, keys.Active)[0]
				if diff := cmp.Diff(map[string]any{"alg": alg, "kid": kid, "typ": "at+jwt"}, header(t, signed)); diff != "" {
					t.Fatal(diff)
				}
				byGoJOSE(t, ring, signed, claims)
				byStdlib(t, alg, published(t, ring.KeySet())[kid].Key, signed)
				byJWX(t, alg, published(t, ring.KeySet())[kid].Key, signed, claims)
				if got, err := ring.Class("context").Verify(signed); err != nil || string(got.Claims) != claims {
					t.Fatalf("our own: got %s, %v", got.Claims, err)
				}
			}
		})
	}
}

// A quarter of a year: every key that is given up is destroyed in the token, and no other.
func TestHSMRotation(t *testing.T) {
	h, c, store := newToken(t, userPIN), newClock(), &door{memory: &memory{}}
	cfg := c.config(store)
	cfg.Module = h
	ring, used := open(t, cfg), map[string]bool{}
	for range 91 * 4 {
		c.advance(6 * time.Hour)
		tick(t, ring)
		used[verify(t, sign(t, ring), published(t, ring.KeySet()))] = true
		if got, want := h.objects(t), len(references(store)); got != want {
			t.Fatalf("%d objects in the token, %d keys in the ring", got, want)
		}
	}
	if len(used) != 14 {
		t.Errorf("%d keys signed in 13 weeks", len(used))
	}
}

// What is asked of the token directly, with the PIN, is refused: the key cannot be read out.
func TestHSMKeepsItsKeys(t *testing.T) {
	h, store := newToken(t, userPIN), &door{memory: &memory{}}
	cfg := newClock().config(store)
	cfg.Module = h
	open(t, cfg)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	lib, session := loggedIn(t)
	must(t, lib.FindObjectsInit(session, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY)}))
	found, _, err := lib.FindObjects(session, 10)
	must(t, errors.Join(err, lib.FindObjectsFinal(session)))
	if len(found) != 3 {
		t.Fatalf("%d keys in the token, want 3", len(found))
	}
	for _, object := range found {
		_, err := lib.GetAttributeValue(session, object, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_VALUE, nil)})
		if err != pkcs11.Error(pkcs11.CKR_ATTRIBUTE_SENSITIVE) {
			t.Errorf("reading a private key: got %v", err)
		}
		is, err := lib.GetAttributeValue(session, object, []*pkcs11.Attribute{
			pkcs11.NewAttribute(pkcs11.CKA_NEVER_EXTRACTABLE, nil), pkcs11.NewAttribute(pkcs11.CKA_ALWAYS_SENSITIVE, nil), pkcs11.NewAttribute(pkcs11.CKA_ID, nil),
		})
		must(t, err)
		if is[0].Value[0] != 1 || is[1].Value[0] != 1 || !references(store)[string(is[2].Value)] {
			t.Errorf("a key in the token is %v", is)
		}
	}
	must(t, lib.Finalize())
	lib.Destroy()
}

func loggedIn(t *testing.T) (*pkcs11.Ctx, pkcs11.SessionHandle) {
	t.Helper()
	lib := pkcs11.New(softHSM(t))
	must(t, lib.Initialize())
	slots, err := lib.GetSlotList(true)
	must(t, err)
	session, err := lib.OpenSession(slots[0], pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	must(t, err)
	must(t, lib.Login(session, pkcs11.CKU_USER, userPIN))
	return lib, session
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// The token goes and comes back: nobody is refused meanwhile, and nothing has to be restarted.
func TestHSMOutage(t *testing.T) {
	h, c, store := newToken(t, userPIN), newClock(), &door{memory: &memory{}}
	cfg := c.config(store)
	cfg.Module = h
	ring := open(t, cfg)
	before := sign(t, ring)
	h.remove(t)
	for range 3 {
		err := signErr(ring, "context")
		wantOutage(t, err)
		wantSecretKept(t, err)
		wantOutage(t, ring.Tick(t.Context()))
		wantOutage(t, ring.Ready())
	}
	if _, err := ring.Class("context").Verify(before); err != nil {
		t.Errorf("a context of before: %v", err)
	}
	h.insert(t)
	eventually(t, func() error { return errors.Join(ring.Tick(t.Context()), ring.Ready()) })
	verify(t, sign(t, ring), published(t, ring.KeySet()))
	if got := h.objects(t); got != 3 {
		t.Errorf("%d objects in the token, want 3", got)
	}
}

// eventually asks until there is no error, for longer than the pause between two starts of the library.
func eventually(t *testing.T, ask func() error) {
	t.Helper()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	late := time.After(20 * time.Second)
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-late:
			t.Fatal(err)
		case <-ticker.C:
		}
	}
}

func wantSecretKept(t *testing.T, err error) {
	t.Helper()
	if err == nil || strings.Contains(err.Error(), userPIN) || strings.Contains(err.Error(), "incorrect-1") {
		t.Errorf("got %v", err)
	}
}

// A key that the token no longer has is an outage, and is destroyed already. Until a fresh look at the
// token has shown that, nobody believes it.
func TestHSMWithoutTheKey(t *testing.T) {
	h := newToken(t, userPIN)
	reference, public, err := h.Make("ES256")
	must(t, err)
	h.remove(t)
	eventually(t, func() error {
		err := h.Destroy(reference)
		if err == nil {
			t.Fatal("a key is called destroyed that has only been taken away")
		}
		if strings.Contains(err.Error(), "no token of that label") {
			return nil
		}
		return err
	})
	h.insert(t)
	eventually(t, func() error { return h.Destroy(reference) })
	if n := h.objects(t); n != 0 {
		t.Errorf("%d objects stay", n)
	}
	_, err = h.Signer(reference, public).Sign(nil, make([]byte, 32), crypto.SHA256)
	wantOutage(t, err)
	eventually(t, func() error { return h.Destroy(reference) })
}

// A wrong PIN is tried once: some tokens lock after three. Whether the token is still there is not looked at then.
func TestHSMWrongPINIsTriedOnce(t *testing.T) {
	h := newToken(t, "incorrect-1")
	if _, away := errors.AsType[*identity.Outage](h.Check("ES256")); away {
		t.Error("a wrong PIN is called an outage, which may pass")
	}
	h.remove(t)
	for range 5 {
		h.later += time.Minute
		err := h.Destroy([]byte("any"))
		wantOutage(t, err)
		wantSecretKept(t, err)
		if err != nil && !strings.Contains(err.Error(), "refused the PIN") {
			t.Errorf("got %v", err)
		}
	}
}

func TestHSMNeedsItsLibraryAndToken(t *testing.T) {
	if _, err := token.Open(token.Config{Library: "/nowhere.so", Token: "chatpass", PIN: userPIN, Now: time.Now}); err == nil {
		t.Error("a library that is not there is opened")
	}
	newToken(t, userPIN)
	other, err := token.Open(token.Config{Library: softHSM(t), Token: "other", PIN: userPIN, Now: time.Now})
	must(t, err)
	defer other.Close()
	if err := other.Check("ES256"); err == nil || !strings.Contains(err.Error(), `"other"`) {
		t.Errorf("got %v", err)
	}
}

func TestHSMSignsForManyAtOnce(t *testing.T) {
	h := newToken(t, userPIN)
	cfg := newClock().config(&door{memory: &memory{}})
	cfg.Module = h
	ring := open(t, cfg)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 20 {
				signed, err := ring.Class("context").Sign(t.Context(), "at+jwt", []byte(`{}`))
				if err == nil {
					_, err = ring.Class("context").Verify(signed)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// Another process signs with the key that this one has made, and destroys it under its feet.
func TestHSMIsShared(t *testing.T) {
	if reference := os.Getenv("HSM_REFERENCE"); reference != "" {
		signAndDestroy(t, reference)
		return
	}
	h := newToken(t, userPIN)
	reference, public, err := h.Make("ES256")
	must(t, err)
	sign := func() ([]byte, error) { return h.Signer(reference, public).Sign(nil, make([]byte, 32), crypto.SHA256) }
	_, err = sign()
	must(t, err)
	other := exec.Command(os.Args[0], "-test.run=^TestHSMIsShared$")
	other.Env = append(os.Environ(), fmt.Sprintf("HSM_REFERENCE=%x", reference))
	out, err := other.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	sig, err := hex.DecodeString(line)
	if err != nil || !ecdsa.VerifyASN1(public.(*ecdsa.PublicKey), make([]byte, 32), sig) {
		t.Errorf("the signature of the second process: %v\n%s", err, out)
	}
	if n := h.objects(t); n != 0 {
		t.Errorf("%d objects stay", n)
	}
	_, err = sign()
	wantOutage(t, err)
}

// signAndDestroy is what the second process does. Its first line is a signature over 32 zeros.
func signAndDestroy(t *testing.T, reference string) {
	raw, err := hex.DecodeString(reference)
	must(t, err)
	h := &hsm{}
	h.plug(t, userPIN)
	sig, err := h.Signer(raw, &ecdsa.PublicKey{Curve: elliptic.P256()}).Sign(nil, make([]byte, 32), crypto.SHA256)
	must(t, err)
	fmt.Printf("%x\n", sig)
	must(t, errors.Join(h.Destroy(raw), h.Close()))
}

// BenchmarkHSM makes whole tokens, with a key in the token and with one in memory in turn.
func BenchmarkHSM(b *testing.B) {
	for _, alg := range allAlgorithms {
		b.Run(alg, func(b *testing.B) {
			cfg := newClock().config(&door{memory: &memory{}})
			cfg.Algorithm = alg
			within := open(b, cfg)
			cfg.Store, cfg.Module = &door{memory: &memory{}}, newToken(b, userPIN)
			outside := open(b, cfg)
			var times [2][]time.Duration
			for b.Loop() {
				for i, ring := range []*keys.Ring{within, outside} {
					times[i] = append(times[i], timed(func() { sign(b, ring) }))
				}
			}
			slices.Sort(times[0])
			slices.Sort(times[1])
			memory, module := float64(times[0][len(times[0])/2]), float64(times[1][len(times[1])/2])
			b.ReportMetric(memory, "ns/memory")
			b.ReportMetric(module, "ns/module")
			b.ReportMetric(module/memory, "module/memory")
		})
	}
}
