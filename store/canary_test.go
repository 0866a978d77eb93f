package store_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"chatpass/keys"
	"chatpass/seal"
	"chatpass/store"
)

// A canary that was lost is no licence for another master key: as long as anything is sealed in the store,
// only the right one opens it, and makes the canary again.
func TestALostCanaryLetsNoOtherMasterKeyIn(t *testing.T) {
	for name, fill := range map[string]func(*testing.T, *store.Store, store.Config){
		"ring": func(t *testing.T, s *store.Store, _ store.Config) {
			must(t, s.Keys().SwapRing(t.Context(), keys.Snapshot{}, nil))
		},
		"salt": func(t *testing.T, s *store.Store, _ store.Config) {
			_, err := s.Exchange().Salt(t.Context(), "support", []byte("salt"))
			must(t, err)
		},
		"session": func(t *testing.T, s *store.Store, _ store.Config) { mustInsert(t, s, aSession("s")) },
		"event without a ring": func(t *testing.T, s *store.Store, cfg store.Config) {
			must(t, s.Keys().SwapRing(t.Context(), keys.Snapshot{}, []keys.Event{event(1)}))
			forget(t, cfg, "ring")
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachEngine(t, func(t *testing.T, fresh func(testing.TB) store.Config) {
				right := fresh(t)
				s := mustOpen(t, right)
				fill(t, s, right)
				forget(t, right, "canary")
				closeStore(t, s)
				wrong := right
				wrong.Sealer = anotherSealer(t)
				for range 2 {
					if _, err := store.Open(t.Context(), wrong); !errors.Is(err, store.ErrWrongMasterKey) {
						t.Fatalf("another master key: %v", err)
					}
				}
				joined := right
				joined.Join = true
				closeStore(t, mustOpen(t, joined))
				closeStore(t, mustOpen(t, right))
			})
		})
	}
}

// What joins makes no canary either: whoever makes the store next may have another key.
func TestWhoJoinsMakesNoCanary(t *testing.T) {
	cfg := config(t, filepath.Join(t.TempDir(), "chatpass.db"))
	closeStore(t, mustOpen(t, cfg))
	forget(t, cfg, "canary")
	joined := cfg
	joined.Join = true
	closeStore(t, mustOpen(t, joined))
	cfg.Sealer = anotherSealer(t)
	closeStore(t, mustOpen(t, cfg))
}

// forget deletes all records of a kind behind the store's back.
func forget(t *testing.T, cfg store.Config, kind string) {
	t.Helper()
	if path, ok := strings.CutPrefix(cfg.URL, "sqlite:"); ok {
		script(t, path, "DELETE FROM records WHERE kind = '"+kind+"'")
		return
	}
	sqlAt(t, cfg.URL, "DELETE FROM chatpass_records WHERE kind = '"+kind+"'")
}

func anotherSealer(t *testing.T) *seal.Sealer {
	t.Helper()
	master, err := seal.NewMasterKey()
	must(t, err)
	return sealer(t, master)
}
