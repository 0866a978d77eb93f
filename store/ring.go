package store

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

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

// storedRing is the whole ring as stored.
type storedRing struct {
	Keys []keyRecord `json:"keys"`
	// Events is the number of events in the chain, and Head the link of the last one: without them
	// nobody would miss what was cut off at its end.
	Events int64  `json:"events"`
	Head   []byte `json:"head,omitempty"`
	// Accepted is when an operator last took the ring as it was found.
	Accepted time.Time `json:"accepted,omitzero"`
}

func ringKey() []byte { return []byte("1") }

func (r ring) Ring(ctx context.Context) (keys.Snapshot, error) {
	now, err := r.Clock(ctx)
	if err != nil {
		return keys.Snapshot{}, err
	}
	at, version, err := r.stored(ctx)
	if err != nil {
		return keys.Snapshot{}, err
	}
	snap := keys.Snapshot{Version: version, Now: now, End: keys.Mark{Events: at.Events, Head: at.Head}, Accepted: at.Accepted}
	if snap.Keys, err = r.openKeys(at.Keys); err != nil {
		return keys.Snapshot{}, err
	}
	if version == 0 {
		snap.Used, err = r.used(ctx)
	}
	return snap, err
}

// stored returns the ring as stored, at version 0 if there is none.
func (r ring) stored(ctx context.Context) (at storedRing, version int64, err error) {
	found, ok, err := r.get(ctx, kindRing, ringKey())
	if err != nil || !ok {
		return storedRing{}, 0, err
	}
	var plain json.RawMessage
	if err := r.open(found, &plain); err != nil {
		return storedRing{}, 0, err
	}
	if at, err = decodeRing(plain); err != nil {
		return storedRing{}, 0, outage("decode ring", err)
	}
	return at, found.version, nil
}

// used says whether there is anything besides the canary: then the store is not new.
func (s *Store) used(ctx context.Context) (bool, error) {
	_, ok, err := s.firstBehind(ctx, record{kind: kindCanary, key: canaryKey()}) // the first kind by name
	return ok, err
}

func decodeRing(plain []byte) (at storedRing, err error) {
	if bytes.HasPrefix(plain, []byte("[")) { // of before there were events: the keys alone
		err = json.Unmarshal(plain, &at.Keys)
	} else {
		err = json.Unmarshal(plain, &at)
	}
	return at, err
}

// renewKeys returns a ring as stored, with its private halves sealed anew.
func (r ring) renewKeys(plain []byte) ([]byte, error) {
	at, err := decodeRing(plain)
	if err != nil {
		return nil, err
	}
	all, err := r.openKeys(at.Keys)
	if err != nil {
		return nil, err
	}
	if at.Keys, err = r.sealKeys(all); err != nil {
		return nil, err
	}
	return json.Marshal(at)
}

func (r ring) SwapRing(ctx context.Context, s keys.Snapshot, events []keys.Event) error {
	_, version, err := r.stored(ctx) // what cannot be opened is not written over either
	if err != nil {
		return err
	}
	if version != s.Version {
		return keys.ErrConflict
	}
	sealed, err := r.sealKeys(s.Keys)
	if err != nil {
		return err
	}
	at := storedRing{Keys: sealed, Events: s.End.Events, Head: s.End.Head, Accepted: s.Accepted}
	entries, err := r.chain(&at, events)
	if err != nil {
		return err
	}
	value, err := r.seal(kindRing, ringKey(), at)
	if err != nil {
		return err
	}
	write := op{verb: swap, record: record{
		kind: kindRing, key: ringKey(), version: s.Version, expires: never, value: value,
	}, otherwise: keys.ErrConflict}
	if s.Version == 0 {
		write.verb = create
	}
	return r.apply(ctx, "swap_ring", append(entries, write)...)
}

func (r ring) openKeys(stored []keyRecord) (all []keys.Record, err error) {
	for _, k := range stored {
		if k.Private != nil {
			if k.Record.Private, err = r.cfg.Sealer.Open(k.Private, keyPlace(k.KID)); err != nil {
				return nil, outage("open signing key", err)
			}
		}
		all = append(all, k.Record)
	}
	return all, nil
}

func (r ring) sealKeys(all []keys.Record) ([]keyRecord, error) {
	stored := make([]keyRecord, 0, len(all))
	for _, k := range all {
		entry := keyRecord{Record: k}
		if k.Private != nil {
			sealed, err := r.cfg.Sealer.Seal(k.Private, keyPlace(k.KID))
			if err != nil {
				return nil, outage("seal signing key", err)
			}
			entry.Private = sealed
		}
		stored = append(stored, entry)
	}
	return stored, nil
}

func keyPlace(kid string) []byte { return []byte("signing_keys\x00" + kid) }
