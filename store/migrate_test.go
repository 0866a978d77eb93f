package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"chatpass/identity"
	"chatpass/keys"
	"chatpass/session"
	"chatpass/store"
)

// testdata/schema1.db was made by the version before the log of revocations, with the master key next
// to it.
func TestAFileOfTheFirstSchemaIsUpgraded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "chatpass.db")
	write(t, path, read(t, filepath.Join("testdata", "schema1.db")))
	sealer := sealer(t, read(t, filepath.Join("testdata", "schema1.master.json")))
	s := openStore(t, store.Config{URL: "sqlite:" + path, Sealer: sealer})
	if found, err := s.About(t.Context()); err != nil || found.Schema != 2 {
		t.Errorf("schema %d, %v, want 2", found.Schema, err)
	}
	sessions := s.Sessions()
	for _, sid := range []string{"one", "two", "three"} {
		at, err := sessions.Find(t.Context(), handleOf(sid))
		if err != nil || at.IDToken != "id-token-of-"+sid || at.Ended.IsZero() != (sid != "two") {
			t.Errorf("session %s: %+v, %v", sid, at, err)
		}
	}
	listed := 0
	for _, err := range sessions.ByCustomer(t.Context(), "support", "c-alice") {
		must(t, err)
		listed++
	}
	if listed != 3 {
		t.Errorf("%d sessions of the customer, want 3", listed)
	}
	_, err := sessions.Result(t.Context(), "taken")
	wantAnswer(t, err, session.ErrTaken)
	waiting, err := sessions.Result(t.Context(), "waiting")
	if err != nil || waiting.IDToken != "waiting-token" {
		t.Errorf("result: %+v, %v", waiting, err)
	}
	putOnce(t, s, "jti", session.ErrExists)
	bob := aSession("bob")
	bob.Identity.UpstreamSubject, bob.Identity.IssuedAt = "bob", time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	wantAnswer(t, sessions.Insert(t.Context(), bob, session.Birth{Handle: handleOf("bob"), Until: bob.Expires}), session.ErrSignedOut)
	ring, err := s.Keys().Ring(t.Context())
	must(t, err)
	if diff := cmp.Diff([]byte("private half"), ring.Keys[0].Private); diff != "" || ring.Version != 1 {
		t.Errorf("ring at version %d: %s", ring.Version, diff)
	}
	salt, err := s.Exchange().Salt(t.Context(), "support", []byte("another"))
	if err != nil || string(salt) != "the salt of the sector" {
		t.Errorf("salt %q, %v", salt, err)
	}

	at, err := sessions.Session(t.Context(), "one")
	must(t, err)
	at.Ended, at.Cause = time.Now(), identity.SignedOut
	must(t, sessions.End(t.Context(), at)) // what the new schema is for
	found, err := sessions.Revocations(t.Context(), time.Time{})
	if err != nil || len(found) != 1 || found[0].SID != "one" {
		t.Errorf("revocations %v, %v", found, err)
	}
	must(t, s.Keys().SwapRing(t.Context(), keys.Snapshot{Version: 1}, nil))
}

func TestADatabaseOfANewerSchemaIsRefusedAndNotTouched(t *testing.T) {
	cfg := postgresConfig(t)
	closeStore(t, mustOpen(t, cfg))
	sqlAt(t, cfg.URL, "UPDATE chatpass_schema SET version = 99", "DROP TABLE chatpass_records")
	_, err := store.Open(t.Context(), cfg)
	if !errors.Is(err, store.ErrNewerSchema) || !strings.Contains(fmt.Sprint(err), "99") {
		t.Errorf("got %v, want ErrNewerSchema with the number", err)
	}
	var version, tables int
	must(t, connect(t, cfg.URL).QueryRow(t.Context(), `SELECT version, (SELECT count(*) FROM pg_tables WHERE schemaname = 'public')
		FROM chatpass_schema`).Scan(&version, &tables))
	if version != 99 || tables != 1 {
		t.Errorf("schema %d in %d tables, want it as it was", version, tables)
	}
}

