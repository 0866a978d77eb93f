package store_test

import (
	"crypto/rand"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"chatpass/store"
)

// testServer is the URL of a server, as a user who may make databases.
func testServer(t testing.TB) string {
	t.Helper()
	server := os.Getenv("CHATPASS_TEST_POSTGRES")
	if server == "" {
		t.Fatal("CHATPASS_TEST_POSTGRES is not set: run `make test`, or `node .ci/postgres.mjs go test ./store/...`")
	}
	return server
}

// database makes an empty database for the test, and returns its URL.
func database(t testing.TB) string {
	t.Helper()
	name := "chatpass_test_" + strings.ToLower(rand.Text())
	sqlAt(t, testServer(t), "CREATE DATABASE "+name)
	t.Cleanup(func() { sqlAt(t, testServer(t), "DROP DATABASE "+name+" WITH (FORCE)") })
	return at(t, testServer(t), func(u *url.URL) { u.Path = "/" + name })
}

// postgresConfig returns a store in a new database with a master key of its own.
func postgresConfig(t testing.TB) store.Config {
	t.Helper()
	cfg := config(t, "")
	cfg.URL = database(t)
	return cfg
}

// at returns the URL after a change.
func at(t testing.TB, text string, change func(*url.URL)) string {
	t.Helper()
	u, err := url.Parse(text)
	must(t, err)
	change(u)
	return u.String()
}

// connect opens a connection beside the store, as another program would.
func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	return conn
}

// sqlAt runs statements on a connection of its own; each commits itself.
func sqlAt(t testing.TB, url string, statements ...string) {
	t.Helper()
	ctx := contextOf(t)
	conn, err := pgx.Connect(ctx, url)
	must(t, err)
	defer conn.Close(ctx)
	for _, text := range statements {
		if _, err := conn.Exec(ctx, text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
}
