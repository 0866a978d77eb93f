package keys

import (
	"context"
	"errors"
	"fmt"
)

// Errors of orders. Nothing was changed.
var (
	// ErrUnknownKey: no key of that kid is in the ring.
	ErrUnknownKey = errors.New("no such key in the ring")
	// ErrHeld: a held key does not leave the key set, not even when it is compromised.
	ErrHeld = errors.New("the key is held")
	// ErrGone: the key has left the key set.
	ErrGone = errors.New("the key has left the key set")
)

// Rotate asks for other keys to sign. Each class changes as soon as one of its keys is ripe: at once in
// a ring that has been running for a while. It returns what has happened so far; the rest happens at
// whichever replica is first to see that it is due.
func (r *Ring) Rotate(ctx context.Context, o Order) ([]Event, error) {
	return r.obey(ctx, o, func(s *Snapshot) error {
		for i := range s.Keys {
			if s.Keys[i].state() == Active {
				s.Keys[i].Replace = true
			}
		}
		return nil
	})
}

// Hold keeps a key in the key set, whatever its age, until [Ring.Unhold].
func (r *Ring) Hold(ctx context.Context, kid string, o Order) ([]Event, error) {
	return r.obey(ctx, o, func(s *Snapshot) error {
		k, err := inSet(s.Keys, kid)
		if err != nil {
			return err
		}
		k.Held = true
		return nil
	})
}

// Unhold lets a held key go when its time has come, which may be at once.
func (r *Ring) Unhold(ctx context.Context, kid string, o Order) ([]Event, error) {
	return r.obey(ctx, o, func(s *Snapshot) error {
		k, err := inSet(s.Keys, kid)
		if err != nil {
			return err
		}
		k.Held = false
		return nil
	})
}

// Compromise takes a key out of the key set for ever, destroys its private half, and lets another one
// sign: a ripe one if there is one, else the oldest there is, which verifiers may not know yet. Every
// replica that reaches the store obeys within two seconds.
func (r *Ring) Compromise(ctx context.Context, kid string, o Order) ([]Event, error) {
	return r.obey(ctx, o, func(s *Snapshot) error {
		k, err := inSet(s.Keys, kid)
		if err != nil {
			return err
		}
		if k.Held {
			return fmt.Errorf("%w: %s", ErrHeld, kid)
		}
		k.Compromised = s.Now
		return nil
	})
}

// inSet returns the key of that kid, if it is in the key set.
func inSet(keys []Record, kid string) (*Record, error) {
	for i := range keys {
		if keys[i].KID != kid {
			continue
		}
		if s := keys[i].state(); s == Retired || s == Compromised {
			return nil, fmt.Errorf("%w: %s is %s", ErrGone, kid, s)
		}
		return &keys[i], nil
	}
	return nil, fmt.Errorf("%w: %s", ErrUnknownKey, kid)
}
