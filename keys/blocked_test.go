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

	"github.com/google/go-cmp/cmp"

	"chatpass/keys"
)

type blocks = map[keys.Block]int

func wantBlocked(t *testing.T, ring *keys.Ring, want blocks) {
	t.Helper()
	if diff := cmp.Diff(want, ring.Blocked()); diff != "" {
		t.Errorf("blocked (-want +got):\n%s", diff)
	}
	for by := range want {
		if !slices.Contains(keys.Blocks(), by) {
			t.Errorf("%s is none of all blocks", by)
		}
		if !slices.ContainsFunc(ring.List(), func(k keys.Info) bool { return k.BlockedBy == by }) {
			t.Errorf("no key in the list is blocked by %s", by)
		}
	}
}

// A ring that is left alone never has a change that is due and blocked.
func TestNothingIsBlockedInAGoodRing(t *testing.T) {
	c := newClock()
	ring := open(t, c.config(&door{memory: &memory{}}))
	for range 5 * 7 * 24 {
		c.advance(time.Hour)
		tick(t, ring)
		wantBlocked(t, ring, blocks{})
	}
}

// An activation that an operator asked for waits until the standby has been published for long enough, and
// then until every replica in lease must have it.
func TestAnEarlyActivationIsBlocked(t *testing.T) {
	c := newClock()
	cfg := c.config(&door{memory: &memory{}})
	ring := open(t, cfg)
	if _, err := ring.Rotate(t.Context(), keys.Order{By: "me"}); err != nil {
		t.Fatal(err)
	}
	wantBlocked(t, ring, blocks{keys.BlockedByPublishAhead: 1})
	c.advance(cfg.PublishAhead)
	tick(t, ring)
	wantBlocked(t, ring, blocks{keys.BlockedByLease: 1})
	c.advance(cfg.Ripening() - cfg.PublishAhead)
	tick(t, ring)
	wantBlocked(t, ring, blocks{})
}

// When no key can be made, the last one has no successor.
func TestAnActivationWithoutAStandbyIsBlocked(t *testing.T) {
	c := newClock()
	cfg := c.config(&door{memory: &memory{}})
	made := 0
	cfg.NewKey = func(string) (crypto.Signer, error) {
		if made++; made > 3 {
			return nil, errors.New("no entropy")
		}
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	ring := open(t, cfg)
	for week := range 3 {
		wantBlocked(t, ring, blocks{})
		c.advance(cfg.Active)
		if err := ring.Tick(t.Context()); err == nil {
			t.Fatalf("week %d: a key was made", week)
		}
	}
	wantBlocked(t, ring, blocks{keys.BlockedByStandby: 1})
}

// What is due while the store cannot be read, or not be written, is blocked by it.
func TestAChangeWithoutTheStoreIsBlocked(t *testing.T) {
	for name, trouble := range map[string]func(*door){
		"read":  func(d *door) { d.down = true },
		"write": func(d *door) { d.lose = true },
	} {
		t.Run(name, func(t *testing.T) {
			c, store := newClock(), &door{memory: &memory{}}
			cfg := c.config(store)
			ring := open(t, cfg)
			for _, change := range []time.Duration{cfg.Active, cfg.Retiring} { // an activation, then a removal
				c.advance(change - time.Second)
				tick(t, ring)
				c.advance(time.Second)
				trouble(store)
				if err := ring.Tick(t.Context()); err == nil {
					t.Fatal("ticked")
				}
				wantBlocked(t, ring, blocks{keys.BlockedByStore: 1})
				store.down = false
				tick(t, ring)
				wantBlocked(t, ring, blocks{})
			}
		})
	}
}

// A held key that should have left the key set is counted, and not before.
func TestARemovalOfAHeldKeyIsBlocked(t *testing.T) {
	c, store := newClock(), &door{memory: &memory{}}
	cfg := c.config(store)
	ring := open(t, cfg)
	for _, k := range ring.List() {
		if _, err := ring.Hold(t.Context(), k.KID, keys.Order{By: "me"}); err != nil {
			t.Fatal(err)
		}
	}
	wantBlocked(t, ring, blocks{})
	c.advance(cfg.Active)
	tick(t, ring)
	wantBlocked(t, ring, blocks{})
	c.advance(cfg.Retiring - time.Second)
	wantBlocked(t, ring, blocks{})
	c.advance(time.Second)
	tick(t, ring)
	wantBlocked(t, ring, blocks{keys.BlockedByHold: 1})

	cfg.Algorithm = "EdDSA" // now the held standby is not needed any more either
	ring = open(t, cfg)
	c.advance(cfg.Ripening())
	tick(t, ring)
	wantBlocked(t, ring, blocks{keys.BlockedByHold: 2})
}

// A denied key has no change to wait for.
func TestADeniedKeyIsNotWaitedFor(t *testing.T) {
	c, store := newClock(), &door{memory: &memory{}}
	cfg := c.config(store)
	standby := inState(open(t, cfg), keys.Pending)
	cfg.Denied = standby
	ring := open(t, cfg)
	wantBlocked(t, ring, blocks{})
	for _, k := range ring.List() {
		if denied := slices.Contains(standby, k.KID); denied != (k.BlockedBy == keys.BlockedByDenial) {
			t.Errorf("key %s: blocked by %q", k.KID, k.BlockedBy)
		}
	}
}
