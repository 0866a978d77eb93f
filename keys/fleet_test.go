package keys_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"pgregory.net/rapid"

	"chatpass/identity"
	"chatpass/keys"
)

// What holds, whatever happens, and where it is held to it. Tests name these by their numbers.
//
//	I1  the kid of a context was in every served set, from publish_ahead before it was issued;
//	    but for the first key of an installation             replica.sign, fleet.verify
//	I2  while a context is valid, its kid is in every served set, unless it was given up
//	                                                         fleet.observe, fleet.recall
//	I3  no verifier meets an unknown kid or refuses a valid context: one that keeps its keys and never
//	    asks for more, one that asks with a cool-down, ours   TestNoVerifierNoticesARotation
//	I4  at most one key of a class signs                     checkRing
//	I5  kids are unique, no private member is served         checkRing, replica.served, TestFaultyRingIsRefused
//	I6  a token's algorithm is its key's                     replica.wantKind, TestAlgorithmIsTheKeys
//	I7  nobody signs after the end of its lease              replica.sign, TestStoreOutage
//	I8  a held key stays in the set, by every path           checkChange, TestHeldKeyStays
//	I9  a clock that is wrong makes nothing happen early     TestNoClockStepHurries, TestRotationNeedsNoClock
//	I10 replicas serve the same bytes two seconds after a change, and with the store dead
//	                                                         fleet.settle, TestRunKeepsReplicasTogether, TestStoreOutage
//	I11 a token of one class never verifies as another       replica.wantKind, TestTokenVerifiesInItsClassAlone
//	I12 nothing becomes of a key before its event is written checkTold
//	I13 a key that is given up, in any state, leaves no unknown kid behind
//	                                                         fleet.giveUp in TestNoVerifierNoticesARotation

// A fleet is three replicas over one store, in one true time, watched from outside. It keeps what
// verifiers depend on: which kid was missing from a served key set when, and until when some
// token of a kid is valid.
type fleet struct {
	rapid.TB
	rapid    *rapid.T // for the random ones
	cfg      keys.Config
	store    *memory
	now      time.Time // the true time
	replicas []*replica

	lastMissing map[string]time.Time // by kid: when a replica in service last served a set without it
	validUntil  map[string]time.Time // by kid: the end of its longest-lived token, leeway included
	signed      map[string]int
	given       map[string]bool // kids that an operator gave up
	wild        bool            // a clock has been set forward or back
	audience    *audience       // who verifies what is signed; nil for nobody
}

// A replica has a ring, a way to the store and a clock that is wrong by an offset.
type replica struct {
	*fleet
	door      *door
	ring      *keys.Ring // nil while it is not running
	offset    time.Duration
	stopped   time.Time // what the clock shows for ever; zero: it goes
	algorithm string
	lastLook  time.Time
	etag      string
	kids      []string // of the set with that ETag
}

func newFleet(t rapid.TB, cfg keys.Config) *fleet {
	f := &fleet{
		TB: t, cfg: cfg, store: &memory{}, now: epoch,
		lastMissing: map[string]time.Time{}, validUntil: map[string]time.Time{}, signed: map[string]int{}, given: map[string]bool{},
	}
	for range 3 {
		r := &replica{fleet: f, algorithm: cfg.Algorithm, door: &door{memory: f.store}}
		r.door.onLook = func() { r.lastLook = f.now }
		f.replicas = append(f.replicas, r)
	}
	return f
}

// start runs the replica anew, with nothing in memory.
func (r *replica) start() {
	cfg := r.cfg
	cfg.Store, cfg.Algorithm = r.door, r.algorithm
	cfg.Now = r.clock
	cfg.Elapsed = func() time.Duration { return r.fleet.now.Sub(epoch) }
	ring, err := keys.Open(context.Background(), cfg)
	r.expect("open", err)
	if err != nil {
		ring = nil
	}
	r.ring = ring
	r.observe()
}

// clock is what the replica takes for the time.
func (r *replica) clock() time.Time {
	if !r.stopped.IsZero() {
		return r.stopped
	}
	return r.fleet.now.Add(r.offset)
}

func (r *replica) tick() {
	if r.ring == nil {
		r.start()
		return
	}
	r.expect("tick", r.ring.Tick(context.Background()))
	r.observe()
}

// expect allows only the errors that the test causes.
func (f *fleet) expect(what string, err error) {
	if err != nil && !errors.Is(err, errDown) && !errors.Is(err, errCrash) {
		f.Fatalf("%s: %v", what, err)
	}
}

func (f *fleet) advance(by time.Duration) {
	f.observe()
	f.now = f.now.Add(by)
	f.observe()
	if f.audience != nil {
		f.recall()
	}
}

// inService says whether a load balancer would send anybody to this replica.
func (r *replica) inService() bool { return r.ring != nil && r.ring.Ready() == nil }

