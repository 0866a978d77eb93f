package keys

import (
	"cmp"
	"slices"
)

// A Block is what stands against the next change of a key.
type Block string

// What can stand against a change.
const (
	BlockedByPublishAhead Block = "publish_ahead" // not published for long enough
	BlockedByLease        Block = "lease"         // published long enough, but a replica in lease may lack it
	BlockedByStandby      Block = "no_standby"    // no key is there that could take over one day
	BlockedByHold         Block = "held"          // an operator holds it
	BlockedByDenial       Block = "denied"        // the configuration denies it
	BlockedByStore        Block = "store"         // the ring in the store cannot be read or written
	BlockedByHistory      Block = "history"       // the ring in the store is not believed: [ErrOlderRing] and its like
)

// Blocks lists all that can stand against a change.
func Blocks() []Block {
	return []Block{BlockedByPublishAhead, BlockedByLease, BlockedByStandby, BlockedByHold, BlockedByDenial, BlockedByStore, BlockedByHistory}
}

// Blocked counts the changes that are due, an activation or a removal, by what stands against them. In a
// ring in good order there are none. A ring that is not believed counts for one at least, due or not.
func (r *Ring) Blocked() map[Block]int {
	v, count := r.view.Load(), make(map[Block]int)
	stuck := r.stuckBy()
	t := r.begin(v.watch, v.records)
	for i := range t.keys {
		if by, due := t.blocked(&t.keys[i], stuck); by != "" && due {
			count[by]++
		}
	}
	if stuck == BlockedByHistory {
		count[stuck] = max(1, count[stuck])
	}
	return count
}

// blocked says what stands against the next change of a key, and whether that change is due. stuck is what
// stands against all of them.
func (t *turn) blocked(k *Record, stuck Block) (by Block, due bool) {
	state := k.state()
	switch {
	case state == Active:
		by, due = t.unreplaced(k)
	case state == Pending && k.Held:
		by, due = BlockedByHold, t.unneeded(k)
	case state == Retiring && k.Held:
		by, due = BlockedByHold, t.outlived(k)
	case slices.Contains(t.cfg.Denied, k.KID):
		return BlockedByDenial, false
	case state == Pending:
		by, due = t.unripe(k), t.unneeded(k)
	case state == Retiring:
		due = t.outlived(k)
	}
	if by == "" && due {
		by = stuck
	}
	return by, due
}

// unreplaced says why no other key signs in the place of an active one, and whether one should.
func (t *turn) unreplaced(k *Record) (Block, bool) {
	if !t.bad(k) && t.inTerm(k) && !t.due(k) {
		return "", false
	}
	if t.successor(k.Class, k, false) != nil {
		return "", true
	}
	next := slices.DeleteFunc(t.pending(k.Class), func(p *Record) bool { return !t.cfg.wants(p) })
	if len(next) == 0 {
		return BlockedByStandby, true
	}
	return t.unripe(slices.MaxFunc(next, func(a, b *Record) int { return cmp.Compare(t.age(a), t.age(b)) })), true
}

// unripe says why a pending key may not sign yet; empty if it may.
func (t *turn) unripe(k *Record) Block {
	switch {
	case t.ripe(k):
		return ""
	case t.age(k) < t.cfg.PublishAhead:
		return BlockedByPublishAhead
	}
	return BlockedByLease
}
