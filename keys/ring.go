package keys

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"chatpass/identity"
)

// A Ring is our changing set of signing keys, as one replica sees it. All replicas share it through
// the [Store] alone. Its methods may be called at any time from any goroutine.
type Ring struct {
	cfg   Config
	view  atomic.Pointer[view]
	stuck atomic.Pointer[Block] // why what was due last could not be done; nil if it could

	mu     sync.Mutex // for what follows: one turn at a time
	watch  watch
	memory Memory
	spares []Record // made, but in no ring yet

	mute atomic.Pointer[identity.Outage] // why the [Module] does not sign
}

// attempts bounds how often a turn that other replicas were faster at is taken again.
const attempts = 10

// Tick brings this replica and the ring up to date: it reads the ring, renews the signing leases and
// does what is due (make keys, activate, demote, destroy, drop). It may be called at any time, as often
// as one likes, on many replicas at once. If the store cannot be reached, the error is the store's; if the
// ring is not to be believed, it is [ErrOlderRing], [ErrBrokenChain] or [ErrNoRing], and nothing is written.
// Keys go on signing to the end of their leases then. Of keys that a [Module] keeps, it tries whether they sign.
func (r *Ring) Tick(ctx context.Context) error {
	return errors.Join(r.renew(ctx), r.try(ctx))
}

func (r *Ring) renew(ctx context.Context) error {
	_, err := r.obey(ctx, Order{By: schedule}, func(*Snapshot) error { return nil })
	return err
}

// An edit changes a ring as it was read, or refuses to.
type edit func(*Snapshot) error

// obey edits the ring and does what is due then, as often as other replicas are faster. It returns what
// has become of the keys, or would.
func (r *Ring) obey(ctx context.Context, o Order, edit edit) (done []Event, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for range attempts {
		if done, err = r.turn(ctx, o, edit); !errors.Is(err, ErrConflict) {
			break
		}
	}
	return done, err
}

// turn reads the ring, and writes it if something is to be changed.
func (r *Ring) turn(ctx context.Context, o Order, edit edit) ([]Event, error) {
	snap, err := r.read(ctx)
	if err != nil {
		r.note(err)
		return nil, err
	}
	return r.change(ctx, snap, o, edit)
}

// change edits a ring that was read and shown, and writes it if that or what is due changes it.
func (r *Ring) change(ctx context.Context, snap Snapshot, o Order, edit edit) ([]Event, error) {
	edited := snap
	edited.Keys = r.memory.recall(snap.Keys, snap.Now)
	if err := edit(&edited); err != nil {
		return nil, err
	}
	var destroyed map[string]bool
	var left error
	if !o.DryRun {
		destroyed, left = r.destroySpent(snap)
	}
	next, spares, lacking := r.plan(edited, destroyed)
	failed := errors.Join(lacking, left)
	events := changes(snap, next, o, snap.Now)
	if o.DryRun {
		return events, failed
	}
	if reflect.DeepEqual(next.Keys, snap.Keys) && next.Accepted.Equal(snap.Accepted) {
		r.note(nil)
		return events, failed
	}
	if err := ctx.Err(); err != nil { // keys were slow to make: they are spare still
		return nil, fmt.Errorf("write key ring: %w", err)
	}
	err := r.swap(ctx, next, spares, events)
	r.note(err)
	if err != nil {
		return nil, err
	}
	return events, failed
}

// read reads the ring and shows it, if it is to be believed. What is wrong with one may only have been
// written since it was read, so it is read twice.
func (r *Ring) read(ctx context.Context) (Snapshot, error) {
	var wrong error
	for last, try := int64(-1), 0; try < attempts; try++ {
		asked := r.cfg.Elapsed()
		snap, err := r.fetch(ctx)
		if err != nil {
			return Snapshot{}, err
		}
		if wrong = r.judge(ctx, snap); wrong == nil {
			return snap, r.show(snap, asked)
		}
		if !refused(wrong) || snap.Version == last {
			break
		}
		last = snap.Version
	}
	return Snapshot{}, fmt.Errorf("read key ring: %w", wrong)
}

// fetch reads the ring as it is stored.
func (r *Ring) fetch(ctx context.Context) (Snapshot, error) {
	snap, err := r.cfg.Store.Ring(ctx)
	if err != nil {
		return Snapshot{}, fmt.Errorf("read key ring: %w", err)
	}
	if snap.Now.IsZero() {
		snap.Now = r.cfg.Now()
	}
	snap.Now = snap.Now.UTC().Round(0) // without monotonic reading: it is stored
	return snap, nil
}

