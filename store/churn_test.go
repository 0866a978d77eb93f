package store_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"chatpass/session"
	"chatpass/store"
	"chatpass/store/storetest"
)

// What comes and goes leaves nothing behind: after a few rounds the store does not grow any more.
func TestChurnDoesNotGrowTheStore(t *testing.T) {
	eachEngine(t, func(t *testing.T, fresh func(testing.TB) store.Config) {
		const rounds, each = 8, 600
		cfg, clock := fresh(t), storetest.NewClock()
		cfg.Now = clock.Now
		s := openStore(t, cfg)
		var sizes []int64
		for round := range rounds {
			together(8, func(writer int) {
				for n := range each / 8 {
					at := aSession(fmt.Sprint(round, "-", writer, "-", n))
					at.Expires = clock.Now().Add(time.Minute)
					must(t, s.Sessions().Insert(t.Context(), at, session.Birth{Handle: handleOf(at.SID), Until: at.Expires}))
					at.Version = 1
					must(t, s.Sessions().End(t.Context(), at))
				}
			})
			clock.Advance(time.Hour)
			if n, err := s.Sweep(t.Context()); err != nil || n != each*3 { // session, handle, entry
				t.Fatalf("swept %d, %v, want %d", n, err, each*3)
			}
			sizes = append(sizes, sizeOf(t, cfg.URL))
		}
		t.Logf("bytes after each round: %d", sizes)
		if sizes[rounds-1] > sizes[2]*5/4 {
			t.Errorf("the store grows: %d bytes after each round", sizes)
		}
	})
}

// sizeOf is what the store takes on the disk. PostgreSQL clears away dead rows by itself, now and then;
// here it is told to.
func sizeOf(t *testing.T, url string) (size int64) {
	t.Helper()
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		for _, name := range []string{path, path + "-wal"} {
			info, err := os.Stat(name)
			must(t, err)
			size += info.Size()
		}
		return size
	}
	sqlAt(t, url, "VACUUM chatpass_records")
	must(t, connect(t, url).QueryRow(t.Context(), "SELECT pg_total_relation_size('chatpass_records')").Scan(&size))
	return size
}
