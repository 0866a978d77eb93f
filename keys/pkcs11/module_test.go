//go:build pkcs11

package pkcs11_test

import (
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"chatpass/identity"
	"chatpass/keys/pkcs11"
)

// However many ask a library that hangs, all are answered in time, and once it is back, so are they again.
func TestHSMThatHangsIsAnOutage(t *testing.T) {
	libraries, _ := filepath.Glob("/usr/lib*/*/libsofthsm2.so")
	if len(libraries) == 0 {
		t.Fatal("SoftHSM2 is not installed; on Debian and Ubuntu: sudo apt-get install softhsm2")
	}
	t.Setenv("SOFTHSM2_CONF", filepath.Join(t.TempDir(), "none"))
	m, err := pkcs11.Open(pkcs11.Config{Library: libraries[0], Token: "chatpass", PIN: "1", Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close() //nolint:errcheck // nothing is open
	letGo, begun := m.Hang(), time.Now()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, ok := errors.AsType[*identity.Outage](m.Destroy([]byte("1"))); !ok {
				t.Error("a library that hangs is no outage")
			}
		})
	}
	wg.Wait()
	if took := time.Since(begun); took > 8*time.Second {
		t.Errorf("answers took %s", took)
	}
	letGo()
	if err := m.Check("ES256"); err == nil || errors.Is(err, pkcs11.ErrBusy) {
		t.Errorf("without a token: got %v", err)
	}
}
