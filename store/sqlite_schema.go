package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
)

// migrationFiles holds the steps of the schema, numbered from 1. A step that was released never changes.
//
//go:embed migrations/sqlite/*.sql
var migrationFiles embed.FS

// ErrNewerSchema is returned by [Open] when a newer version of the program has changed the store.
var ErrNewerSchema = errors.New("store was changed by a newer version of chatpass: run that version, or restore the backup made before the upgrade")

var errForeign = errors.New("this is a SQLite database of another program: choose another file")

// inspect looks at a store without changing it: is it ours, do we know its schema, is the master key
// the one it was made with?
func inspect(ctx context.Context, conn *sql.Conn, check func(canary []byte) error) error {
	version, err := schemaVersion(ctx, conn)
	if err != nil || version == 0 {
		return err
	}
	var canary []byte
	err = conn.QueryRowContext(ctx, sqlCanary).Scan(&canary)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // somebody is just making it
	}
	if err != nil {
		return fmt.Errorf("read canary: %w", err)
	}
	return check(canary)
}

// migrations returns the names of all steps, in their order.
func migrations() ([]string, error) {
	steps, err := fs.Glob(migrationFiles, "migrations/sqlite/*.sql")
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	return steps, nil
}

// schemaVersion returns the number of the last step done, 0 for an empty file.
func schemaVersion(ctx context.Context, conn *sql.Conn) (int, error) {
	var tables, ours int
	if err := conn.QueryRowContext(ctx, sqlTables).Scan(&tables, &ours); err != nil {
		return 0, fmt.Errorf("read schema: %w", err)
	}
	if tables == 0 {
		return 0, nil
	}
	if ours == 0 {
		return 0, errForeign
	}
	var version int
	if err := conn.QueryRowContext(ctx, sqlVersion).Scan(&version); err != nil {
		return 0, fmt.Errorf("read schema version: %w", err)
	}
	steps, err := migrations()
	if err != nil {
		return 0, err
	}
	if version > len(steps) {
		return 0, fmt.Errorf("%w (schema %d, this version knows %d)", ErrNewerSchema, version, len(steps))
	}
	return version, nil
}

// migrate does the steps that are missing, each in a transaction of its own.
func migrate(ctx context.Context, conn *sql.Conn) error {
	steps, err := migrations()
	if err != nil {
		return err
	}
	for {
		version, err := schemaVersion(ctx, conn)
		if err != nil || version == len(steps) {
			return err
		}
		if err := step(ctx, conn, steps[version], version); err != nil {
			return fmt.Errorf("migrate schema from %d: %w", version, err)
		}
	}
}

// step does one migration, unless another process has done it since we looked.
func step(ctx context.Context, conn *sql.Conn, file string, from int) (err error) {
	script, err := migrationFiles.ReadFile(file)
	if err != nil {
		return err
	}
	if err := begin(ctx, conn); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_, _ = conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		}
	}()
	version, err := schemaVersion(ctx, conn)
	if err != nil {
		return err
	}
	if version == from {
		if _, err := conn.ExecContext(ctx, string(script)); err != nil {
			return err
		}
		if _, err := conn.ExecContext(ctx, "UPDATE schema_version SET version = ?1", from+1); err != nil {
			return err
		}
	}
	_, err = conn.ExecContext(ctx, "COMMIT")
	return err
}

// useWAL lets reads go on while something is written. It stays with the file.
func useWAL(ctx context.Context, conn *sql.Conn) error {
	var mode string
	if err := conn.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&mode); err != nil {
		return fmt.Errorf("switch to write-ahead log: %w", err)
	}
	if mode != "wal" {
		return fmt.Errorf("write-ahead log is not possible here (journal mode %q): use a local file system", mode)
	}
	return nil
}
