package decision

import "net/netip"

// seen is a refusal that a [Keeper] has taken note of.
type seen struct {
	Decision
	like    kin
	from    netip.Prefix
	written int // More, as it was written last
}

// A circle is what is kept of a kin within a minute.
type circle struct {
	firsts []*seen // each tells another story
	aside  []*seen // counted with one of them
}

// whose returns the refusal that s is to be counted with; nil if s is to be kept itself.
func (c *circle) whose(s *seen) *seen {
	if c == nil {
		return nil
	}
	for _, f := range c.firsts {
		if f.tellsAsMuch(s.Decision) {
			return f
		}
	}
	if len(c.firsts) >= mostAlike || crowds(c.firsts, mostAlike, s) {
		return c.firsts[0]
	}
	return nil
}

// fits reports whether one more may wait in a queue: there is room at all, those who have proven no more
// have not used theirs up, and one sender leaves half of it to others.
func fits(queue []*seen, room int, s *seen) bool {
	waiting := 0
	for _, other := range queue {
		if other.like.standing <= s.like.standing {
			waiting++
		}
	}
	share := s.like.standing.share(room)
	return len(queue) < room && waiting < share && !crowds(queue, share, s)
}

// crowds reports whether the sender of s, with what it had proven, has half of a room already.
func crowds(queue []*seen, room int, s *seen) bool {
	if !s.from.IsValid() {
		return false
	}
	theirs := 0
	for _, other := range queue {
		if other.from == s.from && other.like.standing == s.like.standing {
			theirs++
		}
	}
	return theirs >= room/2
}
