package e2e_test

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"
)

// signOuts are the ways in which a session ends at one replica, and what the others then say.
var signOuts = map[string]struct {
	code string
	end  func(testing.TB, *fleet, visitor) func(*replica) answer // prepares it
}{
	"page": {"CP-404", func(t testing.TB, _ *fleet, v visitor) func(*replica) answer {
		return func(r *replica) answer { return v.before(r).call(t, "/v1/logout", nil) }
	}},
	"backend": {"CP-406", func(t testing.TB, _ *fleet, v visitor) func(*replica) answer {
		token := url.Values{"token": {v.renew(t).Context.Token}}
		return func(r *replica) answer { return r.askAsBackend(t, r.formRequest(t, "/oauth2/revoke", token)) }
	}},
	"issuer": {"CP-405", func(t testing.TB, f *fleet, v visitor) func(*replica) answer {
		token := f.logoutToken(t, v)
		return func(r *replica) answer { return r.logout(t, token) }
	}},
}

// Whatever ends a session at one replica ends it at all, also where it is in memory: at once as far as a
// person can tell. The figure is BenchmarkReplicasHearOfASignOut.
func TestReplicasHearOfASignOut(t *testing.T) {
	for name := range signOuts {
		t.Run(name, func(t *testing.T) {
			took := newFleet(t).signOutsHeard(t, name, 100)
			if last := took[len(took)-1]; last > 5*time.Second {
				t.Errorf("refused by all after %v", last)
			}
			t.Logf("refused by all after p50 %v, p99 %v", took[len(took)/2], took[len(took)*99/100])
		})
	}
}

// Time from sending a sign-out to one replica until both others have refused the session.
func BenchmarkReplicasHearOfASignOut(b *testing.B) {
	for name := range signOuts {
		b.Run(name, func(b *testing.B) {
			f := newFleet(b)
			var took []time.Duration
			for b.Loop() {
				took = f.signOutsHeard(b, name, 100)
			}
			b.ReportMetric(took[len(took)/2].Seconds()*1000, "p50-ms")
			b.ReportMetric(took[len(took)*99/100].Seconds()*1000, "p99-ms")
		})
	}
}

// signOutsHeard returns how long each of n sign-outs took to reach the others, in ascending order.
func (f *fleet) signOutsHeard(t testing.TB, how string, n int) []time.Duration {
	t.Helper()
	way := signOuts[how]
	var took []time.Duration
	for i := range n {
		v, _ := f.replicas[i%3].signIn(t, "person-"+rand.Text())
		v = v.held(t)
		end := way.end(t, f, v)
		for _, r := range f.replicas {
			v.before(r).renew(t).want(t, http.StatusOK) // in memory from now on
		}
		begun := time.Now()
		end(f.replicas[i%3]).want(t, http.StatusOK)
		var others sync.WaitGroup
		for _, r := range f.others(i % 3) {
			others.Go(func() { v.before(r).renewUntil(t, begun.Add(10*time.Second), way.code) })
		}
		others.Wait()
		if t.Failed() {
			t.FailNow() // the other rounds would only take long to say the same
		}
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	return took
}

// renewUntil renews until it is refused, and is refused in no other way.
func (v visitor) renewUntil(t testing.TB, deadline time.Time, code string) {
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for ; time.Now().Before(deadline); <-again.C {
		a := v.renew(t)
		if a.status == http.StatusUnauthorized && a.Code == code {
			return
		}
		if a.status != http.StatusOK {
			t.Errorf("status %d %s, want 200 or 401 %s", a.status, a.Code, code)
			return
		}
	}
	t.Error("goes on being renewed")
}
