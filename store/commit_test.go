package store_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chatpass/identity"
	"chatpass/session"
	"chatpass/store"
)

func TestWritersShareCommits(t *testing.T) {
	s := openStore(t, config(t, filepath.Join(t.TempDir(), "chatpass.db")))
	before := s.Stats()
	for i := range 10 {
		putOnce(t, s, fmt.Sprint("alone ", i), nil)
	}
	alone := s.Stats()
	if writes, commits := alone.Writes-before.Writes, alone.Commits-before.Commits; writes != 10 || commits != 10 {
		t.Errorf("10 writes one by one: counted %d writes in %d commits", writes, commits)
	}
	together(64, func(writer int) {
		for i := range 20 {
			putOnce(t, s, fmt.Sprint(writer, " ", i), nil)
		}
	})
	writes, commits := s.Stats().Writes-alone.Writes, s.Stats().Commits-alone.Commits
	t.Logf("%d writes of 64 writers took %d commits", writes, commits)
	if writes != 64*20 || commits*4 > writes {
		t.Errorf("%d writes of 64 writers took %d commits, want a quarter at most", writes, commits)
	}
}

func TestAConflictUndoesItselfAndNobodyElse(t *testing.T) {
	s := openStore(t, config(t, filepath.Join(t.TempDir(), "chatpass.db")))
	sessions := s.Sessions()
	mustInsert(t, s, aSession("there"))
	together(64, func(i int) {
		fresh := aSession(fmt.Sprint(i))
		b := session.Birth{Handle: handleOf(fresh.SID), Until: fresh.Expires}
		var want error
		if i%2 == 1 { // its first op succeeds, its second does not
			b.Handle, want = handleOf("there"), session.ErrExists
		}
		if err := sessions.Insert(t.Context(), fresh, b); !errors.Is(err, want) {
			t.Errorf("insert %d: got %v, want %v", i, err, want)
		}
	})
	for i := range 64 {
		var want error
		if i%2 == 1 {
			want = session.ErrNotFound
		}
		if _, err := sessions.Session(t.Context(), fmt.Sprint(i)); !errors.Is(err, want) {
			t.Errorf("session %d: got %v, want %v", i, err, want)
		}
	}
}

func TestWhoStopsWaitingHarmsNobody(t *testing.T) {
	path := filepath.Join(t.TempDir(), "chatpass.db")
	s := openStore(t, config(t, path))
	unlock := lock(t, path)
	together(32, func(i int) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		err := s.Sessions().PutOnce(ctx, "test", fmt.Sprint(i), time.Now().Add(time.Hour))
		wantOutage(t, "put once behind a lock", err)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the cause in it", err)
		}
	})
	unlock()
	for i := range 32 {
		putOnce(t, s, fmt.Sprint(i), nil) // nobody waited for it any more, so it was not done
	}
}

func TestALockThatStaysIsAnOutage(t *testing.T) {
	t.Parallel() // waits as long as a lock is waited for, 5 s
	path := filepath.Join(t.TempDir(), "chatpass.db")
	s := openStore(t, config(t, path))
	mustInsert(t, s, aSession("s"))
	unlock := lock(t, path)
	wantOutage(t, "put once", s.Sessions().PutOnce(t.Context(), "test", "value", time.Now().Add(time.Hour)))
	if _, err := s.Sessions().Find(t.Context(), handleOf("s")); err != nil {
		t.Errorf("a lock for writing keeps readers out: %v", err)
	}
	unlock()
	putOnce(t, s, "value", nil)
}

func TestAClosedStoreIsAnOutage(t *testing.T) {
	s := mustOpen(t, config(t, filepath.Join(t.TempDir(), "chatpass.db")))
	closeStore(t, s)
	wantEveryOutage(t, s)
}

func TestClosingFinishesOrRefusesEveryWrite(t *testing.T) {
	cfg := config(t, filepath.Join(t.TempDir(), "chatpass.db"))
	s := mustOpen(t, cfg)
	var done sync.Map
	started := make(chan struct{}, 64)
	var closing sync.WaitGroup
	closing.Go(func() {
		for range 64 {
			<-started
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	together(64, func(i int) {
		for n := 0; ; n++ {
			value := fmt.Sprint(i, " ", n)
			err := s.Sessions().PutOnce(t.Context(), "test", value, time.Now().Add(time.Hour))
			if n == 0 {
				started <- struct{}{}
			}
			if err != nil {
				wantOutage(t, "put once while closing", err)
				return
			}
			done.Store(value, true)
		}
	})
	closing.Wait()
	again := openStore(t, cfg)
	for value := range done.Range {
		putOnce(t, again, value.(string), session.ErrExists)
	}
}

func TestRunSweepsAboutOnceAMinute(t *testing.T) {
	path := filepath.Join(t.TempDir(), "chatpass.db")
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, config(t, path))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		together(64, func(writer int) {
			for i := range 20 { // more than one batch of the sweep
				expires := time.Now().Add(20 * time.Second)
				if err := s.Sessions().PutOnce(t.Context(), "short", fmt.Sprint(writer, " ", i), expires); err != nil {
					t.Error(err)
				}
			}
		})
		mustInsert(t, s, aSession("s"))
		time.Sleep(29 * time.Second)
		synctest.Wait()
		wantRows(t, path, 64*20+3) // and a session, its handle, the canary
		time.Sleep(62 * time.Second)
		synctest.Wait()
		wantRows(t, path, 3)
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
		closeStore(t, s)
	})
}

