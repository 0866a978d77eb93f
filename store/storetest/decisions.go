package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"chatpass/decision"
	"chatpass/exchange"
	"chatpass/identity"
	"chatpass/session"
)

// Decisions tests what [exchange.Store] promises of refusals.
func Decisions(t *testing.T, open Opener[exchange.Store]) {
	clock := NewClock()
	opened := open(t, clock)
	here, there := opened.Doors[0], opened.Doors[1]
	one, two := refusal("one", clock.Now()), refusal("two", clock.Now())
	wantErr(t, here.KeepDecisions(t.Context(), []decision.Decision{one, two}, nil), nil)
	wantDecision(t, there, one)
	wantErr(t, there.KeepDecisions(t.Context(), []decision.Decision{refusal("three", clock.Now()), one}, nil), session.ErrExists)
	wantNoDecision(t, here, "three") // all or none

	counted := one
	counted.More = 212
	wantErr(t, here.KeepDecisions(t.Context(), nil, []decision.Decision{counted, refusal("never kept", clock.Now())}), session.ErrNotFound)
	wantDecision(t, there, one)
	wantErr(t, here.KeepDecisions(t.Context(), nil, []decision.Decision{counted}), nil)
	wantDecision(t, there, counted)
	wantDecision(t, there, two)
	wantNoDecision(t, there, "")
	if got, err := there.Decision(t.Context(), two.RequestID); err != nil || got.ID != two.ID {
		t.Errorf("request of decision two: got %q, %v", got.ID, err)
	}
	unasked := refusal("unasked", clock.Now())
	unasked.RequestID = ""
	wantErr(t, here.KeepDecisions(t.Context(), []decision.Decision{unasked}, nil), nil)
	wantDecision(t, there, unasked)
	wantNoDecision(t, there, "") // and not that of a request without id

	clock.Advance(decision.KeptFor - time.Second)
	wantDecision(t, there, counted)
	clock.Advance(time.Second)
	wantNoDecision(t, there, "one")
	wantNoDecision(t, there, two.RequestID)
	wantNoDecision(t, there, "two")
}

func refusal(id string, now time.Time) decision.Decision {
	d := decision.Decision{
		ID: id, Time: now, Verb: "exchange", RequestID: "request " + id, App: "support", Client: "web", ClientType: "browser", IDP: "corp",
		Subject: "s", Actor: "a", Customer: "c", SID: "sid", JTI: "j", Audience: []string{"https://api"}, Scope: []string{"chat:read"},
	}
	d.Pass("client", "browser client web", "a registered client")
	d.End(decision.Refused, identity.TokenExpired, "6m41s", "at most 5m0s")
	return d
}

func wantDecision(t *testing.T, store exchange.Store, want decision.Decision) {
	t.Helper()
	got, err := store.Decision(t.Context(), want.ID)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("decision %s: %v (-want +got):\n%s", want.ID, err, diff)
	}
}

func wantNoDecision(t *testing.T, store exchange.Store, id string) {
	t.Helper()
	if got, err := store.Decision(t.Context(), id); !errors.Is(err, session.ErrNotFound) || got.ID != "" {
		t.Errorf("decision %q: got %q, %v, want ErrNotFound", id, got.ID, err)
	}
}
