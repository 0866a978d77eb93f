package storetest

import (
	"testing"
	"time"

	"chatpass/session"
)

func anotherHandleHolds(t *testing.T, open Opener[session.Store]) {
	clock := NewClock()
	opened := open(t, clock)
	s := plain(clock.Now(), "s")
	insert(t, opened.Doors[0], s)
	wantErr(t, opened.Doors[0].PutResult(t.Context(), session.Result{Txn: "t", Expires: clock.Now().Add(time.Minute)}), nil)
	s.Version, s.Customer = 1, "c-new"
	wantErr(t, opened.Doors[0].Hold(t.Context(), s, session.Birth{Handle: handleOf("new"), Until: s.Expires, Txn: "t"}), nil)
	s.Version = 2
	for _, door := range opened.Doors {
		wantSession(t, s)(door.Find(t.Context(), handleOf("new")))
		wantSession(t, s)(door.Find(t.Context(), handleOf("s")))
		_, err := door.Result(t.Context(), "t")
		wantErr(t, err, session.ErrTaken)
	}
}

func refusedHolderChangesNothing(t *testing.T, open Opener[session.Store]) {
	clock := NewClock()
	store := open(t, clock).Doors[0]
	s, other := plain(clock.Now(), "s"), plain(clock.Now(), "other")
	insert(t, store, s)
	insert(t, store, other)
	wantErr(t, store.PutResult(t.Context(), session.Result{Txn: "t", Expires: clock.Now().Add(time.Minute)}), nil)
	s.Version = 1
	for name, row := range map[string]struct {
		version     int64
		handle, txn string
		want        error
	}{
		"another version":        {2, "new", "t", session.ErrConflict},
		"a handle that is known": {1, "other", "t", session.ErrExists},
		"its own handle":         {1, "s", "t", session.ErrExists},
		"a result of nobody":     {1, "new", "unknown", session.ErrTaken},
	} {
		changed := s
		changed.Version, changed.Customer = row.version, "changed"
		err := store.Hold(t.Context(), changed, session.Birth{Handle: handleOf(row.handle), Until: s.Expires, Txn: row.txn})
		if wantErr(t, err, row.want); t.Failed() {
			t.Fatal(name)
		}
	}
	wantSession(t, s)(store.Session(t.Context(), "s"))
	wantNoSession(t)(store.Find(t.Context(), handleOf("new")))
	_, err := store.Result(t.Context(), "t")
	wantErr(t, err, nil)
}
