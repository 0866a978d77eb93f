package keys

import "time"

// An Event is something that became of a key, or of the ring as a whole; then it names no key. Events are
// never altered; the public half lives on in them.
type Event struct {
	Time      time.Time `json:"time"`
	What      What      `json:"what"`
	KID       string    `json:"kid"`
	Class     string    `json:"class"`
	Algorithm string    `json:"alg"`
	Public    []byte    `json:"public"` // PKIX, DER
	// By and Why are those of the [Order] it comes from.
	By  string `json:"by"`
	Why string `json:"why,omitempty"`
}

// What became of a key.
type What string

// The events in the life of a key.
const (
	KeyPublished   What = "published" // it was made, and is in the key set from now on
	KeyActivated   What = "activated" // it signs
	KeyReplacement What = "replacement asked"
	KeyDemoted     What = "demoted" // another one signs in its place
	KeyDestroyed   What = "destroyed"
	KeyDropped     What = "dropped" // it left the key set
	KeyCompromised What = "compromised"
	KeyHeld        What = "held"
	KeyUnheld      What = "unheld"
	RingAccepted   What = "ring accepted" // an operator took the ring as it was found
)

// An Order says on whose behalf something is done to the ring.
type Order struct {
	By, Why string
	// DryRun: tell what would become of the keys, and change nothing.
	DryRun bool
}

// schedule is the order under which everything happens that nobody asked for.
const schedule = "schedule"

// changes are the events that lead from one ring to the next, in the order of its keys.
func changes(old, next Snapshot, o Order, now time.Time) []Event {
	was := make(map[string]Record, len(old.Keys))
	for _, k := range old.Keys {
		was[k.KID] = k
	}
	var events []Event
	if !next.Accepted.Equal(old.Accepted) {
		events = append(events, Event{Time: now, What: RingAccepted, By: o.By, Why: o.Why})
	}
	for _, k := range next.Keys {
		for _, what := range becomes(was[k.KID], k) {
			events = append(events, Event{
				Time: now, What: what, KID: k.KID, Class: k.Class, Algorithm: k.Algorithm, Public: k.Public, By: o.By, Why: o.Why,
			})
		}
	}
	return events
}

// becomes lists what has become of a key, in the order in which it can happen.
func becomes(old, k Record) []What {
	var found []What
	for _, e := range []struct {
		what What
		is   bool
	}{
		{KeyPublished, came(old.Published, k.Published)},
		{KeyActivated, came(old.Activated, k.Activated)},
		{KeyReplacement, k.Replace && !old.Replace},
		{KeyCompromised, came(old.Compromised, k.Compromised)},
		{KeyDemoted, came(old.Demoted, k.Demoted)},
		{KeyDestroyed, old.Private != nil && k.Private == nil},
		{KeyDropped, came(old.Dropped, k.Dropped)},
		{KeyHeld, k.Held && !old.Held},
		{KeyUnheld, old.Held && !k.Held},
	} {
		if e.is {
			found = append(found, e.what)
		}
	}
	return found
}

func came(old, now time.Time) bool { return old.IsZero() && !now.IsZero() }
