// Package storetest holds the promises of the store interfaces as tests. Every engine passes them.
package storetest

import (
	"context"
	"sync"
	"testing"
	"time"
)

// A Clock stands still until a test moves it.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock at some whole second.
func NewClock() *Clock {
	return &Clock{now: time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)}
}

// Now returns the time it shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves it on by d.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// An Opened is a new, empty store.
type Opened[S any] struct {
	// Doors lead to the same data, as those of several processes do; one at least.
	Doors []S
	// Sweep deletes what has expired.
	Sweep func(context.Context) error
}

// An Opener opens a new, empty store that goes by the clock, and closes it when the test ends.
type Opener[S any] func(t testing.TB, clock *Clock) Opened[S]

// racers is how many try at once to be the only one.
const racers = 16

// race lets all racers run at the same time and returns their errors.
func race(run func(racer int) error) []error {
	errs := make([]error, racers)
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range racers {
		all.Go(func() {
			<-start
			errs[i] = run(i)
		})
	}
	close(start)
	all.Wait()
	return errs
}

// oneWinner fails t unless exactly one racer won and all others were told loss.
func oneWinner(t *testing.T, errs []error, loss error) {
	t.Helper()
	winners := 0
	for _, err := range errs {
		if err == nil {
			winners++
			continue
		}
		wantErr(t, err, loss)
	}
	if winners != 1 {
		t.Errorf("%d of %d racers won, want 1", winners, len(errs))
	}
}
