package e2e_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if err := flag.Set("test.skip", elsewhere()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if os.Getenv("CHATPASS") != "" {
		os.Exit(m.Run())
	}
	dir, err := os.MkdirTemp("", "chatpass-e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Setenv("CHATPASS", filepath.Join(dir, "chatpass"))
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", os.Getenv("CHATPASS"), "./cmd/chatpass")
	build.Dir, build.Env = "..", append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%s%v\n", out, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// eventually asks again until what returns nil, and fails the test with its last error after 20 s.
func eventually(t testing.TB, what func() error) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := what()
		if err == nil {
			return
		}
		select {
		case <-again.C:
		case <-deadline:
			t.Fatal(err)
		}
	}
}

// amount is how much of something a test does: what the environment says, else what is usual.
func amount(t testing.TB, name string, usual int) int {
	t.Helper()
	said := os.Getenv(name)
	if said == "" {
		return usual
	}
	n, err := strconv.Atoi(said)
	if err != nil || n < 1 {
		t.Fatalf("%s is %q; write a number", name, said)
	}
	return n
}
