package store_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"chatpass/keys"
	"chatpass/store"
)

func TestTheChainOfKeyEventsShowsEveryHandInIt(t *testing.T) {
	const nth = "key = (SELECT key FROM records WHERE kind = 'key-event' ORDER BY key LIMIT 1 OFFSET %d)"
	for name, meddle := range map[string]string{
		"the first is gone":  fmt.Sprintf("DELETE FROM records WHERE kind = 'key-event' AND "+nth, 0),
		"one is gone":        fmt.Sprintf("DELETE FROM records WHERE kind = 'key-event' AND "+nth, 3),
		"the last is gone":   fmt.Sprintf("DELETE FROM records WHERE kind = 'key-event' AND "+nth, 5),
		"all are gone":       "DELETE FROM records WHERE kind = 'key-event'",
		"one is altered":     fmt.Sprintf("UPDATE records SET value = CAST(value || x'00' AS BLOB) WHERE kind = 'key-event' AND "+nth, 2),
		"one is another one": fmt.Sprintf("UPDATE records SET value = (SELECT value FROM records WHERE kind = 'key-event' AND "+nth+") WHERE kind = 'key-event' AND "+nth, 1, 2),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "chatpass.db")
			s := openStore(t, config(t, path))
			for n := range int64(3) {
				at, err := s.Keys().Ring(t.Context())
				must(t, err)
				must(t, s.Keys().SwapRing(t.Context(), at, []keys.Event{event(2 * n), event(2*n + 1)}))
			}
			_, _, err := s.Keys().Events(t.Context())
			must(t, err)
			meddleWith(t, rawDB(t, path), meddle)
			if _, _, err := s.Keys().Events(t.Context()); !errors.Is(err, keys.ErrBrokenChain) {
				t.Errorf("got %v, want %v", err, keys.ErrBrokenChain)
			}
			mendable(t, s)
		})
	}
}

// mendable wants that the ring can go on behind what there is of its events, however broken.
func mendable(t *testing.T, s *store.Store) {
	t.Helper()
	at, err := s.Keys().Ring(t.Context())
	must(t, err)
	_, at.End, err = s.Keys().Events(t.Context())
	if !errors.Is(err, keys.ErrBrokenChain) || at.End.Events != 6 {
		t.Errorf("the events end with %d, %v, want 6", at.End.Events, err)
	}
	must(t, s.Keys().SwapRing(t.Context(), at, []keys.Event{event(7)}))
	at, err = s.Keys().Ring(t.Context())
	must(t, err)
	link, err := s.Keys().Link(t.Context(), 7)
	if err != nil || !bytes.Equal(link, at.End.Head) || at.End.Events != 7 {
		t.Errorf("event 7 has link %x, %v; the ring ends with %d and %x", link, err, at.End.Events, at.End.Head)
	}
}

// A ring that was put back alone is behind its events, which tell of what it does not know.
func TestEventsBeyondTheRingAreRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "chatpass.db")
	s := openStore(t, config(t, path))
	must(t, s.Keys().SwapRing(t.Context(), keys.Snapshot{}, []keys.Event{event(1)}))
	db := rawDB(t, path)
	_, err := db.Exec("CREATE TABLE kept AS SELECT version, value FROM records WHERE kind = 'ring'")
	must(t, err)
	at, err := s.Keys().Ring(t.Context())
	must(t, err)
	must(t, s.Keys().SwapRing(t.Context(), at, []keys.Event{event(2), event(3)}))
	meddleWith(t, db, "UPDATE records SET (version, value) = (SELECT * FROM kept) WHERE kind = 'ring'")
	at, err = s.Keys().Ring(t.Context())
	must(t, err)
	events, end, err := s.Keys().Events(t.Context())
	if at.End.Events != 1 || err != nil || len(events) != 3 || end.Events != 3 {
		t.Errorf("the ring ends with event %d; %d events end with %d, %v", at.End.Events, len(events), end.Events, err)
	}
	meddleWith(t, db, "UPDATE records SET value = x'00' WHERE kind = 'key-event'")
	if _, err := s.Keys().Link(t.Context(), 2); !errors.Is(err, keys.ErrBrokenChain) {
		t.Errorf("an event that cannot be opened: %v", err)
	}
}

func meddleWith(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	result, err := db.Exec(statement)
	must(t, err)
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		t.Fatalf("%s: %d rows, %v", statement, n, err)
	}
}

func event(n int64) keys.Event {
	return keys.Event{Time: time.Unix(n, 0).UTC(), What: keys.KeyPublished, KID: fmt.Sprint(n), By: "schedule"}
}

// A store with anything in it but a ring says so; one that was only made is new.
func TestAStoreInUseIsNotNew(t *testing.T) {
	eachEngine(t, func(t *testing.T, fresh func(testing.TB) store.Config) {
		s := openStore(t, fresh(t))
		wantUsed(t, s, false)
		_, err := s.Exchange().Salt(t.Context(), "support", []byte("salt"))
		must(t, err)
		wantUsed(t, s, true)
		must(t, s.Keys().SwapRing(t.Context(), keys.Snapshot{}, nil))
		wantUsed(t, s, false) // it has a ring

		s = openStore(t, fresh(t))
		must(t, s.Sessions().PutOnce(t.Context(), "logout", "jti", time.Now().Add(time.Hour)))
		wantUsed(t, s, true)
	})
}

func wantUsed(t *testing.T, s *store.Store, want bool) {
	t.Helper()
	if at, err := s.Keys().Ring(t.Context()); err != nil || at.Used != want {
		t.Errorf("used: %v, %v, want %v", at.Used, err, want)
	}
}
