package decision_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"chatpass/decision"
	"chatpass/identity"
)

// shelf keeps what a keeper hands it, and counts the rows of each write.
type shelf struct {
	mu              sync.Mutex
	rows, aside     map[string]decision.Decision // with their ladders, and counted with one of these
	most, mostAside int
	err             error // instead of keeping
}

func (s *shelf) keep(_ context.Context, fresh, counted []decision.Decision) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	aside := map[string]decision.Decision{}
	for _, d := range fresh {
		if d.Like != "" {
			aside[d.ID] = d
		}
	}
	s.most, s.mostAside = max(s.most, len(fresh)+len(counted)-len(aside)), max(s.mostAside, len(aside))
	if s.err != nil {
		return s.err
	}
	for _, d := range fresh {
		_, there := s.rows[d.ID]
		if _, too := s.aside[d.ID]; there || too {
			return errors.New("kept twice: " + d.ID)
		}
		if d.Like == "" {
			s.rows[d.ID] = d
		}
	}
	maps.Copy(s.aside, aside)
	for _, d := range counted {
		if _, there := s.rows[d.ID]; !there {
			return errors.New("counted before it was kept: " + d.ID)
		}
		s.rows[d.ID] = d
	}
	return nil
}

func (s *shelf) more() int {
	total := 0
	for _, d := range s.rows {
		total += d.More
	}
	return total
}

// bench is a keeper, its shelf and its clock.
type bench struct {
	*decision.Keeper
	shelf *shelf
	now   time.Time
	seen  int
}

func newBench() *bench {
	b := &bench{shelf: &shelf{rows: map[string]decision.Decision{}, aside: map[string]decision.Decision{}}, now: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)}
	b.Keeper = decision.NewKeeper(decision.KeeperConfig{Keep: b.shelf.keep, Now: func() time.Time { return b.now }})
	return b
}

// refuse shows the keeper a refusal of a backend of app support, and returns its id.
func (b *bench) refuse(code identity.Code, client string) string {
	return b.see(asked(code, client, "backend", "client"))
}

// asked is the refusal of a request that passed these checks.
func asked(code identity.Code, client, clientType string, passed ...string) decision.Decision {
	d := decision.Decision{Verb: "exchange", App: "support", Client: client, ClientType: clientType}
	for _, check := range passed {
		d.Pass(check, "good", "good")
	}
	d.End(decision.Refused, code, "bad", "good")
	return d
}

func (b *bench) see(d decision.Decision) string { return b.seeFrom(netip.Prefix{}, d) }

func (b *bench) seeFrom(place netip.Prefix, d decision.Decision) string {
	b.seen++
	d.ID, d.Time, d.RequestID = fmt.Sprint("d", b.seen), b.now, fmt.Sprint("r", b.seen)
	b.See(&d, place)
	return d.ID
}

// second lets a second pass, and the keeper write.
func (b *bench) second(ctx context.Context) {
	b.now = b.now.Add(time.Second)
	b.Flush(ctx, time.Minute)
}

func TestTheFirstIsKeptAtOnceAndTheRestIsCounted(t *testing.T) {
	b := newBench()
	first := b.refuse(identity.TokenExpired, "web")
	other := b.refuse(identity.TokenExpired, "ios")
	third := b.refuse(identity.AudienceMismatch, "web")
	b.second(t.Context())
	for range 212 {
		b.refuse(identity.TokenExpired, "web")
	}
	for _, id := range []string{first, other, third} {
		if _, ok := b.shelf.rows[id]; !ok {
			t.Errorf("%s is not kept after a second", id)
		}
	}
	for range 60 {
		b.second(t.Context())
	}
	again := b.refuse(identity.TokenExpired, "web")
	b.second(t.Context())
	if len(b.shelf.rows) != 4 || b.shelf.rows[first].More != 212 || b.shelf.rows[other].More != 0 || b.shelf.rows[again].ID == "" {
		t.Errorf("kept %d, counted %d with the first", len(b.shelf.rows), b.shelf.rows[first].More)
	}
}

