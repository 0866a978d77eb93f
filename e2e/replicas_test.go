package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"
)

// Nothing is sticky: a sign-in that began at one replica comes back from the issuer at another and is
// claimed at the third, and its session is used and ended at any of them.
func TestReplicasServeAnySession(t *testing.T) {
	f := newFleet(t)
	for i, start := range f.replicas {
		comesBack, claims := (i+1)%3, f.replicas[(i+2)%3]
		f.turn.Store(int64(comesBack))
		v, claim := start.comeBack(t, "alice")
		if passed := int(f.turn.Load()) - comesBack; passed != 1 {
			t.Errorf("%d requests passed the door, want the one from the issuer", passed)
		}
		session := v.before(claims).call(t, "/v1/session", claim).want(t, http.StatusCreated)
		v = v.held(t)
		f.wantSession(t, v, session)
		v.before(start).call(t, "/v1/logout", nil).want(t, http.StatusOK)
		f.wantRefused(t, v, "CP-404")
	}
}

// The session of an ID token is one session, whichever replica it is exchanged at.
func TestReplicasShareTheSessionOfAnIDToken(t *testing.T) {
	f := newFleet(t)
	idToken := shopIDToken(t, f.upstream, "alice")
	first := f.replicas[0].asBackend(t, idToken).want(t, http.StatusOK)
	for i, again := range f.each(func(r *replica) answer { return r.asBackend(t, idToken) }) {
		again.want(t, http.StatusOK)
		if again.SID != first.SID || again.Customer != first.Customer {
			t.Errorf("replica %d: customer %s in session %s, want %s in %s", i, again.Customer, again.SID, first.Customer, first.SID)
		}
	}
}

// Replicas that start at the same time on an empty database make one schema and one ring of keys: all
// publish the same set, and what one signs verifies with the set of any.
func TestReplicasAgreeOnKeys(t *testing.T) {
	for range 3 {
		f := newFleet(t)
		idToken := shopIDToken(t, f.upstream, "alice")
		f.agreeOnKeys(t)
		for i, context := range f.each(func(r *replica) answer { return r.asBackend(t, idToken) }) {
			context.want(t, http.StatusOK)
			for j, r := range f.replicas {
				if verifyWithGoOIDC(t, r.site, context.AccessToken) == nil {
					t.Errorf("replica %d does not publish the key that %d signed with", j, i)
				}
			}
		}
	}
}

func (f *fleet) agreeOnKeys(t *testing.T) {
	t.Helper()
	eventually(t, func() error {
		first := keySet(t, f.replicas[0].site)
		for i, r := range f.replicas {
			if set := keySet(t, r.site); set != first {
				return fmt.Errorf("replica %d publishes\n%s\nreplica 0\n%s", i, set, first)
			}
		}
		return nil
	})
}

func keySet(t testing.TB, s site) string {
	t.Helper()
	resp, err := http.Get(s.at + "/.well-known/jwks.json")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("key set: status %d, %v", resp.StatusCode, err)
	}
	return string(body)
}

// A replica that is killed takes nothing with it: the others lose no request, and a sign-in that began
// there is claimed elsewhere.
func TestReplicasOutliveOneThatIsKilled(t *testing.T) {
	f := newFleet(t)
	v, session := f.replicas[0].signIn(t, "alice")
	u, claim := f.replicas[0].comeBack(t, "bob")
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			for range 100 {
				if a := v.before(f.others(0)[i%2]).renew(t); a.status != http.StatusOK {
					t.Errorf("status %d %s", a.status, a.Code)
				}
			}
		})
	}
	f.replicas[0].kill()
	clients.Wait()
	u.before(f.replicas[1]).call(t, "/v1/session", claim).want(t, http.StatusCreated)

	f.replicas[0].start(t)
	f.replicas[0].ready(t, f.replicas[0].process)
	f.wantSession(t, v, session)
	f.agreeOnKeys(t)
}

// What was acknowledged is never lost: a replica that is killed the moment it answered a sign-out has
// told the others, and itself.
func TestReplicasKeepWhatWasAcknowledged(t *testing.T) {
	f := newFleet(t)
	for round := range 9 {
		i := round % 3
		r := f.replicas[i]
		v, session := r.signIn(t, fmt.Sprint("person", round))
		v = v.held(t)
		f.wantSession(t, v, session) // every replica has it in memory
		v.before(r).call(t, "/v1/logout", nil).want(t, http.StatusOK)
		r.kill()
		for _, other := range f.others(i) {
			eventually(t, func() error { return v.before(other).isRefused(t, "CP-404") })
		}
		r.start(t)
		r.ready(t, r.process)
		f.wantRefused(t, v, "CP-404")
	}
}

