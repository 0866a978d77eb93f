package keys_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"chatpass/keys"
)

var operator = keys.Order{By: "ops@host", Why: "drill"}

// grown is a ring that has run for three days, so that a standby is ripe.
func grown(t *testing.T) (*clock, *door, *keys.Ring) {
	t.Helper()
	c, store := newClock(), &door{memory: &memory{}}
	ring := open(t, c.config(store))
	c.advance(72 * time.Hour)
	tick(t, ring)
	return c, store, ring
}

func whats(events []keys.Event, kid string) []keys.What {
	var found []keys.What
	for _, e := range events {
		if e.KID == kid {
			found = append(found, e.What)
		}
	}
	return found
}

func wantWhats(t *testing.T, events []keys.Event, kid string, want ...keys.What) {
	t.Helper()
	if got := whats(events, kid); !slices.Equal(got, want) {
		t.Errorf("events of %s: %q, want %q", kid, got, want)
	}
}

func TestAnOrderedRotationUsesTheRipeStandby(t *testing.T) {
	_, store, ring := grown(t)
	old, standby := inState(ring, keys.Active)[0], inState(ring, keys.Pending)[0]
	before := ring.KeySet()
	events, err := ring.Rotate(t.Context(), operator)
	if err != nil {
		t.Fatal(err)
	}
	wantWhats(t, events, old, keys.KeyReplacement, keys.KeyDemoted)
	wantWhats(t, events, standby, keys.KeyActivated)
	if got := verify(t, sign(t, ring), published(t, before)); got != standby {
		t.Errorf("signed by %s, want the standby that was published before", got)
	}
	for _, e := range store.events[len(store.events)-len(events):] {
		if e.By != operator.By || e.Why != operator.Why {
			t.Errorf("event %+v does not say who and why", e)
		}
	}
}

func TestAnOrderedRotationWaitsForARipeKey(t *testing.T) {
	c, store := newClock(), &door{memory: &memory{}}
	ring := open(t, c.config(store))
	old := inState(ring, keys.Active)[0]
	events, err := ring.Rotate(t.Context(), operator)
	if err != nil {
		t.Fatal(err)
	}
	wantWhats(t, events, old, keys.KeyReplacement)
	if info := ring.List()[slices.IndexFunc(ring.List(), func(i keys.Info) bool { return i.KID == old })]; info.Next.Sub(epoch) > 50*time.Hour {
		t.Errorf("the list says that it is replaced at %s, want when the standby is ripe", info.Next)
	}
	if verify(t, sign(t, ring), published(t, ring.KeySet())) != old {
		t.Error("a key signs that nobody can know yet")
	}
	for range 60 {
		c.advance(time.Hour)
		tick(t, ring)
	}
	if now := inState(ring, keys.Active)[0]; now == old {
		t.Errorf("after %s the old key signs still", c.now().Sub(epoch))
	}
	wantWhats(t, store.events, old, keys.KeyPublished, keys.KeyActivated, keys.KeyReplacement, keys.KeyDemoted, keys.KeyDestroyed)
}

func TestADryRunTellsAndChangesNothing(t *testing.T) {
	_, store, ring := grown(t)
	old, standby := inState(ring, keys.Active)[0], inState(ring, keys.Pending)[0]
	writes, events := store.count(), len(store.events)
	dry := keys.Order{By: "ops", DryRun: true}
	for name, ask := range map[string]func() ([]keys.Event, error){
		"rotate":     func() ([]keys.Event, error) { return ring.Rotate(t.Context(), dry) },
		"compromise": func() ([]keys.Event, error) { return ring.Compromise(t.Context(), old, dry) },
	} {
		told, err := ask()
		if err != nil || !slices.Contains(whats(told, standby), keys.KeyActivated) {
			t.Errorf("%s: told %+v, %v, want the standby's activation", name, told, err)
		}
	}
	if store.count() != writes || len(store.events) != events || inState(ring, keys.Active)[0] != old {
		t.Error("a dry run changed the ring")
	}
}

func TestACompromiseStrandsNobodyWhoRefetches(t *testing.T) {
	c, store, ring := grown(t)
	bad := inState(ring, keys.Active)[0]
	before := published(t, ring.KeySet())
	if _, err := ring.Compromise(t.Context(), bad, operator); err != nil {
		t.Fatal(err)
	}
	if _, ok := published(t, ring.KeySet())[bad]; ok {
		t.Error("the bad key is in the set")
	}
	if got := verify(t, sign(t, ring), before); got == bad {
		t.Error("the bad key signs")
	}
	if find(t, store, bad).Private != nil {
		t.Error("the private half of the bad key is kept")
	}
	other := open(t, c.config(&door{memory: store.memory}))
	if inState(other, keys.Active)[0] == bad {
		t.Error("another replica signs with it")
	}
}

func TestOrdersThatCannotBeObeyedChangeNothing(t *testing.T) {
	_, store, ring := grown(t)
	active := inState(ring, keys.Active)[0]
	if _, err := ring.Hold(t.Context(), active, operator); err != nil {
		t.Fatal(err)
	}
	writes := store.count()
	_, err := ring.Compromise(t.Context(), active, operator)
	wantIs(t, err, keys.ErrHeld)
	for _, order := range []func(string) error{
		func(kid string) error { _, err := ring.Hold(t.Context(), kid, operator); return err },
		func(kid string) error { _, err := ring.Unhold(t.Context(), kid, operator); return err },
		func(kid string) error { _, err := ring.Compromise(t.Context(), kid, operator); return err },
	} {
		wantIs(t, order("unheard-of"), keys.ErrUnknownKey)
	}
	if store.count() != writes {
		t.Error("something was written")
	}
	if _, err := ring.Unhold(t.Context(), active, operator); err != nil {
		t.Fatal(err)
	}
	if _, err := ring.Compromise(t.Context(), active, operator); err != nil {
		t.Fatal(err)
	}
	_, err = ring.Hold(t.Context(), active, operator)
	wantIs(t, err, keys.ErrGone)
}

func wantIs(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

func TestAnOrderIsObeyedThoughAnotherReplicaIsFaster(t *testing.T) {
	c, store, ring := grown(t)
	faster := open(t, c.config(&door{memory: store.memory}))
	bad := inState(ring, keys.Active)[0]
	store.between = func() {
		if _, err := faster.Rotate(t.Context(), operator); err != nil {
			t.Error(err)
		}
	}
	if _, err := ring.Compromise(t.Context(), bad, operator); err != nil {
		t.Fatal(err)
	}
	if k := find(t, store, bad); k.Compromised.IsZero() || k.Private != nil {
		t.Errorf("the key is not compromised: %+v", k)
	}
}
