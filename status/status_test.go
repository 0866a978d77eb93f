package status_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chatpass/status"
)

var errDown = errors.New("down")

// desk is a store and a signer, both of which can be down, with a clock of its own.
type desk struct {
	mu    sync.Mutex
	shelf status.Shelf
	ended []entry
	clock time.Time
	down  bool
	mute  bool
	asked int
}

type entry struct {
	status.Ended
	at time.Time
}

func newDesk() *desk { return &desk{clock: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (d *desk) Shelf(ctx context.Context) (status.Shelf, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	at := d.shelf
	at.Lists = slices.Clone(at.Lists)
	return at, d.fault(ctx)
}

func (d *desk) SwapShelf(ctx context.Context, at status.Shelf) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.fault(ctx); err != nil {
		return err
	}
	if at.Version != d.shelf.Version {
		return status.ErrConflict
	}
	d.shelf = status.Shelf{Version: at.Version + 1, Lists: slices.Clone(at.Lists)}
	return nil
}

func (d *desk) Ended(ctx context.Context, from time.Time) ([]status.Ended, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []status.Ended
	for _, e := range d.ended {
		if !e.at.Before(from) {
			all = append(all, e.Ended)
		}
	}
	return all, d.fault(ctx)
}

func (d *desk) Clock(ctx context.Context) (time.Time, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.clock, d.fault(ctx)
}

func (d *desk) fault(ctx context.Context) error {
	if d.down {
		return errDown
	}
	return ctx.Err()
}

func (d *desk) Sign(_ context.Context, typ string, claims []byte) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mute {
		return "", errDown
	}
	return typ + "." + base64.RawURLEncoding.EncodeToString(claims) + ".signature", nil
}

func (d *desk) set(change func(*desk)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d)
}

// end enters the end of a session in the log.
func (d *desk) end(list string, index int, until time.Time) {
	d.set(func(d *desk) {
		d.ended = append(d.ended, entry{status.Ended{List: list, Index: index, Until: until}, d.clock})
	})
}

func (d *desk) now() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.clock
}

// replica opens the lists of one more replica.
func (d *desk) replica(changes ...func(*status.Config)) *status.Lists {
	cfg := status.Config{
		Store: d, Signer: d, Log: slog.New(slog.DiscardHandler), URI: "https://chat.example.com/status/", Issuer: "https://chat.example.com",
		TTL: time.Minute, Now: d.now,
		Secret: func(list string) []byte { sum := sha256.Sum256([]byte("secret of " + list)); return sum[:] },
	}
	for _, change := range changes {
		change(&cfg)
	}
	return status.New(cfg)
}

// claims are those of a list.
type claims struct {
	Issuer  string `json:"iss"`
	Subject string `json:"sub"`
	Issued  int64  `json:"iat"`
	Expires int64  `json:"exp"`
	TTL     int    `json:"ttl"`
	List    struct {
		Bits int    `json:"bits"`
		List string `json:"lst"`
	} `json:"status_list"`
}

func read(t testing.TB, l *status.Lists, name string) (claims, []byte) {
	t.Helper()
	list, ok := l.List(name)
	if !ok {
		t.Fatalf("list %s is not served", name)
	}
	parts := strings.Split(string(list.Token), ".")
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	must(t, err)
	var c claims
	must(t, json.Unmarshal(body, &c))
	packed, err := base64.RawURLEncoding.DecodeString(c.List.List)
	must(t, err)
	unpack, err := zlib.NewReader(bytes.NewReader(packed))
	must(t, err)
	bits, err := io.ReadAll(unpack)
	must(t, err)
	return c, bits
}

func isSet(bits []byte, index int) bool { return bits[index/8]>>(index%8)&1 == 1 }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func place(t testing.TB, l *status.Lists, d *desk) (string, int) {
	t.Helper()
	list, index, err := l.Place(t.Context(), "support", d.now().Add(12*time.Hour))
	must(t, err)
	if list == "" {
		t.Fatal("the session has no place")
	}
	return list, index
}

func TestAListSaysWhoHasEnded(t *testing.T) {
	d := newDesk()
	here, there := d.replica(), d.replica()
	list, ended := place(t, here, d)
	_, alive := place(t, here, d)
	until := d.now().Add(time.Hour)
	d.end(list, ended, until)
	d.set(func(d *desk) { d.clock = d.clock.Add(time.Second) })
	for _, l := range []*status.Lists{here, there} {
		must(t, l.Follow(t.Context()))
		c, bits := read(t, l, list)
		if !isSet(bits, ended) || isSet(bits, alive) {
			t.Errorf("ended %v, alive %v", isSet(bits, ended), isSet(bits, alive))
		}
		if c.Issuer != "https://chat.example.com" || c.Subject != "https://chat.example.com/status/support.1" || c.TTL != 60 ||
			c.Issued != d.now().Unix() || c.Expires != d.now().Unix()+86400 || c.List.Bits != 1 || len(bits) != status.Size/8 {
			t.Errorf("got %+v with %d bytes", c, len(bits))
		}
	}
	d.set(func(d *desk) { d.clock = until })
	must(t, here.Follow(t.Context()))
	if _, bits := read(t, here, list); isSet(bits, ended) {
		t.Error("the bit is still set when no context can verify any more")
	}
}

