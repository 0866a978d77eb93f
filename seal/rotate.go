package seal

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/tink-crypto/tink-go/v2/keyset"
)

// A Key is one of the keys of a master key, without its material.
type Key struct {
	// ID is eight hex digits. Every sealed value names the key that sealed it; nothing guarantees that
	// it does so truly, until it has been opened.
	ID string `json:"id"`
	// Use is what the key is used for.
	Use Use `json:"use"`
}

// Use is what a key of a master key is used for. In the life of a key: staged, current, old.
type Use string

const (
	// Staged keys open what other processes may seal with them already.
	Staged Use = "staged"
	// Current is the one key that seals.
	Current Use = "current"
	// Old keys open what they sealed before.
	Old Use = "old"
	// Unknown is the use of a key that the master key does not hold.
	Unknown Use = "unknown"
)

// What [Stage] and [Retire] answer when there is nothing to do.
var (
	ErrStaged = errors.New("a key is staged already")
	ErrNoOld  = errors.New("there is no old key")
)

// Stage returns master with a new key that opens and does not seal yet. Once every process that shares
// the sealed values has the result, [Rotate] lets it seal. There is one staged key at most; else
// [ErrStaged].
func Stage(master []byte) ([]byte, error) {
	return change(master, func(keys []Key, manager *keyset.Manager) error {
		if keys[len(keys)-1].Use == Staged {
			return ErrStaged
		}
		_, err := addKey(manager)
		return err
	})
}

// Rotate returns master with another key that seals from now on: the staged one, else a new one. The
// keys it had still open what they sealed.
//
// A process that does not have the key yet cannot open what it seals: see [Stage].
func Rotate(master []byte) ([]byte, error) {
	return change(master, func(keys []Key, manager *keyset.Manager) error {
		last := keys[len(keys)-1]
		if last.Use == Staged {
			return manager.SetPrimary(last.number())
		}
		id, err := addKey(manager)
		if err != nil {
			return err
		}
		return manager.SetPrimary(id)
	})
}

// Retire returns master without its oldest key, and that key. What it sealed cannot be opened any more.
// If no key is old: [ErrNoOld].
func Retire(master []byte) (rest []byte, gone Key, err error) {
	rest, err = change(master, func(keys []Key, manager *keyset.Manager) error {
		if gone = keys[0]; gone.Use != Old {
			return ErrNoOld
		}
		return manager.Delete(gone.number())
	})
	return rest, gone, err
}

// change returns master after a change of its sealing keys, which are given in the order in which they
// were made.
func change(master []byte, do func([]Key, *keyset.Manager) error) ([]byte, error) {
	was, err := readMasterKey(master)
	if err != nil {
		return nil, fmt.Errorf("read master key: %w", err)
	}
	manager := keyset.NewManagerFromHandle(was.seal)
	if err := do(was.keys, manager); err != nil {
		return nil, fmt.Errorf("change master key: %w", err)
	}
	file := was.file
	if file.Seal, err = encodeKeyset(manager); err != nil {
		return nil, fmt.Errorf("encode master key: %w", err)
	}
	return file.encode()
}

func addKey(manager *keyset.Manager) (id uint32, err error) {
	sealing, err := sealParameters()
	if err != nil {
		return 0, err
	}
	return manager.AddNewKeyFromParameters(sealing)
}

// listKeys returns the keys of a keyset. They stand in it in the order in which they were made, so what
// is in front of the primary one has sealed before it, and what is behind has not sealed yet.
func listKeys(handle *keyset.Handle) ([]Key, error) {
	var keys []Key
	use := Old
	for i := range handle.Len() {
		entry, err := handle.Entry(i)
		if err != nil {
			return nil, errNotMasterKey
		}
		one := Key{ID: keyID(entry.KeyID()), Use: use}
		if entry.IsPrimary() {
			one.Use, use = Current, Staged
		}
		keys = append(keys, one)
	}
	return keys, nil
}

// Keys returns the keys of the master key in the order in which they were made.
func (s *Sealer) Keys() []Key { return slices.Clone(s.keys) }

// Mark returns the bytes that everything sealed by this sealer begins with.
func (s *Sealer) Mark() []byte {
	for _, k := range s.keys {
		if k.Use == Current {
			return binary.BigEndian.AppendUint32([]byte{tinkPrefix}, k.number())
		}
	}
	return nil
}

// KeyOf returns the key that a sealed value names; of one that the master key does not hold the use is
// [Unknown]. What names none was never sealed: the zero Key.
func (s *Sealer) KeyOf(sealed []byte) Key {
	if len(sealed) < markSize || sealed[0] != tinkPrefix {
		return Key{}
	}
	id := hex.EncodeToString(sealed[1:markSize])
	for _, k := range s.keys {
		if k.ID == id {
			return k
		}
	}
	return Key{ID: id, Use: Unknown}
}

// A value under a key with Tink's prefix begins with this byte and the big-endian id of its key
// (developers.google.com/tink/wire-format).
const (
	tinkPrefix = 1
	markSize   = 5
)

func keyID(number uint32) string { return fmt.Sprintf("%08x", number) }

// number is the inverse of keyID.
func (k Key) number() uint32 {
	raw, err := hex.DecodeString(k.ID)
	if err != nil || len(raw) != 4 {
		return 0 // no key has it
	}
	return binary.BigEndian.Uint32(raw)
}
