package main

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"chatpass/seal"
)

const (
	someSet  = `{"keys":[{"exp":2000000000,"kid":"a"},{"exp":2000000000,"kid":"b"}]}`
	otherSet = `{"keys":[{"exp":2000000000,"kid":"c"}]}`
)

var before = time.Unix(1_900_000_000, 0)

func newSnapshot(t *testing.T) snapshot {
	t.Helper()
	return snapshot{filepath.Join(t.TempDir(), "jwks.json"), "https://auth.example.com", newSealer(t)}
}

func newSealer(t *testing.T) *seal.Sealer {
	t.Helper()
	master, err := seal.NewMasterKey()
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.New(master)
	if err != nil {
		t.Fatal(err)
	}
	return sealer
}

func (s snapshot) holds(t *testing.T, want string) {
	t.Helper()
	set, err := s.read(nil, before)
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := set.KeySet(before); !ok || string(got.Body) != want {
		t.Errorf("got %s, want %s", got.Body, want)
	}
}

func (s snapshot) mustWrite(t *testing.T, body string) {
	t.Helper()
	if err := s.write([]byte(body)); err != nil {
		t.Fatal(err)
	}
}

func TestASnapshotIsReplacedAsAWhole(t *testing.T) {
	s := newSnapshot(t)
	s.mustWrite(t, someSet)
	old, err := os.Open(s.path)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close() //nolint:errcheck // only read
	s.mustWrite(t, otherSet)
	s.holds(t, otherSet)
	if found := s.at(t, old); found != someSet {
		t.Errorf("who had the old file open reads %q", found)
	}
	entries, err := os.ReadDir(filepath.Dir(s.path))
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v, %v; want the snapshot alone", entries, err)
	}
	if info, err := os.Stat(s.path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v; want mode 600", info.Mode(), err)
	}
}

func (s snapshot) at(t *testing.T, file *os.File) string {
	t.Helper()
	var sealed bytes.Buffer
	if _, err := sealed.ReadFrom(file); err != nil {
		t.Fatal(err)
	}
	body, err := s.sealer.Open(sealed.Bytes(), s.place())
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestASnapshotOfSomebodyElseIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(t *testing.T, s *snapshot)
		says  string
	}{
		"altered":            {func(t *testing.T, s *snapshot) { alter(t, s.path) }, "altered"},
		"cut off":            {func(t *testing.T, s *snapshot) { put(t, s.path, nil) }, "altered"},
		"plain":              {func(t *testing.T, s *snapshot) { put(t, s.path, []byte(someSet)) }, "altered"},
		"another master key": {func(t *testing.T, s *snapshot) { s.sealer = newSealer(t) }, "master key"},
		"another issuer":     {func(_ *testing.T, s *snapshot) { s.issuer += "/" }, "issuer"},
		"another purpose":    {sealedElsewhere, "altered"},
		"too long":           {func(t *testing.T, s *snapshot) { put(t, s.path, make([]byte, maxSnapshot+1)) }, "longer"},
		"a folder":           {func(_ *testing.T, s *snapshot) { s.path = filepath.Dir(s.path) }, "regular"},
		"a pipe":             {pipe, "regular"},
		"no key set":         {func(t *testing.T, s *snapshot) { s.mustWrite(t, "[]") }, "no key set"},
		"no keys":            {func(t *testing.T, s *snapshot) { s.mustWrite(t, `{"keys":[]}`) }, "past its end"},
	} {
		s := newSnapshot(t)
		s.mustWrite(t, someSet)
		test.spoil(t, &s)
		_, err := s.read(nil, before)
		if err == nil || missing(err) || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), s.path) {
			t.Errorf("%s: %v; want %q and the path", name, err, test.says)
		}
	}
	absent := newSnapshot(t)
	if _, err := absent.read(nil, before); !missing(err) {
		t.Errorf("no file: %v", err)
	}
}

func alter(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	put(t, path, data)
}

func put(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func sealedElsewhere(t *testing.T, s *snapshot) {
	sealed, err := s.sealer.Seal([]byte(someSet), []byte("ring\x001"))
	if err != nil {
		t.Fatal(err)
	}
	put(t, s.path, sealed)
}

func pipe(t *testing.T, s *snapshot) {
	s.path += ".pipe"
	if err := syscall.Mkfifo(s.path, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestASnapshotForgetsDeniedKeys(t *testing.T) {
	s := newSnapshot(t)
	s.mustWrite(t, someSet)
	set, err := s.read([]string{"a"}, before)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := set.KeySet(before); strings.Contains(string(got.Body), `"a"`) || !strings.Contains(string(got.Body), `"b"`) {
		t.Errorf("got %s", got.Body)
	}
	if _, err := s.read([]string{"a", "b"}, before); err == nil {
		t.Error("a set of denied keys was read")
	}
}

// The file follows the key set, is written only when there is something new, and a disk that cannot be
// written is told of once and tried again.
func TestTheSnapshotFollowsTheKeySet(t *testing.T) {
	s, log := newSnapshot(t), &bytes.Buffer{}
	dir := filepath.Dir(s.path)
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		var set atomic.Value
		set.Store(someSet)
		go s.keep(ctx, func() ([]byte, error) { return []byte(set.Load().(string)), nil }, slog.New(slog.NewTextHandler(log, nil)))
		synctest.Wait()
		s.holds(t, someSet)
		remove(t, s.path)
		time.Sleep(3 * snapshotEvery)
		if _, err := s.read(nil, before); !missing(err) {
			t.Errorf("written again without a change: %v", err)
		}
		remove(t, dir)
		set.Store(otherSet)
		time.Sleep(3 * snapshotEvery)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * snapshotEvery)
		s.holds(t, otherSet)
		stop()
		synctest.Wait()
	})
	if n := strings.Count(log.String(), "snapshot is not up to date"); n != 1 {
		t.Errorf("told %d times: %s", n, log)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}