func TestAListThatAnotherReplicaHasJustMadeIsFound(t *testing.T) {
	d := newDesk()
	here, there := d.replica(), d.replica()
	must(t, there.Follow(t.Context()))
	list, _ := place(t, here, d)
	if _, found := there.List(list); found {
		t.Fatal("known without asking")
	}
	if _, found := there.Find(t.Context(), list); !found {
		t.Error("not found")
	}
}

func TestStrangersQuestionsDoNotTroubleTheStore(t *testing.T) {
	d := newDesk()
	l := d.replica(func(cfg *status.Config) { cfg.Now = time.Now })
	begun := time.Now()
	var strangers sync.WaitGroup
	for i := range 8 {
		strangers.Go(func() {
			for n := range 20 {
				l.Find(t.Context(), fmt.Sprint("none.", i*100+n))
			}
		})
	}
	strangers.Wait()
	if most := int(time.Since(begun)/(100*time.Millisecond)) + 2; d.asked > most {
		t.Errorf("the store was asked %d times, at most %d", d.asked, most)
	}
}

func TestAReplicaThatStartsKnowsAllThatEnded(t *testing.T) {
	d := newDesk()
	list, ended := place(t, d.replica(), d)
	d.end(list, ended, d.now().Add(12*time.Hour))
	d.set(func(d *desk) { d.clock = d.clock.Add(6 * time.Hour) })
	l := d.replica()
	must(t, l.Follow(t.Context()))
	if _, bits := read(t, l, list); !isSet(bits, ended) {
		t.Error("the bit is not set")
	}
}

// Entries become visible late: the log is read with overlap.
func TestAnEntryThatBecomesVisibleLateIsSeen(t *testing.T) {
	d := newDesk()
	l := d.replica()
	list, ended := place(t, l, d)
	must(t, l.Follow(t.Context()))
	before := d.now()
	d.set(func(d *desk) { d.clock = d.clock.Add(9 * time.Second) })
	must(t, l.Follow(t.Context()))
	d.set(func(d *desk) {
		d.ended = append(d.ended, entry{status.Ended{List: list, Index: ended, Until: before.Add(time.Hour)}, before})
	})
	must(t, l.Follow(t.Context()))
	if _, bits := read(t, l, list); !isSet(bits, ended) {
		t.Error("the bit is not set")
	}
}

func TestPlacesAreNobodyElses(t *testing.T) {
	d := newDesk()
	replicas := []*status.Lists{d.replica(), d.replica(), d.replica()}
	var mu sync.Mutex
	given := map[string]bool{}
	var work sync.WaitGroup
	for _, l := range replicas {
		for range 4 {
			work.Go(func() {
				for range status.BlockSize {
					list, index, err := l.Place(t.Context(), "support", d.now().Add(time.Hour))
					if err != nil || list == "" {
						t.Errorf("place in %q: %v", list, err)
						return
					}
					mu.Lock()
					name := fmt.Sprint(list, index)
					if given[name] {
						t.Errorf("%s was given twice", name)
					}
					given[name] = true
					mu.Unlock()
				}
			})
		}
	}
	work.Wait()
	must(t, replicas[0].Follow(t.Context()))
	_, bits := read(t, replicas[0], "support.1")
	set := 0
	for index := range status.Size {
		if isSet(bits, index) {
			set++
			if given[fmt.Sprint("support.1", index)] {
				t.Errorf("the session at %d lives, and its bit is set", index)
			}
		}
	}
	if set < 128 || set >= 512 {
		t.Errorf("%d decoys", set)
	}
}

func TestShufflingLosesNoPlace(t *testing.T) {
	secret := bytes.Repeat([]byte{7}, 32)
	seen := make([]bool, status.Size)
	inARow, before := 0, -1
	for n := range status.Size / 8 {
		at := status.Shuffled(secret, n*8)
		if seen[at] {
			t.Fatalf("place %d comes twice", at)
		}
		if at == before+1 {
			inARow++
		}
		seen[at], before = true, at
	}
	if inARow > 10 {
		t.Errorf("%d places lie next to the one before", inARow)
	}
}

func TestAListIsClosedHalfFullAndDroppedWhenNobodyNeedsIt(t *testing.T) {
	d := newDesk()
	l := d.replica()
	place(t, l, d)
	d.set(func(d *desk) { d.shelf.Lists[0].Taken = status.Size / 2 })
	ends := d.now().Add(13 * time.Hour) // later than the block may be used for: a new one is taken
	list, _, err := l.Place(t.Context(), "support", ends.Add(time.Hour))
	must(t, err)
	if list != "support.2" {
		t.Fatalf("placed in %q", list)
	}
	lastNeed := d.shelf.Lists[0].Until
	for _, c := range []struct {
		at     time.Time
		served bool
	}{{lastNeed, true}, {lastNeed.Add(status.Life), true}, {lastNeed.Add(status.Life + time.Hour), false}} {
		d.set(func(d *desk) { d.clock = c.at })
		must(t, l.Follow(t.Context()))
		if _, served := l.List("support.1"); served != c.served {
			t.Errorf("%v after its last need: served %v", c.at.Sub(lastNeed), served)
		}
	}
	d.set(func(d *desk) { d.clock = d.clock.Add(1000 * time.Hour) })
	if list, _ := place(t, l, d); list != "support.2" {
		t.Errorf("placed in %q: an old list is as good as a new one while it is not half full", list)
	}
	if n := len(d.shelf.Lists); n != 1 {
		t.Errorf("%d lists on the shelf", n)
	}
}

