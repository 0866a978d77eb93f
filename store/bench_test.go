package store_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chatpass/identity"
	"chatpass/session"
	"chatpass/store"
)

// benchRows is how many sessions, values put once and entries of the log are there before a benchmark
// begins. Of the sessions benchOwn were inserted as usual; all other rows are made by the database, and
// are never opened.
const (
	benchRows = 100_000
	benchOwn  = 10_000
)

// benchLog is the part of the log that a replica reads again at each look: what was entered in the last
// ten seconds.
const benchLog = 10 * time.Second

// BenchmarkAt100000 measures one store after the other use of it; "parallel" has 128 goroutines.
func BenchmarkAt100000(b *testing.B) {
	for name, fresh := range map[string]func(testing.TB) store.Config{"SQLite": sqliteConfig, "PostgreSQL": postgresConfig} {
		b.Run(name, func(b *testing.B) { benchEngine(b, fresh(b)) })
	}
}

func benchEngine(b *testing.B, cfg store.Config) {
	cfg.Now = nil
	sessions := filled(b, cfg)
	var next, ended atomic.Int64
	next.Store(benchRows)
	for _, bench := range []struct {
		name string
		next *atomic.Int64
		do   func(*testing.B, session.Store, int)
	}{
		{"insert session", &next, insertNumber},
		{"find by handle", &next, findNumber},
		{"put once", &next, putNumber},
		{"end session", &ended, endNumber},
		{"poll revocations", &next, pollLog},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bench.do(b, sessions, int(bench.next.Add(1)))
			}
		})
		b.Run(bench.name+" parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(128 / runtime.GOMAXPROCS(0))
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					bench.do(b, sessions, int(bench.next.Add(1)))
				}
			})
		})
	}
}

// filled returns a store with 100,000 sessions, as many values put once, and as many entries in the log.
func filled(b *testing.B, cfg store.Config) session.Store {
	b.Helper()
	sessions := openStore(b, cfg).Sessions()
	eachOf(benchOwn, func(i int) { insertNumber(b, sessions, i) })
	for kind, bytes := range map[string]int{"session": 2000, "handle": 100, "once": 0, "revocation": 200} {
		makeRows(b, cfg.URL, kind, bytes)(benchRows)
	}
	return sessions
}

// makeRows returns how to make n rows of a kind, with values of so many bytes.
func makeRows(b *testing.B, url, kind string, bytes int) func(n int) {
	b.Helper()
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		return func(n int) {
			script(b, path, fmt.Sprintf(`WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < %d)
				INSERT INTO records (kind, key, version, expires, index_a, index_b, stamp, value, logged)
				SELECT '%s', randomblob(32), 1, 9000000000000000000 - n, randomblob(32), randomblob(32), 0, randomblob(%d), n FROM numbers`,
				n, kind, max(bytes, 1)))
		}
	}
	return func(n int) {
		sqlAt(b, url, fmt.Sprintf(`INSERT INTO chatpass_records (kind, key, version, expires, index_a, index_b, stamp, value, logged)
			SELECT '%s', sha256(('row ' || n)::bytea), 1, 9e18::bigint - n, sha256(('a ' || n / 2)::bytea), sha256(('b ' || n / 2)::bytea),
			0, decode(repeat(md5(n::text), %d), 'hex'), n FROM generate_series(1, %d) n`, kind, bytes/16, n),
			"VACUUM (ANALYZE) chatpass_records")
	}
}

// eachOf does something with each number below n, many at a time.
func eachOf(n int, do func(int)) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range 256 {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	all.Wait()
}

func numbered(i int) session.Session {
	now := time.Now()
	return session.Session{
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
}

func insertNumber(b *testing.B, sessions session.Store, i int) {
	s := numbered(i)
	if err := sessions.Insert(b.Context(), s, session.Birth{Handle: number(i), Until: s.Expires}); err != nil {
		b.Error(err)
	}
}

func findNumber(b *testing.B, sessions session.Store, i int) {
	if _, err := sessions.Find(b.Context(), number(i*7919%benchOwn)); err != nil {
		b.Error(err)
	}
}

func putNumber(b *testing.B, sessions session.Store, i int) {
	err := sessions.PutOnce(b.Context(), "bench", fmt.Sprint(i), time.Now().Add(time.Hour))
	if err != nil {
		b.Error(err)
	}
}

// endNumber ends a session of those that were there, or, when there are no more, one that is made for it.
func endNumber(b *testing.B, sessions session.Store, i int) {
	if i >= benchOwn {
		i = -i
		insertNumber(b, sessions, i)
	}
	s := numbered(i)
	s.Version, s.Ended, s.Cause = 1, s.Started, identity.SignedOut
	if err := sessions.End(b.Context(), s); err != nil {
		b.Error(err)
	}
}

func pollLog(b *testing.B, sessions session.Store, _ int) {
	now, err := sessions.Clock(b.Context())
	if err == nil {
		_, err = sessions.Revocations(b.Context(), now.Add(-benchLog))
	}
	if err != nil {
		b.Error(err)
	}
}

func number(i int) session.Handle { return sha256.Sum256(fmt.Append(nil, "handle ", i)) }

// BenchmarkLookup measures Find among as many sessions as CHATPASS_BENCH_ROWS says, 100,000 unless it is
// set. They are made by the server, and only the one that is looked for can be read.
func BenchmarkLookup(b *testing.B) {
	rows := benchRows
	if text := os.Getenv("CHATPASS_BENCH_ROWS"); text != "" {
		var err error
		rows, err = strconv.Atoi(text)
		must(b, err)
	}
	cfg := postgresConfig(b)
	s := openStore(b, cfg)
	const found = 1000
	eachOf(found, func(i int) { insertNumber(b, s.Sessions(), i) })
	makeRows(b, cfg.URL, "session", 480)(rows)
	makeRows(b, cfg.URL, "handle", 64)(rows)
	var size int64
	must(b, connect(b, cfg.URL).QueryRow(b.Context(), "SELECT pg_total_relation_size('chatpass_records')").Scan(&size))
	b.Run(fmt.Sprint(rows), func(b *testing.B) {
		n := 0
		for b.Loop() {
			n++
			if _, err := s.Sessions().Find(b.Context(), number(n*7919%found)); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(size)/(1<<20), "MB")
	})
}