func (r *replica) served() []string {
	set := r.ring.KeySet()
	if set.ETag == r.etag {
		return r.kids
	}
	var parsed struct{ Keys []map[string]any }
	if err := json.Unmarshal(set.Body, &parsed); err != nil {
		r.Fatal(err)
	}
	r.etag, r.kids = set.ETag, nil
	for _, jwk := range parsed.Keys {
		kid := jwk["kid"].(string)
		if jwk["d"] != nil || slices.Contains(r.kids, kid) { // I5
			r.Fatalf("key set has a private member or %s twice: %s", kid, set.Body)
		}
		r.kids = append(r.kids, kid)
	}
	return r.kids
}

// observe looks at every key set that is in service now.
func (f *fleet) observe() {
	if f.store.broken != nil { // I4, I5
		f.Fatal(f.store.broken)
	}
	for _, k := range f.store.read().Keys {
		if _, known := f.lastMissing[k.KID]; !known {
			f.lastMissing[k.KID] = f.now
		}
	}
	for _, r := range f.replicas {
		if !r.inService() {
			continue
		}
		kids := r.served()
		for kid := range f.lastMissing {
			if slices.Contains(kids, kid) {
				continue
			}
			f.lastMissing[kid] = f.now
			if until := f.validUntil[kid]; !until.Before(f.now) { // I2
				f.Fatalf("a token of key %s is valid for %s more, but the key is not served", kid, until.Sub(f.now))
			}
		}
	}
}

// sign has a replica sign, and holds the token's key to what verifiers depend on.
func (r *replica) sign() {
	if r.ring == nil {
		return
	}
	r.observe()
	token, err := r.ring.Class("context").Sign(context.Background(), "at+jwt", r.claims())
	if outage, ok := errors.AsType[*identity.Outage](err); ok && outage.Code == identity.NoSigningKey {
		return
	}
	if err != nil {
		r.Fatal(err)
	}
	h := header(r, token)
	kid, alg := h["kid"].(string), h["alg"].(string)
	if cut := r.now.Sub(r.lastLook); cut > r.cfg.Lease() { // I7
		r.Fatalf("signed %s after the last look at the store, the lease is %s", cut, r.cfg.Lease())
	}
	r.wantKind(token, kid, alg)
	if r.given[kid] {
		return // this replica has not heard of it yet
	}
	if ahead := r.now.Sub(r.lastMissing[kid]); ahead < r.cfg.PublishAhead && !r.founding(kid) { // I1
		r.Fatalf("key %s signs, but was missing from a served set %s ago, less than %s", kid, ahead, r.cfg.PublishAhead)
	}
	r.signed[kid]++
	r.validUntil[kid] = r.now.Add(r.cfg.LongestLifetime + skew(r.cfg))
	if r.audience != nil {
		r.hear(issued{token, kid, r.validUntil[kid]})
	}
}

// wantKind expects that a token is signed by the algorithm of its key (I6), and is none of another
// class (I11).
func (r *replica) wantKind(token, kid, alg string) {
	for _, k := range r.store.read().Keys {
		if k.KID == kid && (alg != k.Algorithm || k.Class != "context") {
			r.Fatalf("a %s key of class %s signed a context by %s", k.Algorithm, k.Class, alg)
		}
	}
	if _, err := r.ring.Class("status").Verify(token); !errors.Is(err, identity.ErrRejected) {
		r.Fatalf("a context verifies as of another class: %v", err)
	}
}

// founding says whether kid was active at once, which is right only while nobody has a valid token.
func (f *fleet) founding(kid string) bool {
	ring := f.store.read().Keys
	i := slices.IndexFunc(ring, func(k keys.Record) bool { return k.KID == kid })
	if i < 0 || !ring[i].Activated.Equal(ring[i].Published) {
		return false
	}
	for other, until := range f.validUntil {
		if other != kid && f.signed[kid] == 0 && !until.Before(f.now) {
			f.Fatalf("key %s was active at once, while a token of %s is valid", kid, other)
		}
	}
	return true
}

func skew(cfg keys.Config) time.Duration {
	if cfg.Short {
		return time.Second
	}
	return time.Minute
}

// settle lets all replicas reach the store, and expects them to show the same (I10).
func (f *fleet) settle() {
	for _, r := range f.replicas {
		*r.door = door{memory: f.store, onLook: r.door.onLook}
	}
	for round, writes := 0, -1; writes != f.store.writes; round++ {
		if writes = f.store.writes; round > 5 {
			f.Fatal("replicas do not come to an end")
		}
		for _, r := range f.replicas {
			r.tick()
		}
	}
	want := f.replicas[0].ring.KeySet()
	for _, r := range f.replicas[1:] {
		if got := r.ring.KeySet(); got.ETag != want.ETag || string(got.Body) != string(want.Body) {
			f.Fatalf("replicas serve different key sets:\n%s\n%s", want.Body, got.Body)
		}
	}
}
