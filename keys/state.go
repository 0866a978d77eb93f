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

// span is how long the key can be of use. It is a difference of two times of the same clock.
func (r *Record) span() time.Duration { return r.NotAfter.Sub(r.Created) }

// A watch knows how long each key has been in its state, between two bounds: what waits for an age
// asks for the lower, what ends at an age for the upper. It counts for itself, so that a clock set
// forward or back makes nothing happen early. Only for what was there at the first look does it believe
// a clock: the one by which the times were written.
type watch struct {
	seen  map[string]sighting // never modified
	asked time.Duration       // when the last look began
}

// A sighting is a state that began between two instants, in elapsed time.
type sighting struct {
	state         State
	after, before time.Duration
}

// look takes note of the keys as they were told to us between asked and elapsed; meanwhile it was now.
func (w *watch) look(keys []Record, now time.Time, asked, elapsed time.Duration) {
	seen := make(map[string]sighting, len(keys))
	for _, r := range keys {
		s, ok := w.seen[r.KID]
		if !ok || s.state != r.state() {
			s = sighting{r.state(), w.asked, elapsed}
		}
		if w.seen == nil {
			age := max(0, now.Sub(r.since()))
			s.after, s.before = asked-age, elapsed-age
		}
		seen[r.KID] = s
	}
	w.seen, w.asked = seen, asked
}

// age returns the bounds of how long the key has been in its state: none, if nobody has seen it there.
func (w *watch) age(r *Record, elapsed time.Duration) (least, most time.Duration) {
	if s, ok := w.seen[r.KID]; ok && s.state == r.state() {
		return max(0, elapsed-s.before), elapsed - s.after
	}
	return 0, 0
}
