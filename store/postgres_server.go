package store

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// oldest is the first version of PostgreSQL that this works with, as server_version_num.
const oldest = 150000

// What holds unless the URL says otherwise. The greatest part of the pool's connections waits for the
// disk at any moment; ten replicas stay below the 100 connections that a server is shipped with.
const (
	poolSize       = 9
	connectTimeout = 5 * time.Second
	pingTimeout    = 2 * time.Second
)

var (
	errPostgresURL   = errors.New("the URL cannot be read: write it like postgres://chatpass@db.example.com/chatpass?sslmode=verify-full")
	errStandby       = errors.New("this server may only be read, as a standby: name the primary, or several hosts and target_session_attrs=read-write")
	errNotDurable    = errors.New("synchronous_commit is off, so that a crash loses what was acknowledged: set it on for this user, or add synchronous_commit=on to the URL")
	errForeignTables = errors.New("there are tables named chatpass_records or chatpass_schema of something else: give chatpass a database of its own")
)

// readPostgresURL never quotes the URL in an error: it may hold a password.
func readPostgresURL(text string) (*pgxpool.Config, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errPostgresURL
	}
	cfg, err := pgxpool.ParseConfig(text)
	if err != nil {
		return nil, errPostgresURL
	}
	given := u.Query()
	if !given.Has("pool_max_conns") {
		cfg.MaxConns = poolSize
	}
	if !given.Has("pool_ping_timeout") {
		cfg.PingTimeout = pingTimeout
	}
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = connectTimeout
	}
	for name, value := range map[string]string{
		"application_name": "chatpass",
		// Half of the time for which a log is read again: an entry is visible, or never will be.
		"statement_timeout": "5s",
		"lock_timeout":      "2s",
		// What a replica that stands still in a transaction may cost the others.
		"idle_in_transaction_session_timeout": "2s",
	} {
		if _, ok := cfg.ConnConfig.RuntimeParams[name]; !ok {
			cfg.ConnConfig.RuntimeParams[name] = value
		}
	}
	return cfg, nil
}

// postgresName is how the store is called in errors: without user, password and parameters.
func postgresName(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "postgres"
	}
	return "postgres://" + u.Host + u.Path
}

// serverFacts are what has to hold of a server, as it calls them.
type serverFacts struct {
	version          int // server_version_num
	standby          bool
	readOnly, commit string // transaction_read_only, synchronous_commit
}

// inspectServer refuses a server that cannot keep what we promise.
func inspectServer(ctx context.Context, conn *pgx.Conn) error {
	var f serverFacts
	err := conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, pg_is_in_recovery(),
		current_setting('transaction_read_only'), current_setting('synchronous_commit')`).
		Scan(&f.version, &f.standby, &f.readOnly, &f.commit)
	if err != nil {
		return fmt.Errorf("ask for version: %w", err)
	}
	return f.refuse()
}

func (f serverFacts) refuse() error {
	switch {
	case f.version < oldest:
		return fmt.Errorf("PostgreSQL %d is too old: 15 or later is needed", f.version/10000)
	case f.standby || f.readOnly == "on":
		return errStandby
	case f.commit == "off":
		return errNotDurable
	}
	return nil
}

// about says which server this is and what a commit waits for.
func (e *postgresEngine) about(ctx context.Context) (found About, err error) {
	var version, commit, standbys string
	err = e.read(ctx, func(ctx context.Context) error {
		return e.pool.QueryRow(ctx, `SELECT current_setting('server_version'), current_setting('synchronous_commit'),
			current_setting('synchronous_standby_names'), (SELECT version FROM chatpass_schema),
			(SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum'))`).
			Scan(&version, &commit, &standbys, &found.Schema, &found.Standbys)
	})
	found.Engine = "PostgreSQL " + version
	found.Synchronous = strings.TrimSpace(standbys) != "" && commit != "local" && commit != "off"
	return found, err
}
