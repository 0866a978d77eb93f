package store_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chatpass/identity"
	"chatpass/keys"
	"chatpass/session"
	"chatpass/store"
)

const issuer = "https://login.corp.example"

// Sixteen racers in three processes want the same thing at the same time: one of them gets it.
func TestOneOfManyProcessesWins(t *testing.T) {
	eachEngine(t, func(t *testing.T, fresh func(testing.TB) store.Config) {
		const rounds = 10
		cfg, master := shared(t, fresh)
		s := openStore(t, cfg)
		all := startRacers(t, cfg, master)
		for round := range rounds {
			must(t, s.Sessions().PutResult(t.Context(), session.Result{Txn: fmt.Sprint(round), Expires: time.Now().Add(time.Hour)}))
			for _, what := range []string{"put", "take", "ring"} {
				won := 0
				for i, p := range all {
					p.tell(t, "%s %d %d", what, round, []int{6, 5, 5}[i])
				}
				for _, p := range all {
					won += p.wins(t)
				}
				if won != 1 {
					t.Errorf("%s %d: %d of 16 racers won, want 1", what, round, won)
				}
			}
		}
		ring, err := s.Keys().Ring(t.Context())
		if err != nil || ring.Version != rounds {
			t.Errorf("ring at version %d, %v, want %d", ring.Version, err, rounds)
		}
	})
}

// Somebody signs out everywhere on one replica while sessions of hers begin on all of them: each is
// refused, or is ended by the sign-out.
func TestNobodySlipsThroughASignOutOnAnotherReplica(t *testing.T) {
	eachEngine(t, func(t *testing.T, fresh func(testing.TB) store.Config) {
		cfg, master := shared(t, fresh)
		s := openStore(t, cfg)
		all := startRacers(t, cfg, master)
		began := 0
		for round := range 30 {
			for i, p := range all {
				if i == round%len(all) {
					p.tell(t, "out %d 1", round)
				} else {
					p.tell(t, "in %d 8", round)
				}
			}
			for i, p := range all {
				if n := p.wins(t); i != round%len(all) {
					began += n
				}
			}
			for at, err := range s.Sessions().ByUpstream(t.Context(), session.Marker{Issuer: issuer, Subject: fmt.Sprint(round)}) {
				must(t, err)
				if at.Ended.IsZero() {
					t.Errorf("round %d: session %s slipped through", round, at.SID)
				}
			}
		}
		t.Logf("%d sessions began before the sign-out, %d were refused", began, 30*16-began)
	})
}

func startRacers(t *testing.T, cfg store.Config, master []byte) []*process {
	t.Helper()
	all := make([]*process, 3)
	for i := range all {
		all[i] = start(t, "race", cfg, master, i)
		all[i].tell(t, "ready 0 0")
	}
	for _, p := range all {
		p.wins(t)
	}
	return all
}

func (p *process) tell(t *testing.T, format string, args ...any) {
	t.Helper()
	_, err := fmt.Fprintf(p.in, format+"\n", args...)
	must(t, err)
}

// wins reads how many racers of the process won.
func (p *process) wins(t *testing.T) int {
	t.Helper()
	return p.number(t)
}

// raceOnCommand lets racers do what each line says, and says how many of them won.
func raceOnCommand(s *store.Store, commands io.Reader) error {
	for lines := bufio.NewScanner(commands); lines.Scan(); {
		var what string
		var round, racers int
		if _, err := fmt.Sscan(lines.Text(), &what, &round, &racers); err != nil {
			return err
		}
		var won atomic.Int64
		errs := make([]error, racers)
		var all sync.WaitGroup
		for i := range racers {
			all.Go(func() {
				err := try(s, what, round)
				if err == nil {
					won.Add(1)
				} else if !isLoss(err) {
					errs[i] = fmt.Errorf("%s %d: %w", what, round, err)
				}
			})
		}
		all.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
		fmt.Println(won.Load())
	}
	return nil
}

func try(s *store.Store, what string, round int) error {
	ctx, name := context.Background(), fmt.Sprint(round)
	switch what {
	case "put":
		return s.Sessions().PutOnce(ctx, "race", name, time.Now().Add(time.Hour))
	case "ring":
		return s.Keys().SwapRing(ctx, keys.Snapshot{Version: int64(round), Keys: []keys.Record{{KID: rand.Text()}}}, nil)
	case "take":
		fresh := aSession(rand.Text())
		return s.Sessions().Insert(ctx, fresh, session.Birth{Handle: handleOf(fresh.SID), Until: fresh.Expires, Txn: name})
	case "in":
		fresh := aSession(rand.Text())
		fresh.Identity.UpstreamSubject = name
		return s.Sessions().Insert(ctx, fresh, session.Birth{Handle: handleOf(fresh.SID), Until: fresh.Expires})
	case "out":
		return signOut(ctx, s.Sessions(), name)
	}
	return nil
}

// signOut forbids the tokens issued so far, then ends the sessions that began from them.
func signOut(ctx context.Context, sessions session.Store, subject string) error {
	m := session.Marker{Issuer: issuer, Subject: subject, Before: time.Now().Add(time.Minute), Expires: time.Now().Add(time.Hour)}
	if err := sessions.Mark(ctx, m); err != nil {
		return err
	}
	for at, err := range sessions.ByUpstream(ctx, m) {
		if err != nil {
			return err
		}
		at.Ended, at.Cause = time.Now(), identity.SignedOut
		if err := sessions.End(ctx, at); err != nil {
			return err
		}
	}
	return nil
}

func isLoss(err error) bool {
	losses := []error{session.ErrExists, session.ErrTaken, session.ErrSignedOut, keys.ErrConflict}
	return slices.ContainsFunc(losses, func(loss error) bool { return errors.Is(err, loss) })
}
