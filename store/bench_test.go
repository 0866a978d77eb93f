package store_test

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chatpass/identity"
	"chatpass/session"
)

// benchRows is how many sessions, and how many values put once, are there before a benchmark begins.
const benchRows = 100_000

// BenchmarkAt100000 measures one store after the other use of it; "parallel" has 128 goroutines.
func BenchmarkAt100000(b *testing.B) {
	sessions := filled(b)
	var next atomic.Int64
	next.Store(benchRows)
	for _, bench := range []struct {
		name string
		do   func(*testing.B, session.Store, int)
	}{
		{"insert session", insertNumber},
		{"find by handle", findNumber},
		{"put once", putNumber},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bench.do(b, sessions, int(next.Add(1)))
			}
		})
		b.Run(bench.name+" parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(128 / runtime.GOMAXPROCS(0))
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					bench.do(b, sessions, int(next.Add(1)))
				}
			})
		})
	}
}

// filled returns a store with 100,000 sessions and as many values put once.
func filled(b *testing.B) session.Store {
	b.Helper()
	sessions := openStore(b, config(b, filepath.Join(b.TempDir(), "chatpass.db"))).Sessions()
	var next atomic.Int64
	var all sync.WaitGroup
	for range 256 {
		all.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= benchRows {
					return
				}
				insertNumber(b, sessions, i)
				putNumber(b, sessions, i)
			}
		})
	}
	all.Wait()
	return sessions
}

func insertNumber(b *testing.B, sessions session.Store, i int) {
	now := time.Now()
	s := session.Session{
		SID: fmt.Sprintf("%x", sha256.Sum256(fmt.Append(nil, i)))[:26], App: "support", Kind: session.SignIn,
		Customer: fmt.Sprint("customer ", i/2),
		Identity: identity.Identity{
			IDP: "corp", Issuer: "https://login.example.com", Subject: fmt.Sprint("subject ", i/2),
			UpstreamSubject: fmt.Sprint("subject ", i/2), UpstreamSession: fmt.Sprint("upstream ", i),
			IssuedAt: now, Expires: now.Add(time.Minute), AuthTime: now, AMR: []string{"pwd", "otp"},
			Claims: map[string]any{"name": "Alice Example", "email": "alice@example.com", "groups": []any{"gold", "beta"}},
		},
		IDToken: strings.Repeat("x", 900), Started: now, Active: now, Idle: time.Hour,
		Ends: now.Add(10 * time.Hour), Expires: now.Add(11 * time.Hour),
	}
	if err := sessions.Insert(b.Context(), s, session.Birth{Handle: number(i), Until: s.Expires}); err != nil {
		b.Error(err)
	}
}

func findNumber(b *testing.B, sessions session.Store, i int) {
	if _, err := sessions.Find(b.Context(), number(i*7919%benchRows)); err != nil {
		b.Error(err)
	}
}

func putNumber(b *testing.B, sessions session.Store, i int) {
	err := sessions.PutOnce(b.Context(), "bench", fmt.Sprint(i), time.Now().Add(time.Hour))
	if err != nil {
		b.Error(err)
	}
}

func number(i int) session.Handle { return sha256.Sum256(fmt.Append(nil, "handle ", i)) }
