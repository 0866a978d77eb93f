// Command bench measures the built binary as an operator meets it: its size, how soon it is ready, how
// much memory it needs idle, and how many exchanges and renewals it does over HTTP, with the time each takes.
//
//	make build && go -C bench run . -binary ../bin/chatpass
//
// Figures of one run compare with each other; between machines only their ratios do.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

const (
	sessions = 1000 // whose contexts are renewed
	pace     = 200  // renewals a second, of a load that leaves the service time to breathe
)

func main() {
	binary := flag.String("binary", "../bin/chatpass", "the built binary")
	workers := flag.Int("workers", 8, "clients that ask at once")
	length := flag.Duration("for", 5*time.Second, "how long they ask")
	starts := flag.Int("starts", 10, "how often to start, for the time to ready")
	flag.Parse()
	if err := run(*binary, *starts, load{workers: *workers, length: *length}); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(binary string, starts int, l load) error {
	ctx := context.Background()
	binary, err := filepath.Abs(binary)
	if err != nil {
		return fmt.Errorf("find binary: %w", err)
	}
	info, err := os.Stat(binary)
	if err != nil {
		return fmt.Errorf("find binary: %w", err)
	}
	fmt.Printf("binary            %8.1f MB\n", float64(info.Size())/1e6)
	dir, err := os.MkdirTemp("", "chatpass-bench-")
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // temporary
	place, err := prepare(ctx, dir, binary)
	if err != nil {
		return err
	}
	if err := measureStarts(ctx, place, starts); err != nil {
		return err
	}
	return measureLoad(ctx, place, l)
}

// measureStarts prints the best and the median time from the start of the process to ready.
func measureStarts(ctx context.Context, p place, n int) error {
	var took []time.Duration
	for range n {
		s, err := start(ctx, p)
		if err != nil {
			return err
		}
		took = append(took, s.ready)
		if err := s.stop(); err != nil {
			return err
		}
	}
	fmt.Printf("start to ready    %8.1f ms best, %.1f ms median of %d\n", ms(percentile(took, 0)), ms(percentile(took, 50)), n)
	return nil
}

// measureLoad prints memory before and after, and what two loads saw: exchanges of a backend, renewals of pages.
func measureLoad(ctx context.Context, p place, l load) error {
	s, err := start(ctx, p)
	if err != nil {
		return err
	}
	idle, err := s.memory()
	if err != nil {
		return err
	}
	c := newCaller(ctx, p, l.workers)
	if err := l.measure(s, "exchanges", c.exchange); err != nil {
		return err
	}
	if err := measureRenewals(s, c, l); err != nil {
		return err
	}
	after, err := s.memory()
	if err != nil {
		return err
	}
	fmt.Printf("memory (RSS)      %8.1f MB idle, %.1f MB after the load\n", float64(idle)/1e6, float64(after)/1e6)
	return s.stop()
}

// measureRenewals lets pages renew their contexts, first as fast as they can, then a quarter as often.
func measureRenewals(s *running, c caller, l load) error {
	cookies := make([]*http.Cookie, sessions)
	for i := range cookies {
		var err error
		if cookies[i], err = c.begin(fmt.Sprintf("page-%d", i)); err != nil {
			return err
		}
	}
	renew := func(worker, n int) error { return c.renew(cookies[(n*l.workers+worker)%len(cookies)]) }
	if err := l.measure(s, "renewals", renew); err != nil {
		return err
	}
	l.rate = pace
	return l.measure(s, fmt.Sprintf("renewals, %d/s", pace), renew)
}

// measure prints what came of a load: the rate as clients saw it, and what the process could do with a whole core.
func (l load) measure(s *running, name string, ask func(worker, n int) error) error {
	before, err := s.burnt()
	if err != nil {
		return err
	}
	took, elapsed, err := l.run(ask)
	if err != nil {
		return err
	}
	after, err := s.burnt()
	if err != nil {
		return err
	}
	fmt.Printf("%-17s %8.0f /s with %d clients, %.0f a second of processor time; p50 %.2f ms, p99 %.2f ms of %d\n",
		name, float64(len(took))/elapsed.Seconds(), l.workers, float64(len(took))/(after-before).Seconds(),
		ms(percentile(took, 50)), ms(percentile(took, 99)), len(took))
	return nil
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
