package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// maxBatch bounds the writes of one transaction, and so the time for which other processes wait.
const maxBatch = 256

var errClosed = errors.New("store is closed")

// A writer owns the connection that writes. Writes that arrive while it commits wait, and share the
// next transaction (group commit): with synchronous=FULL a commit costs a disk flush, however much is
// in it.
type writer struct {
	conn     *sql.Conn
	prepared map[string]*sql.Stmt
	queue    chan *write
	quit     chan struct{}
	stop     sync.Once
	running  sync.WaitGroup

	writes, commits atomic.Int64
}

// A write is one unit of work. do says whether what it did is to be kept; if not, it is undone and the
// others of the transaction are not.
type write struct {
	ctx  context.Context
	do   func(context.Context) (keep bool, err error)
	done chan error // buffered: the one who waits may be gone
}

// The statements around the work of a batch.
const (
	sqlBegin    = "BEGIN IMMEDIATE"
	sqlCommit   = "COMMIT"
	sqlRollback = "ROLLBACK"
	sqlUnit     = "SAVEPOINT unit"
	sqlUndo     = "ROLLBACK TO unit"
	sqlRelease  = "RELEASE unit"
)

func newWriter(conn *sql.Conn) *writer {
	return &writer{
		conn: conn, prepared: map[string]*sql.Stmt{}, queue: make(chan *write), quit: make(chan struct{}),
	}
}

// start lets the writer begin; units may use the given statements.
func (w *writer) start(ctx context.Context, statements ...string) error {
	for _, text := range append(statements, sqlBegin, sqlCommit, sqlRollback, sqlUnit, sqlUndo, sqlRelease) {
		stmt, err := w.conn.PrepareContext(ctx, text)
		if err != nil {
			return fmt.Errorf("prepare %q: %w", text, err)
		}
		w.prepared[text] = stmt
	}
	w.running.Go(w.run)
	return nil
}

func (w *writer) run() {
	for {
		select {
		case <-w.quit:
			return
		case first := <-w.queue:
			w.commit(w.gather(first))
		}
	}
}

// do waits until the unit has been committed or undone. If ctx ends first it returns at once; then the
// unit is done or not, but never half.
func (w *writer) do(ctx context.Context, do func(context.Context) (bool, error)) error {
	one := &write{ctx: ctx, do: do, done: make(chan error, 1)}
	select {
	case <-w.quit:
		return errClosed
	default:
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-w.quit:
		return errClosed
	case w.queue <- one:
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-one.done:
		return err
	}
}

// gather adds to first all that wait at this moment.
func (w *writer) gather(first *write) []*write {
	batch := []*write{first}
	for len(batch) < maxBatch {
		select {
		case next := <-w.queue:
			batch = append(batch, next)
		default:
			return batch
		}
	}
	return batch
}

// commit does a batch in one transaction and tells everyone in it how it ended.
func (w *writer) commit(batch []*write) {
	err := w.transact(batch)
	for _, one := range batch {
		if err == nil && one.ctx.Err() != nil {
			one.done <- one.ctx.Err()
			continue
		}
		one.done <- err
	}
}

// transact runs without the contexts of those who wait: one that ends must not interrupt the others.
func (w *writer) transact(batch []*write) error {
	ctx := context.Background()
	err := patiently(ctx, func() error {
		_, err := w.exec(ctx, sqlBegin)
		return err
	})
	if err != nil {
		return w.rollback(ctx, err)
	}
	for _, one := range batch {
		if err := w.unit(ctx, one); err != nil {
			return w.rollback(ctx, err)
		}
	}
	if _, err := w.exec(ctx, sqlCommit); err != nil {
		return w.rollback(ctx, err)
	}
	w.commits.Add(1)
	w.writes.Add(int64(len(batch)))
	return nil
}

func (w *writer) unit(ctx context.Context, one *write) error {
	if one.ctx.Err() != nil {
		return nil // nobody waits for it any more
	}
	if _, err := w.exec(ctx, sqlUnit); err != nil {
		return err
	}
	keep, err := one.do(ctx)
	if err != nil {
		return err
	}
	if !keep {
		if _, err := w.exec(ctx, sqlUndo); err != nil {
			return err
		}
	}
	_, err = w.exec(ctx, sqlRelease)
	return err
}

// rollback frees the connection for the next transaction. SQLite has rolled back by itself after some
// errors; then there is nothing to do, and it says so by an error of no interest.
func (w *writer) rollback(ctx context.Context, cause error) error {
	_, _ = w.exec(ctx, sqlRollback)
	return cause
}

// exec returns how many rows the statement changed.
func (w *writer) exec(ctx context.Context, text string, args ...any) (int64, error) {
	result, err := w.prepared[text].ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (w *writer) stats() Stats {
	return Stats{Writes: w.writes.Load(), Commits: w.commits.Load()}
}

// close waits for the batch that is under way. The statements go first: SQLite would keep a connection
// open for them, and not write the log back into the file.
func (w *writer) close() error {
	w.stop.Do(func() { close(w.quit) })
	w.running.Wait()
	var errs []error
	for _, stmt := range w.prepared {
		errs = append(errs, stmt.Close())
	}
	if err := w.conn.Close(); !errors.Is(err, sql.ErrConnDone) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
