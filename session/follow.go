package session

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	// followInterval is how often the log of revocations is read.
	followInterval = 250 * time.Millisecond
	// followTime bounds one reading.
	followTime = 5 * time.Second
	// overlap is how much of the log is read again each time: entries become visible in another order
	// than that of their times.
	overlap = 10 * time.Second
)

// Run follows the sign-outs of other replicas, and writes down those that the store could not take when
// they came, until ctx ends.
func (s *Sessions) Run(ctx context.Context) error {
	var work sync.WaitGroup
	defer s.inquiries.work.Wait() // what an issuer has said is written down first
	defer work.Wait()
	hint := make(chan struct{}, 1)
	work.Go(func() {
		s.cfg.Store.Watch(ctx, func() {
			select {
			case hint <- struct{}{}:
			default: // one is waiting
			}
		})
	})
	work.Go(func() { every(ctx, followInterval, hint, func() { _ = s.Follow(ctx) }) }) // what fails is tried again
	every(ctx, pendingInterval, nil, func() { s.Settle(ctx) })
	return nil
}

// every does the work again and again, and earlier at a hint, until ctx ends.
func every(ctx context.Context, interval time.Duration, hint <-chan struct{}, work func()) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-hint:
		}
		work()
	}
}

// Follow reads once what was entered lately in the log of revocations, here or at another replica. From
// then on no session it names is believed to be alive. Sessions are remembered in memory only while this
// succeeds again and again.
func (s *Sessions) Follow(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, followTime)
	defer cancel()
	s.following.Lock()
	defer s.following.Unlock()
	asked := s.cfg.Now()
	clock, err := s.cfg.Store.Clock(ctx)
	if err != nil {
		return fmt.Errorf("ask the store's clock: %w", err)
	}
	if s.upTo.IsZero() {
		s.upTo = clock
	}
	entries, err := s.cfg.Store.Revocations(ctx, s.upTo.Add(-overlap))
	if err != nil {
		return fmt.Errorf("read revocations: %w", err)
	}
	s.recent.hear(entries, asked)
	s.upTo = clock
	return nil
}

// Stats says how the sessions of this replica keep up with the others.
type Stats struct {
	// Lag is how long ago the log of revocations was read last; negative if it never was.
	Lag time.Duration
}

// Stats returns the figures of this moment.
func (s *Sessions) Stats() Stats { return Stats{Lag: s.recent.silence()} }
