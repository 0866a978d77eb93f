package exchange

import (
	"context"
	"sync"
	"time"
)

// refreshInterval is how often the key sets of clients are fetched. A client that publishes a new key
// this long before it signs with it is never refused.
const refreshInterval = 5 * time.Minute

// Run keeps the key sets of clients fresh until ctx ends, so that no request has to wait for one.
func (x *Exchanger) Run(ctx context.Context) error {
	tick := time.NewTicker(refreshInterval)
	defer tick.Stop()
	for {
		x.RefreshKeys(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// RefreshKeys fetches the key sets of all clients once. Keys that cannot be fetched stay as they are.
func (x *Exchanger) RefreshKeys(ctx context.Context) {
	var work sync.WaitGroup
	defer work.Wait()
	for _, c := range x.clients {
		if c.Keys == nil {
			continue
		}
		work.Go(func() {
			if err := c.Keys.Refresh(ctx); err != nil && ctx.Err() == nil && x.cfg.KeysFailed != nil {
				x.cfg.KeysFailed(c.ID, err)
			}
		})
	}
}
