package store

import (
	"context"
	"errors"
)

// ErrWrongMasterKey is returned by [Open] when the store was made with another master key.
var ErrWrongMasterKey = errors.New("the master key is not the one this store was made with: give that one, or begin with a new store")

var errCanaryThere = errors.New("canary is there")

func canaryKey() []byte { return []byte("1") }

// checkCanary tells by a record that every store has whether it was made with our master key.
func (s *Store) checkCanary(value []byte) error {
	if _, err := s.cfg.Sealer.Open(value, place(kindCanary, canaryKey())); err != nil {
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
