package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"chatpass/session"
	"chatpass/status"
)

// A Placed store keeps sessions and the status lists that they have places in.
type Placed struct {
	session.Store
	Lists status.Store
}

// Status tests every promise of [status.Store].
func Status(t *testing.T, open Opener[Placed]) {
	for name, promise := range map[string]func(*testing.T, Opened[Placed], *Clock){
		"a shelf comes back as it was stored":  shelvesComeBack,
		"one of many changes the shelf":        oneRacerSwapsShelf,
		"who ended is told with their place":   placesOfTheEnded,
		"the clock is that of the log":         clockOfTheLog,
		"a shelf stays, whatever time goes by": shelvesStay,
	} {
		t.Run(name, func(t *testing.T) {
			clock := NewClock()
			promise(t, open(t, clock), clock)
		})
	}
}

func someLists(clock *Clock, n int) []status.List {
	var all []status.List
	for i := range n {
		all = append(all, status.List{App: "support", Number: i + 1, Taken: 256 * i, Until: clock.Now().Add(time.Hour)})
	}
	return all
}

func shelvesComeBack(t *testing.T, opened Opened[Placed], clock *Clock) {
	wantShelf(t, opened.Doors[0], status.Shelf{})
	for version := range int64(3) {
		next := status.Shelf{Version: version, Lists: someLists(clock, int(version)+1)}
		wantErr(t, opened.Doors[0].Lists.SwapShelf(t.Context(), status.Shelf{Version: version + 1}), status.ErrConflict)
		wantErr(t, opened.Doors[0].Lists.SwapShelf(t.Context(), next), nil)
		next.Version++
		for _, door := range opened.Doors {
			wantShelf(t, door, next)
		}
	}
}

func oneRacerSwapsShelf(t *testing.T, opened Opened[Placed], clock *Clock) {
	for version := range int64(5) {
		oneWinner(t, race(func(racer int) error {
			mine := status.Shelf{Version: version, Lists: someLists(clock, racer)}
			return opened.Doors[racer%len(opened.Doors)].Lists.SwapShelf(t.Context(), mine)
		}), status.ErrConflict)
	}
}

func placesOfTheEnded(t *testing.T, opened Opened[Placed], clock *Clock) {
	store := opened.Doors[0]
	begin, err := store.Lists.Clock(t.Context())
	wantErr(t, err, nil)
	var want []status.Ended
	for i := range 3 {
		s := session.Session{SID: fmt.Sprint("s", i), App: "support", Expires: clock.Now().Add(time.Hour)}
		if i > 0 {
			s.Place = &session.Place{List: "support.1", Index: 1000 * i}
			want = append(want, status.Ended{List: "support.1", Index: 1000 * i, Until: s.Expires})
		}
		wantErr(t, store.Insert(t.Context(), s, session.Birth{Handle: session.Handle{byte(i)}, Until: s.Expires}), nil)
		s.Version, s.Ended = 1, clock.Now()
		wantErr(t, store.End(t.Context(), s), nil)
		clock.Advance(time.Second)
	}
	for _, door := range opened.Doors {
		got, err := door.Lists.Ended(t.Context(), begin)
		wantErr(t, err, nil)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("ended (-want +got):\n%s", diff)
		}
	}
	later, err := store.Lists.Ended(t.Context(), begin.Add(time.Minute))
	if err != nil || len(later) > 0 {
		t.Errorf("of later: %v, %v", later, err)
	}
}

func clockOfTheLog(t *testing.T, opened Opened[Placed], clock *Clock) {
	clock.Advance(time.Hour)
	for _, door := range opened.Doors {
		if got, err := door.Lists.Clock(t.Context()); err != nil || !got.Equal(clock.Now()) {
			t.Errorf("got %v, %v, want %v", got, err, clock.Now())
		}
	}
}

func shelvesStay(t *testing.T, opened Opened[Placed], clock *Clock) {
	next := status.Shelf{Lists: someLists(clock, 1)}
	wantErr(t, opened.Doors[0].Lists.SwapShelf(t.Context(), next), nil)
	clock.Advance(50 * 365 * 24 * time.Hour)
	wantErr(t, opened.Sweep(t.Context()), nil)
	next.Version = 1
	wantShelf(t, opened.Doors[0], next)
}

func wantShelf(t *testing.T, door Placed, want status.Shelf) {
	t.Helper()
	got, err := door.Lists.Shelf(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("shelf (-want +got):\n%s", diff)
	}
}
