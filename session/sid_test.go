package session_test

import (
	"errors"
	"testing"
	"time"

	"chatpass/identity"
	"chatpass/session"
)

func TestSessionIsFoundByItsPublicReference(t *testing.T) {
	h := newHouse(t)
	_, err := h.BySID(t.Context(), "unknown")
	wantCode(t, err, identity.NoSession)
	kept, cookie := h.signIn(t, h.start())
	if found, err := h.BySID(t.Context(), kept.SID); err != nil || found.Customer != "c-1" {
		t.Errorf("got %+v, %v", found, err)
	}
	_, err = h.BySID(t.Context(), cookie)
	wantCode(t, err, identity.NoSession)
	if _, err := h.Revoke(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
	found, err := h.BySID(t.Context(), kept.SID)
	wantCode(t, err, identity.Revoked)
	if found.SID != kept.SID {
		t.Error("the ended session does not come with the rejection")
	}
	h.now = h.now.Add(time.Second)
	_, err = h.Keep(t.Context(), h.DraftDerived(sameToken(h.start(), kept), "older.id.token"))
	wantCode(t, err, identity.EndedByIssuer)
}

// sameToken is a start with an ID token as old as that of the session, from before the sign-out.
func sameToken(start session.Start, of session.Session) session.Start {
	start.Identity.IssuedAt = of.Identity.IssuedAt.Add(-time.Minute)
	return start
}

func TestOldestDerivedSessionsGiveWay(t *testing.T) {
	h := newHouse(t)
	_, cookie := h.signIn(t, h.start())
	neighbour := h.start()
	neighbour.Customer = "c-2"
	other, err := h.Keep(t.Context(), h.DraftDerived(neighbour, "neighbour.id.token"))
	if err != nil {
		t.Fatal(err)
	}
	var derived []session.Session
	for _, token := range []string{"1.a.b", "2.a.b", "3.a.b", "4.a.b"} {
		h.now = h.now.Add(time.Second)
		kept, err := h.Keep(t.Context(), h.DraftDerived(h.start(), token))
		if err != nil {
			t.Fatal(err)
		}
		derived = append(derived, kept)
	}
	newest := derived[3]
	for _, c := range []struct{ most, ended int }{{0, 0}, {5, 0}, {4, 1}, {4, 1}, {1, 3}} { // one is the browser's
		if err := h.Crowd(t.Context(), newest, c.most); err != nil {
			t.Fatal(err)
		}
		for i, s := range derived {
			if _, err := h.BySID(t.Context(), s.SID); errors.Is(err, identity.ErrRejected) != (i < c.ended) {
				t.Errorf("at most %d: derived session %d: %v", c.most, i, err)
			}
		}
	}
	if _, err := h.Look(t.Context(), "support", cookie); err != nil {
		t.Errorf("the browser's session: %v", err)
	}
	if _, err := h.BySID(t.Context(), other.SID); err != nil {
		t.Errorf("another customer's session: %v", err)
	}
}
