package store_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"chatpass/identity"
	"chatpass/seal"
	"chatpass/session"
	"chatpass/store"
)

// Environment of a process that a test starts from its own binary.
const (
	childMode   = "CHATPASS_TEST_CHILD"
	childPath   = "CHATPASS_TEST_PATH"
	childMaster = "CHATPASS_TEST_MASTER"
	childFirst  = "CHATPASS_TEST_FIRST"
)

func TestMain(m *testing.M) {
	if mode := os.Getenv(childMode); mode != "" {
		os.Exit(child(mode))
	}
	os.Exit(m.Run())
}

func TestNoAcknowledgedWriteIsLostByAKill(t *testing.T) {
	eachEngine(t, noAcknowledgedWriteIsLost)
}

func noAcknowledgedWriteIsLost(t *testing.T, fresh func(testing.TB) store.Config) {
	cfg, master := shared(t, fresh)
	acknowledged := map[int]bool{}
	const rounds, each = 4, 1_000_000
	for round := range rounds {
		c := start(t, "write", cfg, master, round*each)
		for range 200 {
			acknowledged[c.number(t)] = true
		}
		c.kill(t)
		for n := range c.rest(t) { // what it had said before it died
			acknowledged[n] = true
		}
		_ = c.cmd.Wait()
	}
	s := openStore(t, cfg)
	for n := range acknowledged {
		putOnce(t, s, fmt.Sprint(n), session.ErrExists)
		if _, err := s.Sessions().Find(t.Context(), handleOf(fmt.Sprint(n))); err != nil {
			t.Errorf("session %d was acknowledged: %v", n, err)
		}
	}
	if len(acknowledged) < rounds*200 {
		t.Errorf("only %d writes acknowledged", len(acknowledged))
	}
	// What was not acknowledged is there or not, but never half.
	for round := range rounds {
		for n := round * each; n < round*each+len(acknowledged)+64; n++ {
			_, bySID := s.Sessions().Session(t.Context(), fmt.Sprint(n))
			_, byHandle := s.Sessions().Find(t.Context(), handleOf(fmt.Sprint(n)))
			if !errors.Is(bySID, byHandle) {
				t.Errorf("session %d is there by half: %v, %v", n, bySID, byHandle)
			}
		}
	}
}

func TestTwoProcessesShareOneFile(t *testing.T) {
	const values = 40
	cfg, master := shared(t, sqliteConfig)
	s := openStore(t, cfg)
	c := start(t, "compete", cfg, master, values)
	won := make([]int, values)
	ended := make(chan struct{})
	var all sync.WaitGroup
	for writer := range 8 { // they write without a pause as long as the other process lives
		all.Go(func() {
			for n := writer; ; n += 8 {
				select {
				case <-ended:
					return
				default:
				}
				err := s.Sessions().PutOnce(t.Context(), "test", fmt.Sprint(n), time.Now().Add(time.Hour))
				if err == nil && n < values {
					won[n]++ // the value of this writer alone
				} else if err != nil && !errors.Is(err, session.ErrExists) {
					t.Errorf("put %d: %v", n, err)
				}
			}
		})
	}
	theirs := slices.Collect(c.rest(t))
	close(ended)
	all.Wait()
	if err := c.cmd.Wait(); err != nil {
		t.Fatalf("the other process: %v", err)
	}
	for _, n := range theirs {
		won[n]++
	}
	for n := range values {
		if won[n] != 1 {
			t.Errorf("value %d was won %d times", n, won[n])
		}
	}
}

func TestAFullDiskIsAnOutageAndPasses(t *testing.T) {
	cfg, master := shared(t, sqliteConfig)
	c := start(t, "fill", cfg, master, 0)
	stored := 0
	for n := range c.rest(t) {
		stored = max(stored, n)
	}
	if err := c.cmd.Wait(); err != nil {
		t.Fatalf("the process on a full disk: %v", err)
	}
	if stored < 10 {
		t.Errorf("only %d sessions were stored before the disk was full", stored)
	}
	s := openStore(t, cfg)
	for n := range stored {
		if _, err := s.Sessions().Find(t.Context(), handleOf(fmt.Sprint(n))); err != nil {
			t.Errorf("session %d was acknowledged: %v", n, err)
		}
	}
}

// child is the whole life of a started process.
func child(mode string) int {
	first, err := strconv.Atoi(os.Getenv(childFirst))
	if err != nil {
		return fail(err)
	}
	s, err := openChild()
	if err != nil {
		return fail(err)
	}
	switch mode {
	case "write":
		err = writeForever(s, first)
	case "compete":
		err = compete(s, first)
	case "fill":
		err = fillDisk(s)
	case "race":
		err = raceOnCommand(s, os.Stdin)
	}
	if err := errors.Join(err, s.Close()); err != nil {
		return fail(err)
	}
	return 0
}

