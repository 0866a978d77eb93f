package e2e_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// A service that changes its key every six seconds is killed again and again, while it starts and while
// it signs. It always starts again; as soon as it is ready it signs, and does so until it is killed; no
// key is lost that anybody needs, and what was signed before verifies.
func TestRotationSurvivesKill(t *testing.T) {
	s, upstream := newSiteWithIssuer(t, noLimit)
	hasty(t)(s)
	k := killer{t: t, site: s, client: &http.Client{Transport: &http.Transport{}}, signed: map[string]signature{}, seen: map[string]time.Time{}, idToken: shopIDToken(t, upstream, "alice")}
	seed := uint64(amount(t, "CHATPASS_SEED", int(time.Now().UnixNano()>>10)))
	t.Logf("CHATPASS_SEED=%d", seed)
	source := rand.New(rand.NewPCG(seed, 0))
	random := func(most time.Duration) time.Duration { return time.Duration(source.Int64N(int64(most))) }
	points := amount(t, "CHATPASS_KILLS", 20)
	for n := 1; n <= points && !t.Failed(); n++ {
		if n%2 == 0 { // before it is ready, perhaps
			k.killEarly(random(150 * time.Millisecond))
			continue
		}
		k.signUntilKilled(time.Second/4 + random(3*time.Second/2))
	}
	k.signUntilKilled(time.Second / 4)

	list, code := s.chatpass(t, "keys", "list", "-c", s.config())
	if said := list.out.String(); code != 0 || !strings.Contains(said, "the chain is whole") {
		t.Errorf("keys list: exit code %d, %s%s", code, said, list.err.String())
	}
	if least := points/20 + 1; len(k.signed) < least {
		t.Errorf("%d keys signed, want %d at least", len(k.signed), least)
	}
	t.Logf("counted: %d kills, %d contexts of %d keys, ready again after %s at most", points, k.contexts, len(k.signed), k.slowest.Round(time.Millisecond))
}

// noLimit lets tests ask as often as they like.
var noLimit = [2]string{"log: {", "limits: {contexts_per_minute_per_session: 0}\nlog: {"}

// A killer keeps what a service has signed and published until it was killed.
type killer struct {
	site
	t        *testing.T
	client   *http.Client
	idToken  string
	signed   map[string]signature // by kid, the last
	seen     map[string]time.Time // by kid, when it was first seen in the key set
	contexts int
	slowest  time.Duration // to be ready
}

// A signature is a context and when it was signed.
type signature struct {
	token string
	at    time.Time
}

// killEarly starts the service and kills it that long after.
func (k *killer) killEarly(life time.Duration) {
	k.t.Helper()
	p := start(k.t, command("serve", "-c", k.config()))
	time.AfterFunc(life, p.kill)
	k.wantKilled(p)
}

func (k *killer) wantKilled(p *process) {
	k.t.Helper()
	if code := p.exitCode(); code != -1 {
		k.t.Errorf("the service ended by itself, exit code %d", code)
	}
}

// signUntilKilled starts the service and, when it is ready, asks for contexts all the time that it has
// left to live.
func (k *killer) signUntilKilled(life time.Duration) {
	k.t.Helper()
	began := time.Now()
	p := k.ready(k.t, start(k.t, command("serve", "-c", k.config())))
	k.slowest = max(k.slowest, time.Since(began))
	k.wantKeys()
	time.AfterFunc(life, p.kill)
	for k.sign(p) {
		k.contexts++
	}
	k.wantKilled(p)
}

// sign asks for a context. It returns false when the service was killed.
func (k *killer) sign(p *process) bool {
	req := k.exchangeRequest(k.t, k.idToken)
	req.SetBasicAuth(backend, secrets[1][len("BACKEND_SECRET="):])
	at := time.Now()
	a, err := do(k.client, req)
	if err != nil {
		<-p.ended
		return false
	}
	if a.status != http.StatusOK {
		k.t.Errorf("status %d %s: %s", a.status, a.Code, a.Description)
		return false
	}
	k.signed[keyID(k.t, a.AccessToken)] = signature{a.AccessToken, at}
	return true
}

// wantKeys expects that every key is published whose context may be valid, and verifies it; and every key
// that is younger than its time to sign (six seconds) and to retire (sixteen).
func (k *killer) wantKeys() {
	k.t.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(keySet(k.t, k.site)), &set); err != nil {
		k.t.Fatal(err)
	}
	for kid, last := range k.signed {
		if time.Since(last.at) > 10*time.Second { // the life of a context
			continue
		}
		if err := verifies(set, kid, last.token); err != nil {
			k.t.Error(err)
		}
	}
	for _, key := range set.Keys {
		if _, ok := k.seen[key.KeyID]; !ok {
			k.seen[key.KeyID] = time.Now()
		}
	}
	for kid, first := range k.seen {
		if time.Since(first) < 15*time.Second && len(set.Key(kid)) == 0 { // it was published a while before we saw it
			k.t.Errorf("key %s was lost", kid)
		}
	}
}

func verifies(set jose.JSONWebKeySet, kid, token string) error {
	published := set.Key(kid)
	if len(published) != 1 {
		return fmt.Errorf("key %s is published %d times, and a context of it is valid", kid, len(published))
	}
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
	if err == nil {
		_, err = jws.Verify(published[0])
	}
	return err
}