func TestOnlyANoIsKept(t *testing.T) {
	b := newBench()
	b.see(decision.Decision{Outcome: decision.Issued})
	b.see(decision.Decision{Outcome: decision.Abandoned})
	failed := b.see(decision.Decision{Outcome: decision.Failed, Code: identity.NoIssuerKey})
	b.second(t.Context())
	if len(b.shelf.rows) != 1 || b.shelf.rows[failed].Code != identity.NoIssuerKey {
		t.Errorf("kept %v", b.shelf.rows)
	}
}

// A stranger chooses client_id: neither memory nor rows may grow with their inventions.
func TestStrangersAreOneClient(t *testing.T) {
	b := newBench()
	for i := range 1000 {
		d := decision.Decision{Client: fmt.Sprint(strings.Repeat("x", 100), i)}
		d.End(decision.Refused, identity.ClientUnknown, fmt.Sprint("client_id x", i), "a registered client")
		b.see(d)
	}
	b.second(t.Context())
	if len(b.shelf.rows) != 8 || b.Stats().More != 992 {
		t.Errorf("kept %d rows: %+v", len(b.shelf.rows), b.Stats())
	}
	if got := b.shelf.rows["d1"].Client; len(got) > 64+len("…") {
		t.Errorf("kept %d bytes of a stranger's client id", len(got))
	}
}

// Whoever cannot prove anything may send what they like, as whom they like: the refusals of those who
// have proven more are kept all the same.
func TestStrangersPushOutNobody(t *testing.T) {
	for what, victim := range map[string]decision.Decision{
		"a backend behind wrong secrets":           asked(identity.ClientAuthentication, "back", "backend", "client"),
		"a backend behind pages":                   asked(identity.AudienceNotAllowed, "back", "backend", "client"),
		"a person behind made-up tokens":           asked(identity.TokenExpired, "web", "browser", "client", "origin", "token signature"),
		"a person with a session behind no cookie": asked(identity.NotAdmitted, "web", "browser", "client", "origin", "session"),
	} {
		b := newBench()
		for second := range 60 {
			for i := range 200 {
				story := fmt.Sprint(second, "-", i)
				wrong := decision.Decision{Verb: "exchange", App: "support", Client: victim.Client, ClientType: victim.ClientType, Customer: story}
				wrong.End(decision.Refused, victim.Code, story, "good")
				b.see(wrong)
				invented := asked(victim.Code, "page "+story, "browser", "client")
				invented.Customer = story
				b.see(invented)
			}
			victim.Customer = fmt.Sprint("customer ", second%8)
			b.see(victim)
			b.second(t.Context())
		}
		kept := 0
		for _, d := range b.shelf.rows {
			if strings.HasPrefix(d.Customer, "customer") {
				kept++
			}
		}
		if kept < 8 || b.shelf.most > 50 || b.shelf.mostAside > 50 {
			t.Errorf("%s: %d of 8 people are kept, %d rows at once", what, kept, b.shelf.most)
		}
	}
}

// A minute has room for more than one refusal of a kind, as long as they tell different stories.
func TestDifferentStoriesAreKept(t *testing.T) {
	b := newBench()
	for i := range 20 {
		d := asked(identity.TokenExpired, "web", "browser", "client", "token signature")
		d.Ladder[2].Measured = fmt.Sprint(i%10, "m")
		b.see(d)
	}
	b.second(t.Context())
	stories := map[string]bool{}
	for _, d := range b.shelf.rows {
		stories[d.Ladder[2].Measured] = true
	}
	if len(stories) != 8 || len(b.shelf.rows) != 8 || b.Stats().More != 12 {
		t.Errorf("kept %d rows with %d stories: %+v", len(b.shelf.rows), len(stories), b.Stats())
	}
}

