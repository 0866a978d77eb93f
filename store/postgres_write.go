package store

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A unit that the server undid is tried this often, with a pause of up to retryPause times the number
// of tries so far in between.
const (
	tries      = 5
	retryPause = 20 * time.Millisecond
)

// errUndone marks an error after which it is certain that nothing was written.
var errUndone = errors.New("nothing was written")

func (e *postgresEngine) apply(ctx context.Context, ops []op) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for try := 1; ; try++ {
		unmet, err := e.unit(ctx, ops)
		if err == nil {
			e.written.Add(1)
			return unmet, nil
		}
		if !undone(err) || try == tries || !wait(ctx, rand.N(time.Duration(try)*retryPause)) {
			return 0, err
		}
	}
}

// unit does ops once: a single one as a statement that commits itself, several as a transaction.
func (e *postgresEngine) unit(ctx context.Context, ops []op) (unmet int, err error) {
	if len(ops) == 1 && len(locks(ops)) == 0 {
		return e.statement(ctx, ops[0])
	}
	return e.transaction(ctx, ops)
}

func (e *postgresEngine) statement(ctx context.Context, o op) (unmet int, err error) {
	text, args, err := e.translate(o)
	if err != nil {
		return 0, err
	}
	tag, err := e.pool.Exec(ctx, text, args...)
	if err != nil {
		// Only before the answer to the statement does an end of the connection that the server
		// announces mean that nothing was committed.
		if pgconn.SafeToRetry(err) || tag.String() == "" && state(err) == adminShutdown {
			err = errors.Join(errUndone, err)
		}
		return 0, err
	}
	return firstUnmet(0, tag), nil
}

// transaction takes two round trips: one for everything, and one to keep it or not.
func (e *postgresEngine) transaction(ctx context.Context, ops []op) (unmet int, err error) {
	conn, err := e.pool.Acquire(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Release() // which closes it if it is still in a transaction
	unmet, err = e.attempt(ctx, conn.Conn(), ops)
	if err != nil && disconnected(err) {
		return 0, errors.Join(errUndone, err) // nobody has said COMMIT yet
	}
	if err != nil || unmet >= 0 {
		_, _ = conn.Exec(ctx, pgRollback)
		return unmet, err
	}
	_, err = conn.Exec(ctx, pgCommit)
	return unmet, err
}

// attempt does ops inside a transaction that it begins and leaves open. All is sent at once.
func (e *postgresEngine) attempt(ctx context.Context, conn *pgx.Conn, ops []op) (unmet int, err error) {
	batch := &pgx.Batch{}
	batch.Queue(pgBegin)
	for _, l := range locks(ops) {
		batch.Queue(l.statement, l.name)
	}
	before := batch.Len()
	for _, o := range ops {
		text, args, err := e.translate(o)
		if err != nil {
			return 0, err
		}
		batch.Queue(text, args...)
	}
	results := conn.SendBatch(ctx, batch)
	defer func() { err = cmp.Or(err, results.Close()) }()
	for range before {
		if _, err := results.Exec(); err != nil {
			return 0, err
		}
	}
	unmet = -1
	for i := range ops {
		tag, err := results.Exec()
		if err != nil {
			return 0, err
		}
		if unmet < 0 {
			unmet = firstUnmet(i, tag)
		}
	}
	return unmet, nil
}

// firstUnmet is i if the op's condition did not hold, else -1.
func firstUnmet(i int, tag pgconn.CommandTag) int {
	if tag.RowsAffected() == 1 {
		return -1
	}
	return i
}

// translate returns the statement of an op and its arguments. It has one row if the condition held.
func (e *postgresEngine) translate(o op) (text string, args []any, err error) {
	r := o.record
	head := []any{e.time(), string(r.kind), r.key}
	switch o.verb {
	case create, enter:
		return pgCreate, append(head, r.expires, r.index[0], r.index[1], r.index[2], r.stamp, r.value, o.verb == enter), nil
	case swap:
		return pgSwap, append(head, r.expires, r.index[0], r.index[1], r.index[2], r.stamp, r.value, r.version), nil
	case take:
		return pgTake, head, nil
	case reseal:
		return pgReseal, append(head, r.value, o.was), nil
	case raise:
		return pgRaise, append(head, r.expires, r.stamp, r.value), nil
	case absent:
		return pgAbsent, append(head, r.stamp), nil
	}
	return "", nil, fmt.Errorf("unknown verb %d", o.verb)
}

// A keyLock is held on a key until the end of the transaction: shared by those who need something to be
// absent, alone by who raises it. Who comes second waits, and then sees what the first one did.
type keyLock struct {
	name      int64
	statement string
}

// locks returns what ops have to hold, in the order in which everybody takes them.
func locks(ops []op) []keyLock {
	var all []keyLock
	for _, o := range ops {
		switch o.verb {
		case absent:
			all = append(all, keyLock{lockName(o.key), pgLockShared})
		case raise:
			all = append(all, keyLock{lockName(o.key), pgLock})
		}
	}
	slices.SortFunc(all, func(a, b keyLock) int { return cmp.Compare(a.name, b.name) })
	return all
}

func lockName(key []byte) int64 {
	var head [8]byte
	copy(head[:], key)
	return int64(binary.BigEndian.Uint64(head[:]))
}
