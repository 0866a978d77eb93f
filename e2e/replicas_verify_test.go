package e2e_test

import (
	"crypto/rand"
	"errors"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"chatpass/verify"
)

// However a session ends, a service that verifies offline accepts its contexts no longer than `status.ttl` and
// the time until every replica publishes it (two seconds; here a machine may be overloaded): also a verifier
// that fetched its list at the worst moment, just before the bit was there.
func TestReplicasReachVerifiersWithinTTL(t *testing.T) {
	const ttl = 15 * time.Second // the shortest
	f := newFleet(t, func(s site) { s.edit(t, "log: {", "status: {ttl: "+ttl.String()+"}\nlog: {") })
	var mu sync.Mutex
	var took []time.Duration
	var ways sync.WaitGroup
	for _, way := range signOuts {
		ways.Go(func() {
			v, _ := f.signIn(t, "person-"+rand.Text())
			v = v.held(t)
			token := v.renew(t).Context.Token
			end := way.end(t, f, v)
			begun := time.Now()
			end(f.replicas[0]).want(t, http.StatusOK)
			refused := f.refusals(t, token, begun)
			mu.Lock()
			defer mu.Unlock()
			took = append(took, refused...)
		})
	}
	ways.Wait()
	took = slices.DeleteFunc(took, func(after time.Duration) bool { return after < ttl/2 }) // of those who began too late
	if len(took) == 0 {
		t.Fatal("no verifier had a list from before the sign-out")
	}
	slices.Sort(took)
	if last := took[len(took)-1]; last > ttl+6*time.Second {
		t.Errorf("refused after %v", last)
	}
	t.Logf("%d verifiers with a list from before refused after p50 %v, at most %v", len(took), took[len(took)/2], took[len(took)-1])
}

// refusals starts a verifier in every tenth of two seconds, and returns how long after begun each refused.
func (f *fleet) refusals(t *testing.T, token string, begun time.Time) []time.Duration {
	took, next := make([]time.Duration, 20), time.NewTicker(100*time.Millisecond)
	defer next.Stop()
	var verifiers sync.WaitGroup
	for i := range took {
		verifiers.Go(func() { took[i] = f.refusal(t, token, begun) })
		<-next.C
	}
	verifiers.Wait()
	return took
}

// refusal returns how long after begun a new verifier refuses the token.
func (f *fleet) refusal(t *testing.T, token string, begun time.Time) time.Duration {
	verifier, err := verify.New(f.at, "https://api.example.com", verify.RequireStatus())
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for err == nil && time.Since(begun) < time.Minute {
		_, err = verifier.Verify(t.Context(), token)
		<-again.C
	}
	if rejected, ok := errors.AsType[*verify.Error](err); !ok || rejected.Reason != verify.Revoked {
		t.Errorf("after %v: %v", time.Since(begun), err)
	}
	return time.Since(begun)
}
