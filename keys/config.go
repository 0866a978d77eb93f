package keys

import (
	"context"
	"crypto"
	"errors"
	"log/slog"
	"time"
)

// A Config is what a [Ring] is built from. Every duration is needed; [Config.Check] says what fits.
type Config struct {
	// Algorithm of new keys: ES256, ES384, EdDSA, PS256 or RS256 (RFC 7518 §3.1, RFC 8037 §3.1).
	// Keys of another algorithm are replaced by ordinary rotation.
	Algorithm string
	// Classes are the uses that have keys of their own, such as "context" and "status".
	Classes []string
	// PublishAhead is how long a key is in every served key set before it signs.
	PublishAhead time.Duration
	// Active is how long a key signs; after twice that it refuses to.
	Active time.Duration
	// Retiring is how long a key stays published after it was replaced.
	Retiring time.Duration
	// JWKSMaxAge is the max-age under which the key set is served.
	JWKSMaxAge time.Duration
	// LongestLifetime is that of the longest-lived token signed here.
	LongestLifetime time.Duration
	// Denied are kids that are never served or used, whatever the store says.
	Denied []string
	// Memory is what is known of the ring from before, as [Remembered.Memory] tells; zero: nothing.
	Memory Memory
	// Short lifts the minima, for tests and demonstrations on one machine, never the relations. The
	// skew allowance is 1 s then, else 60 s.
	Short bool

	Store Store
	// Now is this replica's clock. It counts only for a [Store] that has none of its own.
	Now func() time.Time
	// Elapsed is the time since some fixed moment, which no change of the clock moves: ages and
	// leases are counted in it. If nil, it is taken from the monotonic part of Now's readings.
	Elapsed func() time.Duration
	// NewKey makes a private key that PKCS #8 can hold. If nil, keys come from the Go library's generators.
	NewKey func(algorithm string) (crypto.Signer, error)
	// Module makes and keeps the private halves of new keys. If nil, they are in the store, sealed.
	// Moving there goes through publish-ahead like a change of algorithm.
	Module Module
	// LeaveModule: make new keys in the store again. Module is still asked for those that it has.
	LeaveModule bool
	// Log hears of every change of the ring; may be nil.
	Log *slog.Logger
}

const (
	standby      = 2               // pending keys of a class: the next, and one that ripens behind it
	longestLease = time.Hour       // also how long a demoted key keeps its private half
	slowestTick  = time.Second     // replicas agree within twice this
	tickTimeout  = 5 * time.Second // so that a hanging store does not hang the ring
)

// skew is the greatest difference between any two clocks involved, and the leeway of verifiers.
func (c *Config) skew() time.Duration {
	if c.Short {
		return time.Second
	}
	return time.Minute
}

// aftermath is how long a key is still needed after its last signature.
func (c *Config) aftermath() time.Duration {
	return c.LongestLifetime + 2*c.skew() + c.JWKSMaxAge
}

// Lease is how long a replica that cannot reach the store goes on signing: at most an hour, and never
// so long that its key could have left the key set meanwhile.
func (c *Config) Lease() time.Duration {
	return min(longestLease, c.Retiring-c.aftermath(), c.Active/4)
}

// Ripening is the age at which a pending key may sign. A replica in lease may have read the ring
// just before the key was stored; only when all such leases have ended is it in every served set.
func (c *Config) Ripening() time.Duration {
	return c.PublishAhead + c.Lease() + c.skew()
}

// life is the longest a key can be of use: it waits behind two keys, each of which signs for at most
// 2 × Active, and then does the same.
func (c *Config) life() time.Duration { return 6 * c.Active }

// wants says whether a key is such as new ones are made.
func (c *Config) wants(k *Record) bool {
	return k.Algorithm == c.Algorithm && k.Outside == c.outside()
}

// outside says whether a [Module] makes new keys.
func (c *Config) outside() bool { return c.Module != nil && !c.LeaveModule }

// term is how long a key may sign at most. The span of the key bounds it, should c.Active have grown since.
func (c *Config) term(k *Record) time.Duration { return min(2*c.Active, k.span()/3) }

func (c *Config) tick() time.Duration { return min(slowestTick, c.Lease()/4) }

func (c Config) withDefaults() Config {
	if c.Elapsed == nil {
		start, now := c.Now(), c.Now
		c.Elapsed = func() time.Duration { return now().Sub(start) }
	}
	if c.NewKey == nil {
		c.NewKey = generate
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Open reads the ring of cfg.Store and brings it up to date. In a new store it makes the first
// key of each class, which signs at once: nobody caches anything yet. Its error is a [Faults] if cfg
// does not fit together, and one of [ErrOlderRing], [ErrBrokenChain] and [ErrNoRing] if the ring is not to be
// believed.
func Open(ctx context.Context, cfg Config) (*Ring, error) {
	r, err := newRing(cfg)
	if err != nil {
		return nil, err
	}
	if err := r.renew(ctx); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// newRing is a ring that has not been read yet.
func newRing(cfg Config) (*Ring, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	return &Ring{cfg: cfg.withDefaults(), memory: cfg.Memory.with(nil)}, nil
}
