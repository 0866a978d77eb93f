package exchange_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"chatpass/exchange"
	"chatpass/identity"
	"chatpass/session"
)

// byCookie asks for a context of the session that the cookie holds.
func byCookie(cookie string, level exchange.Level) exchange.Request {
	req := ask()
	req.SubjectToken, req.SubjectTokenType, req.Level = cookie, exchange.Cookie, level
	return req
}

// signIn is the request that claims a finished sign-in of who.
func (h *house) signIn(t *testing.T, who identity.Identity, purpose, expected string) exchange.Request {
	t.Helper()
	verifier := rand.Text()
	sum := sha256.Sum256([]byte(verifier))
	tx := session.Transaction{
		Txn: rand.Text(), Challenge: base64.RawURLEncoding.EncodeToString(sum[:]), Client: "web", App: "support", PageOrigin: "https://shop",
		IDP: who.IDP, State: "s", Purpose: purpose, Expected: expected, Created: h.now,
	}
	sealed, err := h.sessions.SealTransaction(tx)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.sessions.Complete(t.Context(), tx, session.SignedIn{Identity: who, IDToken: "id.to.ken", Grant: h.grant}); err != nil {
		t.Fatal(err)
	}
	req := ask()
	req.SubjectToken, req.SubjectTokenType = "", exchange.SignIn
	req.Claim = session.Claim{Cookie: sealed, Txn: tx.Txn, Verifier: verifier, Client: "web", Origin: "https://shop"}
	return req
}

func ago(d time.Duration) *time.Duration { return &d }

func TestContextIsHeldAgainstTheLevelDemanded(t *testing.T) {
	for name, row := range map[string]struct {
		level exchange.Level
		blind bool // the issuer says no auth_time
		ok    bool
	}{
		"nothing":                      {level: exchange.Level{}, ok: true},
		"the level it has":             {level: exchange.Level{ACR: []string{"hwk", "mfa"}}, ok: true},
		"another level":                {level: exchange.Level{ACR: []string{"hwk"}}},
		"a new enough sign-in":         {level: exchange.Level{MaxAge: ago(time.Minute)}, ok: true},
		"too old a sign-in":            {level: exchange.Level{MaxAge: ago(time.Minute - time.Second)}},
		"the level, too old":           {level: exchange.Level{ACR: []string{"mfa"}, MaxAge: ago(0)}},
		"no auth_time, and none asked": {level: exchange.Level{ACR: []string{"mfa"}}, blind: true, ok: true},
		"no auth_time":                 {level: exchange.Level{MaxAge: ago(time.Hour)}, blind: true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			if row.blind {
				who := h.people["ada.id.token"]
				who.AuthTime = time.Time{}
				h.people["ada.id.token"] = who
			}
			_, err := h.Exchange(t.Context(), byCookie(h.cookie(t), row.level))
			if row.ok {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantRefusal(t, err, identity.StepUpNeeded)
			refusal, _ := errors.AsType[*exchange.Error](err)
			if refusal == nil || refusal.SignIn == nil || !cmp.Equal(refusal.SignIn.Level, row.level) {
				t.Errorf("the refusal does not say what is wanted: %+v", refusal)
			}
		})
	}
}

