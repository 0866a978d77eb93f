package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

var errForeign = errors.New("this is a SQLite database of another program: choose another file")

// sqliteSchema is the schema of the file behind conn.
func sqliteSchema(conn *sql.Conn) (schema, error) {
	steps, err := readSteps("sqlite")
	return schema{
		steps:   steps,
		version: func(ctx context.Context) (int, error) { return sqliteVersion(ctx, conn) },
		canary:  func(ctx context.Context) ([]byte, error) { return sqliteCanary(ctx, conn) },
		step: func(ctx context.Context, script string, from int) error {
			return sqliteStep(ctx, conn, script, from)
		},
	}, err
}

func sqliteVersion(ctx context.Context, conn *sql.Conn) (version int, err error) {
	var tables, ours int
	if err := conn.QueryRowContext(ctx, sqlTables).Scan(&tables, &ours); err != nil {
		return 0, err
	}
	if tables == 0 {
		return 0, nil
	}
	if ours == 0 {
		return 0, errForeign
	}
	err = conn.QueryRowContext(ctx, sqlVersion).Scan(&version)
	return version, err
}

func sqliteCanary(ctx context.Context, conn *sql.Conn) (value []byte, err error) {
	err = conn.QueryRowContext(ctx, sqlCanary).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return value, err
}

// sqliteStep does one step in a transaction of its own.
func sqliteStep(ctx context.Context, conn *sql.Conn, script string, from int) (err error) {
	if err := begin(ctx, conn); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_, _ = conn.ExecContext(context.WithoutCancel(ctx), sqlRollback)
		}
	}()
	version, err := sqliteVersion(ctx, conn)
	if err != nil {
		return err
	}
	if version == from {
		if _, err := conn.ExecContext(ctx, script); err != nil {
			return err
		}
		if _, err := conn.ExecContext(ctx, "UPDATE schema_version SET version = ?1", from+1); err != nil {
			return err
		}
	}
	_, err = conn.ExecContext(ctx, sqlCommit)
	return err
}

// useWAL lets reads go on while something is written. It stays with the file.
func useWAL(ctx context.Context, conn *sql.Conn) error {
	var mode string
	// SQLite does not wait by itself for another process that is just switching too.
	err := patiently(ctx, func() error { return conn.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&mode) })
	if err != nil {
		return fmt.Errorf("switch to write-ahead log: %w", err)
	}
	if mode != "wal" {
		return fmt.Errorf("write-ahead log is not possible here (journal mode %q): use a local file system", mode)
	}
	return nil
}
