package e2e_test

import (
	"cmp"
	"crypto/rand"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Every site of a run keeps its records in the same kind of store, sqlite (default) or postgres, as the
// environment variable CHATPASS_E2E_STORE says.
func engine() string { return cmp.Or(os.Getenv("CHATPASS_E2E_STORE"), "sqlite") }

// elsewhere names the tests that mean nothing with this run's engine: they are run with the other.
func elsewhere() string {
	return map[string]string{"sqlite": "Replica|Postgres", "postgres": "SQLite"}[engine()]
}

// newStore is what the configuration of a site with that folder says of its store, which is gone when
// the test ends.
func newStore(t testing.TB, dir string) string {
	t.Helper()
	switch engine() {
	case "sqlite":
		return "sqlite:" + filepath.Join(dir, "chatpass.db")
	case "postgres":
		write(t, dir, "store", newDatabase(t).String()) // no configuration holds a password
		return "file:" + filepath.Join(dir, "store")
	}
	t.Fatalf("CHATPASS_E2E_STORE is %q; write sqlite or postgres", engine())
	return ""
}

// newDatabase makes a PostgreSQL database of the test's own.
func newDatabase(t testing.TB) *url.URL {
	t.Helper()
	name := "e2e_" + strings.ToLower(rand.Text())
	psql(t, postgres(t), "CREATE DATABASE "+name)
	t.Cleanup(func() { psql(t, postgres(t), "DROP DATABASE "+name+" WITH (FORCE)") })
	return postgres(t).JoinPath("..", name)
}

// database is the PostgreSQL database of a site.
func (s site) database(t testing.TB) *url.URL {
	t.Helper()
	u, err := url.Parse(string(read(t, filepath.Join(s.dir, "store"))))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// postgres is the server of this run, and the database of its administrator.
func postgres(t testing.TB) *url.URL {
	t.Helper()
	u, err := url.Parse(os.Getenv("CHATPASS_TEST_POSTGRES"))
	if err != nil || u.Host == "" {
		t.Fatal("CHATPASS_TEST_POSTGRES names no server; at the top of the project: node .ci/postgres.mjs COMMAND")
	}
	return u
}

// psql runs SQL and returns what it answers, without decoration.
func psql(t testing.TB, database *url.URL, sql string) string {
	t.Helper()
	out, err := exec.Command("psql", database.String(), "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", sql).CombinedOutput()
	if err != nil {
		t.Errorf("psql: %v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// brokenStores are stores that no service begins with, by engine.
var brokenStores = map[string]map[string]brokenInstallation{
	"sqlite": {
		"store cannot be written": {
			edits: [][2]string{{"store: ", "store: sqlite:/proc/chatpass.db #"}},
			says:  []string{"/proc"},
		},
		"store is a folder": {
			site: func(t *testing.T, s site) { mkdir(t, s.dir, "chatpass.db") },
			says: []string{"chatpass.db"},
		},
		"store is something else": {
			site: func(t *testing.T, s site) { write(t, s.dir, "chatpass.db", strings.Repeat("not a database ", 1000)) },
			says: []string{"chatpass.db"},
		},
	},
	"postgres": {
		"nobody serves the store": {
			site: func(t *testing.T, s site) { s.move(t, func(u *url.URL) { u.Host = "127.0.0.1:1" }) },
			says: []string{"127.0.0.1:1", "check that PostgreSQL runs"},
		},
		"no such database": {
			site: func(t *testing.T, s site) { s.move(t, func(u *url.URL) { u.Path = "/nowhere" }) },
			says: []string{"nowhere", "CREATE DATABASE"},
		},
		"another password": {
			site: func(t *testing.T, s site) {
				s.move(t, func(u *url.URL) { u.User = url.UserPassword("postgres", "hunter2") })
			},
			says: []string{"password"},
		},
		"database is of something else": {
			site: func(t *testing.T, s site) { psql(t, s.database(t), "CREATE TABLE chatpass_records (item text)") },
			says: []string{"something else", "a database of its own"},
		},
	},
}

// move has the site's configuration name another PostgreSQL database.
func (s site) move(t *testing.T, edit func(*url.URL)) {
	t.Helper()
	u := s.database(t)
	edit(u)
	write(t, s.dir, "store", u.String())
}
