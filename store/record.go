package store

import (
	"context"
	"math"
	"time"
)

// A record is the only thing an engine keeps. What it means is no business of the engine.
type record struct {
	kind kind
	key  []byte
	// version counts from 1; every write of the record adds 1.
	version int64
	// expires is an instant: from it on the record is as if it were not there, swept or not.
	expires int64
	// index holds values by which records of a kind are listed; nil where a record has none.
	index [3][]byte
	// stamp is what absent and raise compare.
	stamp int64
	// logged is when enter wrote the record, by the store's clock; 0 for records of other verbs.
	logged int64
	value  []byte
}

// A kind is a name space of keys.
type kind string

const (
	kindCanary  kind = "canary"
	kindSession kind = "session"
	kindHandle  kind = "handle"
	kindMarker  kind = "marker"
	kindResult  kind = "result"
	kindOnce    kind = "once"
	kindRing    kind = "ring"
	kindSalt    kind = "salt"
	kindEvent   kind = "key-event"
	kindShelf   kind = "status-lists"
	// kindRevocation is a log: its records are entered, and read by when that was.
	kindRevocation kind = "revocation"
)

// never is the expiry of a record that stays.
const never = math.MaxInt64

// An op is one conditional write.
type op struct {
	verb verb
	record
	// was is the value that reseal replaces.
	was []byte
	// otherwise is the answer when the condition of the verb does not hold.
	otherwise error
}

type verb int

const (
	// create writes the record at version 1 if there is no live one of that key.
	create verb = iota
	// swap replaces the live record of that key and version, and adds 1 to its version.
	swap
	// take empties the value of the live record of that key at version 1, which becomes version 2.
	// It is remembered as taken until it expires.
	take
	// raise writes the record, or lifts stamp and expiry of the live one of that key to at least
	// those given. It has no condition.
	raise
	// absent holds if no live record of that key has at least that stamp. It writes nothing.
	// An engine must order it against a raise of the same key by somebody else: either it sees that
	// stamp, or what its unit writes is there for everyone who reads after the raise has returned.
	absent
	// enter is create for a record of a log: it also writes down when, by the store's clock. It comes
	// last in its unit, so that little time passes until others can read it.
	enter
	// reseal puts value in the place of was in the live record of that key, and changes nothing else: nor
	// its version, so that nobody who read it before loses their swap. It may fail, and not wait, while
	// somebody else writes the record.
	reseal
)

// A page asks for the live records of a kind whose index column holds value, in the order of their
// keys, from behind the key after.
type page struct {
	kind   kind
	column int
	value  []byte
	after  []byte
	limit  int
}

// A logPage asks for the live records of a log that were entered at from or later, in the order of their
// entry and key, from behind the record after (its logged and key; for the first page from and an empty
// key, so that an index is not searched from the beginning of the log).
type logPage struct {
	kind  kind
	from  int64
	after record
	limit int
}

// A scan asks for live records of all kinds in the order of kind and key, from behind the record after.
// A value that begins with mark is left out: of a store with nothing to do only the keys are read.
type scan struct {
	after record
	mark  []byte
	limit int
}

// An engine keeps records. Whatever it returns as an error means that it could not be asked, or that
// it cannot say whether a write was done.
type engine interface {
	// get returns the live record of a key, and whether there is one.
	get(ctx context.Context, k kind, key []byte) (record, bool, error)
	list(ctx context.Context, p page) ([]record, error)
	since(ctx context.Context, p logPage) ([]record, error)
	scan(ctx context.Context, p scan) ([]record, error)
	// clock is the time that entries are logged by, and records expire by.
	clock(ctx context.Context) (int64, error)
	// apply does all ops in their order, durably, or none. unmet is the index of the first one whose
	// condition does not hold, -1 if all were done.
	apply(ctx context.Context, ops []op) (unmet int, err error)
	// sweep deletes up to limit expired records and returns how many it deleted.
	sweep(ctx context.Context, limit int) (int, error)
	ping(ctx context.Context) error
	// announce hints to other processes that something was entered, and listen calls heard when one of
	// them did, until ctx ends. Hints may be late, lost or many for one.
	announce()
	listen(ctx context.Context, heard func())
	// about tells all of About but what is measured.
	about(ctx context.Context) (About, error)
	stats() Stats
	close() error
}

// instant turns a time into nanoseconds of the Unix epoch. A time outside 1970 … 2262 becomes the
// nearest one inside: an expiry in the year 3000000 must not wrap around into the past.
func instant(t time.Time) int64 {
	if t.Before(time.Unix(0, 0)) {
		return 0
	}
	if t.After(time.Unix(0, never)) {
		return never
	}
	return t.UnixNano()
}

// moment is the inverse of instant.
func moment(ns int64) time.Time { return time.Unix(0, ns).UTC() }
