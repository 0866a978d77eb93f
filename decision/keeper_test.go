package decision_test

import (
	"context"
	"errors"
	"fmt"
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
	mu   sync.Mutex
	rows map[string]decision.Decision
	most int
	err  error // instead of keeping
}

func (s *shelf) keep(_ context.Context, fresh, counted []decision.Decision) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.most = max(s.most, len(fresh)+len(counted))
	if s.err != nil {
		return s.err
	}
	for _, d := range fresh {
		if _, there := s.rows[d.ID]; there {
			return errors.New("kept twice: " + d.ID)
		}
		s.rows[d.ID] = d
	}
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
	b := &bench{shelf: &shelf{rows: map[string]decision.Decision{}}, now: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)}
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

func (b *bench) see(d decision.Decision) string {
	b.seen++
	d.ID, d.Time = fmt.Sprint("d", b.seen), b.now
	b.See(&d)
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
		if kept < 8 || b.shelf.most > 50 {
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
		if b.shelf.most > 50 || int(got.Kept) != len(b.shelf.rows) || int(got.Kept+got.More+got.Lost) != b.seen {
			t.Errorf("%d rows at once, %d kept, %+v of %d", b.shelf.most, len(b.shelf.rows), got, b.seen)
		}
		if b.shelf.more() > int(got.More) {
			t.Errorf("%d counted with those kept, %d altogether", b.shelf.more(), got.More)
		}
	})
}
