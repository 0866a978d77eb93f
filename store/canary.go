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
	return s.checkSeal(record{kind: kindCanary, key: canaryKey(), value: value})
}

func (s *Store) checkSeal(r record) error {
	if _, err := s.cfg.Sealer.Open(r.value, place(r.kind, r.key)); err != nil {
		if named := s.cfg.Sealer.KeyOf(r.value); named.Use == seal.Unknown {
			return fmt.Errorf("%w (the store is sealed under key %s, which it does not hold)", ErrWrongMasterKey, named.ID)
		}
		return ErrWrongMasterKey
	}
	return nil
}

// keepCanary makes the canary if there is none. Of two processes that make the same store the second
// finds the first one's. Where something is sealed already, our master key must open that first: a
// canary that was lost is no licence for another key. Who joins makes none.
func (s *Store) keepCanary(ctx context.Context) error {
	found, ok, err := s.get(ctx, kindCanary, canaryKey())
	if err != nil {
		return err
	}
	if ok {
		return s.checkCanary(found.value)
	}
	if err := s.checkOthers(ctx); err != nil || s.cfg.Join {
		return err
	}
	return s.makeCanary(ctx)
}

// checkOthers does it by what else stays in a store, one of each kind.
func (s *Store) checkOthers(ctx context.Context) error {
	for _, k := range []kind{kindRing, kindSalt, kindEvent, kindSession} {
		found, ok, err := s.firstBehind(ctx, record{kind: k, key: []byte{}})
		if err == nil && ok && found.kind == k {
			err = s.checkSeal(found)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// firstBehind returns the first record behind a place in the order of kind and key, and whether there is one.
func (s *Store) firstBehind(ctx context.Context, at record) (record, bool, error) {
	found, err := s.scan(ctx, "look_around", scan{after: at, mark: []byte{0}, limit: 1}) // no value begins so
	if err != nil || len(found) == 0 {
		return record{}, false, err
	}
	return found[0], true, nil
}

func (s *Store) makeCanary(ctx context.Context) error {
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
