package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// keyInfo is a row of `chatpass keys list --json`.
type keyInfo struct {
	KID       string    `json:"kid"`
	Class     string    `json:"class"`
	State     string    `json:"state"`
	Since     time.Time `json:"since"`
	BlockedBy string    `json:"blocked_by"`
}

// keysList is what an operator sees of the signing keys.
func (s site) keysList(t testing.TB) []keyInfo {
	t.Helper()
	p, code := s.chatpass(t, "keys", "list", "--json", "-c", s.config())
	var infos []keyInfo
	if err := json.Unmarshal([]byte(p.out.String()), &infos); err != nil || code != 0 {
		t.Fatalf("keys list: exit code %d, %v: %s", code, err, p.err.String())
	}
	return infos
}

// A signing key is given up while all replicas are asked for contexts. Within two seconds no replica signs
// with it or publishes it any more, the next one takes over that verifiers know already, and sessions go on.
func TestReplicasGiveUpAKeyAtOnce(t *testing.T) {
	// Replicas look at the store once a second, as they do on an ordinary schedule.
	f := newFleet(t, scheduled(t, "publish_ahead: 4s, active: 16s, retiring: 20s, jwks_max_age: 2s"))
	l := newLoad(t, f)
	var took []time.Duration
	l.during(func() {
		for range amount(t, "CHATPASS_EMERGENCIES", 2) {
			took = append(took, l.giveUp(t)...)
		}
	})
	slices.Sort(took)
	if slowest := took[len(took)-1]; slowest > 2*time.Second {
		t.Errorf("a replica obeyed after %s, want 2 s at most", slowest)
	}
	f.agreeOnKeys(t)
	t.Logf("counted: %d contexts; %d replicas obeyed after %s to %s", l.contexts, len(took),
		took[0].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
	l.wantBelievers(t, 100, len(took)/len(f.replicas)+1)
}

// giveUp gives the signing key up as soon as another is ripe, and returns how long each replica took to
// obey.
func (l *load) giveUp(t *testing.T) []time.Duration {
	t.Helper()
	bad := l.ripe(t)
	l.given.Store(&bad)
	gone := make([]time.Time, len(l.replicas))
	var watchers sync.WaitGroup
	for i, r := range l.replicas {
		watchers.Go(func() { gone[i] = l.watch(t, r, bad) })
	}
	said, code := l.chatpass(t, "keys", "compromise", bad, "--yes", bad, "--json", "-c", l.config())
	var events []struct {
		Time time.Time
		What string
	}
	if err := json.Unmarshal([]byte(said.out.String()), &events); err != nil || code != 0 || len(events) == 0 {
		t.Fatalf("compromise: exit code %d, %v: %s", code, err, said.err.String())
	}
	watchers.Wait()
	l.gone.Store(&bad)
	var took []time.Duration
	for _, at := range gone {
		took = append(took, at.Sub(events[0].Time))
	}
	return took
}

// ripe waits until a key can take over at once, and returns the one that signs now.
func (l *load) ripe(t *testing.T) (active string) {
	t.Helper()
	eventually(t, func() error {
		ready := false
		for _, k := range l.keysList(t) {
			if k.Class != "context" {
				continue
			}
			if k.State == "active" {
				active = k.KID
			}
			ready = ready || k.State == "pending" && k.BlockedBy == ""
		}
		if !ready {
			return fmt.Errorf("no key is ripe")
		}
		return nil
	})
	return active
}

// watch returns when the replica published the key no more. From then on it does not sign with it
// either, and sessions get contexts of another key, which every verifier knows.
func (l *load) watch(t *testing.T, r *replica, bad string) time.Time {
	eventually(t, func() error {
		if strings.Contains(keySet(t, r.site), bad) {
			return fmt.Errorf("the key is in the key set of %s", r.at)
		}
		return nil
	})
	gone := time.Now()
	for what, a := range map[string]answer{"exchange": r.asBackend(t, l.idToken), "session": l.session.before(r).renew(t)} {
		token := a.AccessToken + a.Context.Token
		if a.status != http.StatusOK || keyID(t, token) == bad {
			t.Errorf("%s: status %d, signed by %s, which was given up", what, a.status, keyID(t, token))
			continue
		}
		for _, b := range l.believers {
			if err := b.check(keyID(t, token), token); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	return gone
}
