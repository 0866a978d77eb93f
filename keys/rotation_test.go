package keys_test

import (
	stdcmp "cmp"
	"context"
	"errors"
	"os"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"chatpass/keys"
)

// drawSchedule returns one of those that a configuration may have, the tightest included.
func drawSchedule(t *rapid.T) keys.Config {
	cfg := keys.Config{Algorithm: "ES256", Classes: []string{"context"}, Short: rapid.Bool().Draw(t, "short")}
	unit, lease, active := time.Minute, 5*time.Minute, time.Hour
	if cfg.Short {
		unit, lease, active = time.Second, time.Second, 4*time.Second
	}
	some := func(name string, least time.Duration, spread int) time.Duration {
		return least + time.Duration(rapid.IntRange(0, spread).Draw(t, name))*unit
	}
	cfg.JWKSMaxAge = some("max age", unit, 10)
	cfg.LongestLifetime = some("lifetime", unit, 60)
	cfg.PublishAhead = some("publish ahead", max(cfg.JWKSMaxAge+skew(cfg), 15*unit), 3000)
	cfg.Active = some("active", max(cfg.PublishAhead, active), 10000)
	room := rapid.SampledFrom([]int{0, 20, 1500}).Draw(t, "room")
	cfg.Retiring = some("retiring", cfg.LongestLifetime+2*skew(cfg)+cfg.JWKSMaxAge+lease, room)
	if err := cfg.Check(); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// part draws a time that is short or long against the parts of the schedule.
func part(t *rapid.T, cfg keys.Config) time.Duration {
	whole := rapid.SampledFrom([]time.Duration{
		cfg.Lease(), cfg.Lease(), cfg.PublishAhead, cfg.Active, cfg.Retiring, 8 * cfg.Active,
	}).Draw(t, "of")
	return time.Duration(rapid.Float64Range(0, 1.1).Draw(t, "part") * float64(whole))
}

// step lets one thing happen to one replica.
func (f *fleet) step(choices []string) {
	r := f.drawReplica()
	switch rapid.SampledFrom(choices).Draw(f.rapid, "step") {
	case "tick":
		r.tick()
	case "sign":
		r.sign()
	case "wait":
		f.advance(part(f.rapid, f.cfg))
	case "run": // a while without trouble: everybody looks at the store within every lease
		for range rapid.IntRange(1, 40).Draw(f.rapid, "rounds") {
			f.advance(min(f.cfg.Lease()/2, f.cfg.Active/50))
			for _, r := range f.replicas {
				r.tick()
				r.sign()
			}
		}
	case "outage":
		r.door.down = !r.door.down
	case "die before write":
		r.door.lose = true
		r.tick()
		r.restart()
	case "die after write":
		r.door.lapse = true
		r.tick()
		r.restart()
	case "restart":
		r.restart()
	case "race":
		other := f.drawReplica()
		when := rapid.SampledFrom([]*func(){&r.door.amid, &r.door.between}).Draw(f.rapid, "when")
		*when = func() {
			f.advance(part(f.rapid, f.cfg) / 100)
			if other != r {
				other.tick()
			}
		}
		r.tick()
		*when = nil
	case "settle":
		f.settle()
	case "start with a wrong clock":
		r.misstart()
	case "order":
		r.order()
	case "step the clock":
		f.wild = true
		r.offset = rapid.SampledFrom([]time.Duration{
			0, 0, time.Minute, -time.Minute, 2 * time.Hour, -2 * time.Hour, 87600 * time.Hour, -87600 * time.Hour,
		}).Draw(f.rapid, "offset")
	}
}

// order has an operator do something to the ring, through any replica that reaches the store.
func (r *replica) order() {
	r.tick()
	if r.ring == nil || r.door.down {
		return
	}
	infos := r.ring.List()
	k := infos[rapid.IntRange(0, len(infos)-1).Draw(r.rapid, "key")]
	var err error
	switch rapid.SampledFrom([]string{"rotate", "rotate", "hold", "unhold", "unhold", "give up"}).Draw(r.rapid, "order") {
	case "rotate":
		_, err = r.ring.Rotate(context.Background(), operator)
	case "hold":
		_, err = r.ring.Hold(context.Background(), k.KID, operator)
	case "unhold":
		_, err = r.ring.Unhold(context.Background(), k.KID, operator)
	case "give up":
		err = r.giveUp(k, infos)
	}
	if !errors.Is(err, keys.ErrHeld) && !errors.Is(err, keys.ErrGone) {
		r.expect("order", err)
	}
	r.observe()
}

// giveUp gives a key up, in whatever state, if another is ripe to take over from it: only then is
// nobody to notice (I13).
func (r *replica) giveUp(k keys.Info, infos []keys.Info) error {
	ripe := slices.ContainsFunc(infos, func(o keys.Info) bool {
		return o.Class == k.Class && o.KID != k.KID && o.State == keys.Pending && o.BlockedBy == ""
	})
	if r.wild || k.State == keys.Active && !ripe {
		return nil
	}
	_, err := r.ring.Compromise(context.Background(), k.KID, operator)
	for _, stored := range r.store.read().Keys { // the answer may have been lost
		if stored.KID != k.KID || stored.Compromised.IsZero() || r.given[k.KID] {
			continue
		}
		r.given[k.KID] = true
		delete(r.validUntil, k.KID)
		if r.audience != nil {
			r.audience.tally.emergencies++
		}
	}
	return err
}

func (f *fleet) drawReplica() *replica {
	return f.replicas[rapid.IntRange(0, len(f.replicas)-1).Draw(f.rapid, "replica")]
}

// restart begins anew, with a clock as wrong as clocks may be, and now and then another algorithm.
func (r *replica) restart() {
	if rapid.IntRange(0, 9).Draw(r.rapid, "new configuration") == 0 {
		r.algorithm = rapid.SampledFrom([]string{"ES256", "EdDSA"}).Draw(r.rapid, "algorithm")
	}
	half := int64(skew(r.cfg) / 2)
	r.offset = time.Duration(rapid.Int64Range(-half, half).Draw(r.rapid, "offset"))
	r.start()
}

// Whatever happens to replicas and store, no verifier meets a key that it could not know (I1), and no
// valid context loses its key (I2); I4, I5, I7 and I10 are watched by the fleet.
func TestRotationStrandsNoContext(t *testing.T) {
	steps := []string{
		"tick", "tick", "sign", "sign", "sign", "wait", "wait", "run", "run", "run", "outage", "outage",
		"die before write", "die after write", "restart", "race", "race", "settle",
	}
	rapid.Check(t, func(t *rapid.T) {
		f := newFleet(t, drawSchedule(t))
		f.rapid = t
		for _, r := range f.replicas {
			r.restart()
		}
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			f.step(steps)
		}
		f.settle()
	})
}

