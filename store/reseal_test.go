package store_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"chatpass/decision"
	"chatpass/identity"
	"chatpass/keys"
	"chatpass/seal"
	"chatpass/session"
	"chatpass/store"
	"chatpass/store/storetest"
)

// The whole kit once more: one door seals under the old key and holds the new one staged, the other seals
// under the new one, and everything is sealed anew without a pause meanwhile.
func TestEveryPromiseIsKeptWhileTheMasterKeyRotates(t *testing.T) {
	eachEngine(t, func(t *testing.T, fresh func(testing.TB) store.Config) {
		t.Run("sessions", func(t *testing.T) { storetest.Sessions(t, rotating(fresh, (*store.Store).Sessions)) })
		t.Run("keys", func(t *testing.T) { storetest.Keys(t, rotating(fresh, (*store.Store).Keys)) })
		t.Run("status lists", func(t *testing.T) {
			storetest.Status(t, rotating(fresh, func(s *store.Store) storetest.Placed {
				return storetest.Placed{Store: s.Sessions(), Lists: s.Status()}
			}))
		})
		t.Run("salts", func(t *testing.T) { storetest.Salts(t, rotating(fresh, (*store.Store).Exchange)) })
		t.Run("refusals", func(t *testing.T) { storetest.Decisions(t, rotating(fresh, (*store.Store).Exchange)) })
	})
}

func rotating[S any](fresh func(testing.TB) store.Config, view func(*store.Store) S) storetest.Opener[S] {
	return func(t testing.TB, clock *storetest.Clock) storetest.Opened[S] {
		r := newRotation(t, fresh)
		r.cfg.Now = clock.Now
		one, two := openStore(t, r.with(t, r.staged)), openStore(t, r.with(t, r.rotated))
		ctx, stop := context.WithCancel(contextOf(t))
		var resealing sync.WaitGroup
		resealing.Go(func() {
			for ctx.Err() == nil {
				if _, err := two.Reseal(ctx); err != nil && ctx.Err() == nil {
					t.Errorf("reseal: %v", err)
					return
				}
			}
		})
		t.Cleanup(func() { stop(); resealing.Wait() })
		return storetest.Opened[S]{
			Doors: []S{view(one), view(two)},
			Sweep: func(ctx context.Context) error { _, err := one.Sweep(ctx); return err },
		}
	}
}

// One of everything is written under the old key. Sealed anew it is the same, and still so when the old key
// is gone.
func TestNothingIsLostWithTheOldKey(t *testing.T) {
	eachEngine(t, func(t *testing.T, fresh func(testing.TB) store.Config) {
		r := newRotation(t, fresh)
		s := mustOpen(t, r.with(t, r.first))
		now := time.Now().UTC().Truncate(time.Second)
		fill(t, s, now)
		want := contents(t, s)
		closeStore(t, s)

		s = mustOpen(t, r.with(t, r.rotated))
		old := keyOf(t, r.first)
		counts, err := s.Census(t.Context())
		must(t, err)
		if got := counts[seal.Key{ID: old, Use: seal.Old}]; got < 10 || len(counts) != 1 {
			t.Errorf("census before: %v, want ten or more of the old key %s alone", counts, old)
		}
		if diff := cmp.Diff(want, contents(t, s)); diff != "" {
			t.Errorf("read with both keys (-want +got):\n%s", diff)
		}
		done, err := s.Reseal(t.Context())
		if err != nil || done.Done != counts[seal.Key{ID: old, Use: seal.Old}] || done.Left != 0 {
			t.Errorf("reseal: %+v, %v, want %v done", done, err, counts)
		}
		if again, err := s.Reseal(t.Context()); err != nil || again != (store.Resealing{}) {
			t.Errorf("reseal again: %+v, %v, want nothing to do", again, err)
		}
		if got := s.Stats(); got.Resealed != int64(done.Done) || got.Left != 0 {
			t.Errorf("stats: %+v", got)
		}
		wantNothingOutdated(t, s)
		closeStore(t, s)

		s = openStore(t, r.with(t, r.last))
		if diff := cmp.Diff(want, contents(t, s)); diff != "" {
			t.Errorf("read without the old key (-want +got):\n%s", diff)
		}
	})
}

