package keys_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	verifier "chatpass/verify"
)

const (
	issuerURL = "https://chat.example"
	keySetURL = issuerURL + "/jwks.json"
	aud       = "https://api.example"
)

// An audience is three services that verify the contexts of a fleet, each with another kind of cache.
type audience struct {
	patient  *cache             // keeps its keys as long as they were published ahead, asks for no unknown key
	asking   *cache             // asks for unknown keys, with a cool-down
	ours     *verifier.Verifier // package verify, if the schedule leaves it the time that it takes
	now      atomic.Int64       // the true time in Unix nanoseconds
	recent   []issued           // contexts that are valid still
	tally    *tally
	location int // which replica answers next
}

// issued is a context and until when it is valid.
type issued struct {
	token, kid string
	until      time.Time
}

// A tally is what a test has shown, over all of its histories.
type tally struct {
	histories, rotations, contexts, checks, emergencies, beyondPeriod int
}

func (n *tally) String() string {
	return fmt.Sprintf("%d random histories, %d rotations, %d keys given up, %d contexts, %d verifications by 3 kinds of verifier",
		n.histories, n.rotations, n.emergencies, n.contexts, n.checks)
}

// A cache is a service that keeps our key set.
type cache struct {
	keep     time.Duration // asks again when the set is that old; 0 for never
	cooldown time.Duration // asks for an unknown key, that long after the last time; 0 for never
	keys     map[string]jose.JSONWebKey
	asked    time.Time
}

func (f *fleet) newAudience(n *tally) {
	a := &audience{
		tally: n, patient: &cache{keep: f.cfg.PublishAhead},
		asking: &cache{cooldown: min(30*time.Second, f.cfg.PublishAhead)},
	}
	f.audience = a
	if f.cfg.PublishAhead >= 2*time.Minute {
		var err error
		a.ours, err = verifier.New(issuerURL, aud, verifier.WithLeeway(skew(f.cfg)),
			verifier.WithClock(func() time.Time { return time.Unix(0, a.now.Load()) }), verifier.WithHTTPClient(&http.Client{Transport: f}))
		if err != nil {
			f.Fatal(err)
		}
	}
}

// claims are those of a context that is issued now.
func (f *fleet) claims() []byte {
	claims := map[string]any{
		"iss": issuerURL, "aud": aud, "sub": "customer", "client_id": "web", "jti": fmt.Sprint(f.now.UnixNano()),
		"iat": f.now.Unix(), "exp": f.now.Add(f.cfg.LongestLifetime).Unix(), "chat": map[string]any{"ver": 1, "app": "support"},
	}
	text, err := json.Marshal(claims)
	if err != nil {
		f.Fatal(err)
	}
	return text
}

// hear is that a context was issued. Everybody verifies it at once.
func (f *fleet) hear(i issued) {
	f.audience.tally.contexts++
	f.audience.recent = append(f.audience.recent, i)
	f.verify(i)
}

// recall has everybody verify an old context that is valid still, the oldest and one of the others.
func (f *fleet) recall() {
	a := f.audience
	a.recent = slices.DeleteFunc(a.recent, func(i issued) bool { return f.given[i.kid] || !i.until.After(f.now.Add(skew(f.cfg))) })
	if n := len(a.recent); n > 0 {
		f.verify(a.recent[0])
		f.verify(a.recent[f.now.Nanosecond()/7%n])
	}
}

// verify holds I3: no verifier meets an unknown kid or refuses a valid context.
func (f *fleet) verify(i issued) {
	a := f.audience
	for name, c := range map[string]*cache{"patient": a.patient, "asking": a.asking} {
		if err := f.believe(c, i); err != nil {
			f.Fatalf("the %s verifier: %v", name, err)
		}
		a.tally.checks++
	}
	if a.ours == nil || f.founding(i.kid) {
		return
	}
	a.now.Store(f.now.UnixNano())
	_, err := a.ours.Verify(context.Background(), i.token)
	synctest.Wait() // for a refresh of its keys in the background
	rejection, _ := errors.AsType[*verifier.Error](err)
	switch {
	case err == nil:
		a.tally.checks++
	case f.wild && rejection != nil && rejection.Reason == verifier.KeyPeriod:
		a.tally.beyondPeriod++ // a clock that was years ahead has written the key's nbf
	case errors.Is(err, verifier.ErrUnavailable) && f.server() == nil:
	default:
		f.Fatalf("our verifier: %v", err)
	}
}

// believe verifies a context with the keys that a service has, or asks for as its kind does.
func (f *fleet) believe(c *cache, i issued) error {
	if c.asked.IsZero() || c.keep > 0 && f.now.Sub(c.asked) >= c.keep {
		f.fetch(c)
	}
	if _, ok := c.keys[i.kid]; !ok && (c.cooldown > 0 && f.now.Sub(c.asked) >= c.cooldown || f.founding(i.kid)) {
		f.fetch(c)
	}
	key, ok := c.keys[i.kid]
	if !ok {
		return fmt.Errorf("key %s is unknown %s after its keys were fetched", i.kid, f.now.Sub(c.asked))
	}
	jws, err := jose.ParseSignedCompact(i.token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(key.Algorithm)})
	if err == nil {
		_, err = jws.Verify(key)
	}
	return err
}

// fetch asks a replica in service, or leaves what there is.
func (f *fleet) fetch(c *cache) {
	r := f.server()
	if r == nil {
		return
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(r.ring.KeySet().Body, &set); err != nil {
		f.Fatal(err)
	}
	c.keys, c.asked = map[string]jose.JSONWebKey{}, f.now
	for _, k := range set.Keys {
		c.keys[k.KeyID] = k
	}
}

// server is the replica that a load balancer chooses, each in its turn; nil if none is in service.
func (f *fleet) server() *replica {
	for range f.replicas {
		f.audience.location++
		if r := f.replicas[f.audience.location%len(f.replicas)]; r.inService() {
			return r
		}
	}
	return nil
}

// RoundTrip answers our verifier.
func (f *fleet) RoundTrip(req *http.Request) (*http.Response, error) {
	answer := func(status int, body string) (*http.Response, error) {
		return &http.Response{
			StatusCode: status, Body: io.NopCloser(strings.NewReader(body)), Request: req,
			Header: http.Header{"Content-Type": {"application/json"}},
		}, nil
	}
	if req.URL.String() != keySetURL {
		return answer(http.StatusOK, `{"issuer":"`+issuerURL+`","jwks_uri":"`+keySetURL+`"}`)
	}
	if r := f.server(); r != nil {
		return answer(http.StatusOK, string(r.ring.KeySet().Body))
	}
	return answer(http.StatusServiceUnavailable, "")
}
