// Package seal keeps secrets unreadable at rest: authenticated encryption under a master key that can
// be renewed, and keyed hashes that stay the same when it is.
package seal

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// ErrWrongKey is returned by [Sealer.Open] when no key of the master key opens a value: it was sealed
// under another master key or for another purpose, or it was altered.
var ErrWrongKey = errors.New("no key opens this value")

// A Sealer seals and opens values with one master key. It is safe for concurrent use.
type Sealer struct {
	aead tink.AEAD
	keys []Key
	sum  []byte
}

// New returns the sealer of a master key made by [NewMasterKey], [Stage], [Rotate] or [Retire]. Its
// errors never hold key material.
func New(master []byte) (*Sealer, error) {
	key, err := readMasterKey(master)
	if err != nil {
		return nil, fmt.Errorf("read master key: %w", err)
	}
	primitive, err := aead.New(key.seal)
	if err != nil {
		return nil, fmt.Errorf("use master key: %w", err)
	}
	return &Sealer{aead: primitive, keys: key.keys, sum: key.sum}, nil
}

// Seal encrypts plain with XAES-256-GCM under the key that is [Current]. The associated data ad is not stored
// but bound to the result: it says what the value is and where it belongs, so that nobody can put it
// in another place. Sealing the same value twice gives two results. One key seals 2⁸⁰ values before
// a nonce could repeat (c2sp.org/XAES-256-GCM).
func (s *Sealer) Seal(plain, ad []byte) ([]byte, error) {
	sealed, err := s.aead.Encrypt(plain, ad)
	if err != nil {
		return nil, fmt.Errorf("seal value: %w", err)
	}
	return sealed, nil
}

// Open returns what was sealed with the same associated data under any key of the master key, or
// [ErrWrongKey], which tells when the value names a key that the master key does not hold.
func (s *Sealer) Open(sealed, ad []byte) ([]byte, error) {
	plain, err := s.aead.Decrypt(sealed, ad)
	if err == nil {
		return plain, nil
	}
	if named := s.KeyOf(sealed); named.Use == Unknown {
		return nil, fmt.Errorf("%w: it names key %s, which this master key does not hold; its newest copy may", ErrWrongKey, named.ID)
	}
	return nil, ErrWrongKey
}

// Sum returns the HMAC-SHA-256 (RFC 2104) of data for one purpose, 32 bytes: a name for a personal
// value that finds it again and tells nobody what it is. Sums of two purposes have nothing in common.
// [Rotate] does not change them. A purpose holds no NUL.
func (s *Sealer) Sum(purpose string, data []byte) []byte {
	mac := hmac.New(sha256.New, s.sum)
	mac.Write([]byte(purpose))
	mac.Write([]byte{0})
	mac.Write(data)
	return mac.Sum(nil)
}
