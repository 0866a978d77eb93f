package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"modernc.org/sqlite"
)

// readers is the number of connections that read; they never wait for the one that writes.
const readers = 4

// Settings of a connection. synchronous=FULL makes a commit durable when it returns. A lock of another
// process is waited for up to 5 s. The writer keeps 16 MB of pages, and lets the log grow to 16 MB
// before it is written back into the file: keys are spread evenly, so that pages change again and again.
const (
	common  = "?_busy_timeout=5000&_synchronous=FULL&_defensive=1&_dqs=0&_pragma=trusted_schema(0)"
	writing = "&_pragma=cache_size(-16000)&_pragma=wal_autocheckpoint(4000)&_pragma=journal_size_limit(67108864)"
	reading = "&mode=ro"
)

// sqliteConfig is what a SQLite engine is made of.
type sqliteConfig struct {
	path string
	now  func() time.Time
	// check judges the canary of a store that exists, before anything is changed.
	check func(canary []byte) error
	join  bool
}

// sqliteEngine keeps records in one file. All writes of the process go through one connection, whose
// writer gathers those that wait into one transaction; reads go through connections of their own.
type sqliteEngine struct {
	now   func() time.Time
	write *writer
	// writes is the pool that holds the writer's only connection, reads the pool of read-only ones.
	writes, reads *sql.DB

	getOne   *sql.Stmt
	listAll  [3]*sql.Stmt
	sinceOne *sql.Stmt
	scanAll  *sql.Stmt
}

func openSQLite(ctx context.Context, cfg sqliteConfig) (*sqliteEngine, error) {
	path, err := filepath.Abs(cfg.path)
	if err != nil {
		return nil, fmt.Errorf("find path: %w", err)
	}
	if cfg.now == nil {
		cfg.now = time.Now
	}
	if _, err := os.Stat(path); cfg.join && errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoStore
	}
	if err := prepareFile(path); err != nil {
		return nil, err
	}
	cfg.path = path
	e := &sqliteEngine{now: cfg.now}
	if err := e.connect(ctx, cfg); err != nil {
		return nil, errors.Join(remedy(err), e.close())
	}
	return e, nil
}

func (e *sqliteEngine) connect(ctx context.Context, cfg sqliteConfig) error {
	var err error
	if e.writes, err = openPool(cfg.path, 1, writing); err != nil {
		return err
	}
	conn, err := e.writes.Conn(ctx)
	if err != nil {
		return err
	}
	e.write = newWriter(conn)
	schema, err := sqliteSchema(conn)
	if err != nil {
		return err
	}
	schema.join = cfg.join
	if err := schema.inspect(ctx, cfg.check); err != nil {
		return err
	}
	if err := useWAL(ctx, conn); err != nil {
		return err
	}
	if err := takeTurns(ctx, conn); err != nil {
		return err
	}
	if err := schema.migrate(ctx); err != nil {
		return err
	}
	if err := tighten(cfg.path); err != nil {
		return err
	}
	if e.reads, err = openPool(cfg.path, readers, reading); err != nil {
		return err
	}
	if err := e.prepare(ctx); err != nil {
		return err
	}
	return e.write.start(ctx, sqlCreate, sqlSwap, sqlTake, sqlReseal, sqlRaise, sqlAbsent, sqlSweep)
}

// openPool opens up to n connections to the file.
func openPool(path string, n int, settings string) (*sql.DB, error) {
	file := url.URL{Path: path}
	connector, err := sqlite.NewConnector("file:" + file.EscapedPath() + common + settings)
	if err != nil {
		return nil, fmt.Errorf("name file: %w", err)
	}
	pool := sql.OpenDB(connector)
	pool.SetMaxOpenConns(n)
	pool.SetMaxIdleConns(n)
	return pool, nil
}

func (e *sqliteEngine) prepare(ctx context.Context) (err error) {
	if e.getOne, err = e.reads.PrepareContext(ctx, sqlGet); err != nil {
		return fmt.Errorf("prepare get: %w", err)
	}
	if e.sinceOne, err = e.reads.PrepareContext(ctx, sqlSince); err != nil {
		return fmt.Errorf("prepare since: %w", err)
	}
	if e.scanAll, err = e.reads.PrepareContext(ctx, sqlScan); err != nil {
		return fmt.Errorf("prepare scan: %w", err)
	}
	for column, text := range [3]string{sqlListA, sqlListB, sqlListC} {
		if e.listAll[column], err = e.reads.PrepareContext(ctx, text); err != nil {
			return fmt.Errorf("prepare list: %w", err)
		}
	}
	return nil
}

func (e *sqliteEngine) get(ctx context.Context, k kind, key []byte) (record, bool, error) {
	r := record{kind: k, key: key}
	row := e.getOne.QueryRowContext(ctx, string(k), key, instant(e.now()))
	err := row.Scan(&r.version, &r.expires, &r.value)
	if errors.Is(err, sql.ErrNoRows) {
		return record{}, false, nil
	}
	return r, err == nil, err
}

