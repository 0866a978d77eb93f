package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"
)

// Nobody whose session the replicas know notices that the database is away, from the first moment to the last:
// pages renew twice a second at every replica, and no renewal fails.
func TestReplicasRenewThroughAnOutage(t *testing.T) {
	f := newFleet(t)
	var people crowd
	for i := range 4 {
		v, session := f.signIn(t, fmt.Sprint("person", i))
		people.pages = append(people.pages, v.held(t))
		f.wantSession(t, people.pages[i], session) // every replica has it in memory
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { people.renew(ctx, t, f) })
	defer running.Wait()
	defer stop()

	time.Sleep(time.Second)
	f.shut(t)
	time.Sleep(time.Duration(amount(t, "CHATPASS_OUTAGE_SECONDS", 6)) * time.Second)
	f.open(t)
	time.Sleep(3 * time.Second)
	stop()
	running.Wait()
	if people.short == 0 {
		t.Error("the database was never missed")
	}
	t.Logf("counted: %d renewals, %d of them without the database", people.renewals, people.short)
}

// A crowd is people with a page each.
type crowd struct {
	pages           []visitor
	renewals, short int // short are those of a replica that misses its database
}

// renew lets every page renew twice a second, at every replica at once, until ctx ends.
func (c *crowd) renew(ctx context.Context, t *testing.T, f *fleet) {
	again := time.NewTicker(500 * time.Millisecond)
	defer again.Stop()
	for ; ctx.Err() == nil; <-again.C {
		answers := race(len(f.replicas)*len(c.pages), func(i int) answer { return c.pages[i/3].before(f.replicas[i%3]).renew(t) })
		for i, a := range answers {
			c.renewals++
			if a.status != http.StatusOK || a.header.Get("Set-Cookie") != "" {
				t.Errorf("replica %d: status %d %s", i%3, a.status, a.Code)
			} else if a.Context.ExpiresIn <= 120 {
				c.short++
			}
		}
	}
}
