package store

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// patience is the longest that a call waits for the server, whatever its own context allows: a server
// that has vanished from the network does not answer and does not refuse either. Statements end on the
// server before that.
const patience = 8 * time.Second

// postgresConfig is what a PostgreSQL engine is made of.
type postgresConfig struct {
	url string
	// now is the clock of a test; nil: the server's.
	now func() time.Time
	// check judges the canary of a store that exists, before anything is changed.
	check func(canary []byte) error
	join  bool
}

// postgresEngine keeps records in a table of a PostgreSQL server. Many replicas may do so at once: what
// has to be ordered between them is ordered by the server.
type postgresEngine struct {
	pool *pgxpool.Pool
	now  func() time.Time
	// written counts units.
	written atomic.Int64

	news   chan struct{} // holds one when there is something to tell the others
	quit   chan struct{}
	stop   sync.Once
	herald sync.WaitGroup
}

func openPostgres(ctx context.Context, cfg postgresConfig) (*postgresEngine, error) {
	settings, err := readPostgresURL(cfg.url)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, settings)
	if err != nil {
		return nil, pgRemedy(err)
	}
	e := &postgresEngine{pool: pool, now: cfg.now, news: make(chan struct{}, 1), quit: make(chan struct{})}
	err = e.begin(ctx, cfg)
	for try := 1; disconnected(err) && try < tries; try++ { // as after standing still in a migration
		err = e.begin(ctx, cfg)
	}
	if err != nil {
		return nil, errors.Join(pgRemedy(err), e.close())
	}
	e.herald.Go(e.tell)
	return e, nil
}

// begin looks at the server and the store, and brings the schema up to date.
func (e *postgresEngine) begin(ctx context.Context, cfg postgresConfig) error {
	conn, err := e.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if err := inspectServer(ctx, conn.Conn()); err != nil {
		return err
	}
	schema, err := postgresSchema(conn.Conn())
	if err != nil {
		return err
	}
	schema.join = cfg.join
	if err := schema.inspect(ctx, cfg.check); err != nil {
		return err
	}
	return schema.migrate(ctx)
}

// time is the clock argument of a statement: nil leaves it to the server.
func (e *postgresEngine) time() any {
	if e.now == nil {
		return nil
	}
	return instant(e.now())
}

func (e *postgresEngine) get(ctx context.Context, k kind, key []byte) (record, bool, error) {
	r := record{kind: k, key: key}
	err := e.read(ctx, func(ctx context.Context) error {
		return e.pool.QueryRow(ctx, pgGet, e.time(), string(k), key).Scan(&r.version, &r.expires, &r.value)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return record{}, false, nil
	}
	return r, err == nil, err
}

func (e *postgresEngine) list(ctx context.Context, p page) ([]record, error) {
	text := [3]string{pgListA, pgListB, pgListC}[p.column]
	return e.rows(ctx, text, []any{e.time(), string(p.kind), p.value, p.after, p.limit}, func(row pgx.CollectableRow) (record, error) {
		r := record{kind: p.kind}
		return r, row.Scan(&r.key, &r.version, &r.expires, &r.value)
	})
}

func (e *postgresEngine) since(ctx context.Context, p logPage) ([]record, error) {
	args := []any{e.time(), string(p.kind), p.from, p.after.logged, p.after.key, p.limit}
	return e.rows(ctx, pgSince, args, func(row pgx.CollectableRow) (record, error) {
		r := record{kind: p.kind}
		return r, row.Scan(&r.key, &r.version, &r.expires, &r.value, &r.logged)
	})
}

func (e *postgresEngine) scan(ctx context.Context, p scan) ([]record, error) {
	args := []any{e.time(), string(p.after.kind), p.after.key, p.mark, p.limit}
	return e.rows(ctx, pgScan, args, func(row pgx.CollectableRow) (record, error) {
		var r record
		return r, row.Scan((*string)(&r.kind), &r.key, &r.value)
	})
}

func (e *postgresEngine) rows(ctx context.Context, text string, args []any, scan pgx.RowToFunc[record]) (found []record, err error) {
	err = e.read(ctx, func(ctx context.Context) error {
		rows, err := e.pool.Query(ctx, text, args...)
		if err != nil {
			return err
		}
		found, err = pgx.CollectRows(rows, scan)
		return err
	})
	return found, err
}

func (e *postgresEngine) clock(ctx context.Context) (now int64, err error) {
	err = e.read(ctx, func(ctx context.Context) error {
		return e.pool.QueryRow(ctx, pgNow, e.time()).Scan(&now)
	})
	return now, err
}

func (e *postgresEngine) ping(ctx context.Context) error {
	return e.read(ctx, e.pool.Ping)
}

// read asks, and once more if the connection broke: to read twice harms nobody.
func (e *postgresEngine) read(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := ask(ctx)
	if ctx.Err() == nil && (disconnected(err) || undone(err)) {
		err = ask(ctx)
	}
	return err
}

func (e *postgresEngine) sweep(ctx context.Context, limit int) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tag, err := e.pool.Exec(ctx, pgSweep, e.time(), limit)
	return int(tag.RowsAffected()), err
}

func (e *postgresEngine) stats() Stats {
	n := e.written.Load()
	return Stats{Writes: n, Commits: n}
}

// close waits for the calls that are under way.
func (e *postgresEngine) close() error {
	e.stop.Do(func() { close(e.quit) })
	e.herald.Wait()
	e.pool.Close()
	return nil
}
