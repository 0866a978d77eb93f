package decision

import (
	"context"
	"sync"
	"time"

	"chatpass/identity"
)

const (
	// KeptFor is how long a refusal is kept.
	KeptFor = 24 * time.Hour
	// minute is the time in which only the first refusal of a code and client is kept.
	minute = time.Minute
	// flushEvery is the pause between two writes, maxRows what one writes at most.
	flushEvery, maxRows = time.Second, 50
	// maxWatched bounds the codes and clients that are told apart at a time.
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

// A Keeper keeps refusals to be explained later: the first of each code and client within a minute, with
// the number of those that followed, and 50 a second at most. It never makes anybody wait: what it
// cannot keep, because there is too much or the store is away, is counted and forgotten. It is safe for
// concurrent use.
type Keeper struct {
	cfg KeeperConfig

	mu      sync.Mutex
	watched map[kin]*first
	waiting []*first // not written yet
	stats   Stats
}

// kin are refusals that are alike. The client is empty if no such client is known: strangers must not
// make us tell apart what they invent.
type kin struct {
	code   identity.Code
	client string
}

func kinOf(d *Decision) kin {
	if d.App == "" {
		return kin{code: d.Code}
	}
	return kin{d.Code, d.Client}
}

// first is the first refusal of its kin within a minute.
type first struct {
	Decision
	written int // More, as it was written last
}

// Stats counts refusals.
type Stats struct {
	Kept int64 // written to the store
	More int64 // like one that was kept within the same minute
	Lost int64 // neither: there was too much, or the store was away
}

// NewKeeper returns a keeper that has seen nothing.
func NewKeeper(cfg KeeperConfig) *Keeper {
	return &Keeper{cfg: cfg, watched: map[kin]*first{}}
}

// See takes note of a decision, if it was a no or a failure.
func (k *Keeper) See(d *Decision) {
	if d.Outcome != Refused && d.Outcome != Failed {
		return
	}
	like := kinOf(d)
	k.mu.Lock()
	defer k.mu.Unlock()
	if known, ok := k.watched[like]; ok {
		known.More++
		k.stats.More++
		return
	}
	if len(k.waiting) >= maxRows || len(k.watched) >= maxWatched {
		k.stats.Lost++
		return
	}
	fresh := &first{Decision: *d}
	fresh.Client = Clip(d.Client)
	k.watched[like] = fresh
	k.waiting = append(k.waiting, fresh)
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
type batch struct{ fresh, counted []Decision }

// take takes what is to be written now. A minute that is over ends here: the next refusal of its kin is a
// first one again. A count that finds no room waits for the next write.
func (k *Keeper) take(until time.Time) batch {
	k.mu.Lock()
	defer k.mu.Unlock()
	var b batch
	for _, f := range k.waiting {
		b.fresh = append(b.fresh, f.Decision)
		f.written = f.More
	}
	k.waiting = nil
	for like, f := range k.watched {
		over, news := !f.Time.After(until), f.More > f.written
		if !over || news && len(b.fresh)+len(b.counted) >= maxRows {
			continue
		}
		if news {
			b.counted = append(b.counted, f.Decision)
		}
		delete(k.watched, like)
	}
	return b
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
	for _, d := range b.fresh {
		if f, ok := k.watched[kinOf(&d)]; ok && f.ID == d.ID {
			delete(k.watched, kinOf(&d))
		}
	}
}