// Whatever happens to replicas, store and keys, none of three kinds of verifier notices (I3): each
// believes every context at once, and again for as long as it is valid. In some histories clocks are set
// forward and back and replicas start with wrong ones; then the store has a right one of its own.
func TestNoVerifierNoticesARotation(t *testing.T) {
	usual := []string{
		"tick", "sign", "sign", "sign", "wait", "wait", "run", "run", "run", "run", "run", "run", "outage", "outage", "race", "settle", "order", "order",
	}
	sound := append(slices.Clone(usual), "die before write", "die after write", "restart")
	wild := append(slices.Clone(sound), "step the clock", "step the clock", "start with a wrong clock")
	var n tally
	for want := contexts(t); n.contexts < want && !t.Failed(); {
		synctest.Test(t, func(t *testing.T) {
			rapid.Check(bubble{t}, func(t *rapid.T) {
				if n.contexts < want {
					liveThrough(t, &n, rapid.SampledFrom([][]string{sound, sound, sound, wild}).Draw(t, "choices"))
				}
			})
		})
	}
	t.Logf("counted: %s", &n)
}

// liveThrough is one random history, with an audience.
func liveThrough(t *rapid.T, n *tally, steps []string) {
	f := newFleet(t, drawSchedule(t))
	f.rapid = t
	f.cfg.Classes = []string{"context", "status"}[:rapid.IntRange(1, 2).Draw(t, "classes")]
	f.newAudience(n)
	if slices.Contains(steps, "step the clock") {
		f.store.clock = func() time.Time { return f.now }
	}
	for _, r := range f.replicas {
		r.restart()
	}
	for range rapid.IntRange(1, 50).Draw(t, "length") {
		f.step(steps)
	}
	n.histories++
	n.rotations += max(0, len(f.signed)-1)
}

// A bubble is a test with no deadline: there is none where time is not the machine's.
type bubble struct{ rapid.TB }

