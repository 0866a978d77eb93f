package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"

	"chatpass/identity"
)

// SQLSTATE codes that we tell apart (PostgreSQL documentation, appendix A).
const (
	adminShutdown        = "57P01"
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	lockNotAvailable     = "55P03"
	idleInTransaction    = "25P03"
	uniqueViolation      = "23505"
	duplicateTable       = "42P07"
	duplicateObject      = "42710"
	wrongPassword        = "28P01"
	notAuthorized        = "28000"
	unknownDatabase      = "3D000"
	noPrivilege          = "42501"
	readOnlyTransaction  = "25006"
	unknownParameter     = "42704"
	invalidParameter     = "22023"
	startupProtocolClash = "08P01"
	undefinedTable       = "42P01"
	undefinedColumn      = "42703"
)

// state is the SQLSTATE of an error of the server, empty for any other.
func state(err error) string {
	if fault, ok := errors.AsType[*pgconn.PgError](err); ok {
		return fault.Code
	}
	return ""
}

// undone tells whether it is certain that the unit which ended in err wrote nothing, and may end
// otherwise the next time.
func undone(err error) bool {
	return errors.Is(err, errUndone) || state(err) == serializationFailure || state(err) == deadlockDetected
}

// disconnected tells whether err is the end of a connection that was there.
func disconnected(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return false
	}
	if code := state(err); code != "" {
		return code == adminShutdown || code == idleInTransaction
	}
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, pgconn.ErrConnClosed) || pgconn.SafeToRetry(err)
}

// pgRemedy says what to do about an error of PostgreSQL while opening.
func pgRemedy(err error) error {
	if remedy := remedyFor(state(err)); remedy != "" {
		return fmt.Errorf("%w: %s", err, remedy)
	}
	failed, unreachable := errors.AsType[*pgconn.ConnectError](err)
	switch {
	case unreachable:
		err = fmt.Errorf("connect: %w: check that PostgreSQL runs, that host and port are right and that sslmode is what it offers", failed.Unwrap())
	case state(err) == "" && !disconnected(err) && !errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return &identity.Outage{Code: identity.StoreUnavailable, Err: err}
}

func remedyFor(code string) string {
	switch code {
	case wrongPassword, notAuthorized:
		return "give the user and password that PostgreSQL knows in the URL, or in a file named by PGPASSFILE"
	case unknownDatabase:
		return "make it, as a role that may: CREATE DATABASE chatpass OWNER chatpass"
	case noPrivilege:
		return "let this user make tables, best in a database of its own: CREATE DATABASE chatpass OWNER chatpass"
	case readOnlyTransaction:
		return "this server may only be read: name the primary, or several hosts and target_session_attrs=read-write"
	case unknownParameter, invalidParameter:
		return "correct the parameters of the URL"
	case startupProtocolClash:
		return "a pooler must pass on or ignore our parameters: ignore_startup_parameters = statement_timeout, lock_timeout, idle_in_transaction_session_timeout"
	case undefinedTable, undefinedColumn:
		return errForeignTables.Error()
	}
	return ""
}
