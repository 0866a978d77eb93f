package keys

import (
	"cmp"
	"slices"
	"time"
)

// A turn decides what becomes of the ring next. It asks nobody and changes nothing but its own keys,
// so the same ring, seen for the same time, has the same future on every replica.
type turn struct {
	cfg  *Config
	now  time.Time
	ages func(*Record) (least, most time.Duration) // how long a key has been in its state
	keys []Record
	// spares are fresh keys that have no place yet; lacking is true if there were too few of them.
	spares  []Record
	lacking bool
	// destroyed are the kids of keys whose private half a [Module] has destroyed.
	destroyed map[string]bool
}

func (t *turn) run() {
	fresh := t.fresh()
	for _, class := range t.cfg.Classes {
		t.withdraw(class)
		t.provide(class)
		t.activate(class, fresh)
		t.provide(class)
	}
	t.retire()
}

// fresh says whether the ring is as good as that of a new installation: no key of it may ever sign
// again, and nothing signed by one is valid still. A retiring key stopped before the active one.
func (t *turn) fresh() bool {
	for i := range t.keys {
		k := &t.keys[i]
		switch k.state() {
		case Pending:
			if !t.stale(k) {
				return false
			}
		case Active:
			if t.age(k) < t.cfg.term(k)+t.cfg.Lease()+t.cfg.aftermath() {
				return false
			}
		}
	}
	return true
}

// withdraw takes back pending keys that will never be needed: those too old for a whole term, and
// those of another algorithm or place once ours signs. Nobody holds a token signed by a pending key.
func (t *turn) withdraw(class string) {
	for i := range t.keys {
		k := &t.keys[i]
		if k.Class == class && k.state() == Pending && !k.Held && t.unneeded(k) {
			k.Dropped = t.now
		}
	}
}

// unneeded says whether a pending key will never sign.
func (t *turn) unneeded(k *Record) bool {
	current := t.current(k.Class)
	switched := current != nil && t.cfg.wants(current)
	return t.stale(k) || switched && !t.cfg.wants(k) && t.ripe(k)
}

// provide fills up the pending keys of a class, so that one is always ripe.
func (t *turn) provide(class string) {
	n := 0
	for _, k := range t.pending(class) {
		if t.cfg.wants(k) {
			n++
		}
	}
	for ; n < standby; n++ {
		if len(t.spares) == 0 {
			t.lacking = true
			return
		}
		k := t.spares[0]
		t.spares = t.spares[1:]
		k.Class, k.Created, k.Published = class, t.now, t.now
		k.NotAfter = t.now.Add(t.cfg.life() + time.Second - 1).Truncate(time.Second)
		t.keys = append(t.keys, k)
	}
}

// activate lets the successor take over where one is due.
func (t *turn) activate(class string, fresh bool) {
	current := t.current(class)
	next := t.successor(class, current, fresh)
	if next == nil {
		return
	}
	next.Activated = t.now
	if current != nil {
		current.Demoted = t.now
	}
}

// successor returns the pending key that should sign instead of current now; nil leaves it as it is.
func (t *turn) successor(class string, current *Record, fresh bool) *Record {
	urgent := fresh || current != nil && t.bad(current)
	signing := !urgent && current != nil && t.inTerm(current)
	if signing && !t.due(current) {
		return nil
	}
	candidates := slices.DeleteFunc(t.pending(class), func(k *Record) bool {
		return !urgent && !t.ripe(k) || signing && !t.cfg.wants(k)
	})
	if len(candidates) == 0 {
		return nil
	}
	return slices.MinFunc(candidates, func(a, b *Record) int {
		return cmp.Or(
			first(t.ripe(a), t.ripe(b)),
			first(t.cfg.wants(a), t.cfg.wants(b)),
			cmp.Compare(t.age(b), t.age(a)),
			a.Created.Compare(b.Created),
			cmp.Compare(a.KID, b.KID),
		)
	})
}

func first(a, b bool) int {
	switch {
	case a && !b:
		return -1
	case b && !a:
		return 1
	}
	return 0
}

// due says whether a signing key should be replaced: half-way to its hard stop, as soon as a key of the
// configured algorithm and place can have ripened, or because an operator asked for it.
func (t *turn) due(k *Record) bool {
	if k.Replace {
		return true
	}
	if !t.cfg.wants(k) && t.age(k) >= t.cfg.Ripening() {
		return true
	}
	return t.age(k) >= t.cfg.term(k)/2
}

// retire destroys the private halves that no lease covers any more, and takes keys out of the set
// when nothing they signed can be valid.
func (t *turn) retire() {
	for i := range t.keys {
		k := &t.keys[i]
		if t.spent(k) && (!k.Outside || t.destroyed[k.KID]) {
			k.Private = nil
		}
		if k.state() == Retiring && t.outlived(k) && !k.Held {
			k.Dropped = t.now
		}
	}
	t.keys = slices.DeleteFunc(t.keys, func(k Record) bool {
		return k.state() == Retired && t.age(&k) >= t.cfg.Active && !k.Held && k.Private == nil
	})
}

// spent says that no lease covers the private half of a key any more.
func (t *turn) spent(k *Record) bool {
	switch k.state() {
	case Retired, Compromised:
		return true
	case Retiring:
		return t.age(k) >= t.cfg.Lease()
	}
	return false
}

// outlived says whether nothing that a retiring key has signed can be valid.
func (t *turn) outlived(k *Record) bool { return t.age(k) >= t.cfg.Retiring }

// current is the key of a class that was activated last and not replaced, whether it may sign or not.
func (t *turn) current(class string) *Record {
	for i := range t.keys {
		k := &t.keys[i]
		if k.Class == class && !k.Activated.IsZero() && k.Demoted.IsZero() && k.Dropped.IsZero() {
			return k
		}
	}
	return nil
}

// pending are the keys of a class that may sign one day.
func (t *turn) pending(class string) []*Record {
	var found []*Record
	for i := range t.keys {
		k := &t.keys[i]
		if k.Class == class && k.state() == Pending && !t.bad(k) && !t.stale(k) {
			found = append(found, k)
		}
	}
	return found
}

func (t *turn) bad(k *Record) bool {
	return k.state() == Compromised || slices.Contains(t.cfg.Denied, k.KID)
}

// age is how long a key has certainly been in its state.
func (t *turn) age(k *Record) time.Duration {
	least, _ := t.ages(k)
	return least
}

// inTerm says whether an active key may certainly sign.
func (t *turn) inTerm(k *Record) bool {
	_, most := t.ages(k)
	return most < t.cfg.term(k)
}

func (t *turn) ripe(k *Record) bool { return t.age(k) >= t.cfg.Ripening() }

// stale says whether a pending key has waited so long that it could not sign for a whole term.
func (t *turn) stale(k *Record) bool { return t.age(k) > k.span()-t.cfg.term(k) }
