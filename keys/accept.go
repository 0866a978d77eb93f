package keys

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A Sight is the ring as somebody finds it in the store.
type Sight struct {
	Version int64
	Keys    []Info
	// Events is how many events can be read.
	Events int
	// GivenUp are kids that the ring counts on, though they were given up: by what is remembered, or by an
	// event that the ring does not know.
	GivenUp []string
	// Wrong is why the ring is not to be believed: [ErrOlderRing], [ErrBrokenChain] or [ErrNoRing]; nil if it is.
	Wrong error
	// Broken is the first fault of the whole chain, [ErrBrokenChain]; nil if there is none. A fault before its
	// end keeps nobody from believing the ring.
	Broken error
}

// Look reads the ring of cfg.Store to show it, whatever is wrong with it, and the whole chain of its
// events. It changes nothing.
func Look(ctx context.Context, cfg Config) (Sight, error) {
	r, err := newRing(cfg)
	if err != nil {
		return Sight{}, err
	}
	_, wrong := r.read(ctx)
	if wrong != nil && !refused(wrong) {
		return Sight{}, wrong
	}
	r.note(wrong)
	snap, events, broken, err := r.find(ctx)
	if err != nil {
		return Sight{}, err
	}
	s := Sight{Version: snap.Version, Keys: r.List(), Events: events, Wrong: wrong, Broken: broken}
	for i, k := range r.memory.recall(snap.Keys, snap.Now) {
		if snap.Keys[i].Compromised.IsZero() && !k.Compromised.IsZero() {
			s.GivenUp = append(s.GivenUp, k.KID)
		}
	}
	return s, nil
}

// Accept takes the ring of cfg.Store, at that version, as the right one, whatever anybody remembers: after a
// restore from a backup, for every replica and for good. It goes on behind the last event there is. Keys that
// were given up, by cfg.Memory or by an event that the ring does not know, stay so. If the ring is gone it
// makes a new one, whose first keys sign at once: verifiers meet unknown kids until they ask again. At another
// version its error is [ErrConflict].
func Accept(ctx context.Context, cfg Config, version int64, o Order) (done []Event, err error) {
	r, err := newRing(cfg)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	r.mu.Lock()
	defer r.mu.Unlock()
	snap, _, _, err := r.find(ctx)
	if err != nil {
		return nil, err
	}
	if snap.Version != version {
		return nil, fmt.Errorf("%w: it is at version %d", ErrConflict, snap.Version)
	}
	return r.change(ctx, snap, o, func(s *Snapshot) error {
		s.Accepted = latest(s.Now, s.Accepted.Add(1), cfg.Memory.Accepted.Add(1))
		return nil
	})
}

// find reads the ring as it is, to go on from behind the last of its events, and shows it. broken is
// [ErrBrokenChain] if the events are not whole.
func (r *Ring) find(ctx context.Context) (snap Snapshot, events int, broken, err error) {
	asked := r.cfg.Elapsed()
	all, end, broken := r.cfg.Store.Events(ctx)
	if broken != nil && !errors.Is(broken, ErrBrokenChain) {
		return Snapshot{}, 0, nil, fmt.Errorf("read key events: %w", broken)
	}
	var given []string
	for _, e := range all {
		if e.What == KeyCompromised {
			given = append(given, e.KID)
		}
	}
	r.memory = r.memory.with(given)
	if snap, err = r.fetch(ctx); err != nil {
		return Snapshot{}, 0, nil, err
	}
	snap.End = end
	return snap, len(all), broken, r.show(snap, asked)
}

func latest(all ...time.Time) time.Time { return slices.MaxFunc(all, time.Time.Compare) }
