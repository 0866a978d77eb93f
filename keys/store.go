// Package keys is the vault: it signs by class, publishes the key set and renews itself.
package keys

import (
	"context"
	"errors"
	"time"
)

// ErrConflict is returned by [Store.SwapRing] when another replica changed the ring first.
var ErrConflict = errors.New("key ring changed meanwhile")

// A Store keeps the key ring that all replicas share.
type Store interface {
	// Ring returns the stored ring. Before the first swap it is empty, at version 0.
	Ring(ctx context.Context) (Snapshot, error)
	// SwapRing replaces the ring if its stored version still equals s.Version, and stores it with
	// s.Version+1; else ErrConflict and nothing is written. In the same transaction it appends the
	// events to the chain, behind s.End: if there is something already, that is a conflict too.
	// Private halves are sealed at rest, each with associated data that names its kid.
	SwapRing(ctx context.Context, s Snapshot, events []Event) error
	// Events returns the whole chain of events, the oldest first, and where it ends, be it beyond the end
	// that the ring knows. With [ErrBrokenChain] it is what can be read of it.
	Events(ctx context.Context) ([]Event, Mark, error)
	// Link returns what links the nth event, counted from 1, to all before it; nil if there is no such
	// event. One that cannot be read is [ErrBrokenChain].
	Link(ctx context.Context, n int64) ([]byte, error)
}

// A Mark is a place in the chain of events: how many there are up to it, and the link of the last one.
type Mark struct {
	Events int64  `json:"events"`
	Head   []byte `json:"head,omitempty"`
}

// A Snapshot is the whole ring at one version.
type Snapshot struct {
	Version int64
	Keys    []Record
	// Now is the time of the store's clock when the ring was read. The times of its keys are of that
	// clock, so that no replica's own has a say. Zero: this store has none, and the replica's must do.
	Now time.Time
	// End is where the chain of events ends, as the ring knows it.
	End Mark
	// Accepted is when an operator last took the ring as it was found; see [Accept].
	Accepted time.Time
	// Used: there is no ring, but the store is not new.
	Used bool
}

// A Record is one signing key as stored. Its state is not stored: it follows from the times and the clock.
type Record struct {
	KID       string    `json:"kid"`   // RFC 7638 SHA-256 thumbprint
	Class     string    `json:"class"` // what it signs: "context", "status"
	Algorithm string    `json:"alg"`
	Public    []byte    `json:"public"` // PKIX, DER
	Private   []byte    `json:"-"`      // PKCS #8, DER, or a reference if Outside; nil once destroyed; sealed at rest
	Created   time.Time `json:"created"`
	Published time.Time `json:"published,omitzero"`
	Activated time.Time `json:"activated,omitzero"`
	Demoted   time.Time `json:"demoted,omitzero"`
	Dropped   time.Time `json:"dropped,omitzero"`
	// NotAfter is the latest possible end of any signing lease: the JWK's `exp`, fixed at creation.
	NotAfter    time.Time `json:"not_after"`
	Compromised time.Time `json:"compromised,omitzero"`
	Held        bool      `json:"held,omitempty"`
	// Outside: a [Module] keeps the private half, for as long as the key lives.
	Outside bool `json:"outside,omitempty"`
	// Replace: an operator asked for another key to sign in its place.
	Replace bool `json:"replace,omitempty"`
}
