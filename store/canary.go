package store

import (
	"context"
	"errors"
	"fmt"

	"chatpass/seal"
)

// ErrWrongMasterKey is returned by [Open] when the store was made with another master key, or is sealed
// under a key of this one that was added since.
var ErrWrongMasterKey = errors.New("the master key is not the one this store was made with, or an older copy of it: give that one in its newest copy, or begin with a new store")

var errCanaryThere = errors.New("canary is there")

func canaryKey() []byte { return []byte("1") }

// checkCanary tells by a record that every store has whether it was made with our master key.
func (s *Store) checkCanary(value []byte) error {
	if _, err := s.cfg.Sealer.Open(value, place(kindCanary, canaryKey())); err != nil {
		if named := s.cfg.Sealer.KeyOf(value); named.Use == seal.Unknown {
			return fmt.Errorf("%w (the store is sealed under key %s, which it does not hold)", ErrWrongMasterKey, named.ID)
		}
		return ErrWrongMasterKey
	}
	return nil
}

// keepCanary makes the canary if the store is new. Of two processes that make the same store the
// second finds the first one's.
func (s *Store) keepCanary(ctx context.Context) error {
	value, err := s.seal(kindCanary, canaryKey(), "a store of chatpass")
	if err != nil {
		return err
	}
	fresh := record{kind: kindCanary, key: canaryKey(), expires: never, value: value}
	err = s.apply(ctx, "put_canary", op{verb: create, record: fresh, otherwise: errCanaryThere})
	if !errors.Is(err, errCanaryThere) {
		return err
	}
	found, _, err := s.get(ctx, kindCanary, canaryKey())
	if err != nil {
		return err
	}
	return s.checkCanary(found.value)
}