func TestAWrongMasterKeyChangesNothingInADatabase(t *testing.T) {
	cfg := postgresConfig(t)
	closeStore(t, mustOpen(t, cfg))
	before := dump(t, cfg.URL)
	cfg.Sealer = config(t, "").Sealer
	if _, err := store.Open(t.Context(), cfg); !errors.Is(err, store.ErrWrongMasterKey) {
		t.Errorf("got %v, want ErrWrongMasterKey", err)
	}
	if !bytes.Equal(before, dump(t, cfg.URL)) {
		t.Error("the database has changed")
	}
}

// dump is the rows of both tables.
func dump(t *testing.T, url string) (all []byte) {
	t.Helper()
	err := connect(t, url).QueryRow(t.Context(), `SELECT (SELECT string_agg(r::text, E'\n' ORDER BY kind, key) FROM chatpass_records r)
		|| (SELECT s::text FROM chatpass_schema s)`).Scan(&all)
	must(t, err)
	return all
}

func TestManyProcessesMayMakeTheStoreAtOnce(t *testing.T) {
	eachEngine(t, func(t *testing.T, fresh func(testing.TB) store.Config) {
		for range 3 {
			cfg, master := shared(t, fresh)
			var all sync.WaitGroup
			for range 8 {
				p := start(t, "race", cfg, master, 0)
				p.tell(t, "put 0 1")
				all.Go(func() { p.number(t) })
			}
			all.Wait()
			putOnce(t, openStore(t, cfg), "value", nil)
		}
	})
}

// A replica is killed in the middle of a migration: the next one waits until its lease has run out, and
// does the whole step.
func TestAKilledMigrationIsDoneByAnother(t *testing.T) {
	cfg, master := shared(t, postgresConfig)
	unblock := blockMigration(t, cfg.URL)
	p := start(t, "race", cfg, master, 0)
	waitForMigration(t, cfg.URL)
	p.kill(t)
	_ = p.cmd.Wait()
	unblock()
	putOnce(t, openStore(t, cfg), "value", nil)
}

// A replica stands still in the middle of a migration, for so long that another one does it. When it
// goes on it finds that out, and does nothing twice.
func TestAMigrationThatStoodStillIsNotDoneTwice(t *testing.T) {
	cfg, master := shared(t, postgresConfig)
	unblock := blockMigration(t, cfg.URL)
	p := start(t, "race", cfg, master, 0)
	p.tell(t, "put 0 1")
	waitForMigration(t, cfg.URL)
	must(t, p.cmd.Process.Signal(syscall.SIGSTOP))
	unblock()
	s := openStore(t, cfg)
	putOnce(t, s, "value", nil)
	must(t, p.cmd.Process.Signal(syscall.SIGCONT))
	if won := p.number(t); won != 1 {
		t.Errorf("the replica that stood still put %d values, want 1", won)
	}
	putOnce(t, s, "value", session.ErrExists)
	if found, err := s.About(t.Context()); err != nil || found.Schema != 1 {
		t.Errorf("schema %d, %v, want 1", found.Schema, err)
	}
}

// blockMigration holds the name of the table that the first step makes.
func blockMigration(t *testing.T, url string) (unblock func()) {
	t.Helper()
	tx, err := connect(t, url).Begin(t.Context())
	must(t, err)
	_, err = tx.Exec(t.Context(), "CREATE TABLE chatpass_records (blocked int)")
	must(t, err)
	return func() { must(t, tx.Rollback(t.Context())) }
}

// waitForMigration waits until a replica has the lease and is in the middle of the step.
func waitForMigration(t *testing.T, url string) {
	t.Helper()
	conn := connect(t, url)
	eventually(t, "a migration", func() bool {
		var n int
		must(t, conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
			AND application_name = 'chatpass' AND wait_event_type = 'Lock' AND query LIKE '%CREATE TABLE chatpass_records%'`).Scan(&n))
		return n == 1
	})
}

func wantAnswer(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
