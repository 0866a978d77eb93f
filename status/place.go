package status

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

const (
	// blockSize is how many places a replica takes at a time; what it has not used when it ends stays empty.
	blockSize = 256
	// blockAge is for how long it uses them.
	blockAge = time.Hour
	// attempts bounds how often a block is asked for that other replicas were faster at.
	attempts = 20
	// patience is how long a failure to take one stands for others.
	patience = time.Second
)

// A Shelf is which lists there are.
type Shelf struct {
	Version int64  `json:"-"`
	Lists   []List `json:"lists"`
}

// A List is one list of an app. It takes sessions until it is half full: the more of it is empty, the
// less a place tells.
type List struct {
	App    string `json:"app"`
	Number int    `json:"number"` // counts from 1; never used again
	// Taken is how many places replicas have taken.
	Taken int `json:"taken"`
	// Until is when no context of a session in it can verify any more.
	Until time.Time `json:"until"`
}

func (l List) name() string { return l.App + "." + strconv.Itoa(l.Number) }

func (l List) served(now time.Time) bool { return now.Before(l.Until.Add(keep)) }

// A block is a run of places that this replica alone may give.
type block struct {
	list       string
	next, end  int
	shuffle    permutation
	until      time.Time // when it is to be used up
	sessionEnd time.Time // the latest end of a session that may be in it
}

func (b *block) has(now, ends time.Time) bool {
	return b != nil && b.next < b.end && now.Before(b.until) && !ends.After(b.sessionEnd)
}

// Place gives a new session of an app its place: the list's name, and an index in it that no other session
// has and nobody can guess. ends is when no context of the session can verify any more. The name is empty
// as long as the list cannot be signed: nobody could look the place up.
func (l *Lists) Place(ctx context.Context, app string, ends time.Time) (list string, index int, err error) {
	l.placing.Lock()
	defer l.placing.Unlock()
	now := l.cfg.Now()
	b := l.blocks[app]
	if !b.has(now, ends) {
		if b, err = l.takeAnew(ctx, app, now, ends); err != nil {
			return "", 0, fmt.Errorf("take places in a status list: %w", err)
		}
	}
	if _, served := l.List(b.list); !served {
		return "", 0, nil
	}
	b.next++
	return b.list, b.shuffle.at(b.next - 1), nil
}

// takeAnew takes a block for an app, unless the store has just failed: those who wait for their turn would
// wait as long as this one did, one after the other.
func (l *Lists) takeAnew(ctx context.Context, app string, now, ends time.Time) (*block, error) {
	if l.failure != nil && now.Sub(l.failed) < patience {
		return nil, l.failure
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), followTime) // others wait for it too
	defer cancel()
	b, err := l.take(ctx, app, now, ends)
	if l.failed, l.failure = l.cfg.Now(), err; err != nil {
		return nil, err
	}
	l.blocks[app] = b
	if _, served := l.List(b.list); !served {
		_ = l.Follow(ctx) // a list that is new; if it cannot be served yet, sessions do without
	}
	return b, nil
}

// take takes a block of places, in a new list if need be.
func (l *Lists) take(ctx context.Context, app string, now, ends time.Time) (*block, error) {
	clock, err := l.cfg.Store.Clock(ctx)
	if err != nil {
		return nil, err
	}
	for range attempts {
		shelf, err := l.cfg.Store.Shelf(ctx)
		if err != nil {
			return nil, err
		}
		at := shelf.open(app, clock)
		at.Until = later(at.Until, ends.Add(blockAge))
		b := &block{
			list: at.name(), next: at.Taken, end: at.Taken + blockSize, shuffle: l.cfg.Secret(at.name()),
			until: now.Add(blockAge), sessionEnd: at.Until,
		}
		at.Taken = b.end
		if err = l.cfg.Store.SwapShelf(ctx, shelf); !errors.Is(err, ErrConflict) {
			return b, err
		}
	}
	return nil, fmt.Errorf("%w: %d times", ErrConflict, attempts)
}

// open returns the app's list that takes sessions, after making one if there is none. Lists that nobody
// needs any more leave the shelf, but for an app's last one, whose number is not to come again.
func (s *Shelf) open(app string, now time.Time) *List {
	last := map[string]int{}
	for _, at := range s.Lists {
		last[at.App] = max(last[at.App], at.Number)
	}
	s.Lists = slices.DeleteFunc(s.Lists, func(at List) bool { return !at.served(now) && at.Number < last[at.App] })
	i := slices.IndexFunc(s.Lists, func(at List) bool {
		return at.App == app && at.Number == last[app] && at.Taken+blockSize <= Size/2
	})
	if i < 0 {
		s.Lists = append(s.Lists, List{App: app, Number: last[app] + 1})
		i = len(s.Lists) - 1
	}
	return &s.Lists[i]
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// A permutation shuffles the places of a list under a key: places are taken in a row, and given in an order
// that tells nobody how many there are or who came when. It is a Feistel network of eight rounds of
// HMAC-SHA-256 over the two halves of an index (Luby and Rackoff 1988).
type permutation []byte

const (
	half     = 10 // bits of an index on either side
	halfMask = 1<<half - 1
	rounds   = 8
)

func (p permutation) at(n int) int {
	left, right := n>>half, n&halfMask
	for round := range rounds {
		left, right = right, left^p.round(round, right)
	}
	return left<<half | right
}

func (p permutation) round(round, right int) int {
	mac := hmac.New(sha256.New, p)
	mac.Write([]byte{byte(round), byte(right >> 8), byte(right)})
	return int(binary.BigEndian.Uint16(mac.Sum(nil))) & halfMask
}
