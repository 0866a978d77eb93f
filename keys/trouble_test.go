package keys_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"slices"
	"testing"
	"time"

	"chatpass/identity"
	"chatpass/keys"
)

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
	cfg.Denied = append(cfg.Denied, inState(ring, keys.Active)[0], inState(ring, keys.Pending)[0])
	ring = open(t, cfg)
	if slices.Contains(cfg.Denied, verify(t, sign(t, ring), published(t, ring.KeySet()))) {
		t.Error("a denied key signs")
	}
}

// In an emergency a key that verifiers know is better than one of the right algorithm.
func TestDeniedKeyWhileAlgorithmChanges(t *testing.T) {
	c, store := newClock(), &door{memory: &memory{}}
	cfg := c.config(store)
	ring := open(t, cfg)
	c.advance(72 * time.Hour)
	bad, seen := inState(ring, keys.Active)[0], published(t, ring.KeySet())
	cfg.Algorithm, cfg.Denied = "EdDSA", []string{bad}
	verify(t, sign(t, open(t, cfg)), seen)
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

// Pending keys of a given-up algorithm are taken back, but not while they are held.
func TestHeldPendingKeyStays(t *testing.T) {
	c, store := newClock(), &door{memory: &memory{}}
	cfg := c.config(store)
	open(t, cfg)
	snap := store.read()
	for i := range snap.Keys {
		snap.Keys[i].Held = true
	}
	if err := store.swap(snap); err != nil {
		t.Fatal(err)
	}
	cfg.Algorithm = "EdDSA"
	ring := open(t, cfg)
	for range 60 {
		c.advance(24 * time.Hour)
		tick(t, ring)
	}
	set := published(t, ring.KeySet())
	for _, k := range snap.Keys {
		if _, ok := set[k.KID]; !ok {
			t.Errorf("held key %s left the set", k.KID)
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
			store.ring.Version, store.ring.Keys = 2, spoil(activeFirst(store.read().Keys))
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
