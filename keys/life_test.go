package keys_test

import (
	stdcmp "cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"chatpass/keys"
)

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
	var last string
	for c.now().Before(epoch.Add(4 * cfg.Active)) {
		last = verify(t, sign(t, ring), published(t, ring.KeySet()))
		used[last] = true
		c.advance(30 * time.Minute)
		if err := ring.Tick(t.Context()); (err == nil) != c.now().Before(epoch.Add(cfg.Active)) {
			t.Fatalf("tick: %v", err)
		}
	}
	if len(used) != 3 {
		t.Errorf("%d keys signed, want 3", len(used))
	}
	wantOutage(t, signErr(ring, "context"))
	wantOutage(t, ring.Ready())
	// Keys can be made again. While a token may be valid, a new one is published ahead; after that
	// the installation is as good as new.
	made = 0
	tick(t, ring)
	wantOutage(t, signErr(ring, "context"))
	c.advance(cfg.LongestLifetime + time.Minute)
	tick(t, ring)
	wantOutage(t, signErr(ring, "context"))
	if _, ok := published(t, ring.KeySet())[last]; !ok {
		t.Error("the last key is gone too early")
	}
}

// Without any key that could ripen, the installation is as good as new once no token is valid.
func TestRingWithoutFuture(t *testing.T) {
	c, store := newClock(), &door{memory: &memory{}}
	cfg := c.config(store)
	made := 0
	cfg.NewKey = func(string) (crypto.Signer, error) {
		if made++; made > 3 {
			return nil, errors.New("no entropy")
		}
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	ring := open(t, cfg)
	for c.now().Before(epoch.Add(4 * cfg.Active)) {
		c.advance(cfg.Active / 4)
		_ = ring.Tick(t.Context())
	}
	c.advance(cfg.Lease() + cfg.LongestLifetime + 2*time.Minute + cfg.JWKSMaxAge - time.Second)
	_ = ring.Tick(t.Context())
	made = 0
	c.advance(time.Second)
	tick(t, ring)
	verify(t, sign(t, ring), published(t, ring.KeySet()))
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

func TestListTellsWhatComesNext(t *testing.T) {
	c, store := newClock(), &door{memory: &memory{}}
	cfg := c.config(store)
	ring := open(t, cfg)
	type row struct {
		State       keys.State
		Since, Next time.Time
		BlockedBy   keys.Block
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
	const unripe = keys.BlockedByPublishAhead
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
	_ = ring.Tick(t.Context())
	late := slices.ContainsFunc(rows(), func(r row) bool { return r.State == keys.Active && r.BlockedBy == keys.BlockedByStore })
	if !late {
		t.Error("a key a day late does not say why")
	}
	if k := ring.List()[0]; !reflect.DeepEqual(k.Class, "context") || k.Algorithm != "ES256" || len(k.KID) != 43 {
		t.Errorf("got %+v", k)
	}
}
