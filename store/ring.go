package store

import (
	"context"

	"chatpass/keys"
)

// ring is the [keys.Store] over one record.
type ring struct{ *Store }

// keyRecord is a key as stored. The private half is sealed on its own besides, so that it is bound to
// its kid and can never be read as another key's.
type keyRecord struct {
	keys.Record
	Private []byte `json:"private,omitempty"`
}

func ringKey() []byte { return []byte("1") }

func (r ring) Ring(ctx context.Context) (keys.Snapshot, error) {
	found, ok, err := r.get(ctx, kindRing, ringKey())
	if err != nil || !ok {
		return keys.Snapshot{}, err
	}
	var stored []keyRecord
	if err := r.open(found, &stored); err != nil {
		return keys.Snapshot{}, err
	}
	snapshot := keys.Snapshot{Version: found.version}
	for _, k := range stored {
		if k.Private != nil {
			if k.Record.Private, err = r.cfg.Sealer.Open(k.Private, keyPlace(k.KID)); err != nil {
				return keys.Snapshot{}, outage("open signing key", err)
			}
		}
		snapshot.Keys = append(snapshot.Keys, k.Record)
	}
	return snapshot, nil
}

func (r ring) SwapRing(ctx context.Context, s keys.Snapshot) error {
	stored := make([]keyRecord, 0, len(s.Keys))
	for _, k := range s.Keys {
		entry := keyRecord{Record: k}
		if k.Private != nil {
			sealed, err := r.cfg.Sealer.Seal(k.Private, keyPlace(k.KID))
			if err != nil {
				return outage("seal signing key", err)
			}
			entry.Private = sealed
		}
		stored = append(stored, entry)
	}
	value, err := r.seal(kindRing, ringKey(), stored)
	if err != nil {
		return err
	}
	write := op{verb: swap, record: record{
		kind: kindRing, key: ringKey(), version: s.Version, expires: never, value: value,
	}, otherwise: keys.ErrConflict}
	if s.Version == 0 {
		write.verb = create
	}
	return r.apply(ctx, "swap_ring", write)
}

func keyPlace(kid string) []byte { return []byte("signing_keys\x00" + kid) }