// show makes the ring, as it was asked for at that elapsed time, what this replica uses.
func (r *Ring) show(snap Snapshot, asked time.Duration) error {
	v := view{until: map[string]time.Duration{}}
	if old := r.view.Load(); old != nil && old.version == snap.Version && old.memory.Accepted.Equal(snap.Accepted) {
		v.picture = old.picture
	} else {
		known := snap
		known.Keys = r.memory.recall(snap.Keys, snap.Now)
		p, err := newPicture(known, &r.cfg)
		if err != nil {
			return fmt.Errorf("read key ring: %w", err)
		}
		v.picture = p
	}
	r.memory = r.memory.after(snap)
	elapsed := r.cfg.Elapsed()
	r.watch.look(v.records, snap.Now, asked, elapsed)
	for class, s := range v.signers {
		_, age := r.watch.age(&s.record, elapsed)
		v.until[class] = min(asked+r.cfg.Lease(), elapsed+r.cfg.term(&s.record)-age)
	}
	v.watch, v.memory = r.watch, r.memory
	r.view.Store(&v)
	return nil
}

// plan returns the ring as it should be, and the spare keys that it does not use. Keys are made here,
// while nobody waits for the store. If one cannot be made, that is the error, and the plan does without
// it: those that there are still take over.
func (r *Ring) plan(snap Snapshot, destroyed map[string]bool) (Snapshot, []Record, error) {
	for {
		t := r.begin(r.watch, snap.Keys)
		t.now, t.spares, t.destroyed = snap.Now, r.spares, destroyed
		t.run()
		var err error
		if t.lacking {
			err = r.makeSpare()
		}
		if !t.lacking || err != nil {
			snap.Keys = t.keys
			return snap, t.spares, err
		}
	}
}

// begin returns a turn that looks at keys as w knows them at this moment.
func (r *Ring) begin(w watch, keys []Record) *turn {
	elapsed := r.cfg.Elapsed()
	return &turn{
		cfg: &r.cfg, keys: slices.Clone(keys),
		ages: func(k *Record) (time.Duration, time.Duration) { return w.age(k, elapsed) },
	}
}

func (r *Ring) makeSpare() error {
	spare, err := r.cfg.newKey()
	if err != nil {
		return fmt.Errorf("make signing key: %w", err)
	}
	r.spares = append(r.spares, spare)
	return nil
}

// swap writes the ring. Keys that it uses are spare again only if they were certainly not written.
func (r *Ring) swap(ctx context.Context, next Snapshot, spares []Record, events []Event) error {
	asked := r.cfg.Elapsed()
	err := r.cfg.Store.SwapRing(ctx, next, events)
	if !errors.Is(err, ErrConflict) {
		r.spares = spares
	}
	if err != nil {
		return fmt.Errorf("write key ring: %w", err)
	}
	next.Version++
	next.End = r.endAfter(ctx, next.End, len(events))
	for _, e := range events {
		r.cfg.Log.Info("signing key", "kid", e.KID, "class", e.Class, "alg", e.Algorithm, "event", e.What, "by", e.By)
	}
	return r.show(next, asked)
}

// endAfter is the end of the chain behind n more events; if that cannot be asked, the end of before, which the
// chain goes through as well.
func (r *Ring) endAfter(ctx context.Context, end Mark, n int) Mark {
	later := Mark{Events: end.Events + int64(n)}
	head, err := r.cfg.Store.Link(ctx, later.Events)
	if err != nil || head == nil {
		return end
	}
	later.Head = head
	return later
}

// Run keeps the ring up to date until ctx ends, and returns nil then. It ticks once a second, and more
// often when leases are short.
func (r *Ring) Run(ctx context.Context) error {
	ticker := time.NewTicker(r.cfg.tick())
	defer ticker.Stop()
	said := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		err := r.tickInTime(ctx)
		if ctx.Err() != nil {
			return nil
		}
		switch say := complaint(err); {
		case say == said:
			continue
		case say == "":
			r.cfg.Log.Info("key ring is up to date again")
			said = say
		default:
			r.cfg.Log.Error(say, "err", err, "ready", r.Ready() == nil)
			said = say
		}
	}
}

// complaint is what the log says of a tick that failed; empty if it did not.
func complaint(err error) string {
	switch {
	case err == nil:
		return ""
	case refused(err):
		return "the key ring in the store is refused, the last good one signs to the end of its lease: see `chatpass keys list`"
	}
	return "key ring is not up to date"
}

func (r *Ring) tickInTime(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, tickTimeout)
	defer cancel()
	return r.Tick(ctx)
}

// KeySet returns the public keys to serve. It comes from memory, with the store dead too.
func (r *Ring) KeySet() KeySet { return r.view.Load().set }

// Algorithms returns the algorithms of all served keys of a class, sorted.
func (r *Ring) Algorithms(class string) []string { return r.view.Load().algorithms(class) }

// Ready returns nil if every class has a key that may sign now, else an [identity.Outage] that names the
// classes that have none. A class that is new in a ring in use is not missed before its first key signs.
// A key that a [Module] keeps counts if it signed at the last tick.
func (r *Ring) Ready() error {
	if mute := r.mute.Load(); mute != nil {
		return mute
	}
	v, elapsed := r.view.Load(), r.cfg.Elapsed()
	var missing []string
	for _, class := range r.cfg.Classes {
		if v.began(class) && v.until[class] <= elapsed {
			missing = append(missing, class)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return &identity.Outage{
		Code: identity.NoSigningKey,
		Err:  fmt.Errorf("no signing key in lease for %q", missing),
	}
}
