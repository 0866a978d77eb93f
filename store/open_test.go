package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"chatpass/seal"
	"chatpass/session"
	"chatpass/store"
)

func TestSQLiteHasTheFixOfTheLogReset(t *testing.T) {
	var version string
	row := rawDB(t, filepath.Join(t.TempDir(), "any.db")).QueryRow("SELECT sqlite_version()")
	if err := row.Scan(&version); err != nil {
		t.Fatal(err)
	}
	got := make([]int, 3)
	if _, err := fmt.Sscanf(version, "%d.%d.%d", &got[0], &got[1], &got[2]); err != nil {
		t.Fatal(err)
	}
	if slices.Compare(got, []int{3, 51, 3}) < 0 {
		t.Errorf("SQLite %s, want 3.51.3 or later", version)
	}
}

func TestAnUnusablePathIsNamedWithItsRemedy(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), nil)
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ path, remedy string }{
		{filepath.Join(dir, "missing", "chatpass.db"), "make it, and give it to the user"},
		{filepath.Join(dir, "file", "chatpass.db"), "choose a path"},
		{dir, "name a file in it, such as " + filepath.Join(dir, "chatpass.db")},
		{filepath.Join(dir, "pipe"), "choose another path"},
		{"/proc/chatpass.db", "let the user that chatpass runs as write to /proc"},
	} {
		_, err := store.Open(t.Context(), config(t, tt.path))
		if err == nil || !strings.Contains(err.Error(), tt.path) || !strings.Contains(err.Error(), tt.remedy) {
			t.Errorf("open %s: got %v, want the path and %q", tt.path, err, tt.remedy)
		}
	}
}

func TestAnotherURLIsRefusedWithoutQuotingIt(t *testing.T) {
	for _, url := range []string{"", "sqlite:", "/var/lib/chatpass.db", "mysql://chatpass:hunter2@db/chatpass"} {
		cfg := config(t, "unused")
		cfg.URL = url
		_, err := store.Open(t.Context(), cfg)
		if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "sqlite:") ||
			!strings.Contains(err.Error(), "postgres://") {
			t.Errorf("open %q: got %v", url, err)
		}
	}
}

func TestAnyFileNameWillDo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b?mode=memory&c#d%41.db")
	cfg := config(t, path)
	s, err := store.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	putOnce(t, s, "value", nil)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	putOnce(t, openStore(t, cfg), "value", session.ErrExists)
}

func TestOnlyTheOwnerReadsTheFiles(t *testing.T) {
	old := syscall.Umask(0)
	t.Cleanup(func() { syscall.Umask(old) })
	path := filepath.Join(t.TempDir(), "chatpass.db")
	cfg := config(t, path)
	s, err := store.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	putOnce(t, s, "value", nil)
	wantMode(t, 0o600, path, path+"-wal", path+"-shm")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil { // as a backup may come back
		t.Fatal(err)
	}
	putOnce(t, openStore(t, cfg), "other", nil)
	wantMode(t, 0o600, path, path+"-wal", path+"-shm")
}

func TestAWrongMasterKeyTouchesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "chatpass.db")
	closeStore(t, mustOpen(t, config(t, path)))
	must(t, os.Chmod(path, 0o640))
	before := read(t, path)
	if _, err := store.Open(t.Context(), config(t, path)); !errors.Is(err, store.ErrWrongMasterKey) {
		t.Errorf("got %v, want ErrWrongMasterKey", err)
	}
	if !bytes.Equal(before, read(t, path)) {
		t.Error("the file has changed")
	}
	wantMode(t, 0o640, path)
}

func TestARotatedMasterKeyOpensTheStore(t *testing.T) {
	master, err := seal.NewMasterKey()
	if err != nil {
		t.Fatal(err)
	}
	cfg := config(t, filepath.Join(t.TempDir(), "chatpass.db"))
	cfg.Sealer = sealer(t, master)
	s := mustOpen(t, cfg)
	inserted := aSession("s")
	mustInsert(t, s, inserted)
	closeStore(t, s)
	if master, err = seal.Rotate(master); err != nil {
		t.Fatal(err)
	}
	cfg.Sealer = sealer(t, master)
	s = openStore(t, cfg)
	if _, err := s.Sessions().Find(t.Context(), handleOf("s")); err != nil {
		t.Error(err)
	}
	for _, err := range s.Sessions().ByCustomer(t.Context(), inserted.App, inserted.Customer) {
		if err != nil {
			t.Error(err)
		}
		return
	}
	t.Error("the customer's session is not listed any more")
}

