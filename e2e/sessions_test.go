package e2e_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// An operator ends sessions of a running service beside it.
func TestOperatorEndsSessions(t *testing.T) {
	s, upstream := newSiteWithIssuer(t)
	s.serve(t)
	sessions := func(code int, args ...string) string {
		p := start(t, command(append([]string{"sessions"}, append(args, "-c", s.config())...)...))
		if got := p.exitCode(); got != code {
			t.Errorf("sessions %v: exit code %d, want %d\n%s", args, got, code, p.err.String())
		}
		if out := p.out.String(); strings.Contains(out, "alice") || strings.Contains(out, "bob") {
			t.Errorf("sessions %v says who it is:\n%s", args, out)
		}
		return p.out.String() + p.err.String()
	}
	wants := func(text, pattern string) {
		t.Helper()
		if !regexp.MustCompile(pattern).MatchString(text) {
			t.Errorf("no match for %s in\n%s", pattern, text)
		}
	}
	alice, _ := s.signIn(t, "alice")
	alice = alice.held(t)
	var context struct{ Sub, SID string }
	readPart(t, alice.renew(t).want(t, http.StatusOK).Context.Token, &context)
	other := s.asBackend(t, shopIDToken(t, upstream, "bob")).want(t, http.StatusOK)

	wants(sessions(0, "list", "--customer", context.Sub), context.SID+` +\S+ +sign-in +\S+ +alive .*\n1 sessions`)
	wants(sessions(0, "revoke", context.SID), context.SID+` .*CP-406.*\n1 sessions`)
	eventually(t, func() error { return alice.isRefused(t, "CP-406") })
	wants(sessions(0, "revoke", context.SID), `\n0 sessions`) // it has ended before
	wants(sessions(0, "list", "--customer", other.Customer), ` derived .* alive .*\n1 sessions`)
	wants(sessions(0, "revoke", "--app", "support"), other.SID+` .*\n1 sessions`)
	wants(sessions(0, "revoke", "--customer", other.Customer), `\n0 sessions`)
	wants(sessions(1, "revoke", "--app", "nowhere"), `there is no app "nowhere" in the configuration: its apps are `)
	wants(sessions(1, "revoke", "nobody"), `there is no session nobody`)
	wants(sessions(2, "revoke"), `which sessions\? write one of`)
	wants(sessions(2, "list"), `whose sessions\?`)
}

// What cannot be read is told, and keeps nothing else from being seen and ended.
func TestOperatorEndsSessionsBesideADamagedOne(t *testing.T) {
	s, _ := newSiteWithIssuer(t)
	s.serve(t)
	var sids []string
	var context struct{ Sub, SID string }
	for range 3 {
		alice, _ := s.signIn(t, "alice")
		readPart(t, alice.held(t).renew(t).want(t, http.StatusOK).Context.Token, &context)
		sids = append(sids, context.SID)
	}
	s.sql(t, map[string]string{
		"sqlite":   "UPDATE {records} SET value = CAST(value || x'00' AS BLOB) WHERE kind = 'session' AND key = CAST('" + sids[1] + "' AS BLOB)",
		"postgres": `UPDATE {records} SET value = value || '\x00'::bytea WHERE kind = 'session' AND key = '` + sids[1] + "'::bytea",
	}[engine()])
	for _, args := range [][]string{{"list", "--customer", context.Sub}, {"revoke", "--customer", context.Sub}} {
		p := start(t, command(append([]string{"sessions"}, append(args, "-c", s.config())...)...))
		code, told := p.exitCode(), p.out.String()+p.err.String()
		if code != 1 || !strings.Contains(told, "1 session could not be read: ") || strings.Contains(told, "CP-901") {
			t.Errorf("sessions %v: exit code %d, want 1 and the damaged one told\n%s", args, code, told)
		}
		if !strings.Contains(told, sids[0]) || !strings.Contains(told, sids[2]) || !strings.Contains(told, "2 sessions") {
			t.Errorf("sessions %v: the others are not named\n%s", args, told)
		}
	}
}
