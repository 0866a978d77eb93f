package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// shortLiveness has the issuer asked every four seconds, and gives it ten. Contexts are so short that it is not
// asked long ahead of time.
var shortLiveness = [2]string{"    admit: ", "    context_lifetime: 2s\n    session: {liveness: 4s, liveness_grace: 10s}\n    admit: "}

// short lifts the minima of lifetimes and the limit per session.
var short = [2]string{"log: {", "dangerously_short_lifetimes: true\nlimits: {contexts_per_minute_per_session: 0}\nlog: {"}

// refreshing registers a client that gets refresh tokens.
func refreshing(client map[string]any) map[string]any {
	client["grant_types"] = []string{"authorization_code", "refresh_token"}
	return client
}

// newLiveSite is a site whose issuer gives refresh tokens and is asked often.
func newLiveSite(t *testing.T) (site, issuerOperator) {
	t.Helper()
	upstream := urlOf(freeAddress(t))
	s := newSite(t, upstream, shortLiveness, short)
	startIssuer(t, port(t, upstream), refreshing(s.upstreamClient()))
	return s, issuerOperator{t, upstream}
}

// An issuerOperator sees what an identity provider is asked, and may disturb it.
type issuerOperator struct {
	t      *testing.T
	issuer string
}

type issuerSeen struct {
	Refreshes, Revoked int
	Tokens             []string
}

func (o issuerOperator) seen() (seen issuerSeen) {
	o.t.Helper()
	resp, err := http.Get(o.issuer + "/operator")
	o.read(resp, err, &seen)
	return seen
}

func (o issuerOperator) let(orders map[string]any) {
	o.t.Helper()
	text, err := json.Marshal(orders)
	if err != nil {
		o.t.Fatal(err)
	}
	resp, err := http.Post(o.issuer+"/operator", "application/json", bytes.NewReader(text))
	o.read(resp, err, &issuerSeen{})
}

func (o issuerOperator) read(resp *http.Response, err error, into *issuerSeen) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		o.t.Fatal(err)
	}
}

// overdue waits until the issuer must be asked before the next context.
func overdue() { time.Sleep(4100 * time.Millisecond) }

// Fifty renewals at once ask the issuer once, also when the way to it breaks once; and nobody notices.
func TestParallelRenewalsAskTheIssuerOnce(t *testing.T) {
	s, issuer := newLiveSite(t)
	s.serve(t)
	v, session := s.signIn(t, "alice")
	for round, want := range []int{1, 3} {
		overdue()
		if round == 1 {
			issuer.let(map[string]any{"token": "cut", "times": 1})
		}
		for _, a := range race(50, func(int) answer { return v.renew(t) }) {
			if a.status != http.StatusOK || a.Session.SID != session.Session.SID {
				t.Errorf("status %d %s in session %s", a.status, a.Code, a.Session.SID)
			}
		}
		if got := issuer.seen().Refreshes; got != want {
			t.Errorf("round %d: the issuer was asked %d times so far, want %d", round, got, want)
		}
	}
}

func TestReplicasAskTheIssuerOnce(t *testing.T) {
	f := newFleet(t, func(s site) {
		s.edit(t, shortLiveness[0], shortLiveness[1])
		s.edit(t, "limits: {", "dangerously_short_lifetimes: true\nlimits: {")
	})
	issuer := issuerOperator{t, f.upstream}
	v, session := f.replicas[0].signIn(t, "alice")
	v = v.held(t)
	f.wantSession(t, v, session) // every replica has it in memory
	for range 3 {
		overdue()
		before := issuer.seen().Refreshes
		for _, a := range race(50, func(i int) answer { return v.before(f.replicas[i%3]).renew(t) }) {
			a.want(t, http.StatusOK)
		}
		if got := issuer.seen().Refreshes - before; got != 1 {
			t.Errorf("the issuer was asked %d times, want once", got)
		}
	}
}