// A database that goes away signs nobody out and takes nobody out of rotation: who was confirmed lately goes on
// with short contexts, to the others replicas say "later" until it is back.
func TestReplicasOutliveTheirDatabase(t *testing.T) {
	f := newFleet(t)
	v, session := f.signIn(t, "alice")
	v = v.held(t)
	f.wantSession(t, v, session)
	unseen, _ := f.signIn(t, "erin")
	unseen = unseen.held(t)
	leaving, _ := f.signIn(t, "bob")
	leaving = leaving.held(t)
	unclaimed, claim := f.comeBack(t, "carol")
	idToken := shopIDToken(t, f.upstream, "dave")

	f.shut(t)
	for _, r := range f.replicas {
		eventually(t, func() error { // the first seconds are as ever
			a := v.before(r).renew(t).want(t, http.StatusOK)
			if a.Context.ExpiresIn > 120 {
				return fmt.Errorf("a context of %d s", a.Context.ExpiresIn)
			}
			return nil
		})
		eventually(t, func() error {
			a := unseen.before(r).renew(t)
			if a.header.Get("Set-Cookie") != "" {
				t.Error("the browser is told to forget its session")
			}
			return isOutage(a)
		})
		for what, a := range map[string]answer{
			"exchange": r.asBackend(t, idToken),
			"claim":    unclaimed.before(r).call(t, "/v1/session", claim),
			"sign-out": leaving.before(r).call(t, "/v1/logout", nil),
		} {
			if err := isOutage(a); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		if err := r.isReady(); err != nil {
			t.Error(err)
		}
		keySet(t, r.site)
	}

	f.open(t)
	back := time.Now()
	for _, r := range f.replicas {
		eventually(t, func() error {
			if a := unseen.before(r).renew(t); a.status != http.StatusOK {
				return fmt.Errorf("status %d %s", a.status, a.Code)
			}
			return nil
		})
	}
	t.Logf("every replica serves everybody %v after the database is back", time.Since(back).Round(time.Millisecond))
	f.wantSession(t, v, session)
	for _, r := range f.replicas {
		eventually(t, func() error {
			if a := v.before(r).renew(t).want(t, http.StatusOK); a.Context.ExpiresIn <= 120 {
				return fmt.Errorf("still a context of %d s", a.Context.ExpiresIn)
			}
			return nil
		})
	}
	unclaimed.before(f.replicas[1]).call(t, "/v1/session", claim).want(t, http.StatusCreated)
	f.replicas[2].asBackend(t, idToken).want(t, http.StatusOK)
	f.wantRefused(t, leaving, "CP-404") // the sign-out is made good
}

// shut cuts the replicas off from their database, and open lets them in again.
func (f *fleet) shut(t *testing.T) {
	t.Helper()
	name := f.database(t).Path[1:]
	psql(t, postgres(t), "ALTER DATABASE "+name+" ALLOW_CONNECTIONS false")
	psql(t, postgres(t), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '"+name+"'")
}

func (f *fleet) open(t *testing.T) {
	t.Helper()
	psql(t, postgres(t), "ALTER DATABASE "+f.database(t).Path[1:]+" ALLOW_CONNECTIONS true")
}

func isOutage(a answer) error {
	if a.status != http.StatusServiceUnavailable || a.Error != "temporarily_unavailable" || a.Code != "CP-901" || a.Retry != "later" || a.header.Get("Retry-After") == "" {
		return fmt.Errorf("status %d %s %s, Retry-After %q", a.status, a.Code, a.Error, a.header.Get("Retry-After"))
	}
	return nil
}

// wantSession waits until every replica renews the visitor's session.
func (f *fleet) wantSession(t *testing.T, v visitor, session answer) {
	t.Helper()
	for i, r := range f.replicas {
		eventually(t, func() error {
			a := v.before(r).renew(t)
			if a.status != http.StatusOK || a.Customer != session.Customer || a.Session.SID != session.Session.SID {
				return fmt.Errorf("replica %d: status %d %s, customer %s in session %s", i, a.status, a.Code, a.Customer, a.Session.SID)
			}
			return nil
		})
	}
}

// wantRefused waits until every replica refuses the visitor's session, and asks all once more.
func (f *fleet) wantRefused(t *testing.T, v visitor, code string) {
	t.Helper()
	for range 2 {
		for _, r := range f.replicas {
			eventually(t, func() error { return v.before(r).isRefused(t, code) })
		}
	}
}

func (v visitor) isRefused(t testing.TB, code string) error {
	if a := v.renew(t); a.status != http.StatusUnauthorized || a.Code != code {
		return fmt.Errorf("status %d %s, want 401 %s", a.status, a.Code, code)
	}
	return nil
}
