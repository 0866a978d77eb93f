package keys

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A Remembered is what a replica knew before: a key set, to be served while no ring can be read, and the
// ring's past, to notice when the ring is put back.
type Remembered struct {
	keys   []rememberedKey
	memory Memory
}

// A rememberedKey is a JWK as it was served, and its end.
type rememberedKey struct {
	jwk      json.RawMessage
	notAfter time.Time
}

var errNoKeySet = errors.New("this is no key set of ours")

// Memento returns what [Remember] reads: the key set, which is one still, with a member more.
func (r *Ring) Memento() ([]byte, error) {
	v := r.view.Load()
	memory, err := json.Marshal(v.memory)
	if err != nil {
		return nil, fmt.Errorf("encode memory of the key ring: %w", err)
	}
	return slices.Concat(bytes.TrimSuffix(v.set.Body, []byte("}")), []byte(`,"ring":`), memory, []byte("}")), nil
}

// Remember reads what [Ring.Memento] returned, now or in an earlier version, and forgets the keys that are
// denied or given up. What it reads must be known to be that: nothing here looks for private members or kids
// that are there twice.
func Remember(memento []byte, denied []string) (*Remembered, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
		Ring Memory            `json:"ring"`
	}
	if err := json.Unmarshal(memento, &set); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoKeySet, err)
	}
	r := &Remembered{memory: set.Ring}
	for _, jwk := range set.Keys {
		var key struct {
			KID string `json:"kid"`
			Exp int64  `json:"exp"`
		}
		if err := json.Unmarshal(jwk, &key); err != nil || key.KID == "" || key.Exp == 0 {
			return nil, errNoKeySet
		}
		if !slices.Contains(denied, key.KID) && !slices.Contains(set.Ring.GivenUp, key.KID) {
			r.keys = append(r.keys, rememberedKey{jwk, time.Unix(key.Exp, 0)})
		}
	}
	return r, nil
}

// Memory returns what is known of the ring's past; nothing, if a version wrote it that kept none.
func (r *Remembered) Memory() Memory { return r.memory }

// KeySet returns the keys whose `exp` is still to come at now, each in the bytes in which it was served
// before; ok is false if there is none left.
func (r *Remembered) KeySet(now time.Time) (set KeySet, ok bool) {
	var living [][]byte
	for _, k := range r.keys {
		if now.Before(k.notAfter) {
			living = append(living, k.jwk)
		}
	}
	if len(living) == 0 {
		return KeySet{}, false
	}
	body := append([]byte(`{"keys":[`), bytes.Join(living, []byte(","))...)
	return newKeySet(append(body, "]}"...)), true
}
