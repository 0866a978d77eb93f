package keys

import "time"

// A State is a stage in the life of a key. It follows from the times of its [Record].
type State string

// The states of a key.
const (
	Pending     State = "pending"     // published, does not sign yet
	Active      State = "active"      // signs
	Retiring    State = "retiring"    // published, signs no more
	Retired     State = "retired"     // out of the key set
	Compromised State = "compromised" // out of the key set at once, for ever
)

func (r *Record) state() State {
	state, _ := r.stage()
	return state
}

// since is when the key came into its state.
func (r *Record) since() time.Time {
	_, since := r.stage()
	return since
}

// stage is decided by the last of the times that is set, not by comparing it with a clock: a time is
// written when its gate is passed, and clocks of replicas differ.
func (r *Record) stage() (State, time.Time) {
	switch {
	case !r.Compromised.IsZero():
		return Compromised, r.Compromised
	case !r.Dropped.IsZero():
		return Retired, r.Dropped
	case !r.Demoted.IsZero():
		return Retiring, r.Demoted
	case !r.Activated.IsZero():
		return Active, r.Activated
	}
	return Pending, r.Published
}

// A watch knows how long each key has been in its state. It counts for itself, so that a clock set
// forward or back, here or at another replica, makes nothing happen early. Only for what
// was there at the first look does it believe the clock.
type watch struct {
	seen map[string]sighting
}

// A sighting is a state and when it began, in elapsed time.
type sighting struct {
	state State
	from  time.Duration
}

// look takes note of the keys as they are at now, which is elapsed.
func (w *watch) look(keys []Record, now time.Time, elapsed time.Duration) {
	seen := make(map[string]sighting, len(keys))
	for _, r := range keys {
		s, ok := w.seen[r.KID]
		if !ok || s.state != r.state() {
			s = sighting{r.state(), elapsed}
		}
		if w.seen == nil {
			s.from -= max(0, now.Sub(r.since()))
		}
		seen[r.KID] = s
	}
	w.seen = seen
}

// age is how long the key has been in its state.
func (w *watch) age(r *Record, elapsed time.Duration) time.Duration {
	if s, ok := w.seen[r.KID]; ok && s.state == r.state() {
		return max(0, elapsed-s.from)
	}
	return 0
}
