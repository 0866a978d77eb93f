package store

import (
	"context"
	"sync"
	"time"

	"chatpass/session"
)

func (s sessions) Revocations(ctx context.Context, from time.Time) ([]session.Revocation, error) {
	var all []session.Revocation
	first := instant(from)
	next := logPage{kind: kindRevocation, from: first, after: record{logged: first, key: []byte{}}, limit: pageSize}
	for {
		rows, err := s.since(ctx, "read_revocations", next)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			var entry session.Revocation
			if err := s.open(row, &entry); err != nil {
				return nil, err
			}
			entry.Logged, entry.Until = moment(row.logged), moment(row.expires)
			all = append(all, entry)
		}
		if len(rows) < pageSize {
			return all, nil
		}
		next.after = rows[len(rows)-1]
	}
}

// Clock returns the time of the store's clock: that of its server, if it has one.
func (s *Store) Clock(ctx context.Context) (now time.Time, err error) {
	err = s.observe("clock", func() error {
		ns, err := s.engine.clock(ctx)
		if err != nil {
			return outage("clock", err)
		}
		now = moment(ns)
		return nil
	})
	return now, err
}

// Watch calls wake whenever there is a hint that something was entered in a log, until ctx ends.
func (s *Store) Watch(ctx context.Context, wake func()) {
	defer s.bell.hang(wake)()
	<-ctx.Done()
}

// announce tells those who watch, here and in other processes.
func (s *Store) announce() {
	s.bell.ring()
	s.engine.announce()
}

// A bell wakes everyone who watches.
type bell struct {
	mu    sync.Mutex
	last  int
	wakes map[int]func()
}

func (b *bell) hang(wake func()) (unhang func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last++
	name := b.last
	if b.wakes == nil {
		b.wakes = map[int]func(){}
	}
	b.wakes[name] = wake
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.wakes, name)
	}
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, wake := range b.wakes {
		wake()
	}
}
