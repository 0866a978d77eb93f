package store

import (
	"context"
	"slices"
	"time"
)

// About is what an operator wants to know of a store.
type About struct {
	// Engine is its name and version, such as "PostgreSQL 15.18".
	Engine string
	// Schema is the number of the last migration done.
	Schema int
	// Latency is the time that it takes to ask something, the median of five.
	Latency time.Duration
	// Skew is by how much this machine's clock is ahead of the store's; 0 if it is less than could be
	// told in the time that it takes to ask.
	Skew time.Duration
	// Synchronous tells whether a commit waits for a standby, so that a failover keeps what was
	// acknowledged. Always false for a file.
	Synchronous bool
	// Standbys is how many such standbys are connected; 0 also if this user may not see them.
	Standbys int
}

// About asks the store about itself.
func (s *Store) About(ctx context.Context) (found About, err error) {
	err = s.observe("about", func() error {
		if found, err = s.engine.about(ctx); err == nil {
			found.Latency, found.Skew, err = s.measure(ctx)
		}
		if err != nil {
			return outage("about", err)
		}
		return nil
	})
	return found, err
}

// measure asks for the time again and again.
func (s *Store) measure(ctx context.Context) (latency, skew time.Duration, err error) {
	const rounds = 5
	var took, ahead []time.Duration
	for range rounds {
		start := time.Now()
		theirs, err := s.engine.clock(ctx)
		if err != nil {
			return 0, 0, err
		}
		trip := time.Since(start)
		took = append(took, trip)
		ahead = append(ahead, start.Add(trip/2).Sub(moment(theirs)))
	}
	slices.Sort(took)
	slices.Sort(ahead)
	latency, skew = took[rounds/2], ahead[rounds/2]
	if skew.Abs() <= max(latency, time.Millisecond) {
		skew = 0
	}
	return latency, skew, nil
}
