package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
)

// A replica that migrates holds the lease, and each step renews it. If it dies the others go on when
// the lease has run out. They wait for a live one at most migratePatience.
const (
	lease           = 5 * time.Second
	leasePause      = 200 * time.Millisecond
	migratePatience = 2 * time.Minute
)

// The statements around migrations. Times are the server's alone.
const (
	pgOurTables = `SELECT to_regclass('chatpass_schema') IS NOT NULL, to_regclass('chatpass_records') IS NOT NULL`
	pgVersion   = `SELECT version FROM chatpass_schema`
	pgCanary    = `SELECT value FROM chatpass_records WHERE kind = 'canary'`

	pgMakeSchema = `CREATE TABLE IF NOT EXISTS chatpass_schema (
		one     boolean PRIMARY KEY DEFAULT true CHECK (one),
		version int NOT NULL,
		owner   text NOT NULL,
		until   timestamptz NOT NULL)`
	pgMakeVersion = `INSERT INTO chatpass_schema (version, owner, until) VALUES (0, '', '-infinity')
		ON CONFLICT (one) DO NOTHING`

	pgLease = `UPDATE chatpass_schema SET owner = $1, until = clock_timestamp() + $2::interval
		WHERE version = $3 AND (owner = $1 OR until < clock_timestamp())`
	pgOwned = `SELECT version FROM chatpass_schema WHERE owner = $1 AND version = $2 FOR UPDATE`
	pgDone  = `UPDATE chatpass_schema SET version = $1, until = clock_timestamp() + $2::interval`
)

// A migrator changes the schema behind conn, one replica at a time.
type migrator struct {
	conn  *pgx.Conn
	owner string
}

// postgresSchema is the schema of the database behind conn.
func postgresSchema(conn *pgx.Conn) (schema, error) {
	steps, err := readSteps("postgres")
	m := migrator{conn: conn, owner: rand.Text()}
	return schema{steps: steps, version: m.version, canary: m.canary, step: m.step}, err
}

func (m migrator) version(ctx context.Context) (version int, err error) {
	var schema, records bool
	if err := m.conn.QueryRow(ctx, pgOurTables).Scan(&schema, &records); err != nil {
		return 0, err
	}
	if !schema && records {
		return 0, errForeignTables
	}
	if !schema {
		return 0, nil
	}
	err = m.conn.QueryRow(ctx, pgVersion).Scan(&version)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil // somebody is just making it
	}
	return version, err
}

func (m migrator) canary(ctx context.Context) (value []byte, err error) {
	err = m.conn.QueryRow(ctx, pgCanary).Scan(&value)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return value, err
}

// step waits for the lease, or until another replica has done the step, and does it in a transaction
// of its own.
func (m migrator) step(ctx context.Context, script string, from int) error {
	ctx, cancel := context.WithTimeout(ctx, migratePatience)
	defer cancel()
	if err := m.prepare(ctx); err != nil {
		return err
	}
	for {
		done, err := m.try(ctx, script, from)
		if state(err) == lockNotAvailable {
			err = nil // somebody is at it, or at the tables
		}
		if done || err != nil {
			return err
		}
		if !wait(ctx, mathrand.N(leasePause)) {
			return fmt.Errorf("wait for another replica that migrates: %w", ctx.Err())
		}
	}
}

// prepare makes the row that holds version and lease. Of many who do it at once some may be told that
// it exists in spite of having asked for it.
func (m migrator) prepare(ctx context.Context) error {
	for _, text := range []string{pgMakeSchema, pgMakeVersion} {
		_, err := m.conn.Exec(ctx, text)
		switch state(err) {
		case uniqueViolation, duplicateTable, duplicateObject:
			_, err = m.conn.Exec(ctx, text)
		}
		if err != nil {
			return fmt.Errorf("make schema table: %w", err)
		}
	}
	return nil
}

// try does the step if the lease is to be had, and tells whether it is done, by whomever.
func (m migrator) try(ctx context.Context, script string, from int) (done bool, err error) {
	tag, err := m.conn.Exec(ctx, pgLease, m.owner, lease, from)
	if err != nil {
		return false, err
	}
	if tag.RowsAffected() == 0 {
		version, err := m.version(ctx)
		return version != from, err
	}
	err = pgx.BeginFunc(ctx, m.conn, func(tx pgx.Tx) error { return m.change(ctx, tx, script, from) })
	return err == nil, err
}

// change does the script while it holds the row of the version: whoever has lost the lease meanwhile,
// because it stood still, finds another owner or another version there, and does nothing.
func (m migrator) change(ctx context.Context, tx pgx.Tx, script string, from int) error {
	if _, err := tx.Exec(ctx, "SET LOCAL statement_timeout = 0"); err != nil {
		return err
	}
	err := tx.QueryRow(ctx, pgOwned, m.owner, from).Scan(&from)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, script); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, pgDone, from+1, lease)
	return err
}
