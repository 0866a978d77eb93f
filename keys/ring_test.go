package keys_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"chatpass/identity"
	"chatpass/keys"
)

// wantOutage fails unless err says that no key may sign.
func wantOutage(t *testing.T, err error) {
	t.Helper()
	if outage, ok := errors.AsType[*identity.Outage](err); !ok || outage.Code != identity.NoSigningKey {
		t.Errorf("got %v, want the outage %s", err, identity.NoSigningKey)
	}
}

func signErr(ring *keys.Ring, class string) error {
	_, err := ring.Class(class).Sign(context.Background(), "at+jwt", []byte(`{}`))
	return err
}

func TestFirstKeySignsAtOnce(t *testing.T) {
	ring := open(t, newClock().config(&door{memory: &memory{}}))
	if err := ring.Ready(); err != nil {
		t.Error(err)
	}
	verify(t, sign(t, ring), published(t, ring.KeySet()))
	if a, p := len(inState(ring, keys.Active)), len(inState(ring, keys.Pending)); a != 1 || p != 2 {
		t.Errorf("a new ring has %d active and %d pending keys, want 1 and 2", a, p)
	}
}

func TestReplicasAgreeOnFirstKey(t *testing.T) {
	store, rings := &memory{}, make([]*keys.Ring, 3)
	var wg sync.WaitGroup
	for i := range rings {
		wg.Go(func() { rings[i], _ = keys.Open(context.Background(), newClock().config(&door{memory: store})) })
	}
	wg.Wait()
	if store.writes != 1 || store.broken != nil {
		t.Fatalf("%d writes, %v", store.writes, store.broken)
	}
	for _, r := range rings {
		verify(t, sign(t, r), published(t, rings[0].KeySet()))
		if got, want := r.KeySet(), rings[0].KeySet(); got.ETag != want.ETag || string(got.Body) != string(want.Body) {
			t.Errorf("replicas serve different key sets")
		}
	}
}

func TestTickIsIdempotent(t *testing.T) {
	c, store := newClock(), &door{memory: &memory{}}
	rings := []*keys.Ring{open(t, c.config(store)), open(t, c.config(store))}
	for range 30 * 24 {
		c.advance(time.Hour)
		tick(t, rings...)
		writes, etag := store.writes, rings[0].KeySet().ETag
		tick(t, rings...)
		tick(t, rings...)
		if store.writes != writes || rings[0].KeySet().ETag != etag {
			t.Fatalf("the ring changed without the clock at %s", c.now())
		}
	}
}

func TestStoreOutage(t *testing.T) {
	c, store := newClock(), &door{memory: &memory{}}
	cfg := c.config(store)
	ring := open(t, cfg)
	served := ring.KeySet()
	store.down = true
	c.advance(cfg.Lease() - time.Nanosecond)
	if err := ring.Tick(t.Context()); !errors.Is(err, errDown) {
		t.Errorf("tick: got %v, want the outage of the store", err)
	}
	if err := cmpErr(ring.Ready(), signErr(ring, "context")); err != nil {
		t.Errorf("in lease: %v", err)
	}
	c.advance(time.Nanosecond)
	wantOutage(t, signErr(ring, "context"))
	wantOutage(t, ring.Ready())
	if err := ring.Ready(); err == nil || !strings.Contains(err.Error(), `"context"`) {
		t.Errorf("readiness does not name what is missing: %v", err)
	}
	if ring.KeySet().ETag != served.ETag {
		t.Errorf("the key set changed during the outage")
	}
	store.down = false
	tick(t, ring)
	if err := cmpErr(ring.Ready(), signErr(ring, "context")); err != nil {
		t.Errorf("after the outage: %v", err)
	}
	if lease := cfg.Lease(); lease != time.Hour {
		t.Errorf("lease is %s, want 1h", lease)
	}
}

// A read that took long grants no more than one that was fast.
func TestLeaseCountsFromTheQuestion(t *testing.T) {
	c, store := newClock(), &door{memory: &memory{}}
	cfg := c.config(store)
	ring := open(t, cfg)
	store.between = func() { c.advance(cfg.Lease() / 2) }
	tick(t, ring)
	c.advance(cfg.Lease() / 2)
	wantOutage(t, signErr(ring, "context"))
}

func TestOpenNeedsStore(t *testing.T) {
	_, err := keys.Open(t.Context(), newClock().config(&door{memory: &memory{}, down: true}))
	if outage, ok := errors.AsType[*identity.Outage](err); !ok || outage.Code != identity.StoreUnavailable {
		t.Errorf("got %v, want the outage of the store", err)
	}
}

func TestOpenNeedsKey(t *testing.T) {
	cfg := newClock().config(&door{memory: &memory{}})
	cfg.NewKey = func(string) (crypto.Signer, error) { return nil, errCrash }
	if _, err := keys.Open(t.Context(), cfg); !errors.Is(err, errCrash) {
		t.Errorf("got %v", err)
	}
}

func TestConflictIsReadAgain(t *testing.T) {
	c, store := newClock(), &memory{}
	doors := []*door{{memory: store}, {memory: store}}
	slow, fast := open(t, c.config(doors[0])), open(t, c.config(doors[1]))
	c.advance(168 * time.Hour)
	doors[0].between = func() { tick(t, fast) }
	tick(t, slow)
	if store.writes != 2 || store.broken != nil {
		t.Errorf("%d writes, %v", store.writes, store.broken)
	}
	if slow.KeySet().ETag != fast.KeySet().ETag {
		t.Error("replicas serve different key sets")
	}
}