// contexts is how many of them a long test signs: what the environment says, else a sample.
func contexts(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(stdcmp.Or(os.Getenv("CHATPASS_CONTEXTS"), "2000"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A clock that is set forward or back, by hours or by years, makes nothing happen early (I9): the
// invariants are the same, and hold in true time.
func TestNoClockStepHurries(t *testing.T) {
	steps := []string{
		"tick", "tick", "sign", "sign", "sign", "wait", "wait", "run", "run", "run", "outage", "outage",
		"race", "race", "settle", "step the clock", "step the clock", "step the clock",
	}
	rapid.Check(t, func(t *rapid.T) {
		f := newFleet(t, drawSchedule(t))
		f.rapid = t
		for _, r := range f.replicas {
			r.start()
		}
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			f.step(steps)
		}
	})
}

// wrongClocks are by how much clocks are wrong.
var wrongClocks = []time.Duration{2 * time.Hour, -2 * time.Hour, 87600 * time.Hour, -87600 * time.Hour}

// Over a store with a clock of its own, a replica that starts with a wrong clock, or one that stands still,
// hurries nothing either (I9).
func TestNoClockAtTheStartHurries(t *testing.T) {
	steps := []string{
		"tick", "tick", "sign", "sign", "sign", "wait", "wait", "run", "run", "outage", "outage",
		"die before write", "die after write", "race", "settle", "start with a wrong clock", "start with a wrong clock",
	}
	rapid.Check(t, func(t *rapid.T) {
		f := newFleet(t, drawSchedule(t))
		f.rapid, f.store.clock = t, func() time.Time { return f.now }
		for _, r := range f.replicas {
			r.misstart()
		}
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			f.step(steps)
		}
	})
}

// misstart begins anew with a wrong clock.
func (r *replica) misstart() {
	r.offset, r.stopped = rapid.SampledFrom(wrongClocks).Draw(r.rapid, "offset"), time.Time{}
	if rapid.Bool().Draw(r.rapid, "stopped") {
		r.stopped = r.fleet.now.Add(r.offset)
	}
	r.start()
}

// Whatever its own clock says at each of its starts, a replica does everything when a right one would.
func TestOnlyTheStoresClockCounts(t *testing.T) {
	var want []keys.Record
	for _, offset := range append([]time.Duration{0}, wrongClocks...) {
		c, store := newClock(), &door{memory: &memory{}}
		store.clock = c.now
		cfg := c.config(store)
		cfg.Now = func() time.Time { return c.now().Add(offset) }
		cfg.Elapsed = func() time.Duration { return c.now().Sub(epoch) }
		for range 5 * 7 * 24 {
			tick(t, open(t, cfg))
			c.advance(time.Hour)
		}
		got := store.read().Keys
		slices.SortFunc(got, func(a, b keys.Record) int { // of keys of one age, chance says which is first
			return stdcmp.Or(a.Activated.Compare(b.Activated), a.Created.Compare(b.Created))
		})
		if offset == 0 {
			want = got
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(keys.Record{}, "KID", "Public", "Private")); diff != "" {
			t.Errorf("a clock wrong by %s (-want +got):\n%s", offset, diff)
		}
	}
}

// A replica that loses the store just before a key is replaced signs with it as long as it may. No
// verifier loses that key while such a token is valid.
func TestCutOffReplicaStrandsNoContext(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := newFleet(t, drawSchedule(t))
		f.rapid = t
		for _, r := range f.replicas {
			r.restart()
		}
		f.advance(f.cfg.Active - f.cfg.Lease()/time.Duration(rapid.IntRange(1, 20).Draw(t, "before")))
		for _, r := range f.replicas {
			r.tick()
		}
		f.replicas[0].door.down = true
		end := f.now.Add(f.cfg.Lease() + f.cfg.Retiring + f.cfg.LongestLifetime)
		for step := f.cfg.Lease() / 10; f.now.Before(end); f.advance(step) {
			f.replicas[0].sign()
			f.replicas[1].tick()
			if !f.replicas[0].inService() { // nothing but the removal is awaited now
				step = f.cfg.Retiring / 50
			}
		}
	})
}

