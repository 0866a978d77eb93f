package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// hasty has a site change its signing key every six seconds. Contexts live for ten seconds.
func hasty(t testing.TB) func(site) {
	return scheduled(t, "publish_ahead: 4s, active: 6s, retiring: 16s, jwks_max_age: 2s")
}

// scheduled gives a site a schedule of seconds.
func scheduled(t testing.TB, schedule string) func(site) {
	return func(s site) {
		s.edit(t, "keys: {algorithm: ES256}", "dangerously_short_lifetimes: true\nkeys: {"+schedule+"}")
		s.edit(t, "    audience: ", "    context_lifetime: 10s\n    audience: ")
	}
}

// Three replicas change their signing key every six seconds under load, and nobody notices: no request for
// a context fails, and verifiers with any kind of cache believe every context at once.
func TestReplicasRotateUnnoticed(t *testing.T) {
	f := newFleet(t, hasty(t))
	l := newLoad(t, f)
	ctx, stop := context.WithTimeout(t.Context(), time.Duration(amount(t, "CHATPASS_LIVE_SECONDS", 25))*time.Second)
	defer stop()
	l.run(ctx)

	rotations := len(l.kids) - 1
	seconds := time.Since(l.began).Seconds()
	if least := int(seconds/7) - 1; rotations < least {
		t.Errorf("%d rotations in %.0f s, want at least %d", rotations, seconds, least)
	}
	f.agreeOnKeys(t)
	t.Logf("counted: %d rotations, %d contexts of 3 replicas in %.0f s, %d failures", rotations, l.contexts, seconds, l.failures.Load())
	l.wantBelievers(t, 100, rotations+1)
}

// A load asks for contexts at all replicas, by exchange and by session, and shows each to every
// believer at once.
type load struct {
	*fleet
	t         testing.TB
	began     time.Time
	believers []*believer
	idToken   string
	session   visitor

	failures atomic.Int64
	given    atomic.Pointer[string] // the kid that is given up, or was last
	gone     atomic.Pointer[string] // the kid that all replicas have given up
	mu       sync.Mutex
	contexts int
	kids     map[string]int // contexts by kid
}

// maxFailures is how many of them tell enough.
const maxFailures = 10

func newLoad(t testing.TB, f *fleet) *load {
	t.Helper()
	v, _ := f.signIn(t, "alice")
	l := &load{
		t: t, fleet: f, began: time.Now(), kids: map[string]int{},
		session: v.held(t), idToken: shopIDToken(t, f.upstream, "bob"), believers: newBelievers(t, f.site),
	}
	l.given.Store(new(string))
	l.gone.Store(new(string))
	return l
}

// during asks while something is done.
func (l *load) during(something func()) {
	ctx, stop := context.WithCancel(l.t.Context())
	var running sync.WaitGroup
	running.Go(func() { l.run(ctx) })
	defer running.Wait()
	defer stop()
	something()
}

// run asks until ctx ends, or enough has gone wrong.
func (l *load) run(ctx context.Context) {
	var askers sync.WaitGroup
	for i := range 4 {
		askers.Go(func() {
			for n := i; ctx.Err() == nil && l.failures.Load() < maxFailures; n++ {
				if err := l.ask(n); err != nil {
					l.failures.Add(1)
					l.t.Error(err)
				}
			}
		})
	}
	askers.Wait()
}

// ask is the nth request. They differ in replica and in what is asked.
func (l *load) ask(n int) error {
	i, gone := n%len(l.replicas), *l.gone.Load()
	token, err := l.context(i, n%2 == 0)
	if err != nil {
		return err
	}
	kid := keyID(l.t, token)
	if kid == gone {
		return fmt.Errorf("replica %d signs with key %s, which was given up", i, kid)
	}
	l.mu.Lock()
	l.contexts++
	l.kids[kid]++
	l.mu.Unlock()
	for _, b := range l.believers {
		if err := b.check(kid, token); err != nil && kid != *l.given.Load() {
			return fmt.Errorf("key %s of replica %d: %w", kid, i, err)
		}
	}
	return nil
}

// context is a new context of the ith replica.
func (l *load) context(i int, exchange bool) (string, error) {
	r := l.replicas[i]
	var a answer
	var token string
	if exchange {
		a = r.asBackend(l.t, l.idToken)
		token = a.AccessToken
	} else {
		a = l.session.before(r).renew(l.t)
		token = a.Context.Token
	}
	if a.status != http.StatusOK || token == "" {
		return "", fmt.Errorf("replica %d: status %d %s %s", i, a.status, a.Code, a.Description)
	}
	return token, nil
}

// wantBelievers expects that every believer has verified so many contexts of so many keys.
func (l *load) wantBelievers(t *testing.T, leastContexts, leastKids int) {
	t.Helper()
	for _, b := range l.believers {
		contexts, kids := b.count()
		if contexts < leastContexts || kids < leastKids {
			t.Errorf("%s has verified %d contexts of %d keys, want %d of %d", b.name, contexts, kids, leastContexts, leastKids)
		}
		t.Logf("counted: %s: %d contexts of %d keys", b.name, contexts, kids)
	}
}
