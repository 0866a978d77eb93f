package store

import (
	"context"
	"testing"
)

// Settings returns the timeouts and the name of a connection of the pool.
func Settings(t testing.TB, s *Store) (all string) {
	t.Helper()
	e, ok := s.engine.(*postgresEngine)
	if !ok {
		t.Fatal("not a PostgreSQL store")
	}
	err := e.pool.QueryRow(context.Background(), `SELECT concat_ws(' ', current_setting('statement_timeout'),
		current_setting('lock_timeout'), current_setting('idle_in_transaction_session_timeout'),
		current_setting('application_name'))`).Scan(&all)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// RefuseServer is tested with numbers, because a test has one version of PostgreSQL.
func RefuseServer(version int, standby bool, readOnly, commit string) error {
	return serverFacts{version, standby, readOnly, commit}.refuse()
}
