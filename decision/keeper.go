package decision

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// KeptFor is how long a refusal is kept.
	KeptFor = 24 * time.Hour
	// minute is the time in which refusals that are alike share the room of a [circle].
	minute = time.Minute
	// mostAlike is how many of one kin are kept within a minute, each with other values, and mostAside how
	// many more are kept without their ladders.
	mostAlike, mostAside = 8, 64
	// flushEvery is the pause between two writes, maxRows what one writes at most, and maxAside how many
	// without ladders besides.
	flushEvery, maxRows, maxAside = time.Second, 50, 50
	// maxWatched bounds the refusals that are remembered at a time.
	maxWatched = 4096
	// flushTime bounds one write.
	flushTime = 5 * time.Second
)

// A KeeperConfig is what a [Keeper] is made of.
type KeeperConfig struct {
	// Keep stores refusals, all or none: fresh ones, and those that it has and that have been counted since.
	Keep func(ctx context.Context, fresh, counted []Decision) error
	Now  func() time.Time
}

// A Keeper keeps refusals to be explained later: of those that are alike the first ones within a minute
// that tell different stories, with the number of those that followed; some of these too, without their
// ladders, so that whoever holds an id finds what it is about; and 50 of each a second at most. Strangers
// have a small share of that room to themselves, whatever they send: they push out nobody who has proven
// more. Nor does one address push out another that has proven as little: it gets half at most. A Keeper
// never makes anybody wait: what it cannot keep, because there is too much or the store is away, is
// counted and forgotten. It is safe for concurrent use.
type Keeper struct {
	cfg KeeperConfig

	mu      sync.Mutex
	watched map[kin]*circle
	count   [standings]int // watched, by standing
	waiting []*seen        // not written yet
	aside   []*seen        // nor these
	stats   Stats
}

// Stats counts refusals.
type Stats struct {
	Kept int64 // written to the store, with their ladders
	More int64 // like one that was kept within the same minute, written or not
	Lost int64 // neither: there was too much, or the store was away
}

// NewKeeper returns a keeper that has seen nothing.
func NewKeeper(cfg KeeperConfig) *Keeper {
	return &Keeper{cfg: cfg, watched: map[kin]*circle{}}
}

// See takes note of a decision, if it was a no or a failure. from is what counts as one sender: an address,
// or the network that one connection has to itself. If it is not known, nothing is bounded by it.
func (k *Keeper) See(d *Decision, from netip.Prefix) {
	if d.Outcome != Refused && d.Outcome != Failed {
		return
	}
	fresh := &seen{Decision: *d, like: kinOf(d), from: from}
	fresh.Client = Clip(d.Client)
	k.mu.Lock()
	defer k.mu.Unlock()
	known := k.watched[fresh.like]
	if first := known.whose(fresh); first != nil {
		first.More++
		k.stats.More++
		k.setAside(known, fresh, first)
		return
	}
	if !fits(k.waiting, maxRows, fresh) || !k.mayWatch(fresh.like.standing) {
		k.stats.Lost++
		return
	}
	if known == nil {
		known = &circle{}
		k.watched[fresh.like] = known
	}
	known.firsts = append(known.firsts, fresh)
	k.count[fresh.like.standing]++
	k.waiting = append(k.waiting, fresh)
}

// setAside keeps one that is counted with another: all but its ladder, of which the other's tells.
func (k *Keeper) setAside(c *circle, s, first *seen) {
	if len(c.aside) >= mostAside || crowds(c.aside, mostAside, s) || !fits(k.aside, maxAside, s) {
		return
	}
	failed, _ := s.Failed()
	s.Like, s.Ladder = first.ID, []Rung{failed}
	c.aside = append(c.aside, s)
	k.aside = append(k.aside, s)
}

// mayWatch reports whether one more of that standing may be watched.
func (k *Keeper) mayWatch(s standing) bool {
	watched, all := 0, 0
	for at, n := range k.count {
		all += n
		if standing(at) <= s {
			watched += n
		}
	}
	return all < maxWatched && watched < s.share(maxWatched)
}

// Stats returns the counts so far.
func (k *Keeper) Stats() Stats {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.stats
}

// Run writes once a second until ctx ends, then what is left, and returns nil.
func (k *Keeper) Run(ctx context.Context) error {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			k.Flush(context.WithoutCancel(ctx), 0)
			return nil
		case <-tick.C:
			k.Flush(ctx, minute)
		}
	}
}

// Flush writes the refusals that wait, and the number of more like them to those that are older than age.
func (k *Keeper) Flush(ctx context.Context, age time.Duration) {
	b := k.take(k.cfg.Now().Add(-age))
	if len(b.fresh)+len(b.counted) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, flushTime)
	defer cancel()
	k.settle(b, k.cfg.Keep(ctx, b.fresh, b.counted))
}

// A batch is what one write stores.
type batch struct {
	firsts         []*seen
	fresh, counted []Decision // as they are when the write begins; fresh are those of firsts, and those aside
}

// take takes what is to be written now. A minute that is over ends here: the next refusal of its kin is a
// first one again. A count that finds no room waits for the next write.
func (k *Keeper) take(until time.Time) batch {
	k.mu.Lock()
	defer k.mu.Unlock()
	b := batch{firsts: k.waiting}
	for _, s := range k.waiting {
		b.fresh = append(b.fresh, s.Decision)
		s.written = s.More
	}
	rows := len(b.fresh)
	for _, s := range k.aside {
		b.fresh = append(b.fresh, s.Decision)
	}
	k.waiting, k.aside = nil, nil
	for like := range k.watched {
		k.forget(like, func(s *seen) bool {
			over, news := !s.Time.After(until), s.More > s.written
			if !over || news && rows+len(b.counted) >= maxRows {
				return false
			}
			if news {
				b.counted = append(b.counted, s.Decision)
			}
			return true
		})
	}
	return b
}

// forget watches no longer those of a kin that are done with.
func (k *Keeper) forget(like kin, done func(*seen) bool) {
	known := k.watched[like]
	if known == nil {
		return
	}
	before := len(known.firsts)
	known.firsts, known.aside = slices.DeleteFunc(known.firsts, done), slices.DeleteFunc(known.aside, done)
	k.count[like.standing] -= before - len(known.firsts)
	if len(known.firsts) == 0 {
		delete(k.watched, like)
	}
}

// settle takes note of how a write went. What was not kept is forgotten, so that the next of its kin is
// a first one.
func (k *Keeper) settle(b batch, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		k.stats.Kept += int64(len(b.firsts))
		return
	}
	k.stats.Lost += int64(len(b.firsts))
	for _, lost := range b.firsts {
		k.forget(lost.like, func(s *seen) bool { return s == lost })
	}
}