func openChild() (*store.Store, error) {
	sealer, err := seal.New([]byte(os.Getenv(childMaster)))
	if err != nil {
		return nil, err
	}
	return store.Open(context.Background(), store.Config{URL: os.Getenv(childPath), Sealer: sealer})
}

// writeForever says the number of each session and value that was acknowledged.
func writeForever(s *store.Store, first int) error {
	const writers = 8
	failed := make(chan error, writers)
	for writer := range writers {
		go func() {
			for n := first + writer; ; n += writers {
				if err := writeNumber(s, n); err != nil {
					failed <- err
					return
				}
				fmt.Println(n)
			}
		}()
	}
	return <-failed
}

func writeNumber(s *store.Store, n int) error {
	ctx, fresh := context.Background(), aSession(fmt.Sprint(n))
	err := s.Sessions().Insert(ctx, fresh, session.Birth{Handle: handleOf(fresh.SID), Until: fresh.Expires})
	return errors.Join(err, s.Sessions().PutOnce(ctx, "test", fmt.Sprint(n), fresh.Expires))
}

// compete tries to be first with each value, from the last on, and says which it was. Between them it
// writes what nobody else does.
func compete(s *store.Store, values int) error {
	for n := values - 1; n >= 0; n-- {
		expires := time.Now().Add(time.Hour)
		if err := s.Sessions().PutOnce(context.Background(), "own", fmt.Sprint(n), expires); err != nil {
			return err
		}
		err := s.Sessions().PutOnce(context.Background(), "test", fmt.Sprint(n), expires)
		if err == nil {
			fmt.Println(n)
		} else if !errors.Is(err, session.ErrExists) {
			return err
		}
	}
	return nil
}

// fillDisk writes until no file of the process may grow any more, checks that this is an outage for
// writing only, and that all is well again when there is room.
func fillDisk(s *store.Store) error {
	signal.Ignore(syscall.SIGXFSZ)
	const room = 1 << 20
	if err := limitFiles(room); err != nil {
		return err
	}
	n := 0
	var err error
	for ; err == nil; n++ {
		if err = writeNumber(s, n); err == nil {
			fmt.Println(n)
		}
	}
	if outage, ok := errors.AsType[*identity.Outage](err); !ok || outage.Code != identity.StoreUnavailable {
		return fmt.Errorf("on a full disk got %w, want an outage", err)
	}
	if _, err := s.Sessions().Session(context.Background(), "0"); err != nil {
		return fmt.Errorf("read on a full disk: %w", err)
	}
	if err := limitFiles(100 * room); err != nil {
		return err
	}
	if err := writeNumber(s, n+1); err != nil {
		return fmt.Errorf("write after there was room again: %w", err)
	}
	return nil
}

func limitFiles(size uint64) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	limit.Cur = size
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit)
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// A process is a started one, with what it says.
type process struct {
	cmd *exec.Cmd
	in  io.Writer
	out *bufio.Scanner
}

func start(t *testing.T, mode string, cfg store.Config, master []byte, first int) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childMode+"="+mode, childPath+"="+cfg.URL,
		childMaster+"="+string(master), childFirst+"="+fmt.Sprint(first))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return &process{cmd: cmd, in: in, out: bufio.NewScanner(out)}
}

func (p *process) number(t *testing.T) int {
	t.Helper()
	if !p.out.Scan() {
		t.Fatalf("the process ended: %v", errors.Join(p.out.Err(), io.EOF))
	}
	n, err := strconv.Atoi(strings.TrimSpace(p.out.Text()))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// kill ends the process as a power cut would, for all it knows.
func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// rest yields what the process says until it ends.
func (p *process) rest(t *testing.T) func(func(int) bool) {
	return func(yield func(int) bool) {
		t.Helper()
		for p.out.Scan() {
			n, err := strconv.Atoi(p.out.Text())
			if err != nil {
				return // cut off by the kill
			}
			if !yield(n) {
				return
			}
		}
	}
}

// shared returns a new store's configuration, and the master key to give to other processes.
func shared(t *testing.T, fresh func(testing.TB) store.Config) (store.Config, []byte) {
	t.Helper()
	master, err := seal.NewMasterKey()
	must(t, err)
	cfg := fresh(t)
	cfg.Sealer, cfg.Now = sealer(t, master), nil
	return cfg, master
}
