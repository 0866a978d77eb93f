package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// How long the lock for writing is waited for, and how often it is tried.
const (
	lockPatience = 5 * time.Second
	lockInterval = time.Millisecond
)

// takeTurns makes the connection wait for the lock in our way and not in SQLite's, which sleeps up to
// 100 ms at a time: behind a process that writes without a pause it hardly ever wakes at the moment
// between two transactions. It also takes the lock once: SQLite opens a file that it may not write
// without a word.
func takeTurns(ctx context.Context, conn *sql.Conn) error {
	if _, err := conn.ExecContext(ctx, "PRAGMA busy_timeout = 0"); err != nil {
		return fmt.Errorf("set busy timeout: %w", err)
	}
	if err := begin(ctx, conn); err != nil {
		return fmt.Errorf("lock for writing: %w", err)
	}
	if _, err := conn.ExecContext(ctx, sqlRollback); err != nil {
		return fmt.Errorf("unlock: %w", err)
	}
	return nil
}

// begin begins a transaction that may write.
func begin(ctx context.Context, conn *sql.Conn) error {
	return patiently(ctx, func() error {
		_, err := conn.ExecContext(ctx, sqlBegin)
		return err
	})
}

// patiently tries again as long as another process holds the lock, at most lockPatience.
func patiently(ctx context.Context, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	for {
		err := try()
		if fault, ok := errors.AsType[*sqlite.Error](err); !ok || fault.Code()&0xff != sqlite3.SQLITE_BUSY {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(lockInterval):
		}
	}
}
