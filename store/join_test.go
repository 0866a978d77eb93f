package store_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"chatpass/store"
)

// Whoever only joins a store makes none, and changes none of an earlier version.
func TestWhoJoinsChangesNoSchema(t *testing.T) {
	eachEngine(t, func(t *testing.T, fresh func(testing.TB) store.Config) {
		cfg := fresh(t)
		cfg.Join = true
		for range 2 { // looking makes nothing that a second look would find
			if _, err := store.Open(t.Context(), cfg); !errors.Is(err, store.ErrNoStore) {
				t.Errorf("without a store: %v", err)
			}
		}
		cfg.Join = false
		closeStore(t, mustOpen(t, cfg))
		cfg.Join = true
		closeStore(t, mustOpen(t, cfg))
	})
}

func TestWhoJoinsLeavesAnOlderSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	cfg := config(t, path)
	cfg.Join = true
	old, err := os.ReadFile(filepath.Join("testdata", "schema1.db"))
	must(t, err)
	must(t, os.WriteFile(path, old, 0o600))
	if _, err := store.Open(t.Context(), cfg); !errors.Is(err, store.ErrOlderSchema) {
		t.Errorf("got %v", err)
	}
	after, err := os.ReadFile(path)
	must(t, err)
	if !bytes.Equal(old, after) {
		t.Error("the file was changed")
	}
}