// While a key is made signing and serving go on.
func TestRotationBlocksNoRequest(t *testing.T) {
	c, store := newClock(), &door{memory: &memory{}}
	cfg := c.config(store)
	made, proceed := make(chan bool), make(chan bool)
	slow := false
	cfg.NewKey = func(string) (crypto.Signer, error) {
		if slow {
			made <- true
			<-proceed
		}
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	ring := open(t, cfg)
	before := ring.KeySet()
	slow = true
	c.advance(cfg.Active)
	done := make(chan error)
	go func() { done <- ring.Tick(context.Background()) }()
	<-made
	verify(t, sign(t, ring), published(t, ring.KeySet()))
	if ring.KeySet().ETag != before.ETag || ring.Ready() != nil || len(ring.List()) != 3 {
		t.Error("the ring changed before it was written")
	}
	close(proceed)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if ring.KeySet().ETag == before.ETag {
		t.Error("the ring did not change")
	}
}

// hanging is a store that answers when it is let.
type hanging struct {
	keys.Store
	asked, proceed chan bool
}

// answer lets it answer one question.
func (h hanging) answer() {
	<-h.asked
	h.proceed <- true
}

func (h hanging) Ring(ctx context.Context) (keys.Snapshot, error) {
	h.asked <- true
	<-h.proceed
	return h.Store.Ring(ctx)
}

func (h hanging) SwapRing(ctx context.Context, s keys.Snapshot, events []keys.Event) error {
	h.asked <- true
	<-h.proceed
	return h.Store.SwapRing(ctx, s, events)
}

// While the store hangs, before it reads and before it writes, signing and serving go on.
func TestHangingStoreBlocksNoRequest(t *testing.T) {
	c, memory := newClock(), &door{memory: &memory{}}
	open(t, c.config(memory))
	slow := hanging{memory, make(chan bool), make(chan bool)}
	cfg := c.config(slow)
	done := make(chan error)
	var ring *keys.Ring
	go func() {
		var err error
		ring, err = keys.Open(context.Background(), cfg)
		done <- err
	}()
	slow.answer()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	before := ring.KeySet()
	tick := func() { done <- ring.Tick(context.Background()) }
	c.advance(cfg.Active - cfg.Lease()/2)
	go tick()
	slow.answer()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	c.advance(cfg.Lease() / 2) // the lease goes on, the key is to be replaced
	go tick()
	for range 2 { // reading, writing
		<-slow.asked
		verify(t, sign(t, ring), published(t, before))
		if ring.KeySet().ETag != before.ETag || len(ring.List()) != 3 {
			t.Error("the ring changed before it was written")
		}
		slow.proceed <- true
	}
	if err := cmpErr(<-done, signErr(ring, "context")); err != nil {
		t.Error(err)
	}
	if ring.KeySet().ETag == before.ETag {
		t.Error("the ring did not change")
	}
}

// Three replicas that run, on a schedule of seconds: no gap in signing, no unknown key, and two seconds
// after any change all serve the same.
func TestRunKeepsReplicasTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		store, rings := &memory{}, make([]*keys.Ring, 3)
		for i := range rings {
			time.Sleep(137 * time.Millisecond)
			rings[i] = open(t, brisk(&door{memory: store}, time.Now))
			wg.Go(func() {
				if err := rings[i].Run(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		used := watchRings(t, store, rings, 2*time.Minute)
		if used < 14 {
			t.Errorf("%d keys signed in 2 minutes, want one every 8 seconds", used)
		}
		stop()
		wg.Wait()
	})
}

// failing is a store that is down for a time.
type failing struct {
	keys.Store
	down func() bool
}

func (f failing) Ring(ctx context.Context) (keys.Snapshot, error) {
	if f.down() {
		return keys.Snapshot{}, errDown
	}
	return f.Store.Ring(ctx)
}

// A store that fails is news once, and once again when it is back.
func TestRunTellsOutageOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		start, out := time.Now(), &bytes.Buffer{}
		secondMinute := func() bool { return time.Since(start)/time.Minute == 1 }
		cfg := usual(failing{&door{memory: &memory{}}, secondMinute}, time.Now)
		cfg.Log = slog.New(slog.NewTextHandler(out, nil))
		ring, done := open(t, cfg), make(chan error)
		go func() { done <- ring.Run(ctx) }()
		time.Sleep(3 * time.Minute)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		for line, times := range map[string]int{
			"event=activated": 1, "event=published": 3, "not up to date": 1, "up to date again": 1, "\n": 6,
		} {
			if got := strings.Count(out.String(), line); got != times {
				t.Errorf("%q is logged %d times, want %d:\n%s", line, got, times, out)
			}
		}
	})
}

// watchRings signs on all rings for a time and returns how many keys were used.
func watchRings(t *testing.T, store *memory, rings []*keys.Ring, d time.Duration) int {
	t.Helper()
	used, writes, changed := map[string]bool{}, store.count(), time.Now()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if now := store.count(); now != writes {
			writes, changed = now, time.Now()
		}
		tags := map[string]map[string]jose.JSONWebKey{}
		for _, r := range rings {
			if set := r.KeySet(); tags[set.ETag] == nil {
				tags[set.ETag] = published(t, set)
			}
		}
		if len(tags) > 1 && time.Since(changed) > 2*time.Second {
			t.Fatal("replicas serve different key sets for longer than 2 s")
		}
		for _, r := range rings {
			token := sign(t, r)
			for _, set := range tags {
				used[verify(t, token, set)] = true
			}
		}
	}
	return len(used)
}
