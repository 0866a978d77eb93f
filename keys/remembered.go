package keys

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A Remembered is a key set of before, to be served while no ring can be read.
type Remembered struct{ keys []rememberedKey }

// A rememberedKey is a JWK as it was served, and its end.
type rememberedKey struct {
	jwk      json.RawMessage
	notAfter time.Time
}

var errNoKeySet = errors.New("this is no key set of ours")

// Remember reads the Body of a [KeySet], and forgets the denied keys. What it reads must be known to be
// the Body of one: nothing here looks for private members or kids that are there twice.
func Remember(body []byte, denied []string) (*Remembered, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoKeySet, err)
	}
	r := &Remembered{}
	for _, jwk := range set.Keys {
		var key struct {
			KID string `json:"kid"`
			Exp int64  `json:"exp"`
		}
		if err := json.Unmarshal(jwk, &key); err != nil || key.KID == "" || key.Exp == 0 {
			return nil, errNoKeySet
		}
		if !slices.Contains(denied, key.KID) {
			r.keys = append(r.keys, rememberedKey{jwk, time.Unix(key.Exp, 0)})
		}
	}
	return r, nil
}

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