func TestStepUpRaisesContextsForAWhile(t *testing.T) {
	h := newHouse(t)
	who := h.people["ada.id.token"]
	first, err := h.Exchange(t.Context(), h.signIn(t, who, session.Login, ""))
	if err != nil {
		t.Fatal(err)
	}
	h.now = h.now.Add(2 * time.Hour / 3)
	higher := who
	higher.ACR, higher.AMR, higher.AuthTime = "hwk", []string{"hwk"}, h.now
	req := h.signIn(t, higher, session.StepUp, "")
	req.Replaces = first.Cookie
	raised, err := h.Exchange(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if raised.Session.SID != first.Session.SID || raised.Cookie == "" || raised.Cookie == first.Cookie {
		t.Errorf("was session %s, is %s with cookie %q", first.Session.SID, raised.Session.SID, raised.Cookie)
	}
	acr := func(cookie string) (any, time.Duration) {
		t.Helper()
		got, err := h.Exchange(t.Context(), byCookie(cookie, exchange.Level{}))
		if err != nil {
			t.Fatal(err)
		}
		return claimsOf(t, got.Token)["acr"], got.Lifetime
	}
	if claims := claimsOf(t, raised.Token); claims["acr"] != "hwk" || claims["auth_time"] != float64(h.now.Unix()) {
		t.Errorf("first context: %v", claims)
	}
	if got, _ := acr(first.Cookie); got != "mfa" {
		t.Errorf("the cookie of before gives acr %v", got)
	}
	if _, err := h.Exchange(t.Context(), byCookie(raised.Cookie, exchange.Level{ACR: []string{"hwk"}, MaxAge: ago(time.Minute)})); err != nil {
		t.Errorf("demanded: %v", err)
	}
	h.now = h.now.Add(12 * time.Minute)
	if got, life := acr(raised.Cookie); got != "hwk" || life != 3*time.Minute {
		t.Errorf("3 minutes before the end: acr %v for %v", got, life)
	}
	h.now = h.now.Add(2 * time.Minute)
	if got, life := acr(raised.Cookie); got != "mfa" || life != 10*time.Minute {
		t.Errorf("1 minute before the end, too short for a context: acr %v for %v", got, life)
	}
}

func TestOnlyThePersonOfTheSessionRaisesIt(t *testing.T) {
	for name, change := range map[string]func(*identity.Identity){
		"another person":    func(who *identity.Identity) { who.Subject, who.UpstreamSubject = "bob", "bob" },
		"another sub":       func(who *identity.Identity) { who.UpstreamSubject = "bob" },
		"of another issuer": func(who *identity.Identity) { who.Issuer = "https://other" },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			who := h.people["ada.id.token"]
			change(&who)
			req := h.signIn(t, who, session.StepUp, "")
			req.Replaces = h.cookie(t)
			_, err := h.Exchange(t.Context(), req)
			wantRefusal(t, err, identity.CustomerMismatch)
			if _, err := h.Exchange(t.Context(), byCookie(req.Replaces, exchange.Level{})); err != nil {
				t.Errorf("the session of before: %v", err)
			}
		})
	}
}

func TestStepUpNeedsASession(t *testing.T) {
	h := newHouse(t)
	_, err := h.Exchange(t.Context(), h.signIn(t, h.people["ada.id.token"], session.StepUp, ""))
	wantRefusal(t, err, identity.NoSession)

	cookie := h.cookie(t)
	req := h.signIn(t, h.people["ada.id.token"], session.StepUp, "")
	req.Replaces = cookie
	if _, err := h.Exchange(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	again := h.signIn(t, h.people["ada.id.token"], session.StepUp, "")
	again.Replaces = cookie // which somebody may have got hold of
	_, err = h.Exchange(t.Context(), again)
	wantRefusal(t, err, identity.NoSession)
}

func TestSignInIsForWhomThePageExpects(t *testing.T) {
	h := newHouse(t)
	who := h.people["ada.id.token"]
	_, err := h.Exchange(t.Context(), h.signIn(t, who, session.Login, "c-other"))
	wantRefusal(t, err, identity.CustomerMismatch)
	req := h.signIn(t, who, session.Switch, "")
	req.ExpectedCustomer = "c-other" // whom the widget shows
	if _, err := h.Exchange(t.Context(), req); err != nil {
		t.Errorf("to switch: %v", err)
	}
}

func TestBrowserHoldsTheSessionOfASitesToken(t *testing.T) {
	h := newHouse(t)
	req := ask()
	req.Hold = true
	first, err := h.Exchange(t.Context(), req)
	if err != nil || first.Cookie == "" || first.Session.Kind != session.Derived {
		t.Fatalf("got %+v, %v", first, err)
	}
	again := req
	again.Replaces = first.Cookie
	same, err := h.Exchange(t.Context(), again)
	if err != nil || same.Cookie != "" || same.Session.SID != first.Session.SID {
		t.Errorf("the same browser again: cookie %q, %v", same.Cookie, err)
	}
	other, err := h.Exchange(t.Context(), req)
	if err != nil || other.Cookie == "" || other.Session.SID != first.Session.SID {
		t.Errorf("another browser: cookie %q, %v", other.Cookie, err)
	}
	for _, cookie := range []string{first.Cookie, other.Cookie} {
		if got, err := h.Exchange(t.Context(), byCookie(cookie, exchange.Level{})); err != nil || got.Session.SID != first.Session.SID {
			t.Errorf("by cookie: %v", err)
		}
	}
	replaced := req
	replaced.Replaces = h.cookie(t)
	if _, err := h.Exchange(t.Context(), replaced); err != nil {
		t.Fatal(err)
	}
	if _, err := h.sessions.Look(t.Context(), "support", replaced.Replaces); !errors.Is(err, identity.ErrRejected) {
		t.Errorf("another customer's session in this browser: %v", err)
	}
}