// A minute's refusals that are alike are told once. Each of the first ones can be found all the same, with
// the check of its own that was not passed.
func TestWhatIsCountedIsFoundToo(t *testing.T) {
	b := newBench()
	first := b.refuse(identity.TokenExpired, "web")
	same := b.refuse(identity.TokenExpired, "web")
	for i := range 7 {
		b.see(expired(fmt.Sprint(i)))
	}
	other := expired("8 minutes")
	other.SID = "sid"
	ninth := b.see(other)
	b.second(t.Context())
	if got := b.shelf.aside[same]; got.Like != first || len(got.Ladder) != 1 || got.Ladder[0].Measured != "bad" || got.RequestID != "r2" {
		t.Errorf("the second of two is kept as %+v", got)
	}
	if got := b.shelf.aside[ninth]; got.Like != first || len(got.Ladder) != 1 || got.Ladder[0].Measured != "8 minutes" || got.SID != "sid" {
		t.Errorf("the ninth story is kept as %+v", got)
	}
	if len(b.shelf.rows) != 8 || len(b.shelf.aside) != 2 || b.shelf.rows[first].More != 2 || len(b.shelf.rows[first].Ladder) != 2 {
		t.Errorf("%d are kept and %d beside them: %+v", len(b.shelf.rows), len(b.shelf.aside), b.shelf.rows[first])
	}
	for range 3 {
		for range 100 {
			b.refuse(identity.TokenExpired, "web")
		}
		b.second(t.Context())
	}
	if len(b.shelf.aside) != 64 || b.shelf.mostAside != 50 {
		t.Errorf("%d are kept within a minute, %d at once", len(b.shelf.aside), b.shelf.mostAside)
	}
}

func expired(measured string) decision.Decision {
	d := decision.Decision{Verb: "exchange", App: "support", Client: "web", ClientType: "backend"}
	d.Pass("client", "good", "good")
	d.End(decision.Refused, identity.TokenExpired, measured, "good")
	return d
}

// Of those who have proven as little, one address leaves half of the room to others: of a kin's minute, and
// of a second's writes.
func TestOneAddressPushesOutNobody(t *testing.T) {
	flood, victim := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32")
	b := newBench()
	for range 60 {
		for i := range 200 {
			b.seeFrom(flood, expired(fmt.Sprint("story ", i)))
		}
		b.second(t.Context())
	}
	kept, aside := len(b.shelf.rows), len(b.shelf.aside)
	if kept != 4 || aside != 32 {
		t.Errorf("of one address %d are kept and %d beside them, want half of 8 and of 64", kept, aside)
	}
	b = newBench()
	for i := range 200 {
		b.seeFrom(flood, expired(fmt.Sprint("story ", i)))
	}
	mine := b.seeFrom(victim, expired("mine"))
	mineToo := b.seeFrom(victim, expired("mine"))
	for i := range 200 {
		b.seeFrom(flood, asked(identity.NotAdmitted, fmt.Sprint("client ", i), "backend", "client"))
	}
	late := b.seeFrom(victim, asked(identity.NotAdmitted, "late", "backend", "client"))
	b.second(t.Context())
	if b.shelf.rows[mine].ID == "" || b.shelf.aside[mineToo].ID == "" || b.shelf.rows[late].ID == "" || len(b.shelf.rows) != 25+2 {
		t.Errorf("another address is pushed out: kept %d, beside them %d", len(b.shelf.rows), len(b.shelf.aside))
	}
}

func TestWhatAnAddressHasProvenKeepsItsRoom(t *testing.T) {
	place, b := netip.MustParsePrefix("192.0.2.1/32"), newBench()
	for i := range 200 {
		stranger := asked(identity.NoSession, fmt.Sprint("page ", i), "browser")
		b.seeFrom(place, stranger)
		b.seeFrom(place, asked(identity.NotAdmitted, fmt.Sprint("page ", i), "browser", "client"))
	}
	for i := range 25 {
		b.seeFrom(place, asked(identity.NotAdmitted, fmt.Sprint("backend ", i), "backend", "client"))
	}
	b.second(t.Context())
	proven := 0
	for _, d := range b.shelf.rows {
		if d.ClientType == "backend" {
			proven++
		}
	}
	if proven != 25 {
		t.Errorf("%d of 25 refusals of a backend are kept beside those of pages at its address", proven)
	}
}

// The room beside a story is that of a minute, however long there are stories of the kind.
func TestRoomIsThereAgainInTheNextMinute(t *testing.T) {
	b := newBench()
	for range 2 {
		b.see(expired("first"))
		for range 64 {
			b.see(expired("first"))
		}
		b.second(t.Context())
	}
	for range 30 {
		b.second(t.Context())
	}
	b.see(expired("second"))
	for range 30 {
		b.second(t.Context())
	}
	late := b.see(expired("second"))
	b.second(t.Context())
	if b.shelf.aside[late].ID == "" {
		t.Error("what was counted a minute ago still takes room")
	}
}