func TestAnOutageLeavesTheListsAsTheyWere(t *testing.T) {
	d := newDesk()
	l := d.replica()
	list, _ := place(t, l, d)
	must(t, l.Follow(t.Context()))
	before, _ := l.List(list)
	d.set(func(d *desk) { d.down, d.clock = true, d.clock.Add(time.Hour) })
	if err := l.Follow(t.Context()); !errors.Is(err, errDown) {
		t.Errorf("follow: %v", err)
	}
	if after, ok := l.List(list); !ok || !bytes.Equal(before.Token, after.Token) {
		t.Error("the list is not served as it was")
	}
	d.set(func(d *desk) { d.down = false })
	must(t, l.Follow(t.Context()))
	if c, _ := read(t, l, list); c.Issued != d.now().Unix() {
		t.Errorf("iat %d after the outage", c.Issued)
	}
}

func TestAReplicasWrongClockDropsNothing(t *testing.T) {
	d := newDesk()
	list, _ := place(t, d.replica(), d)
	wrong := d.replica(func(cfg *status.Config) { cfg.Now = func() time.Time { return d.now().AddDate(10, 0, 0) } })
	must(t, wrong.Follow(t.Context()))
	if _, served := wrong.List(list); !served {
		t.Error("the list is dropped")
	}
	_, _, err := wrong.Place(t.Context(), "sales", d.now().AddDate(10, 0, 0))
	must(t, err)
	if n := len(d.shelf.Lists); n != 2 {
		t.Errorf("%d lists on the shelf", n)
	}
}

func TestASessionHasNoPlaceThatNobodyCouldLookUp(t *testing.T) {
	d := newDesk()
	d.mute = true
	l := d.replica()
	list, _, err := l.Place(t.Context(), "support", d.now().Add(time.Hour))
	if list != "" || err != nil {
		t.Errorf("got %q, %v", list, err)
	}
	d.set(func(d *desk) { d.mute = false })
	must(t, l.Follow(t.Context()))
	place(t, l, d)
}

func TestOneFailureStandsForThoseWhoWait(t *testing.T) {
	d := newDesk()
	d.down = true
	l := d.replica()
	for range 50 {
		if _, _, err := l.Place(t.Context(), "support", d.now().Add(time.Hour)); !errors.Is(err, errDown) {
			t.Fatalf("got %v", err)
		}
	}
	d.set(func(d *desk) { d.down, d.clock = false, d.clock.Add(2*time.Second) })
	if d.asked > 1 {
		t.Errorf("the store was asked %d times", d.asked)
	}
	place(t, l, d)
}

func TestWhoHangsUpSpoilsNobodysPlace(t *testing.T) {
	d := newDesk()
	gone, hangUp := context.WithCancel(t.Context())
	hangUp()
	l := d.replica()
	if _, _, err := l.Place(gone, "support", d.now().Add(time.Hour)); err != nil {
		t.Errorf("got %v", err)
	}
	place(t, l, d)
}

func TestListsKeepUpToDateByThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		d.clock = time.Now()
		l := d.replica()
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- l.Run(ctx) }()
		list, index := place(t, l, d)
		d.end(list, index, d.now().Add(time.Hour))
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		if _, bits := read(t, l, list); !isSet(bits, index) {
			t.Error("a second later the bit is not set")
		}
		stop()
		must(t, <-done)
	})
}

// BenchmarkRender is one turn for a list of half a million sessions, of which one in a thousand has ended.
func BenchmarkRender(b *testing.B) {
	for _, c := range []struct {
		name    string
		changed bool
	}{{"changed", true}, {"unchanged", false}} {
		b.Run(c.name, func(b *testing.B) {
			d := newDesk()
			l := d.replica()
			list, _ := place(b, l, d)
			for i := range status.Size / 2 / 1000 {
				d.end(list, status.Shuffled([]byte(list), i*1000), d.now().Add(time.Hour))
			}
			must(b, l.Follow(b.Context()))
			n := 0
			for b.Loop() {
				if n++; c.changed {
					b.StopTimer()
					d.end(list, n%status.Size, d.now().Add(time.Hour))
					b.StartTimer()
				}
				must(b, l.Follow(b.Context()))
			}
			rendered, _ := l.List(list)
			b.ReportMetric(float64(len(rendered.Token)), "bytes")
		})
	}
}