func TestEveryOperationIsReported(t *testing.T) {
	type report struct {
		op  string
		err error
	}
	var mu sync.Mutex
	var got []report
	cfg := config(t, filepath.Join(t.TempDir(), "chatpass.db"))
	cfg.Report = func(op string, d time.Duration, err error) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, report{op, err})
		if d < 0 || d > time.Hour {
			t.Errorf("%s took %s", op, d)
		}
	}
	s := openStore(t, cfg)
	got = nil
	putOnce(t, s, "value", nil)
	putOnce(t, s, "value", session.ErrExists)
	_, _ = s.Sessions().Find(t.Context(), handleOf("unknown"))
	_, _ = s.Sweep(t.Context())
	_ = s.Ping(t.Context())
	want := []report{{"put_once", nil}, {"put_once", session.ErrExists}, {"get_handle", nil}, {"sweep", nil}, {"ping", nil}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("reported %v, want %v", got, want)
	}
}

// wantEveryOutage calls everything on a store that cannot be asked.
func wantEveryOutage(t *testing.T, s *store.Store) {
	t.Helper()
	ctx, sessions, fresh := t.Context(), s.Sessions(), aSession("s")
	_, err := sessions.Find(ctx, handleOf("s"))
	wantOutage(t, "find", err)
	_, err = sessions.Session(ctx, "s")
	wantOutage(t, "session", err)
	wantOutage(t, "insert", sessions.Insert(ctx, fresh, session.Birth{Handle: handleOf("s"), Until: fresh.Expires}))
	wantOutage(t, "swap", sessions.Swap(ctx, fresh))
	wantOutage(t, "end", sessions.End(ctx, fresh))
	_, err = sessions.Revocations(ctx, fresh.Started)
	wantOutage(t, "revocations", err)
	for _, err = range sessions.ByCustomer(ctx, "support", "c-alice") {
		break
	}
	wantOutage(t, "by customer", err)
	m := session.Marker{Issuer: "https://login.corp.example", Subject: "alice"}
	for _, err = range sessions.ByUpstream(ctx, m) {
		break
	}
	wantOutage(t, "by upstream", err)
	wantOutage(t, "mark", sessions.Mark(ctx, m))
	wantOutage(t, "put once", sessions.PutOnce(ctx, "test", "value", fresh.Expires))
	wantOutage(t, "put result", sessions.PutResult(ctx, session.Result{Txn: "txn", Expires: fresh.Expires}))
	_, err = sessions.Result(ctx, "txn")
	wantOutage(t, "result", err)
	ring, err := s.Keys().Ring(ctx)
	wantOutage(t, "ring", err)
	wantOutage(t, "swap ring", s.Keys().SwapRing(ctx, ring, nil))
	_, err = s.Exchange().Salt(ctx, "support", []byte("salt"))
	wantOutage(t, "salt", err)
	_, err = s.Sweep(ctx)
	wantOutage(t, "sweep", err)
	wantOutage(t, "ping", s.Ping(ctx))
	_, err = s.About(ctx)
	wantOutage(t, "about", err)
}

func wantOutage(t testing.TB, name string, err error) {
	t.Helper()
	outage, ok := errors.AsType[*identity.Outage](err)
	if !ok || outage.Code != identity.StoreUnavailable {
		t.Errorf("%s: got %v, want an outage of the store", name, err)
	}
}

func wantRows(t testing.TB, path string, want int) {
	t.Helper()
	var got int
	db := rawDB(t, path)
	if err := db.QueryRow("SELECT count(*) FROM records").Scan(&got); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("%d records, want %d", got, want)
	}
}

// lock holds the lock for writing, as a process that hangs would, until the function it returns is called.
func lock(t testing.TB, path string) (unlock func()) {
	t.Helper()
	conn, err := rawDB(t, path).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	do := func(text string) {
		t.Helper()
		if _, err := conn.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	do("BEGIN IMMEDIATE")
	return func() { do("ROLLBACK") }
}

// together runs n writers at the same time.
func together(n int, run func(writer int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { run(i) })
	}
	all.Wait()
}

func aSession(sid string) session.Session {
	now := time.Now()
	return session.Session{
		SID: sid, App: "support", Kind: session.SignIn, Customer: "c-alice",
		Identity: identity.Identity{Issuer: "https://login.corp.example", UpstreamSubject: "alice", IssuedAt: now},
		Started:  now, Active: now, Ends: now.Add(time.Hour), Expires: now.Add(2 * time.Hour),
	}
}

func mustInsert(t testing.TB, s *store.Store, fresh session.Session) {
	t.Helper()
	b := session.Birth{Handle: handleOf(fresh.SID), Until: fresh.Expires}
	if err := s.Sessions().Insert(t.Context(), fresh, b); err != nil {
		t.Fatal(err)
	}
}

func handleOf(name string) session.Handle { return sha256.Sum256([]byte(name)) }
