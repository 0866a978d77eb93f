package exchange_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"chatpass/exchange"
	"chatpass/identity"
	"chatpass/session"
)

// offline is a store of sessions that can be cut off.
type offline struct {
	session.Store
	down *bool
}

func (o *offline) Find(ctx context.Context, h session.Handle) (session.Session, error) {
	if *o.down {
		return session.Session{}, &identity.Outage{Code: identity.StoreUnavailable, Err: errors.New("cut off")}
	}
	return o.Store.Find(ctx, h)
}

// confirmed is a house whose app asks the issuer, the cookie of somebody who signed in, and their renewal.
func confirmed(t *testing.T) (*house, exchange.Request) {
	t.Helper()
	h := newHouse(t)
	h.cfg.Apps[0].Liveness = session.Liveness{Every: 15 * time.Minute, Grace: time.Hour}
	h.cfg.Apps[0].Degraded = 15 * time.Minute
	var err error
	if h.Exchanger, err = exchange.New(h.cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // waits for what is under way
		ctx, stop := context.WithCancel(context.Background())
		stop()
		_ = h.sessions.Run(ctx)
	})
	h.grant = identity.Grant{RefreshToken: "rt"}
	issued, err := h.Exchange(t.Context(), h.signIn(t, h.people["ada.id.token"], "", ""))
	if err != nil {
		t.Fatal(err)
	}
	req := ask()
	req.SubjectToken, req.SubjectTokenType = issued.Cookie, exchange.Cookie
	return h, req
}

// heard returns the refresh token that the issuer was asked with.
func (h *house) heard(t *testing.T) string {
	t.Helper()
	select {
	case token := <-h.asked:
		return token
	case <-time.After(10 * time.Second):
		t.Fatal("the issuer was not asked")
		return ""
	}
}

// A context lasts 10 minutes and is renewed after 6: what falls due meanwhile is asked about ahead of time.
func TestRenewalAsksTheIssuerAheadOfTime(t *testing.T) {
	h, req := confirmed(t)
	h.now = h.now.Add(5 * time.Minute)
	if _, err := h.Exchange(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if len(h.asked) > 0 {
		t.Error("asked too early")
	}
	h.now = h.now.Add(2 * time.Minute)
	if _, err := h.Exchange(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if got := h.heard(t); got != "rt" {
		t.Errorf("asked with %s", got)
	}
}

func TestContextIsRefusedWhenTheIssuerEndsTheSignIn(t *testing.T) {
	h, req := confirmed(t)
	h.now = h.now.Add(20 * time.Minute)
	h.refuses = identity.Reject(identity.EndedByIssuer, "invalid_grant", "a sign-in that stands")
	for range 2 {
		_, err := h.Exchange(t.Context(), req)
		wantRefusal(t, err, identity.EndedByIssuer)
	}
	if len(h.asked) != 1 {
		t.Errorf("asked %d times", len(h.asked))
	}
}

func TestContextIsRefusedWhenNobodyHasKnownForTooLong(t *testing.T) {
	h, req := confirmed(t)
	h.now = h.now.Add(20 * time.Minute)
	h.refuses = &identity.Outage{Code: identity.NoIssuerKey, Err: errors.New("no route")}
	if _, err := h.Exchange(t.Context(), req); err != nil {
		t.Fatalf("in grace: %v", err)
	}
	h.now = h.now.Add(30 * time.Minute)
	req.Active = true
	if _, err := h.Exchange(t.Context(), req); err != nil {
		t.Fatalf("in grace: %v", err)
	}
	h.now = h.now.Add(11 * time.Minute)
	_, err := h.Exchange(t.Context(), req)
	wantRefusal(t, err, identity.IssuerUnreachable)
	if row := exchange.Lookup(identity.IssuerUnreachable); row.OAuth != "login_required" || row.Reason != "idp_unreachable" {
		t.Errorf("the table says %+v", row)
	}
}

func TestContextsAreShortWhileTheStoreIsDown(t *testing.T) {
	h, req := confirmed(t)
	if _, err := h.Exchange(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	h.storeDown = true
	h.now = h.now.Add(5 * time.Minute)
	got, err := h.Exchange(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if got.Lifetime != 2*time.Minute || got.RenewIn < time.Minute || got.RenewIn > 84*time.Second || got.MinHandout != 24*time.Second {
		t.Errorf("lives %v, renewed after %v, handed out to the last %v", got.Lifetime, got.RenewIn, got.MinHandout)
	}
	h.now = h.now.Add(10 * time.Minute)
	if _, err := h.Exchange(t.Context(), req); errors.Is(err, identity.ErrRejected) || err == nil {
		t.Errorf("got %v, want an outage", err)
	}
	h.storeDown = false
	if got, err := h.Exchange(t.Context(), req); err != nil || got.Lifetime != 10*time.Minute {
		t.Errorf("got %v, %v", got.Lifetime, err)
	}
}
