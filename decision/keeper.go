package decision

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// KeptFor is how long a refusal is kept.
	KeptFor = 24 * time.Hour
	// minute is the time in which refusals that are alike share room for mostAlike.
	minute = time.Minute
	// mostAlike is how many of one kin are kept within a minute, each with other values.
	mostAlike = 8
	// flushEvery is the pause between two writes, maxRows what one writes at most.
	flushEvery, maxRows = time.Second, 50
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
// that tell different stories, with the number of those that followed, and 50 a second at most. Strangers
// have a small share of that room to themselves, whatever they send: they push out nobody who has proven
// more. It never makes anybody wait: what it cannot keep, because there is too much or the store is away,
// is counted and forgotten. It is safe for concurrent use.
type Keeper struct {
	cfg KeeperConfig

	mu      sync.Mutex
	watched map[kin][]*first
	count   [standings]int // watched, by standing
	waiting []*first       // not written yet
	stats   Stats
}

// first is the first refusal of its kin within a minute that tells its story.
type first struct {
	Decision
	like    kin
	written int // More, as it was written last
}

// tellsAsMuch reports whether d would be explained in the same words.
func (f *first) tellsAsMuch(d *Decision) bool {
	mine, _ := f.Failed()
	other, _ := d.Failed()
	return mine == other && f.Customer == d.Customer && f.SID == d.SID
}

// Stats counts refusals.
type Stats struct {
	Kept int64 // written to the store
	More int64 // like one that was kept within the same minute
	Lost int64 // neither: there was too much, or the store was away
}

// NewKeeper returns a keeper that has seen nothing.
func NewKeeper(cfg KeeperConfig) *Keeper {
	return &Keeper{cfg: cfg, watched: map[kin][]*first{}}
}

// See takes note of a decision, if it was a no or a failure.
func (k *Keeper) See(d *Decision) {
	if d.Outcome != Refused && d.Outcome != Failed {
		return
	}
	like := kinOf(d)
	k.mu.Lock()
	defer k.mu.Unlock()
	if known := k.alike(like, d); known != nil {
		known.More++
		k.stats.More++
		return
	}
	if !k.hasRoom(like.standing) {
		k.stats.Lost++
		return
	}
	fresh := &first{Decision: *d, like: like}
	fresh.Client = Clip(d.Client)
	k.watched[like] = append(k.watched[like], fresh)
	k.count[like.standing]++
	k.waiting = append(k.waiting, fresh)
}

// alike returns the refusal that d is to be counted with; nil if d is to be kept itself.
func (k *Keeper) alike(like kin, d *Decision) *first {
	known := k.watched[like]
	for _, f := range known {
		if f.tellsAsMuch(d) {
			return f
		}
	}
	if len(known) >= mostAlike {
		return known[0]
	}
	return nil
}

// hasRoom reports whether one more of that standing may wait and be watched: there is room at all, and
// those who have proven no more have not used theirs up.
func (k *Keeper) hasRoom(s standing) bool {
	waiting, watched, all := 0, 0, 0
	for _, f := range k.waiting {
		if f.like.standing <= s {
			waiting++
		}
	}
	for at, n := range k.count {
		all += n
		if standing(at) <= s {
			watched += n
		}
	}
	return len(k.waiting) < maxRows && waiting < s.share(maxRows) && all < maxWatched && watched < s.share(maxWatched)
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
	firsts         []*first
	fresh, counted []Decision // as they are when the write begins; fresh are those of firsts
}

// take takes what is to be written now. A minute that is over ends here: the next refusal of its kin is a
// first one again. A count that finds no room waits for the next write.
func (k *Keeper) take(until time.Time) batch {
	k.mu.Lock()
	defer k.mu.Unlock()
	b := batch{firsts: k.waiting}
	for _, f := range k.waiting {
		b.fresh = append(b.fresh, f.Decision)
		f.written = f.More
	}
	k.waiting = nil
	for like := range k.watched {
		k.forget(like, func(f *first) bool {
			over, news := !f.Time.After(until), f.More > f.written
			if !over || news && len(b.fresh)+len(b.counted) >= maxRows {
				return false
			}
			if news {
				b.counted = append(b.counted, f.Decision)
			}
			return true
		})
	}
	return b
}

// forget watches no longer those of a kin that are done with.
func (k *Keeper) forget(like kin, done func(*first) bool) {
	before := len(k.watched[like])
	left := slices.DeleteFunc(k.watched[like], done)
	k.count[like.standing] -= before - len(left)
	if k.watched[like] = left; len(left) == 0 {
		delete(k.watched, like)
	}
}

// settle takes note of how a write went. What was not kept is forgotten, so that the next of its kin is
// a first one.
func (k *Keeper) settle(b batch, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		k.stats.Kept += int64(len(b.fresh))
		return
	}
	k.stats.Lost += int64(len(b.fresh))
	for _, lost := range b.firsts {
		k.forget(lost.like, func(f *first) bool { return f == lost })
	}
}