// A copy of the master key that lacks the new key must not start, nor take what it cannot read for absent.
func TestAnOlderMasterKeyIsAnOutageAndNeverAnAnswer(t *testing.T) {
	eachEngine(t, func(t *testing.T, fresh func(testing.TB) store.Config) {
		r := newRotation(t, fresh)
		late := openStore(t, r.with(t, r.first)) // runs on
		fill(t, late, time.Now().UTC())
		s := openStore(t, r.with(t, r.rotated))
		before := contents(t, s)
		_, err := s.Reseal(t.Context())
		must(t, err)

		wantNew := func(what string, err error) {
			t.Helper()
			wantOutage(t, what, err)
			if id := keyOf(t, r.last); !strings.Contains(fmt.Sprint(err), id) {
				t.Errorf("%s: %v does not name the key %s", what, err, id)
			}
		}
		_, err = late.Sessions().Find(t.Context(), handleOf("s0"))
		wantNew("find", err)
		_, err = late.Sessions().Result(t.Context(), "waiting")
		wantNew("result", err)
		_, err = late.Keys().Ring(t.Context())
		wantNew("ring", err)
		wantNew("swap ring", late.Keys().SwapRing(t.Context(), keys.Snapshot{}, nil))
		_, err = late.Exchange().Salt(t.Context(), "support", []byte("another"))
		wantNew("salt", err)
		_, err = late.Exchange().Decision(t.Context(), "d1")
		wantNew("decision", err)
		_, err = late.Sessions().Revocations(t.Context(), time.Unix(0, 0))
		wantNew("revocations", err)

		_, err = store.Open(t.Context(), r.with(t, r.first))
		if !errors.Is(err, store.ErrWrongMasterKey) || !strings.Contains(err.Error(), keyOf(t, r.last)) || !strings.Contains(err.Error(), "older copy") {
			t.Errorf("open with an older copy: %v", err)
		}
		if diff := cmp.Diff(before, contents(t, s)); diff != "" {
			t.Errorf("something was changed (-before +after):\n%s", diff)
		}
	})
}

// Whoever holds the new key staged leaves alone what is sealed under it.
func TestAStagedKeyTurnsNothingBack(t *testing.T) {
	eachEngine(t, func(t *testing.T, fresh func(testing.TB) store.Config) {
		r := newRotation(t, fresh)
		next, err := seal.Rotate(r.first) // so that it has an old key, and something to do
		must(t, err)
		staged, err := seal.Stage(next)
		must(t, err)
		rotated, err := seal.Rotate(staged)
		must(t, err)
		behind, ahead := openStore(t, r.with(t, staged)), openStore(t, r.with(t, rotated))
		fill(t, ahead, time.Now())
		if done, err := behind.Reseal(t.Context()); err != nil || done != (store.Resealing{Done: 1}) {
			t.Errorf("reseal: %+v, %v, want the canary of the first key alone", done, err)
		}
		want := map[seal.Key]int{{ID: keyOf(t, next), Use: seal.Old}: 1}
		if counts, err := ahead.Census(t.Context()); err != nil || !maps.Equal(counts, want) {
			t.Errorf("census: %v, %v, want %v", counts, err, want)
		}
	})
}

func TestAPassThatIsCutOffGoesOn(t *testing.T) {
	eachEngine(t, func(t *testing.T, fresh func(testing.TB) store.Config) {
		r := newRotation(t, fresh)
		s := mustOpen(t, r.with(t, r.first))
		for i := range 150 {
			mustInsert(t, s, aSession(fmt.Sprint("s", i)))
		}
		closeStore(t, s)
		ctx, cut := context.WithCancel(t.Context())
		cfg, pages := r.with(t, r.rotated), 0
		cfg.Report = func(op string, _ time.Duration, err error) {
			if op == "reseal" {
				if pages++; pages == 4 { // two pages: read, written, read, written
					cut()
				}
			}
		}
		s = mustOpen(t, cfg)
		first, err := s.Reseal(ctx)
		wantOutage(t, "a pass that was cut off", err)
		closeStore(t, s)
		if _, err := store.Open(t.Context(), r.with(t, r.first)); !errors.Is(err, store.ErrWrongMasterKey) {
			t.Errorf("open with the old key after the first page: %v, want ErrWrongMasterKey", err)
		}
		s = mustOpen(t, r.with(t, r.rotated))
		second, err := s.Reseal(t.Context())
		must(t, err)
		if first.Done == 0 || second.Done == 0 || first.Done+second.Done != 301 { // sessions, handles, canary
			t.Errorf("sealed %d, then %d, want 301 in all", first.Done, second.Done)
		}
		closeStore(t, s)
		s = openStore(t, r.with(t, r.last))
		for i := range 150 {
			if _, err := s.Sessions().Find(t.Context(), handleOf(fmt.Sprint("s", i))); err != nil {
				t.Error(err)
			}
		}
	})
}

