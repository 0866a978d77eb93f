package keys_test

import (
	stdcmp "cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

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

// The set holds three keys, and four while one is retiring: about 1 KB.
func TestYearOfRotation(t *testing.T) {
	c, store := newClock(), &door{memory: &memory{}}
	ring := open(t, c.config(store))
	sizes, used := map[int]int{}, map[string]bool{}
	for range 364 * 24 {
		c.advance(time.Hour)
		tick(t, ring)
		sizes[len(published(t, ring.KeySet()))]++
		used[inState(ring, keys.Active)[0]] = true
		if n := len(ring.KeySet().Body); n > 1200 {
			t.Fatalf("key set of %d bytes", n)
		}
		if n := len(ring.List()); n > 5 {
			t.Fatalf("ring of %d keys", n)
		}
	}
	if want := map[int]int{3: 6*24*52 + 23, 4: 24*52 - 23}; !cmp.Equal(sizes, want) || len(used) != 53 {
		t.Errorf("hours by size of the set: got %v, want %v; %d keys signed", sizes, want, len(used))
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

// When no key can be made any more, those that there are take over in turn. The last signs for twice its
// term, and then no more.
func TestHardStop(t *testing.T) {
	c, store := newClock(), &door{memory: &memory{}}
	cfg := c.config(store)
	made := 0
	cfg.NewKey = func(string) (crypto.Signer, error) {
		if made++; made > 3 {
			return nil, errors.New("no entropy")
		}
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	ring, used := open(t, cfg), map[string]bool{}
	for c.now().Before(epoch.Add(4 * cfg.Active)) {
		used[verify(t, sign(t, ring), published(t, ring.KeySet()))] = true
		c.advance(30 * time.Minute)
		if err := ring.Tick(t.Context()); (err == nil) != c.now().Before(epoch.Add(cfg.Active)) {
			t.Fatalf("tick: %v", err)
		}
	}
	if len(used) != 3 {
		t.Errorf("%d keys signed, want 3", len(used))
	}
	wantOutage(t, signErr(ring, "context"))
	_ = ring.Tick(t.Context()) // still without a new key
	wantOutage(t, signErr(ring, "context"))
	wantOutage(t, ring.Ready())
}

func TestOpenNeedsKey(t *testing.T) {
	cfg := newClock().config(&door{memory: &memory{}})
	cfg.NewKey = func(string) (crypto.Signer, error) { return nil, errCrash }
	if _, err := keys.Open(t.Context(), cfg); !errors.Is(err, errCrash) {
		t.Errorf("got %v", err)
	}
}

func TestPrivateHalfIsDestroyed(t *testing.T) {
	c, store := newClock(), &door{memory: &memory{}}
	cfg := c.config(store)
	ring := open(t, cfg)
	kid := inState(ring, keys.Active)[0]
	c.advance(cfg.Active)
	tick(t, ring)
	for _, step := range []struct {
		after time.Duration
		kept  bool
	}{{59 * time.Minute, true}, {time.Minute, false}} {
		c.advance(step.after)
		tick(t, ring)
		if k := find(t, store, kid); k.Demoted.IsZero() || k.Private != nil != step.kept {
			t.Errorf("%s after demotion: private half kept: %t, want %t", c.now().Sub(k.Demoted), k.Private != nil, step.kept)
		}
	}
}

func find(t *testing.T, store *door, kid string) keys.Record {
	t.Helper()
	ring := store.read().Keys
	i := slices.IndexFunc(ring, func(k keys.Record) bool { return k.KID == kid })
	if i < 0 {
		t.Fatalf("key %s is not in the ring", kid)
	}
	return ring[i]
}

func TestAlgorithmChangeIsPublishedAhead(t *testing.T) {
	c, store := newClock(), &door{memory: &memory{}}
	cfg := c.config(store)
	token := sign(t, open(t, cfg))
	c.advance(time.Hour)
	cfg.Algorithm = "EdDSA"
	ring := open(t, cfg)
	announced := c.now()
	if diff := cmp.Diff([]string{"ES256", "EdDSA"}, ring.Algorithms("context")); diff != "" {
		t.Error(diff)
	}
	for header(t, sign(t, ring))["alg"] == "ES256" {
		c.advance(time.Minute)
		tick(t, ring)
	}
	if ahead := c.now().Sub(announced); ahead < cfg.PublishAhead || ahead > cfg.PublishAhead+2*time.Hour {
		t.Errorf("switched after %s, want %s and a little", ahead, cfg.PublishAhead)
	}
	if _, err := ring.Class("context").Verify(token); err != nil {
		t.Errorf("token of the old algorithm: %v", err)
	}
	c.advance(cfg.Retiring)
	tick(t, ring)
	if diff := cmp.Diff([]string{"EdDSA"}, ring.Algorithms("context")); diff != "" {
		t.Errorf("keys of the old algorithm stay: %s", diff)
	}
}

// While replicas disagree on the algorithm, none of them changes keys faster than keys ripen.
func TestMixedAlgorithmsDoNotFlap(t *testing.T) {
	c, store := newClock(), &door{memory: &memory{}}
	one, other := c.config(store), c.config(store)
	other.Algorithm = "EdDSA"
	rings := []*keys.Ring{open(t, one), open(t, other)}
	used, days := map[string]bool{}, 60
	for range days * 24 {
		c.advance(time.Hour)
		tick(t, rings...)
		used[inState(rings[0], keys.Active)[0]] = true
		if n := len(published(t, rings[0].KeySet())); n > 7 {
			t.Fatalf("set of %d keys", n)
		}
	}
	if most := days/2 + 1; len(used) > most {
		t.Errorf("%d keys signed in %d days, at most %d can have ripened one after another", len(used), days, most)
	}
}

// A denied key is neither served nor used, and the ripe standby is there to take over.
func TestDeniedKey(t *testing.T) {
	c, store := newClock(), &door{memory: &memory{}}
	cfg := c.config(store)
	ring := open(t, cfg)
	for range 30 * 24 {
		c.advance(time.Hour)
		tick(t, ring)
	}
	bad, standby, token := inState(ring, keys.Active)[0], inState(ring, keys.Pending)[0], sign(t, ring)
	seen := published(t, ring.KeySet())
	cfg.Denied = []string{bad}
	ring = open(t, cfg)
	if got := verify(t, sign(t, ring), seen); got != standby {
		t.Errorf("%s signs, want the standby %s", got, standby)
	}
	if _, ok := published(t, ring.KeySet())[bad]; ok {
		t.Error("the denied key is served")
	}
	if _, err := ring.Class("context").Verify(token); !errors.Is(err, identity.ErrRejected) {
		t.Errorf("token of the denied key: %v", err)
	}
	if n := len(published(t, ring.KeySet())); n != 3 {
		t.Errorf("%d keys are served, want 3", n)
	}
}

// Also in the first hours, when no standby is ripe, a bad key is replaced at once.
func TestDeniedKeyBeforeStandbyIsRipe(t *testing.T) {
	c, store := newClock(), &door{memory: &memory{}}
	cfg := c.config(store)
	bad := inState(open(t, cfg), keys.Active)[0]
	cfg.Denied = []string{bad}
	if verify(t, sign(t, open(t, cfg)), published(t, open(t, cfg).KeySet())) == bad {
		t.Error("the denied key signs")
	}
}

func TestCompromisedKeyIsGone(t *testing.T) {
	c, store := newClock(), &door{memory: &memory{}}
	ring := open(t, c.config(store))
	c.advance(72 * time.Hour)
	tick(t, ring)
	bad, standby := inState(ring, keys.Active)[0], inState(ring, keys.Pending)[0]
	snap := store.read()
	for i := range snap.Keys {
		if snap.Keys[i].KID == bad {
			snap.Keys[i].Compromised = c.now()
		}
	}
	if err := store.swap(snap); err != nil {
		t.Fatal(err)
	}
	for range 60 {
		tick(t, ring)
		if _, ok := published(t, ring.KeySet())[bad]; ok || verify(t, sign(t, ring), published(t, ring.KeySet())) == bad {
			t.Fatal("the compromised key is served or used")
		}
		if c.now().Before(epoch.Add(80*time.Hour)) && inState(ring, keys.Active)[0] != standby {
			t.Fatal("the standby did not take over")
		}
		c.advance(24 * time.Hour)
	}
	if find(t, store, bad).Private != nil {
		t.Error("the private half of the compromised key is kept")
	}
}

func TestHeldKeyStays(t *testing.T) {
	c, store := newClock(), &door{memory: &memory{}}
	ring := open(t, c.config(store))
	held := inState(ring, keys.Active)[0]
	snap := store.read()
	for i := range snap.Keys {
		snap.Keys[i].Held = snap.Keys[i].KID == held
	}
	if err := store.swap(snap); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		c.advance(24 * time.Hour)
		tick(t, ring)
		if _, ok := published(t, ring.KeySet())[held]; !ok {
			t.Fatalf("the held key left the set after %s", c.now().Sub(epoch))
		}
	}
	if info := ring.List()[0]; info.KID != held || !info.Held || info.State != keys.Retiring || info.BlockedBy != "held" {
		t.Errorf("got %+v", info)
	}
}

// A class that is new in a ring in use is published ahead like any key, and not missed meanwhile.
func TestNewClassIsPublishedAhead(t *testing.T) {
	c, store := newClock(), &door{memory: &memory{}}
	cfg := c.config(store)
	open(t, cfg)
	cfg.Classes = []string{"context", "status"}
	ring := open(t, cfg)
	wantOutage(t, signErr(ring, "status"))
	if err := cmpErr(ring.Ready(), signErr(ring, "context")); err != nil {
		t.Error(err)
	}
	c.advance(cfg.PublishAhead)
	tick(t, ring)
	wantOutage(t, signErr(ring, "status"))
	c.advance(2 * time.Hour)
	tick(t, ring)
	if err := signErr(ring, "status"); err != nil {
		t.Error(err)
	}
	store.down = true
	c.advance(2 * time.Hour)
	wantOutage(t, ring.Ready())
}

// After weeks of rest the standby takes over; after a quarter of a year, when nothing signed can be
// valid, the installation is as good as new.
func TestDormantInstallation(t *testing.T) {
	for _, rest := range []time.Duration{8, 15, 21, 28, 35, 42, 90, 3650} {
		c, store := newClock(), &door{memory: &memory{}}
		cfg := c.config(store)
		ring := open(t, cfg)
		for range 20 * 24 {
			c.advance(time.Hour)
			tick(t, ring)
		}
		before := inState(ring, keys.Pending)
		c.advance(rest * 24 * time.Hour)
		ring = open(t, cfg)
		kid := verify(t, sign(t, ring), published(t, ring.KeySet()))
		if standby := slices.Contains(before, kid); standby != (rest < 28) {
			t.Errorf("after %d days: signed by the standby: %t", rest, standby)
		}
		if n := len(inState(ring, keys.Pending)); n != 2 {
			t.Errorf("after %d days: %d pending keys", rest, n)
		}
	}
}

func TestFaultyRingIsRefused(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(ring []keys.Record) []keys.Record{
		"a kid twice":          func(ring []keys.Record) []keys.Record { return append(ring, ring[1]) },
		"two active keys":      func(ring []keys.Record) []keys.Record { ring[1].Activated = epoch; return ring },
		"foreign private half": func(ring []keys.Record) []keys.Record { ring[0].Private = ring[1].Private; return ring },
		"garbled private half": func(ring []keys.Record) []keys.Record { ring[0].Private = []byte("x"); return ring },
		"garbled public half":  func(ring []keys.Record) []keys.Record { ring[2].Public = []byte("x"); return ring },
		"kid of another key": func(ring []keys.Record) []keys.Record {
			ring[0].KID, ring[1].KID = ring[1].KID, ring[0].KID
			return ring
		},
		"algorithm of other kind": func(ring []keys.Record) []keys.Record { ring[0].Algorithm = "RS256"; return ring },
		"unknown algorithm":       func(ring []keys.Record) []keys.Record { ring[0].Algorithm = "none"; return ring },
		"algorithm of other curve": func(ring []keys.Record) []keys.Record {
			return append(ring, otherCurve(t, p384))
		},
	} {
		t.Run(name, func(t *testing.T) {
			store := &door{memory: &memory{}}
			cfg := newClock().config(store)
			ring := open(t, cfg)
			good := ring.KeySet()
			store.ring = keys.Snapshot{Version: 2, Keys: spoil(activeFirst(store.read().Keys))}
			if err := ring.Tick(t.Context()); err == nil || errors.Is(err, identity.ErrRejected) {
				t.Errorf("tick: %v", err)
			}
			if ring.KeySet().ETag != good.ETag || signErr(ring, "context") != nil {
				t.Error("the last good set is not in use")
			}
			if _, err := keys.Open(t.Context(), cfg); err == nil {
				t.Error("opened")
			}
		})
	}
}

func activeFirst(ring []keys.Record) []keys.Record {
	slices.SortFunc(ring, func(a, b keys.Record) int { return b.Activated.Compare(a.Activated) })
	return ring
}

// otherCurve is a record that a ring for ES384 would make, relabelled as ES256.
func otherCurve(t *testing.T, private crypto.Signer) keys.Record {
	t.Helper()
	store := &door{memory: &memory{}}
	cfg := newClock().config(store)
	cfg.Algorithm, cfg.NewKey = "ES384", func(string) (crypto.Signer, error) { return private, nil }
	_, _ = keys.Open(t.Context(), cfg) // it refuses to use one key thrice
	for _, k := range store.read().Keys {
		k.Algorithm, k.Activated = "ES256", time.Time{}
		return k
	}
	t.Fatal("no key was made")
	return keys.Record{}
}

// A write whose outcome is unknown may have happened: its keys are not used again.
func TestLostAnswerReusesNoKey(t *testing.T) {
	c, store := newClock(), &door{memory: &memory{}}
	cfg := c.config(store)
	ring := open(t, cfg)
	for range 10 {
		c.advance(cfg.Active)
		store.lapse = true
		if err := ring.Tick(t.Context()); !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		tick(t, ring)
		verify(t, sign(t, ring), published(t, ring.KeySet()))
	}
	if store.broken != nil {
		t.Error(store.broken)
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

// While a key is made, or the store hangs, signing and serving go on.
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

// watchRings signs on all rings for a time and returns how many keys were used.
func watchRings(t *testing.T, store *memory, rings []*keys.Ring, d time.Duration) int {
	t.Helper()
	used, writes, changed := map[string]bool{}, store.writes, time.Now()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if store.writes != writes {
			writes, changed = store.writes, time.Now()
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

func TestListTellsWhatComesNext(t *testing.T) {
	c, store := newClock(), &door{memory: &memory{}}
	cfg := c.config(store)
	ring := open(t, cfg)
	type row struct {
		State       keys.State
		Since, Next time.Time
		BlockedBy   string
	}
	rows := func() (got []row) {
		for _, k := range ring.List() {
			got = append(got, row{k.State, k.Since, k.Next, k.BlockedBy})
		}
		slices.SortFunc(got, func(a, b row) int {
			return stdcmp.Or(a.Next.Compare(b.Next), strings.Compare(string(a.State), string(b.State)))
		})
		return got
	}
	week := cfg.Active
	const unripe = "published for less than 49h1m"
	if diff := cmp.Diff([]row{
		{keys.Active, epoch, epoch.Add(week), ""},
		{keys.Pending, epoch, epoch.Add(week), unripe},
		{keys.Pending, epoch, epoch.Add(2 * week), unripe},
	}, rows()); diff != "" {
		t.Error(diff)
	}
	c.advance(week)
	tick(t, ring)
	if diff := cmp.Diff([]row{
		{keys.Retiring, epoch.Add(week), epoch.Add(week + cfg.Retiring), ""},
		{keys.Active, epoch.Add(week), epoch.Add(2 * week), ""},
		{keys.Pending, epoch, epoch.Add(2 * week), ""},
		{keys.Pending, epoch.Add(week), epoch.Add(3 * week), unripe},
	}, rows()); diff != "" {
		t.Error(diff)
	}
	store.down = true
	c.advance(8 * 24 * time.Hour)
	late := slices.ContainsFunc(rows(), func(r row) bool { return r.State == keys.Active && r.BlockedBy != "" })
	if !late {
		t.Error("a key a day late does not say why")
	}
	if k := ring.List()[0]; !reflect.DeepEqual(k.Class, "context") || k.Algorithm != "ES256" || len(k.KID) != 43 {
		t.Errorf("got %+v", k)
	}
}
