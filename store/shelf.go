package store

import (
	"context"
	"time"

	"chatpass/status"
)

// shelf is the [status.Store] over one record and the log of revocations.
type shelf struct{ *Store }

func shelfKey() []byte { return []byte("1") }

func (s shelf) Shelf(ctx context.Context) (status.Shelf, error) {
	found, ok, err := s.get(ctx, kindShelf, shelfKey())
	if err != nil || !ok {
		return status.Shelf{}, err
	}
	var at status.Shelf
	if err := s.open(found, &at); err != nil {
		return status.Shelf{}, err
	}
	at.Version = found.version
	return at, nil
}

func (s shelf) SwapShelf(ctx context.Context, at status.Shelf) error {
	value, err := s.seal(kindShelf, shelfKey(), at)
	if err != nil {
		return err
	}
	write := op{verb: swap, record: record{
		kind: kindShelf, key: shelfKey(), version: at.Version, expires: never, value: value,
	}, otherwise: status.ErrConflict}
	if at.Version == 0 {
		write.verb = create
	}
	return s.apply(ctx, "swap_shelf", write)
}

func (s shelf) Ended(ctx context.Context, from time.Time) ([]status.Ended, error) {
	entries, err := sessions(s).Revocations(ctx, from)
	if err != nil {
		return nil, err
	}
	var ended []status.Ended
	for _, e := range entries {
		if e.Place != nil {
			ended = append(ended, status.Ended{List: e.Place.List, Index: e.Place.Index, Until: e.Until})
		}
	}
	return ended, nil
}