// Writers of both keys count up while passes go on: no count is lost, by session or by ring.
func TestNoWriterLosesToReseal(t *testing.T) {
	eachEngine(t, func(t *testing.T, fresh func(testing.TB) store.Config) {
		const each = 40
		r := newRotation(t, fresh)
		behind, ahead, other := openStore(t, r.with(t, r.staged)), openStore(t, r.with(t, r.rotated)), openStore(t, r.with(t, r.rotated))
		mustInsert(t, behind, aSession("s"))
		must(t, behind.Keys().SwapRing(t.Context(), keys.Snapshot{}, nil))
		var writing, resealing sync.WaitGroup
		var ended atomic.Bool
		for _, s := range []*store.Store{ahead, other} {
			resealing.Go(func() {
				for !ended.Load() {
					if _, err := s.Reseal(t.Context()); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		for _, s := range []*store.Store{behind, ahead} {
			writing.Go(func() {
				for n, tries := 0, 0; n < each && tries < 100*each; tries++ {
					at, err := s.Sessions().Session(t.Context(), "s")
					if err == nil {
						at.IDToken = "written"
						err = s.Sessions().Swap(t.Context(), at)
					}
					n += won(t, err, session.ErrConflict)
				}
				for n, tries := 0, 0; n < each && tries < 100*each; tries++ {
					at, err := s.Keys().Ring(t.Context())
					if err == nil {
						err = s.Keys().SwapRing(t.Context(), at, []keys.Event{{KID: "k", What: keys.KeyActivated}})
					}
					n += won(t, err, keys.ErrConflict)
				}
			})
		}
		writing.Wait()
		ended.Store(true)
		resealing.Wait()
		at, err := ahead.Sessions().Session(t.Context(), "s")
		if err != nil || at.Version != 1+2*each {
			t.Errorf("session at version %d, %v, want %d", at.Version, err, 1+2*each)
		}
		ring, err := ahead.Keys().Ring(t.Context())
		if err != nil || ring.Version != 1+2*each {
			t.Errorf("ring at version %d, %v, want %d", ring.Version, err, 1+2*each)
		}
		if events, _, err := ahead.Keys().Events(t.Context()); err != nil || len(events) != 2*each {
			t.Errorf("%d events, %v, want %d", len(events), err, 2*each)
		}
	})
}

func TestADamagedValueIsLeftAndCounted(t *testing.T) {
	r := newRotation(t, sqliteConfig)
	s := mustOpen(t, r.with(t, r.first))
	mustInsert(t, s, aSession("whole"))
	mustInsert(t, s, aSession("damaged"))
	closeStore(t, s)
	script(t, strings.TrimPrefix(r.cfg.URL, "sqlite:"), "UPDATE records SET value = CAST(value || x'00' AS BLOB) WHERE key = CAST('damaged' AS BLOB)")
	s = openStore(t, r.with(t, r.rotated))
	done, err := s.Reseal(t.Context())
	if err != nil || done != (store.Resealing{Done: 4, Left: 1}) { // the canary, two handles, one session
		t.Errorf("reseal: %+v, %v, want one left", done, err)
	}
	if counts, err := s.Census(t.Context()); err != nil || counts[seal.Key{ID: keyOf(t, r.first), Use: seal.Old}] != 1 || len(counts) != 1 {
		t.Errorf("census: %v, %v, want the damaged one", counts, err)
	}
	if s.Stats().Left != 1 {
		t.Errorf("stats: %+v", s.Stats())
	}
	_, err = s.Sessions().Find(t.Context(), handleOf("damaged"))
	wantOutage(t, "find the damaged one", err)
}

func TestTheServiceSealsAnewByItself(t *testing.T) {
	r := newRotation(t, sqliteConfig)
	s := mustOpen(t, r.with(t, r.first))
	mustInsert(t, s, aSession("s"))
	closeStore(t, s)
	s = openStore(t, r.with(t, r.rotated))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	eventually(t, "everything to be sealed anew", func() bool { return s.Stats().Resealed == 3 })
	stop()
	must(t, <-ended)
	wantNothingOutdated(t, s)
}

// A rotation is a store and its master key in every step of one.
type rotation struct {
	cfg                          store.Config
	first, staged, rotated, last []byte
}

func newRotation(t testing.TB, fresh func(testing.TB) store.Config) rotation {
	t.Helper()
	r := rotation{cfg: fresh(t)}
	var err error
	r.first, err = seal.NewMasterKey()
	must(t, err)
	r.staged, err = seal.Stage(r.first)
	must(t, err)
	r.rotated, err = seal.Rotate(r.staged)
	must(t, err)
	r.last, _, err = seal.Retire(r.rotated)
	must(t, err)
	closeStore(t, mustOpen(t, r.with(t, r.first)))
	return r
}

func (r rotation) with(t testing.TB, master []byte) store.Config {
	cfg := r.cfg
	cfg.Sealer = sealer(t, master)
	return cfg
}

// keyOf is the id of the key that a master key seals with.
func keyOf(t testing.TB, master []byte) string {
	t.Helper()
	s := sealer(t, master)
	return s.KeyOf(s.Mark()).ID
}

// fill stores one of everything that is sealed.
func fill(t testing.TB, s *store.Store, now time.Time) {
	t.Helper()
	mustInsert(t, s, aSession("s0"))
	mustInsert(t, s, aSession("s1"))
	ended, err := s.Sessions().Session(t.Context(), "s1")
	must(t, err)
	ended.Ended, ended.Cause = now, identity.EndedByIssuer
	must(t, s.Sessions().End(t.Context(), ended))
	must(t, s.Sessions().PutResult(t.Context(), session.Result{Txn: "waiting", IDToken: "eyJ", Expires: now.Add(time.Hour)}))
	ring := keys.Snapshot{Keys: []keys.Record{{KID: "one", Private: []byte("private half")}, {KID: "gone"}}}
	must(t, s.Keys().SwapRing(t.Context(), ring, []keys.Event{{Time: now, What: keys.KeyActivated, KID: "one"}}))
	_, err = s.Exchange().Salt(t.Context(), "support", []byte("salt of support"))
	must(t, err)
	must(t, s.Exchange().KeepDecisions(t.Context(), []decision.Decision{{ID: "d1", Time: now, Verb: "exchange"}}, nil))
}

// contents reads everything that fill has stored.
func contents(t testing.TB, s *store.Store) map[string]any {
	t.Helper()
	all := map[string]any{}
	add := func(name string, v any, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("read %s: %v", name, err)
		}
		all[name] = v
	}
	at, err := s.Sessions().Find(t.Context(), handleOf("s0"))
	add("session", at, err)
	ended, err := s.Sessions().Session(t.Context(), "s1")
	add("ended session", ended, err)
	log, err := s.Sessions().Revocations(t.Context(), time.Unix(0, 0))
	add("revocations", log, err)
	result, err := s.Sessions().Result(t.Context(), "waiting")
	add("result", result, err)
	ring, err := s.Keys().Ring(t.Context())
	ring.Now = time.Time{} // when it was read is no part of it
	add("ring", ring, err)
	events, _, err := s.Keys().Events(t.Context())
	add("events", events, err)
	salt, err := s.Exchange().Salt(t.Context(), "support", []byte("another"))
	add("salt", string(salt), err)
	kept, err := s.Exchange().Decision(t.Context(), "d1")
	add("decision", kept, err)
	return all
}

func wantNothingOutdated(t testing.TB, s *store.Store) {
	t.Helper()
	if counts, err := s.Census(t.Context()); err != nil || len(counts) > 0 {
		t.Errorf("census: %v, %v, want nothing under another key", counts, err)
	}
}

// won is 1 for a swap that was done and 0 for one that lost.
func won(t testing.TB, err, loss error) int {
	if err != nil && !errors.Is(err, loss) {
		t.Error(err)
		return 1 // else it would try for ever
	}
	if err != nil {
		return 0
	}
	return 1
}
