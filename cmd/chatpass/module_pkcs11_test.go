//go:build pkcs11

package main

import (
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestHSMCommandLine runs the scripts that need a token of SoftHSM2.
func TestHSMCommandLine(t *testing.T) {
	libraries, _ := filepath.Glob("/usr/lib*/*/libsofthsm2.so")
	if len(libraries) == 0 {
		t.Fatal("SoftHSM2 is not installed; on Debian and Ubuntu: sudo apt-get install softhsm2")
	}
	params := scripts("testdata/hsm")
	params.Setup = func(e *testscript.Env) error {
		e.Setenv("LIBRARY", libraries[0])
		return nil
	}
	testscript.Run(t, params)
}
