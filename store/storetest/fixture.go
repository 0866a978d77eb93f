package storetest

import (
	"crypto/sha256"
	"errors"
	"iter"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"chatpass/identity"
	"chatpass/session"
)

const corp = "https://login.corp.example"

// rich returns a session that uses every field.
func rich(now time.Time) session.Session {
	return session.Session{
		SID: "sid-1", App: "support", Kind: session.SignIn, Customer: "alice@corp.example",
		Identity: identity.Identity{
			IDP: "corp", Issuer: corp, SubjectIssuer: "https://old.corp.example",
			Subject: "oid-alice", UpstreamSubject: "alice@corp.example", UpstreamSession: "upstream-1",
			Client: "shop-web", IssuedAt: now.Add(-time.Second), Expires: now.Add(time.Minute),
			SessionEnds: now.Add(10 * time.Hour), AuthTime: now.Add(-time.Hour), ACR: "urn:mfa", AMR: []string{"pwd", "otp"},
			Claims: map[string]any{
				"name": "Älice \"\x00\u2028", "n": 1e17, "ok": true, "none": nil,
				"groups": []any{"gold", map[string]any{"id": float64(7)}},
			},
		},
		Standing: session.Standing{
			Grant:     identity.Grant{RefreshToken: "rt \"\x00", Lapses: now.Add(time.Hour), Ends: now.Add(2 * time.Hour)},
			Confirmed: now, Share: 0.875, Leased: now.Add(30 * time.Second),
		},
		IDToken: "eyJ.eyJ.sig", Started: now, Active: now.Add(-time.Millisecond), Idle: time.Hour,
		Raised:  &session.Level{ACR: "urn:hwk", AMR: []string{"hwk"}, AuthTime: now, Until: now.Add(time.Minute)},
		Holders: []session.Holder{{Cookie: "was", Until: now.Add(time.Minute)}, {Cookie: "is"}},
		Ends:    now.Add(10 * time.Hour), Ended: now.Add(time.Nanosecond), Cause: identity.EndedByIssuer,
		Expires: now.Add(11 * time.Hour),
	}
}

// plain returns a session of alice with the given names.
func plain(now time.Time, sid string) session.Session {
	return session.Session{
		SID: sid, App: "support", Kind: session.Derived, Customer: "c-alice",
		Identity: identity.Identity{Issuer: corp, UpstreamSubject: "alice", IssuedAt: now},
		Started:  now, Active: now, Ends: now.Add(time.Hour), Expires: now.Add(time.Hour),
	}
}

func birth(s session.Session) session.Birth {
	return session.Birth{Handle: handleOf(s.SID), Until: s.Expires}
}

func handleOf(name string) session.Handle { return sha256.Sum256([]byte(name)) }

func insert(t *testing.T, store session.Store, s session.Session) {
	t.Helper()
	if err := store.Insert(t.Context(), s, birth(s)); err != nil {
		t.Fatalf("insert %s: %v", s.SID, err)
	}
}

// putResult stores a result for txn that waits a minute.
func putResult(t *testing.T, store session.Store, txn string, now time.Time) session.Result {
	t.Helper()
	r := session.Result{
		Txn: txn, Challenge: "challenge", Identity: rich(now).Identity, IDToken: "eyJ.eyJ.sig",
		Error: "access_denied", Expires: now.Add(time.Minute),
	}
	if err := store.PutResult(t.Context(), r); err != nil {
		t.Fatalf("put result: %v", err)
	}
	return r
}

func wantErr(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("got error %v, want %v", got, want)
	}
}

func wantSession(t *testing.T, want session.Session) func(session.Session, error) {
	return func(got session.Session, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("got error %v, want session %s", err, want.SID)
			return
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("session %s (-want +got):\n%s", want.SID, diff)
		}
	}
}

func wantNoSession(t *testing.T) func(session.Session, error) {
	return func(got session.Session, err error) {
		t.Helper()
		if !errors.Is(err, session.ErrNotFound) || got.SID != "" {
			t.Errorf("got session %q, %v, want ErrNotFound", got.SID, err)
		}
	}
}

// bySID collects what a store lists.
func bySID(all iter.Seq2[session.Session, error]) (map[string]session.Session, error) {
	found := map[string]session.Session{}
	for s, err := range all {
		if err != nil {
			return nil, err
		}
		if _, twice := found[s.SID]; twice {
			return nil, errors.New("listed twice: " + s.SID)
		}
		found[s.SID] = s
	}
	return found, nil
}

func wantListed(t *testing.T, all iter.Seq2[session.Session, error], want ...string) {
	t.Helper()
	found, err := bySID(all)
	if err != nil {
		t.Fatalf("list: %v", err)
	}
	slices.Sort(want)
	got := slices.Sorted(maps.Keys(found))
	if !slices.Equal(want, got) {
		t.Errorf("listed %q, want %q", got, want)
	}
}
