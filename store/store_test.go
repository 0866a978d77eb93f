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

func TestEveryEngineKeepsEveryPromise(t *testing.T) {
	eachEngine(t, func(t *testing.T, fresh func(testing.TB) store.Config) {
		t.Run("sessions", func(t *testing.T) { storetest.Sessions(t, opener(fresh, (*store.Store).Sessions)) })
		t.Run("keys", func(t *testing.T) { storetest.Keys(t, opener(fresh, (*store.Store).Keys)) })
		t.Run("status lists", func(t *testing.T) {
			storetest.Status(t, opener(fresh, func(s *store.Store) storetest.Placed {
				return storetest.Placed{Store: s.Sessions(), Lists: s.Status()}
			}))
		})
		t.Run("salts", func(t *testing.T) { storetest.Salts(t, opener(fresh, (*store.Store).Exchange)) })
		t.Run("refusals", func(t *testing.T) { storetest.Decisions(t, opener(fresh, (*store.Store).Exchange)) })
	})
}

// eachEngine runs a test on every engine; fresh makes an empty place for a store.
func eachEngine(t *testing.T, test func(t *testing.T, fresh func(testing.TB) store.Config)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) { test(t, sqliteConfig) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, postgresConfig) })
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

// opener opens a new store twice, as two processes would.
func opener[S any](fresh func(testing.TB) store.Config, view func(*store.Store) S) storetest.Opener[S] {
	return func(t testing.TB, clock *storetest.Clock) storetest.Opened[S] {
		cfg := fresh(t)
		cfg.Now = clock.Now
		one, two := openStore(t, cfg), openStore(t, cfg)
		return storetest.Opened[S]{
			Doors: []S{view(one), view(two)},
			Sweep: func(ctx context.Context) error { _, err := one.Sweep(ctx); return err },
		}
	}
}

func sqliteConfig(t testing.TB) store.Config {
	t.Helper()
	return config(t, filepath.Join(t.TempDir(), "chatpass.db"))
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

// contextOf outlives the test, for what is done when it ends.
func contextOf(t testing.TB) context.Context { return context.WithoutCancel(t.Context()) }

func openStore(t testing.TB, cfg store.Config) *store.Store {
	t.Helper()
	s, err := store.Open(contextOf(t), cfg)
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
