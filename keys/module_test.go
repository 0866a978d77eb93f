package keys_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"chatpass/identity"
	"chatpass/keys"
)

// safe is a module: it makes keys of ES256, and gives none away.
type safe struct {
	mu        sync.Mutex
	objects   map[string]*ecdsa.PrivateKey
	down      bool
	onDestroy func(reference []byte)
	onMake    func()
}

var errSafe = &identity.Outage{Code: identity.NoSigningKey, Err: errors.New("safe is locked")}

func (s *safe) Make(string) ([]byte, crypto.PublicKey, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil || s.down {
		return nil, nil, errors.Join(err, errSafe)
	}
	if s.onMake != nil {
		s.onMake()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	reference := rand.Text()
	s.objects[reference] = private
	return []byte(reference), private.Public(), nil
}

func (s *safe) Signer(reference []byte, public crypto.PublicKey) crypto.Signer {
	return drawer{s, string(reference), public}
}

func (s *safe) Destroy(reference []byte) error {
	if s.down {
		return errSafe
	}
	if s.onDestroy != nil {
		s.onDestroy(reference)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, string(reference))
	return nil
}

type drawer struct {
	safe      *safe
	reference string
	public    crypto.PublicKey
}

func (d drawer) Public() crypto.PublicKey { return d.public }

func (d drawer) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	d.safe.mu.Lock()
	private := d.safe.objects[d.reference]
	d.safe.mu.Unlock()
	if private == nil || d.safe.down {
		return nil, errSafe
	}
	return private.Sign(r, digest, opts)
}

func newSafe() *safe { return &safe{objects: map[string]*ecdsa.PrivateKey{}} }

func withSafe() (*clock, *door, *safe, keys.Config) {
	c, store, module := newClock(), &door{memory: &memory{}}, newSafe()
	cfg := c.config(store)
	cfg.Module = module
	return c, store, module, cfg
}

// references are the private halves that the ring has.
func references(store *door) map[string]bool {
	all := map[string]bool{}
	for _, k := range store.read().Keys {
		if k.Private != nil {
			all[string(k.Private)] = true
		}
	}
	return all
}

func (s *safe) wantJust(t *testing.T, store *door) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	known := references(store)
	for reference := range known {
		if s.objects[reference] == nil {
			t.Errorf("the module has lost %s", reference)
		}
	}
	if len(s.objects) != len(known) {
		t.Errorf("the module has %d keys, the ring %d", len(s.objects), len(known))
	}
}

// For a quarter of a year, the store never sees a private half, and the module keeps only what the ring
// still needs.
func TestModuleKeepsPrivateHalvesToItself(t *testing.T) {
	c, store, module, cfg := withSafe()
	ring := open(t, cfg)
	for range 91 * 24 {
		c.advance(time.Hour)
		tick(t, ring)
		verify(t, sign(t, ring), published(t, ring.KeySet()))
		module.wantJust(t, store)
	}
	destroyed := map[string]int{}
	for _, e := range store.events {
		if e.What == keys.KeyDestroyed {
			destroyed[e.KID]++
		}
	}
	for _, k := range store.read().Keys {
		if _, err := x509.ParsePKCS8PrivateKey(k.Private); err == nil || !k.Outside {
			t.Errorf("the store has the private half of %s", k.KID)
		}
	}
	for kid, n := range destroyed {
		if n != 1 {
			t.Errorf("key %s was destroyed %d times", kid, n)
		}
	}
	if len(destroyed) != 12 {
		t.Errorf("%d keys were destroyed in 13 weeks, want 12", len(destroyed))
	}
}

// A key goes only when the ring as stored says that it signs no more, whatever a replica has planned.
func TestModuleDestroysWhatTheStoredRingHasGivenUp(t *testing.T) {
	c, store, module, cfg := withSafe()
	ring, asked := open(t, cfg), 0
	module.onDestroy = func(reference []byte) {
		asked++
		for _, k := range store.read().Keys {
			if bytes.Equal(k.Private, reference) && k.Demoted.IsZero() && k.Dropped.IsZero() && k.Compromised.IsZero() {
				t.Errorf("key %s is to be destroyed, and may sign", k.KID)
			}
		}
	}
	first := inState(ring, keys.Active)[0]
	c.advance(cfg.Active + time.Minute)
	tick(t, ring)
	if _, err := ring.Compromise(t.Context(), first, keys.Order{By: "ada"}); err != nil {
		t.Fatal(err)
	}
	if tick(t, ring); asked != 0 {
		t.Error("a compromised key is destroyed before all replicas can know")
	}
	c.advance(2 * time.Second)
	if _, err := ring.Rotate(t.Context(), keys.Order{By: "ada", DryRun: true}); err != nil || asked != 0 {
		t.Errorf("a dry run destroys %d keys: %v", asked, err)
	}
	store.lose = true // destroyed, but nobody has written it down
	if err := ring.Tick(t.Context()); !errors.Is(err, errCrash) || asked != 1 {
		t.Errorf("asked %d times, %v", asked, err)
	}
	tick(t, ring, open(t, cfg))
	if k := find(t, store, first); k.Private != nil {
		t.Error("a key that is gone is not written down as such")
	}
	if err := ring.Close(); err != nil { // the dry run has made a key that is not needed
		t.Error(err)
	}
	module.wantJust(t, store)
}

