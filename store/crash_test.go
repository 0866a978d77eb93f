package store_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chatpass/session"
	"chatpass/store"
)

func TestAcknowledgedWritesSurviveACrashOfTheServer(t *testing.T) {
	c := newCluster(t)
	cfg := config(t, "")
	cfg.URL, cfg.Now = c.url(), nil
	s := openStore(t, cfg)
	var acknowledged sync.Map
	var count, outages atomic.Int64
	crashed := make(chan struct{})
	var writing sync.WaitGroup
	for writer := range 8 {
		writing.Go(func() {
			for n := 0; ; n++ {
				value := fmt.Sprint(writer, "-", n)
				fresh := aSession(value)
				err := s.Sessions().Insert(t.Context(), fresh, session.Birth{Handle: handleOf(value), Until: fresh.Expires})
				if err == nil {
					acknowledged.Store(value, true)
					count.Add(1)
					continue
				}
				wantOutage(t, "insert while the server is down", err)
				outages.Add(1)
				select {
				case <-crashed:
					return
				default:
				}
			}
		})
	}
	eventually(t, "300 writes", func() bool { return count.Load() >= 300 })
	c.crash(t)
	eventually(t, "outages", func() bool { return outages.Load() >= 8 })
	close(crashed)
	writing.Wait()
	wantEveryOutage(t, s)
	c.start(t)
	eventually(t, "the store to answer again", func() bool { return s.Ping(t.Context()) == nil })
	for value := range acknowledged.Range {
		if _, err := s.Sessions().Find(t.Context(), handleOf(value.(string))); err != nil {
			t.Errorf("session %s was acknowledged: %v", value, err)
		}
	}
	putOnce(t, s, "after the crash", nil)
}

func TestAStandbyIsRefusedAndSynchronousOnesAreSeen(t *testing.T) {
	c := newCluster(t)
	cfg := config(t, "")
	cfg.URL, cfg.Now = c.url(), nil
	s := openStore(t, cfg)
	standby := emptyCluster(t)
	standby.run(t, "pg_basebackup", "-d", strings.ReplaceAll(c.url(), "/postgres?", "/?"), "-D", standby.data(), "-R", "-c", "fast")
	standby.start(t)
	wantAbout(t, s, false, 0)
	sqlAt(t, c.url(), "ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
	eventually(t, "the standby to be a synchronous one", func() bool {
		found, err := s.About(t.Context())
		return err == nil && found.Synchronous && found.Standbys == 1
	})
	putOnce(t, s, "value", nil)

	other := cfg
	other.URL = standby.url()
	_, err := store.Open(t.Context(), other)
	if err == nil || !strings.Contains(err.Error(), "standby") || !strings.Contains(err.Error(), "primary") {
		t.Errorf("open a standby: %v", err)
	}
}

func TestAnEngineTellsAboutItself(t *testing.T) {
	eachEngine(t, func(t *testing.T, fresh func(testing.TB) store.Config) {
		cfg := fresh(t)
		cfg.Now = nil
		wantAbout(t, openStore(t, cfg), false, 0)

		cfg = fresh(t)
		ahead := time.Hour
		cfg.Now = func() time.Time { return time.Now().Add(-ahead) } // as if the store's clock were behind
		found, err := openStore(t, cfg).About(t.Context())
		if err != nil || (found.Skew-ahead).Abs() > time.Second {
			t.Errorf("skew %s, %v, want %s", found.Skew, err, ahead)
		}
	})
}

func wantAbout(t *testing.T, s *store.Store, synchronous bool, standbys int) {
	t.Helper()
	found, err := s.About(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	name, _, _ := strings.Cut(found.Engine, " ")
	if strings.HasSuffix(t.Name(), "SQLite") && name != "SQLite" || strings.HasSuffix(t.Name(), "PostgreSQL") && name != "PostgreSQL" {
		t.Errorf("engine %q", found.Engine)
	}
	if found.Schema < 1 || found.Latency <= 0 || found.Latency > 10*time.Second || found.Skew != 0 ||
		found.Synchronous != synchronous || found.Standbys != standbys {
		t.Errorf("about: %+v, want synchronous %v with %d standbys", found, synchronous, standbys)
	}
}
