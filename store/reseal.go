package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"chatpass/seal"
)

// A pass of [Store.Reseal] reads resealPage records at a time, and pauses up to resealPause after each, so
// that sign-ins never wait long behind it. A page that others change meanwhile is read again, resealTries
// times at most. [Store.Run] begins the next pass after resealAgain if this one had something to do, else
// after resealLater: as long as the master key holds an old key a process of before may still use it.
const (
	resealPage  = 100
	resealPause = 20 * time.Millisecond
	resealAgain = time.Minute
	resealLater = time.Hour

	censusPage = 1000
)

var errChanged = errors.New("value has changed")

// A Resealing is what one pass over the store did.
type Resealing struct {
	// Done is the number of values that were sealed anew.
	Done int
	// Left is the number of values under an old key that were not: damaged ones, and those that others
	// wrote again and again. While there are any, the key must stay.
	Left int
}

// Reseal seals everything anew, under the current key, that is sealed under an old one. It goes through
// the store once, in small batches; several processes may do so at once, and one that is cut off goes on
// from what is left when it begins again. It changes what values are sealed with and nothing else, and
// never wins against somebody who writes.
func (s *Store) Reseal(ctx context.Context) (all Resealing, err error) {
	if !s.holdsOld() {
		return Resealing{}, nil
	}
	next := s.everything(resealPage)
	for {
		rows, done, err := s.resealPage(ctx, next)
		all.Done, all.Left = all.Done+done.Done, all.Left+done.Left
		s.resealed.Add(int64(done.Done))
		if err != nil {
			return all, err
		}
		if len(rows) < resealPage {
			s.left.Store(int64(all.Left))
			return all, nil
		}
		next.after = rows[len(rows)-1]
		if !wait(ctx, rand.N(resealPause)) {
			return all, outage("reseal", ctx.Err())
		}
	}
}

// Census counts the values in the store by the key they name, but those of the current key. What it has
// counted is returned with an error too.
func (s *Store) Census(ctx context.Context) (map[seal.Key]int, error) {
	counts := map[seal.Key]int{}
	next := s.everything(censusPage)
	for {
		rows, err := s.scan(ctx, "census", next)
		if err != nil {
			return counts, err
		}
		for _, row := range rows {
			if len(row.value) > 0 {
				counts[s.cfg.Sealer.KeyOf(row.value)]++
			}
		}
		if len(rows) < censusPage {
			return counts, nil
		}
		next.after = rows[len(rows)-1]
	}
}

// keepResealing makes pass after pass until ctx ends. What goes wrong is reported as operation "reseal".
func (s *Store) keepResealing(ctx context.Context) {
	for s.holdsOld() {
		done, err := s.Reseal(ctx)
		pause := resealLater
		if done.Done > 0 || err != nil {
			pause = resealAgain
		}
		if !wait(ctx, pause/2+rand.N(pause)) {
			return
		}
	}
}

func (s *Store) holdsOld() bool {
	return slices.ContainsFunc(s.cfg.Sealer.Keys(), func(k seal.Key) bool { return k.Use == seal.Old })
}

// everything is the first page of all records. It begins with the canary, by the names of the kinds: as
// soon as anything is sealed anew, a process with an older copy of the master key does not start any more.
func (s *Store) everything(limit int) scan {
	return scan{after: record{key: []byte{}}, mark: s.cfg.Sealer.Mark(), limit: limit}
}

// resealPage reads a page and replaces what is outdated in it: all at once, and if others have changed
// something meanwhile what is left one by one.
func (s *Store) resealPage(ctx context.Context, p scan) (rows []record, done Resealing, err error) {
	for _, together := range []int{p.limit, 1, 1} {
		if rows, err = s.scan(ctx, "reseal", p); err != nil {
			return nil, done, err
		}
		ops, damaged := s.renewals(rows)
		done.Left = damaged
		for unit := range slices.Chunk(ops, together) {
			err := s.apply(ctx, "reseal", unit...)
			switch {
			case err == nil:
				done.Done += len(unit)
			case errors.Is(err, errChanged):
				done.Left += len(unit)
			default:
				return nil, done, err
			}
		}
		if done.Left == damaged {
			break
		}
	}
	return rows, done, nil
}

// renewals returns the writes that bring rows up to date, and how many of them cannot be opened.
func (s *Store) renewals(rows []record) (ops []op, damaged int) {
	for _, row := range rows {
		if s.cfg.Sealer.KeyOf(row.value).Use != seal.Old {
			continue // current, or staged: ahead of us
		}
		fresh := row
		var err error
		if fresh.value, err = s.renew(row); err != nil {
			damaged++
			continue
		}
		ops = append(ops, op{verb: reseal, record: fresh, was: row.value, otherwise: errChanged})
	}
	return ops, damaged
}

// renew seals the value of a record anew, and what is sealed inside it.
func (s *Store) renew(r record) ([]byte, error) {
	ad := place(r.kind, r.key)
	plain, err := s.cfg.Sealer.Open(r.value, ad)
	if err == nil && r.kind == kindRing {
		plain, err = ring{s}.renewKeys(plain)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", r.kind, err)
	}
	return s.cfg.Sealer.Seal(plain, ad)
}

func (s *Store) scan(ctx context.Context, name string, p scan) (found []record, err error) {
	err = s.observe(name, func() error {
		if found, err = s.engine.scan(ctx, p); err != nil {
			return outage(name, err)
		}
		return nil
	})
	return found, err
}