func TestAStoreThatIsAwayCostsItsRefusalsAndNoMore(t *testing.T) {
	b := newBench()
	b.shelf.err = errors.New("away")
	b.refuse(identity.TokenExpired, "web")
	b.second(t.Context())
	b.shelf.err = nil
	next := b.refuse(identity.TokenExpired, "web")
	b.second(t.Context())
	if got := b.Stats(); got.Lost != 1 || got.Kept != 1 || b.shelf.rows[next].ID == "" {
		t.Errorf("%+v, kept %v", got, b.shelf.rows)
	}
}

func TestNobodyWaitsForASlowStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		asked := make(chan struct{})
		slow := decision.NewKeeper(decision.KeeperConfig{Now: time.Now, Keep: func(ctx context.Context, _, _ []decision.Decision) error {
			close(asked)
			<-ctx.Done()
			return ctx.Err()
		}})
		b.Keeper = slow
		b.refuse(identity.TokenExpired, "web")
		start := time.Now()
		go slow.Flush(t.Context(), time.Minute)
		<-asked
		for i := range 500 {
			b.refuse(identity.TokenExpired, fmt.Sprint(i))
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("500 refusals waited %v", took)
		}
		if got := slow.Stats(); got.Lost != 450 {
			t.Errorf("%+v, want all above 50 lost", got)
		}
		synctest.Wait()
		time.Sleep(time.Minute) // the write gives up by itself
	})
}

func TestWhatIsLeftIsWrittenAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.Keeper = decision.NewKeeper(decision.KeeperConfig{Keep: b.shelf.keep, Now: func() time.Time { return b.now }})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- b.Run(ctx) }()
		early := b.refuse(identity.TokenExpired, "web")
		time.Sleep(1500 * time.Millisecond)
		b.refuse(identity.TokenExpired, "web")
		late := b.refuse(identity.NotAdmitted, "web")
		b.refuse(identity.NotAdmitted, "web")
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if b.shelf.rows[early].More != 1 || b.shelf.rows[late].ID == "" || b.shelf.rows[late].More != 1 {
			t.Errorf("kept %+v", b.shelf.rows)
		}
	})
}

// Whatever comes whenever: no write has more than 50 rows, nothing is kept twice or counted before it was
// kept, and every refusal is kept, counted or lost.
func TestEveryRefusalIsAccountedFor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newBench()
		codes := []identity.Code{identity.TokenExpired, identity.NotAdmitted, identity.NoSession}
		for range rapid.IntRange(1, 80).Draw(t, "seconds") {
			b.shelf.err = nil
			if rapid.IntRange(0, 9).Draw(t, "away") == 0 {
				b.shelf.err = errors.New("away")
			}
			for range rapid.IntRange(0, 70).Draw(t, "refusals") {
				passed := rapid.SampledFrom([][]string{nil, {"client"}, {"client", "token signature"}}).Draw(t, "passed")
				client := fmt.Sprint(rapid.IntRange(0, 40).Draw(t, "client"))
				b.see(asked(rapid.SampledFrom(codes).Draw(t, "code"), client, "browser", passed...))
			}
			b.second(context.Background())
		}
		b.shelf.err = nil
		for range 70 {
			b.second(context.Background())
		}
		got := b.Stats()
		for id, d := range b.shelf.aside {
			if _, there := b.shelf.rows[d.Like]; !there || id != d.ID {
				t.Errorf("%s was counted with %s, which was never kept", id, d.Like)
			}
		}
		if b.shelf.most > 50 || b.shelf.mostAside > 50 || int(got.Kept) != len(b.shelf.rows) || int(got.Kept+got.More+got.Lost) != b.seen {
			t.Errorf("%d rows at once, %d kept, %+v of %d", b.shelf.most, len(b.shelf.rows), got, b.seen)
		}
		if b.shelf.more() > int(got.More) {
			t.Errorf("%d counted with those kept, %d altogether", b.shelf.more(), got.More)
		}
	})
}
