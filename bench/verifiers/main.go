// Command verifiers measures how long a service takes to verify one context: with package verify, and with
// the libraries that people would take instead, each with its own key set of the same issuer and told to
// check the same: typ, alg, kid, iss, aud, exp, iat and one scope. Nobody may remember a verdict.
//
//	go -C bench run ./verifiers
//
// The libraries take turns, so that the ratios of one run hold on a busy machine too.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"
)

func main() {
	rounds := flag.Int("rounds", 200, "turns that each library takes")
	batch := flag.Int("batch", 50, "contexts that it verifies in a turn")
	flag.Parse()
	if err := run(*rounds, *batch); err != nil {
		fmt.Fprintln(os.Stderr, "verifiers:", err)
		os.Exit(1)
	}
}

// A contestant verifies a context for one service.
type contestant struct {
	name   string
	verify func(ctx context.Context, token string) error
}

func run(rounds, batch int) error {
	fmt.Printf("%-6s %-24s %10s %8s %8s %10s\n", "alg", "library", "µs", "ratio", "allocs", "bytes")
	for _, alg := range []string{"ES256", "EdDSA", "RS256"} {
		if err := compare(alg, rounds, batch); err != nil {
			return fmt.Errorf("%s: %w", alg, err)
		}
	}
	return nil
}

func compare(alg string, rounds, batch int) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	issuer, err := newIssuer(alg)
	if err != nil {
		return err
	}
	defer issuer.Close()
	all, err := contestants(ctx, issuer)
	if err != nil {
		return err
	}
	if err := referee(ctx, issuer, all); err != nil {
		return err
	}
	took := make([][]time.Duration, len(all))
	for range rounds {
		for i, c := range all {
			d, err := turn(ctx, c, issuer.token, batch)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			took[i] = append(took[i], d/time.Duration(batch))
		}
	}
	best := median(took[0])
	for i, c := range all {
		allocs, size := memory(ctx, c, issuer.token)
		d := median(took[i])
		fmt.Printf("%-6s %-24s %10.1f %8.2f %8d %10d\n", alg, c.name, float64(d)/1e3, float64(d)/float64(best), allocs, size)
	}
	return nil
}

// referee sees to it that everybody accepts the good context, and none of those with one fault.
func referee(ctx context.Context, i *issuer, all []contestant) error {
	for _, c := range all {
		if err := c.verify(ctx, i.token); err != nil {
			return fmt.Errorf("%s refuses a good context: %w", c.name, err)
		}
		for fault, token := range i.bad {
			if c.verify(ctx, token) == nil {
				return fmt.Errorf("%s does not check %s", c.name, fault)
			}
		}
	}
	return nil
}

func turn(ctx context.Context, c contestant, token string, n int) (time.Duration, error) {
	began := time.Now()
	for range n {
		if err := c.verify(ctx, token); err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}

// memory returns the allocations and bytes of one verification.
func memory(ctx context.Context, c contestant, token string) (allocs, size uint64) {
	const n = 100
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range n {
		_ = c.verify(ctx, token)
	}
	runtime.ReadMemStats(&after)
	return (after.Mallocs - before.Mallocs) / n, (after.TotalAlloc - before.TotalAlloc) / n
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}
