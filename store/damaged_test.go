package store_test

import (
	"errors"
	"iter"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"chatpass/identity"
	"chatpass/session"
	"chatpass/store"
)

func TestOneDamagedSessionHidesNoOther(t *testing.T) {
	cfg := config(t, filepath.Join(t.TempDir(), "chatpass.db"))
	s := openStore(t, cfg)
	hidesNoOther(t, s, func() {
		script(t, cfg.URL[len("sqlite:"):], "UPDATE records SET value = CAST(value || x'00' AS BLOB) WHERE kind = 'session' AND key = CAST('b' AS BLOB)")
	})
}

func TestOneDamagedSessionHidesNoOtherInPostgres(t *testing.T) {
	cfg := postgresConfig(t)
	s := openStore(t, cfg)
	hidesNoOther(t, s, func() {
		sqlAt(t, cfg.URL, "UPDATE chatpass_records SET value = value || '\\x00'::bytea WHERE kind = 'session' AND key = 'b'::bytea")
	})
}

func hidesNoOther(t *testing.T, s *store.Store, damage func()) {
	for _, sid := range []string{"a", "b", "c"} {
		one := aSession(sid)
		one.Identity.UpstreamSession = "u1"
		mustInsert(t, s, one)
	}
	damage()
	all, who := s.Sessions(), aSession("a").Identity
	marker := session.Marker{Issuer: who.Issuer, Session: "u1", Before: time.Now().Add(time.Second), Expires: time.Now().Add(time.Hour)}
	for name, found := range map[string]iter.Seq2[session.Session, error]{
		"customer":         all.ByCustomer(t.Context(), "support", "c-alice"),
		"app":              all.ByApp(t.Context(), "support"),
		"subject":          all.ByUpstream(t.Context(), session.Marker{Issuer: who.Issuer, Subject: who.UpstreamSubject}),
		"upstream session": all.ByUpstream(t.Context(), marker),
	} {
		sids, unread := listed(t, found)
		if !slices.Equal(sids, []string{"a", "c"}) || unread != 1 {
			t.Errorf("by %s: listed %q and %d unreadable, want a, c and 1", name, sids, unread)
		}
	}
	logoutEndsTheRest(t, all, marker)
}

// logoutEndsTheRest wants the others ended, and the issuer not told that all is done: it may deliver again.
func logoutEndsTheRest(t *testing.T, all session.Store, m session.Marker) {
	t.Helper()
	room, err := session.New(session.Config{Store: all, Now: time.Now, NewID: func() string { return "id" }})
	must(t, err)
	for range 2 {
		_, err := room.Logout(t.Context(), m, "jti", m.Expires)
		if !errors.Is(err, session.ErrUnreadable) || errors.Is(err, identity.ErrRejected) {
			t.Errorf("logout: %v, want that one cannot be read", err)
		}
		if _, outage := errors.AsType[*identity.Outage](err); outage {
			t.Errorf("logout: %v, want no outage", err)
		}
	}
	d := aSession("d")
	d.Identity.UpstreamSession, d.Identity.IssuedAt = "u1", time.Now().Add(time.Minute)
	must(t, all.Insert(t.Context(), d, session.Birth{Handle: handleOf("d"), Until: d.Expires}))
	if ended, err := room.Revoke(t.Context(), d); err != nil || ended.Ended.IsZero() {
		t.Errorf("who signs out beside it: %v, ended %v", err, ended.Ended)
	}
	for _, sid := range []string{"a", "c"} {
		if one, err := all.Session(t.Context(), sid); err != nil || one.Ended.IsZero() {
			t.Errorf("session %s: %v, ended %v, want ended", sid, err, one.Ended)
		}
	}
}

func listed(t *testing.T, found iter.Seq2[session.Session, error]) (sids []string, unread int) {
	t.Helper()
	for one, err := range found {
		if errors.Is(err, session.ErrUnreadable) {
			unread++
			continue
		}
		must(t, err)
		sids = append(sids, one.SID)
	}
	slices.Sort(sids)
	return sids, unread
}