func TestModuleOutageIsAnOutage(t *testing.T) {
	c, store, module, cfg := withSafe()
	ring := open(t, cfg)
	set := ring.KeySet()
	module.down = true
	wantOutage(t, signErr(ring, "context"))
	wantOutage(t, ring.Tick(t.Context()))
	wantOutage(t, ring.Ready())
	if string(ring.KeySet().Body) != string(set.Body) {
		t.Error("the key set suffers from the outage")
	}
	// Another replica starts meanwhile, and time goes on.
	other := open(t, cfg)
	for range 60 { // longer than a key that is retired stays in the ring
		c.advance(8 * time.Hour)
		wantOutage(t, ring.Tick(t.Context()))
		wantOutage(t, other.Tick(t.Context()))
	}
	if len(references(store)) != len(module.objects) {
		t.Error("a key was given up that the module still has")
	}
	module.down = false
	tick(t, ring, other)
	if err := errors.Join(ring.Ready(), other.Ready()); err != nil {
		t.Error(err)
	}
	verify(t, sign(t, ring), published(t, other.KeySet()))
	module.wantJust(t, store)
}

// A module that signs wrongly is as good as one that does not sign.
func TestModuleThatSignsWronglyIsNotReady(t *testing.T) {
	_, _, module, cfg := withSafe()
	ring := open(t, cfg)
	tick(t, ring)
	for reference := range module.objects {
		module.objects[reference], _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	wantOutage(t, ring.Tick(t.Context()))
	wantOutage(t, ring.Ready())
}

func TestALostRaceLeavesNothingInTheModule(t *testing.T) {
	c, store, module, cfg := withSafe()
	var rings []*keys.Ring
	rival := &door{memory: store.memory}
	store.between = func() { // both have seen an empty store
		theirs := cfg
		theirs.Store = rival
		rings = append(rings, open(t, theirs))
	}
	rings = append(rings, open(t, cfg))
	if len(module.objects) <= len(references(store)) {
		t.Fatal("nobody lost")
	}
	c.advance(time.Second)
	tick(t, rings...)
	for _, r := range rings {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	module.wantJust(t, store)
}

// Some modules take longer to make a key than a turn may take: the key is used by a later turn.
func TestASlowModuleLosesNoKey(t *testing.T) {
	c, store, module, cfg := withSafe()
	ring := open(t, cfg)
	c.advance(cfg.Active)
	ctx, cancel := context.WithCancel(t.Context())
	module.onMake = cancel
	if err := ring.Tick(ctx); !errors.Is(err, context.Canceled) || len(module.objects) != 4 {
		t.Fatalf("%d keys, %v", len(module.objects), err)
	}
	tick(t, ring)
	if n := len(references(store)); n != 4 {
		t.Errorf("%d keys in the ring, want 4", n)
	}
	module.wantJust(t, store)
}

// Moving into a module, and out of it again, strands no context: a verifier that fetched the key set
// two days ago knows every key that signs.
func TestMovingIntoAModuleAndOutIsPublishedAhead(t *testing.T) {
	c, store, module, cfg := withSafe()
	within := c.config(store)
	leaving := cfg
	leaving.LeaveModule = true
	ring := open(t, within)
	c.advance(50 * time.Hour)
	tick(t, ring)
	for _, phase := range []struct {
		cfg     keys.Config
		outside bool
	}{{cfg, true}, {leaving, false}} {
		ring = open(t, phase.cfg)
		var sets []keys.KeySet
		for range 70 {
			c.advance(time.Hour)
			tick(t, ring)
			if sets = append(sets, ring.KeySet()); len(sets) > 48 {
				verify(t, sign(t, ring), published(t, sets[len(sets)-48]))
			}
		}
		if k := find(t, store, inState(ring, keys.Active)[0]); k.Outside != phase.outside {
			t.Errorf("after 70 hours, the key that signs is outside: %t", k.Outside)
		}
	}
	c.advance(25 * time.Hour)
	tick(t, ring)
	c.advance(2 * time.Second)
	tick(t, ring, open(t, within)) // and now the module can go
	if n := len(module.objects); n > 0 {
		t.Errorf("%d keys stay in the module", n)
	}
}

func TestARingThatNeedsItsModuleSaysSo(t *testing.T) {
	c, store, _, cfg := withSafe()
	ring := open(t, cfg)
	if objects := ring.List(); objects[0].Object == "" {
		t.Error("a key in the module has no name there")
	}
	_, err := keys.Open(t.Context(), c.config(store))
	if err == nil || !strings.Contains(err.Error(), "no module is configured") {
		t.Errorf("got %v", err)
	}
}
