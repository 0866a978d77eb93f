package keys

import (
	"encoding/hex"
	"time"
)

// An Info tells of one key what its operators may know.
type Info struct {
	KID       string    `json:"kid"`
	Class     string    `json:"class"`
	Algorithm string    `json:"alg"`
	State     State     `json:"state"`
	Held      bool      `json:"held"`
	Since     time.Time `json:"since"`         // when it came into its state
	Next      time.Time `json:"next,omitzero"` // when its state should change; zero if it will not
	// BlockedBy says what stands against the change, due or not; empty if nothing does.
	BlockedBy Block `json:"blocked_by,omitempty"`
	// Object is the reference, in hexadecimal, under which a [Module] keeps the private half; empty if none does.
	Object string `json:"object,omitempty"`
}

// List returns all keys of the ring, the oldest first, those that left the key set lately included.
func (r *Ring) List() []Info {
	v := r.view.Load()
	t, infos := r.begin(v.watch, v.records), make([]Info, len(v.records))
	for i := range t.keys {
		k := &t.keys[i]
		by, _ := t.blocked(k, r.stuckBy())
		infos[i] = Info{
			KID: k.KID, Class: k.Class, Algorithm: k.Algorithm, State: k.state(), Held: k.Held,
			Since: k.since(), Next: r.next(v, k), BlockedBy: by,
			Object: hex.EncodeToString(k.Private), // the picture holds no other private half
		}
	}
	return infos
}

// next is when the state of a key should change, by the times and the clock.
func (r *Ring) next(v *view, k *Record) time.Time {
	switch k.state() {
	case Pending:
		return r.activation(v, k)
	case Active:
		end := k.Activated.Add(r.cfg.term(k) / 2)
		if ripe := r.firstRipe(v, k); k.Replace && !ripe.IsZero() && ripe.Before(end) {
			return ripe
		}
		return end
	case Retiring:
		return k.Demoted.Add(r.cfg.Retiring)
	}
	return time.Time{}
}

// firstRipe is when the first of the keys that can take over from k is ripe; zero if there is none.
func (r *Ring) firstRipe(v *view, k *Record) (first time.Time) {
	for _, other := range v.records {
		ripe := other.Published.Add(r.cfg.Ripening())
		if other.Class == k.Class && other.state() == Pending && (first.IsZero() || ripe.Before(first)) {
			first = ripe
		}
	}
	return first
}

// activation is when a pending key should begin to sign: one term after another, each once it is
// ripe. It is zero for a key that is not needed any more.
func (r *Ring) activation(v *view, k *Record) time.Time {
	var start time.Time
	if s := v.signers[k.Class]; s != nil && r.cfg.wants(&s.record) {
		start = s.record.Activated.Add(r.cfg.term(&s.record) / 2)
	}
	for _, other := range v.records {
		if other.Class != k.Class || other.state() != Pending || !r.cfg.wants(&other) {
			continue
		}
		if ripe := other.Published.Add(r.cfg.Ripening()); ripe.After(start) {
			start = ripe
		}
		if other.KID == k.KID {
			return start
		}
		start = start.Add(r.cfg.Active)
	}
	return time.Time{}
}
