package store

import (
	"context"
	"errors"
	"time"
)

// trades is the [exchange.Store] over the records.
type trades struct{ *Store }

var errSaltThere = errors.New("sector has a salt")

func (s trades) Salt(ctx context.Context, sector string, candidate []byte) ([]byte, error) {
	key := []byte(sector)
	salt, ok, err := s.salt(ctx, key)
	if err != nil || ok {
		return salt, err
	}
	value, err := s.seal(kindSalt, key, candidate)
	if err != nil {
		return nil, err
	}
	fresh := record{kind: kindSalt, key: key, expires: never, value: value}
	err = s.apply(ctx, "put_salt", op{verb: create, record: fresh, otherwise: errSaltThere})
	if err != nil && !errors.Is(err, errSaltThere) {
		return nil, err
	}
	salt, _, err = s.salt(ctx, key) // ours, or that of a replica that was faster
	return salt, err
}

func (s trades) PutOnce(ctx context.Context, space, value string, expires time.Time) error {
	return sessions(s).PutOnce(ctx, space, value, expires)
}

func (s trades) salt(ctx context.Context, key []byte) (salt []byte, ok bool, err error) {
	found, ok, err := s.get(ctx, kindSalt, key)
	if err != nil || !ok {
		return nil, false, err
	}
	err = s.open(found, &salt)
	return salt, err == nil, err
}
