package server

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/time/rate"
)

// maxLimited bounds how many sessions are watched at once. Forgetting one only gives it a fresh start:
// nothing here grants access.
const maxLimited = 100_000

// A limiter bounds how often one session may ask.
type limiter struct {
	perMinute int
	now       func() time.Time
	buckets   *otter.Cache[[32]byte, *rate.Limiter]
}

func newLimiter(perMinute int, now func() time.Time) (*limiter, error) {
	buckets, err := otter.New(&otter.Options[[32]byte, *rate.Limiter]{MaximumSize: maxLimited})
	if err != nil {
		return nil, fmt.Errorf("make limiter: %w", err)
	}
	return &limiter{perMinute: perMinute, now: now, buckets: buckets}, nil
}

// allow counts one call of whoever holds the secret. When it is one too many it returns how long to wait.
func (l *limiter) allow(secret string) (wait time.Duration, ok bool) {
	if l.perMinute == 0 || secret == "" {
		return 0, true
	}
	key := sha256.Sum256([]byte(secret))
	bucket, _ := l.buckets.ComputeIfAbsent(key, func() (*rate.Limiter, bool) {
		return rate.NewLimiter(rate.Every(time.Minute/time.Duration(l.perMinute)), l.perMinute), false
	})
	now := l.now()
	reserved := bucket.ReserveN(now, 1)
	if wait = reserved.DelayFrom(now); wait == 0 {
		return 0, true
	}
	reserved.CancelAt(now)
	return wait, false
}