// A person who is disabled gets no new context, and verifiers hear of it.
func TestDisabledPersonGetsNoNewContext(t *testing.T) {
	s, issuer := newLiveSite(t)
	service := s.serve(t)
	v, _ := s.signIn(t, "alice")
	other, _ := s.signIn(t, "bob")
	overdue()
	v.renew(t).want(t, http.StatusOK)
	issuer.let(map[string]any{"disabled": []string{"alice"}})
	overdue()
	for range 2 {
		if err := v.isRefused(t, "CP-405"); err != nil {
			t.Error(err)
		}
	}
	other.renew(t).want(t, http.StatusOK)
	for _, token := range issuer.seen().Tokens {
		if said := service.out.String() + service.err.String(); strings.Contains(said, token) {
			t.Error("a refresh token is in the log")
		}
		for _, file := range stored(t, s) {
			if bytes.Contains(file, []byte(token)) {
				t.Error("a refresh token is in the store, not sealed")
			}
		}
	}
}

// Who is signed out on the command line keeps nothing at the issuer either; an issuer that is down hinders no sign-out.
func TestOperatorsSignOutGivesTheRefreshTokenBack(t *testing.T) {
	s, issuer := newLiveSite(t)
	s.serve(t)
	revoke := func(v visitor) string {
		var context struct{ SID string }
		readPart(t, v.renew(t).want(t, http.StatusOK).Context.Token, &context)
		p := start(t, command("sessions", "revoke", context.SID, "-c", s.config()))
		if code := p.exitCode(); code != 0 || !strings.Contains(p.out.String(), "1 sessions") {
			t.Errorf("exit code %d\n%s%s", code, p.out.String(), p.err.String())
		}
		eventually(t, func() error { return v.isRefused(t, "CP-406") })
		return p.err.String()
	}
	alice, _ := s.signIn(t, "alice")
	bob, _ := s.signIn(t, "bob")
	if said := revoke(alice.held(t)); said != "" || issuer.seen().Revoked != 1 {
		t.Errorf("given back %d, said %q", issuer.seen().Revoked, said)
	}
	s.edit(t, issuer.issuer, urlOf(freeAddress(t))) // the running service knows it where it was
	if said := revoke(bob.held(t)); !strings.Contains(said, "its refresh token was not given back: ") {
		t.Errorf("said %q", said)
	}
}

// stored are the files of a site's store, if it has some.
func stored(t *testing.T, s site) (files [][]byte) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(s.dir, "chatpass.db*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if content, err := os.ReadFile(name); err == nil { // one may just have gone
			files = append(files, content)
		}
	}
	return files
}

// An issuer that is down, or takes us for somebody else, signs nobody out in its grace; beyond it nobody goes
// on unconfirmed.
func TestIssuerTroubleSignsNobodyOut(t *testing.T) {
	for _, trouble := range []string{"down", "cut", "refuses"} {
		t.Run(trouble, func(t *testing.T) {
			s, issuer := newLiveSite(t)
			service := s.serve(t)
			v, _ := s.signIn(t, "alice")
			signedIn := time.Now()
			issuer.let(map[string]any{"token": trouble})
			overdue()
			for time.Since(signedIn) < 8*time.Second {
				v.renew(t).want(t, http.StatusOK)
				time.Sleep(500 * time.Millisecond)
			}
			eventually(t, func() error { return v.isRefused(t, "CP-412") })
			if alarm := strings.Contains(service.err.String(), `"level":"ERROR","msg":"issuer refuses us`); alarm != (trouble == "refuses") {
				t.Errorf("the operator was alarmed: %t", alarm)
			}
			answer := map[string]string{"refuses": "refused"}[trouble]
			if answer == "" {
				answer = "unreachable"
			}
			if want := fmt.Sprintf(`chatpass_liveness_total{answer=%q,issuer="corp"} 1`, answer); !strings.Contains(metrics(t, s), want) {
				t.Errorf("no %s", want)
			}
		})
	}
}

// metrics are the service's figures.
func metrics(t *testing.T, s site) string {
	t.Helper()
	resp, err := http.Get("http://" + s.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestSignOutGivesTheRefreshTokenBack(t *testing.T) {
	s, issuer := newLiveSite(t)
	s.serve(t)
	v, _ := s.signIn(t, "alice")
	v.call(t, "/v1/logout", nil).want(t, http.StatusOK)
	eventually(t, func() error {
		if seen := issuer.seen(); seen.Revoked != 1 {
			return fmt.Errorf("given back: %d", seen.Revoked)
		}
		return nil
	})
}
