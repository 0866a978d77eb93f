package main

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// A load is a number of clients that ask, one request after another each, for a while. With a rate the requests
// of all of them together are due that often a second, and a late answer makes the next ones late too, as it
// does for people; without, each client asks as soon as it has its answer.
type load struct {
	workers int
	length  time.Duration
	rate    int
}

// run returns how long each request took from when it was due, and how long all of them together.
func (l load) run(ask func(worker, n int) error) ([]time.Duration, time.Duration, error) {
	var mu sync.Mutex
	var all []time.Duration
	var first error
	var crowd sync.WaitGroup
	begun := time.Now()
	for worker := range l.workers {
		crowd.Go(func() {
			took, err := l.work(begun, worker, ask)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
			first = cmp.Or(first, err)
		})
	}
	crowd.Wait()
	return all, time.Since(begun), first
}

// work is one client's part.
func (l load) work(begun time.Time, worker int, ask func(worker, n int) error) ([]time.Duration, error) {
	var took []time.Duration
	due := begun
	for n := 0; time.Since(begun) < l.length; n++ {
		if l.rate > 0 {
			due = begun.Add(time.Duration(n*l.workers+worker) * time.Second / time.Duration(l.rate))
			time.Sleep(time.Until(due))
		} else {
			due = time.Now()
		}
		if err := ask(worker, n); err != nil {
			return took, err
		}
		took = append(took, time.Since(due))
	}
	return took, nil
}

// percentile returns the p-th percentile, 0 being the least.
func percentile(all []time.Duration, p int) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(sorted)-1, len(sorted)*p/100)]
}
