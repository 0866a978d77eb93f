package store_test

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"chatpass/keys"
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
			for version := range int64(3) {
				must(t, s.Keys().SwapRing(t.Context(), keys.Snapshot{Version: version}, []keys.Event{event(2 * version), event(2*version + 1)}))
			}
			_, err := s.Keys().Events(t.Context())
			must(t, err)
			meddleWith(t, rawDB(t, path), meddle)
			if _, err := s.Keys().Events(t.Context()); !errors.Is(err, keys.ErrBrokenChain) {
				t.Errorf("got %v, want %v", err, keys.ErrBrokenChain)
			}
		})
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