func (e *sqliteEngine) list(ctx context.Context, p page) ([]record, error) {
	args := []any{string(p.kind), p.value, p.after, instant(e.now()), p.limit}
	return collect(ctx, e.listAll[p.column], args, func(r *record) []any {
		r.kind = p.kind
		return []any{&r.key, &r.version, &r.expires, &r.value}
	})
}

func (e *sqliteEngine) since(ctx context.Context, p logPage) ([]record, error) {
	args := []any{string(p.kind), p.from, p.after.logged, p.after.key, instant(e.now()), p.limit}
	return collect(ctx, e.sinceOne, args, func(r *record) []any {
		r.kind = p.kind
		return []any{&r.key, &r.version, &r.expires, &r.value, &r.logged}
	})
}

func (e *sqliteEngine) scan(ctx context.Context, p scan) ([]record, error) {
	args := []any{string(p.after.kind), p.after.key, p.mark, instant(e.now()), p.limit}
	return collect(ctx, e.scanAll, args, func(r *record) []any { return []any{&r.kind, &r.key, &r.value} })
}

// collect reads all rows of a statement; columns says where those of one row belong.
func collect(ctx context.Context, from *sql.Stmt, args []any, columns func(*record) []any) ([]record, error) {
	rows, err := from.QueryContext(ctx, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []record
	for rows.Next() {
		var r record
		if err := rows.Scan(columns(&r)...); err != nil {
			return nil, err
		}
		found = append(found, r)
	}
	return found, rows.Err()
}

func (e *sqliteEngine) clock(ctx context.Context) (int64, error) {
	return instant(e.now()), e.ping(ctx)
}

// announce has nobody to tell: other processes that use the file read the log often enough.
func (e *sqliteEngine) announce() {}

func (e *sqliteEngine) listen(ctx context.Context, _ func()) { <-ctx.Done() }

func (e *sqliteEngine) apply(ctx context.Context, ops []op) (int, error) {
	unmet := -1
	err := e.write.do(ctx, func(ctx context.Context) (keep bool, err error) {
		for i, o := range ops {
			ok, err := e.execute(ctx, o)
			if err != nil {
				return false, err
			}
			if !ok {
				unmet = i
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil { // unmet may still be written to by the writer
		return 0, err
	}
	return unmet, nil
}

// execute does one op inside the writer's transaction and tells whether its condition held.
func (e *sqliteEngine) execute(ctx context.Context, o op) (bool, error) {
	name, r, now := string(o.kind), o.record, instant(e.now())
	var changed int64
	var err error
	switch o.verb {
	case create:
		changed, err = e.write.exec(ctx, sqlCreate, name, r.key, r.expires, r.index[0], r.index[1], r.index[2], r.stamp, r.value, now, nil)
	case enter:
		changed, err = e.write.exec(ctx, sqlCreate, name, r.key, r.expires, r.index[0], r.index[1], r.index[2], r.stamp, r.value, now, now)
	case swap:
		changed, err = e.write.exec(ctx, sqlSwap, name, r.key, r.expires, r.index[0], r.index[1], r.index[2], r.stamp, r.value, now, r.version)
	case take:
		changed, err = e.write.exec(ctx, sqlTake, name, r.key, now)
	case reseal:
		changed, err = e.write.exec(ctx, sqlReseal, name, r.key, r.value, o.was, now)
	case raise:
		changed, err = e.write.exec(ctx, sqlRaise, name, r.key, r.expires, r.stamp, r.value, now)
	case absent:
		err = e.write.prepared[sqlAbsent].QueryRowContext(ctx, name, r.key, r.stamp, now).Scan(&changed)
	default:
		err = fmt.Errorf("unknown verb %d", o.verb)
	}
	return changed == 1, err
}

func (e *sqliteEngine) sweep(ctx context.Context, limit int) (int, error) {
	var gone int64
	err := e.write.do(ctx, func(ctx context.Context) (_ bool, err error) {
		gone, err = e.write.exec(ctx, sqlSweep, instant(e.now()), limit)
		return true, err
	})
	if err != nil {
		return 0, err
	}
	return int(gone), nil
}

func (e *sqliteEngine) ping(ctx context.Context) error {
	var version int
	return e.reads.QueryRowContext(ctx, sqlVersion).Scan(&version)
}

func (e *sqliteEngine) about(ctx context.Context) (found About, err error) {
	err = e.reads.QueryRowContext(ctx, sqlAbout).Scan(&found.Engine, &found.Schema)
	return found, err
}

func (e *sqliteEngine) stats() Stats { return e.write.stats() }

// close ends the reading connections first: the last one to go writes the log back into the file, and
// a read-only one could not.
func (e *sqliteEngine) close() error {
	var errs []error
	if e.reads != nil {
		errs = append(errs, e.reads.Close())
	}
	if e.write != nil {
		errs = append(errs, e.write.close())
	}
	if e.writes != nil {
		errs = append(errs, e.writes.Close())
	}
	return errors.Join(errs...)
}