// A replica that first sees a key sign when its term may be over does not begin a new term with it.
func TestLateSightingGrantsNoTerm(t *testing.T) {
	c, store := newClock(), &memory{}
	doors := []*door{{memory: store}, {memory: store}}
	awake, asleep := open(t, c.config(doors[0])), open(t, c.config(doors[1]))
	c.advance(168 * time.Hour)
	tick(t, awake)
	old := inState(awake, keys.Active)[0]
	doors[0].down = true
	c.advance(2 * 168 * time.Hour)
	tick(t, asleep)
	if kid := verify(t, sign(t, asleep), published(t, asleep.KeySet())); kid == old {
		t.Error("the key signs beyond its term")
	}
}

// On the tightest of schedules, and with nothing in its way, rotation leaves no gap.
func TestTightScheduleHasNoGap(t *testing.T) {
	c := newClock()
	cfg := c.config(&door{memory: &memory{}})
	cfg.PublishAhead, cfg.Active = time.Hour, time.Hour
	ring := open(t, cfg)
	for range 24 * 60 {
		c.advance(time.Minute)
		tick(t, ring)
		sign(t, ring)
	}
}

// A clock that stands still, runs backwards or far too fast does not stop rotation, nor hurry it.
func TestRotationNeedsNoClock(t *testing.T) {
	for _, rate := range []time.Duration{0, -1, 3} {
		f := newFleet(t, brisk(nil, nil))
		for _, r := range f.replicas {
			r.start()
		}
		for f.now.Before(epoch.Add(4*f.cfg.Active - f.cfg.Lease()/4)) {
			f.advance(f.cfg.Lease() / 4)
			for _, r := range f.replicas {
				r.offset += (rate - 1) * f.cfg.Lease() / 4
				r.tick()
				r.sign()
			}
		}
		if len(f.signed) != 4 {
			t.Errorf("clock at rate %d: %d keys signed in four terms", rate, len(f.signed))
		}
	}
}

// Hour by hour, for five weeks: a verifier that fetched the key set two days ago and never asks again
// believes what is signed now, and one that fetches now what was signed an hour ago.
func TestTwoDayCacheMeetsNoUnknownKey(t *testing.T) {
	c := newClock()
	ring := open(t, c.config(&door{memory: &memory{}}))
	sets := []map[string]jose.JSONWebKey{published(t, ring.KeySet())}
	tokens, used := []string{sign(t, ring)}, map[string]bool{}
	for hour := 1; hour < 5*7*24; hour++ {
		c.advance(time.Hour)
		tick(t, ring)
		sets, tokens = append(sets, published(t, ring.KeySet())), append(tokens, sign(t, ring))
		used[verify(t, tokens[hour], sets[max(0, hour-48)])] = true
		verify(t, tokens[hour-1], sets[hour])
	}
	if len(used) != 5 {
		t.Errorf("%d keys signed in five weeks, want 5", len(used))
	}
}

// A schedule that changes in the middle breaks no promise: keys stop before the `exp` they were published
// with, and the next is known two days before.
func TestScheduleChange(t *testing.T) {
	// Two weeks and a bit of one key a week; then the rest of ten weeks on the new schedule.
	for active, want := range map[time.Duration]int{48 * time.Hour: 3 + 27, 720 * time.Hour: 3 + 4} {
		used := map[string]bool{}
		c, store := newClock(), &door{memory: &memory{}}
		cfg := c.config(store)
		ring := open(t, cfg)
		sets := []map[string]jose.JSONWebKey{published(t, ring.KeySet())}
		for hour := 1; hour < 70*24; hour++ {
			if hour == 17*24 {
				cfg.Active = active
				ring = open(t, cfg)
			}
			c.advance(time.Hour)
			tick(t, ring)
			sets = append(sets, published(t, ring.KeySet()))
			kid := verify(t, sign(t, ring), sets[max(0, hour-48)])
			used[kid] = true
			if end := members(t, ring)[kid]["exp"].(float64); end < float64(c.now().Unix()) {
				t.Fatalf("key %s signs %.0f s after its exp", kid, float64(c.now().Unix())-end)
			}
		}
		if len(used) != want {
			t.Errorf("with terms of %s: %d keys signed, want %d", active, len(used), want)
		}
	}
}

// verify returns the kid of a token that a key of the set has signed.
func verify(t *testing.T, token string, set map[string]jose.JSONWebKey) string {
	t.Helper()
	parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	kid := parsed.Signatures[0].Header.KeyID
	if _, ok := set[kid]; !ok {
		t.Fatalf("key %s is unknown", kid)
	}
	if _, err := parsed.Verify(set[kid]); err != nil {
		t.Fatal(err)
	}
	return kid
}
