package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"chatpass/decision"
	"chatpass/exchange"
	"chatpass/identity"
	"chatpass/session"
)

// patience is how long a script waits for the service to come so far.
const patience = 20 * time.Second

// listenAt is a command of scripts: it finds a free address, keeps it in a variable (LISTEN, unless another
// is named) and writes it into a file in place of the variable's name.
func listenAt(ts *testscript.TestScript, _ bool, args []string) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	name := append(args, "LISTEN")[1]
	ts.Setenv(name, free.Addr().String())
	ts.Check(free.Close())
	file := ts.MkAbs(args[0])
	text := strings.ReplaceAll(ts.ReadFile(args[0]), name, free.Addr().String())
	ts.Check(os.WriteFile(file, []byte(text), 0o600))
}

// ask is a command of scripts: it sends a form to a URL with an Origin, and keeps the answer's decision in
// a variable, and its request id in NAME_REQUEST: ask NAME URL ORIGIN KEY=VALUE…
func ask(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: ask NAME URL ORIGIN KEY=VALUE...")
	}
	form := url.Values{}
	for _, pair := range args[3:] {
		key, value, _ := strings.Cut(pair, "=")
		form.Set(key, value)
	}
	var answer struct {
		Decision string
		Request  string `json:"request_id"`
	}
	ts.Check(json.Unmarshal(send(ts, args[1], args[2], form), &answer))
	ts.Setenv(args[0], answer.Decision)
	ts.Setenv(args[0]+"_REQUEST", answer.Request)
}

// send tries until the service listens.
func send(ts *testscript.TestScript, to, origin string, form url.Values) []byte {
	for deadline := time.Now().Add(patience); ; {
		req, err := http.NewRequest(http.MethodPost, to, strings.NewReader(form.Encode()))
		ts.Check(err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", origin)
		res, err := http.DefaultClient.Do(req)
		if err != nil && time.Now().Before(deadline) {
			continue
		}
		ts.Check(err)
		body, err := io.ReadAll(res.Body)
		ts.Check(err)
		ts.Check(res.Body.Close())
		return body
	}
}

// eventually is a command of scripts: it runs a program until it succeeds.
func eventually(ts *testscript.TestScript, _ bool, args []string) {
	for deadline := time.Now().Add(patience); ; {
		err := ts.Exec(args[0], args[1:]...)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%v: %v", args, err)
		}
	}
}

func TestExplanationReads(t *testing.T) {
	now := time.Date(2026, 3, 1, 9, 12, 0, 0, time.UTC)
	d := decision.Decision{
		ID: "ABC", Time: now.Add(-12 * time.Minute), Verb: "exchange", RequestID: "REQ", App: "support", Client: "web", ClientType: "browser",
		Customer: "c1", More: 212,
	}
	d.Pass("client", "browser client web", "a registered client")
	d.Pass("origin", "https://shop.example.com", "one of https://shop.example.com")
	d.End(decision.Refused, identity.TokenExpired, "6m41s, 1m41s beyond its exp", "less than 1m0s beyond its exp")
	want := `exchange refused CP-205 subject_token_expired, 12m0s ago (2026-03-01T09:00:00Z)
  decision  ABC
  request   REQ
  app       support
  client    web browser
  customer  c1
  and 212 more of its kind in the same minute

        CHECK      MEASURED                     REQUIRED
ok      client     browser client web           a registered client
ok      origin     https://shop.example.com     one of https://shop.example.com
FAILED  token age  6m41s, 1m41s beyond its exp  less than 1m0s beyond its exp

Meaning       The token is past its ` + "`exp`" + `, or older than allowed.
Likely cause  The widget kept the token too long before exchanging it: 6m41s, 1m41s beyond its exp.
What to do    Get a fresh ID token, or context, and exchange it at once.
`
	var got strings.Builder
	if err := explain(d).print(&got, now); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// archive is a store of refusals alone.
type archive struct {
	exchange.Store
	kept map[string]decision.Decision
}

func (a archive) Decision(_ context.Context, id string) (decision.Decision, error) {
	found, ok := a.kept[id]
	if !ok {
		return found, session.ErrNotFound
	}
	return found, nil
}

// Whoever holds the id of one that was only counted is told what is known of it, and no more than that.
func TestCountedRefusalIsExplainedTruthfully(t *testing.T) {
	expired := func(id, measured string) decision.Decision {
		d := decision.Decision{ID: id, Verb: "exchange", Client: "web", Customer: "c1", Like: "FIRST"}
		d.End(decision.Refused, identity.TokenExpired, measured, "less")
		return d
	}
	first := decision.Decision{ID: "FIRST", Verb: "exchange", Client: "web", Customer: "c1", More: 211}
	first.Pass("client", "web", "a client")
	first.End(decision.Refused, identity.TokenExpired, "6m", "less")
	lost, stranger := expired("LOST", "6m"), expired("STRANGER", "6m")
	lost.Like, stranger.Customer = "GONE", "c2"
	store := archive{kept: map[string]decision.Decision{
		"FIRST": first, "SAME": expired("SAME", "6m"), "OTHER": expired("OTHER", "7m"), "STRANGER": stranger, "LOST": lost,
	}}
	const alone = "of its checks only the one that failed was kept: "
	for id, want := range map[string]struct {
		note  string
		rungs int
	}{
		"FIRST":    {"", 2},
		"SAME":     {"the checks are those of decision FIRST, the first of at least 212 alike in that minute", 2},
		"OTHER":    {alone + "it was counted with decision FIRST, and differs", 1},
		"STRANGER": {alone + "it was counted with decision FIRST, and differs", 1},
		"LOST":     {alone + "decision GONE, which it was counted with, was lost", 1},
	} {
		got, err := lookUp(t.Context(), store, id)
		if err != nil || got.ID != id || got.Note != want.note || len(got.Ladder) != want.rungs {
			t.Errorf("%s: %d checks, %q, %v", id, len(got.Ladder), got.Note, err)
		}
		var text strings.Builder
		if err := got.print(&text, time.Now()); err != nil || !strings.Contains(text.String(), want.note) {
			t.Errorf("%s: %v\n%s", id, err, text.String())
		}
	}
}
