package store_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"chatpass/seal"
	"chatpass/session"
	"chatpass/store"
	"chatpass/store/storetest"
)

func TestSQLiteKeepsEveryPromise(t *testing.T) {
	t.Run("sessions", func(t *testing.T) { storetest.Sessions(t, opener((*store.Store).Sessions)) })
	t.Run("keys", func(t *testing.T) { storetest.Keys(t, opener((*store.Store).Keys)) })
	t.Run("salts", func(t *testing.T) { storetest.Salts(t, opener((*store.Store).Exchange)) })
}

// The kit's own model must keep the promises that it is the measure of.
func TestMemoryKeepsEveryPromise(t *testing.T) {
	storetest.Sessions(t, func(_ testing.TB, clock *storetest.Clock) storetest.Opened[session.Store] {
		return storetest.Opened[session.Store]{
			Doors: []session.Store{storetest.NewMemory(clock.Now)},
			Sweep: func(context.Context) error { return nil },
		}
	})
}

// opener opens a new SQLite file twice, as two processes would.
func opener[S any](view func(*store.Store) S) storetest.Opener[S] {
	return func(t testing.TB, clock *storetest.Clock) storetest.Opened[S] {
		cfg := config(t, filepath.Join(t.TempDir(), "chatpass.db"))
		cfg.Now = clock.Now
		one, two := openStore(t, cfg), openStore(t, cfg)
		return storetest.Opened[S]{
			Doors: []S{view(one), view(two)},
			Sweep: func(ctx context.Context) error { _, err := one.Sweep(ctx); return err },
		}
	}
}

// config returns a store at path with a master key of its own.
func config(t testing.TB, path string) store.Config {
	t.Helper()
	master, err := seal.NewMasterKey()
	if err != nil {
		t.Fatal(err)
	}
	return store.Config{URL: "sqlite:" + path, Sealer: sealer(t, master), Now: time.Now}
}

func sealer(t testing.TB, master []byte) *seal.Sealer {
	t.Helper()
	s, err := seal.New(master)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func openStore(t testing.TB, cfg store.Config) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}