func TestANewerSchemaIsRefusedAndNotTouched(t *testing.T) {
	path := filepath.Join(t.TempDir(), "chatpass.db")
	cfg := config(t, path)
	closeStore(t, mustOpen(t, cfg))
	script(t, path, "UPDATE schema_version SET version = 99; DROP TABLE records")
	before := read(t, path)
	_, err := store.Open(t.Context(), cfg)
	if !errors.Is(err, store.ErrNewerSchema) || !strings.Contains(fmt.Sprint(err), "99") {
		t.Errorf("got %v, want ErrNewerSchema with the number", err)
	}
	if !bytes.Equal(before, read(t, path)) {
		t.Error("the file has changed")
	}
}

func TestAForeignOrDamagedFileIsRefusedAndNotTouched(t *testing.T) {
	dir := t.TempDir()
	foreign, garbage := filepath.Join(dir, "foreign.db"), filepath.Join(dir, "garbage.db")
	script(t, foreign, "CREATE TABLE customers (name TEXT)")
	write(t, garbage, bytes.Repeat([]byte("not a database "), 1000))
	for path, remedy := range map[string]string{foreign: "choose another file", garbage: "restore it from a backup"} {
		before := read(t, path)
		_, err := store.Open(t.Context(), config(t, path))
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), remedy) {
			t.Errorf("open %s: got %v, want %q", path, err, remedy)
		}
		if !bytes.Equal(before, read(t, path)) {
			t.Errorf("%s has changed", path)
		}
	}
}

func TestManyMayMakeTheStoreAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "chatpass.db")
	one, two := config(t, path), config(t, path) // two master keys
	errs := make([]error, 16)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			cfg := one
			if i%2 == 1 {
				cfg = two
			}
			s, err := store.Open(t.Context(), cfg)
			if err == nil {
				err = s.Close()
			}
			errs[i] = err
		})
	}
	all.Wait()
	won := 0
	for i, err := range errs {
		if (err == nil) != (errs[i%2] == nil) {
			t.Errorf("opening %d: got %v, want %v as the others with its key", i, err, errs[i%2])
		}
		if err == nil {
			won++
		} else if !errors.Is(err, store.ErrWrongMasterKey) {
			t.Errorf("opening %d: %v", i, err)
		}
	}
	if won != len(errs)/2 {
		t.Errorf("%d of %d opened it, want the half whose key made it", won, len(errs))
	}
}

func TestCloseLeavesNothingRunning(t *testing.T) {
	ignored := goleak.IgnoreCurrent()
	s := mustOpen(t, config(t, filepath.Join(t.TempDir(), "chatpass.db")))
	putOnce(t, s, "value", nil)
	closeStore(t, s)
	goleak.VerifyNone(t, ignored)
	if err := s.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
}

// rawDB opens the file beside the store, as another program would.
func rawDB(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func script(t testing.TB, path, text string) {
	t.Helper()
	db := rawDB(t, path)
	if _, err := db.Exec(text); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func mustOpen(t testing.TB, cfg store.Config) *store.Store {
	t.Helper()
	s, err := store.Open(context.WithoutCancel(t.Context()), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closeStore(t testing.TB, s *store.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func putOnce(t testing.TB, s *store.Store, value string, want error) {
	t.Helper()
	err := s.Sessions().PutOnce(t.Context(), "test", value, time.Now().Add(time.Hour))
	if !errors.Is(err, want) {
		t.Errorf("put %s once: got %v, want %v", value, err, want)
	}
}

func wantMode(t testing.TB, want fs.FileMode, paths ...string) {
	t.Helper()
	for _, path := range paths {
		info, err := os.Stat(path)
		must(t, err)
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o", path, info.Mode().Perm(), want)
		}
	}
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
