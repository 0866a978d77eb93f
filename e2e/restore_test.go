package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// sql runs a statement behind the service's back; {records} is the table. It returns what it answers.
func (s site) sql(t *testing.T, text string) string {
	t.Helper()
	if engine() == "postgres" {
		return psql(t, s.database(t), strings.ReplaceAll(text, "{records}", "chatpass_records"))
	}
	cmd := exec.Command("sqlite3", "-cmd", ".timeout 5000", filepath.Join(s.dir, "chatpass.db"), strings.ReplaceAll(text, "{records}", "records"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("sqlite3: %v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// putBacks are the ways in which what was kept of the key ring, or nothing, comes back, and what the log of
// a service that runs says of it.
var putBacks = []struct{ name, sql, says string }{
	{"the ring alone", "DELETE FROM {records} WHERE kind = 'ring'; INSERT INTO {records} SELECT * FROM kept WHERE kind = 'ring'", "was put back"},
	{"ring and events", "DELETE FROM {records} WHERE kind IN ('ring', 'key-event'); INSERT INTO {records} SELECT * FROM kept", "was put back"},
	{"nothing", "DELETE FROM {records} WHERE kind IN ('ring', 'key-event')", "is gone from a store that is in use"},
}

// A key is given up, and then the key ring of before is put back into the store. The service that runs goes on
// without it and says so; one that starts does not; the operator sees what is wrong, without changing
// anything, and takes the ring as it is. The key that was given up never comes back.
func TestAnOlderKeyRingIsRefusedUntilItIsAccepted(t *testing.T) {
	s := newSite(t, nowhere)
	s.edit(t, "algorithm: ES256", "algorithm: ES256, snapshot: "+s.snapshot())
	service := s.serve(t)
	s.sql(t, "CREATE TABLE kept AS SELECT * FROM {records} WHERE kind IN ('ring', 'key-event')")
	for _, way := range putBacks {
		bad, since := s.signing(t), time.Now()
		if _, code := s.chatpass(t, "keys", "compromise", bad, "--yes", bad, "-c", s.config()); code != 0 {
			t.Fatalf("compromise: exit code %d", code)
		}
		eventually(t, func() error { return s.withoutKey(bad, since) })

		s.sql(t, way.sql)
		eventually(t, func() error { return s.shows(`chatpass_key_gate_blocked{reason="history"} 1`) })
		if err := logged(service, way.says)(); err != nil {
			t.Errorf("%s: %v", way.name, err)
		}
		if err := s.isReady(); err != nil {
			t.Errorf("%s: not ready while its keys are in lease: %v", way.name, err)
		}
		version := s.wantRefused(t)
		service.kill()
		if p, code := s.chatpass(t, "serve", "-c", s.config()); code != 1 || logged(p, "chatpass keys accept")() != nil {
			t.Errorf("%s: a start ends with %d: %s", way.name, code, p.err.String())
		}
		if p, code := s.chatpass(t, "keys", "accept", "--yes", version, "--why", way.name, "-c", s.config()); code != 0 {
			t.Fatalf("%s: accept: exit code %d: %s", way.name, code, p.err.String())
		}
		service = s.serve(t)
		eventually(t, func() error { return s.withoutKey(bad, since) })
		s.keysList(t)
	}
}

// A service that runs takes a ring as soon as an operator does.
func TestARunningServiceTakesTheAcceptedRing(t *testing.T) {
	s := newSite(t, nowhere)
	s.serve(t)
	s.sql(t, "CREATE TABLE kept AS SELECT * FROM {records} WHERE kind IN ('ring', 'key-event')")
	bad := s.signing(t)
	if _, code := s.chatpass(t, "keys", "compromise", bad, "--yes", bad, "-c", s.config()); code != 0 {
		t.Fatalf("compromise: exit code %d", code)
	}
	s.sql(t, putBacks[0].sql)
	eventually(t, func() error { return s.shows(`chatpass_key_gate_blocked{reason="history"} 1`) })
	version := s.wantRefused(t)
	if p, code := s.chatpass(t, "keys", "accept", "--yes", version, "-c", s.config()); code != 0 {
		t.Fatalf("accept: exit code %d: %s", code, p.err.String())
	}
	eventually(t, func() error { return s.shows(`chatpass_key_gate_blocked{reason="history"} 0`) })
	for _, k := range s.keysList(t) {
		if k.KID == bad && k.State != "compromised" {
			t.Errorf("the key that was given up is %s", k.State)
		}
	}
}

// signing is the key that signs contexts.
func (s site) signing(t *testing.T) string {
	t.Helper()
	for _, k := range s.keysList(t) {
		if k.Class == "context" && k.State == "active" {
			return k.KID
		}
	}
	t.Fatal("no key signs")
	return ""
}

// withoutKey wants that a key is not served, and that the snapshot was written since.
func (s site) withoutKey(kid string, since time.Time) error {
	set, err := s.get("GET", "")
	if err == nil && strings.Contains(set.body, kid) {
		err = fmt.Errorf("key %s is served", kid)
	}
	if err != nil {
		return err
	}
	info, err := os.Stat(s.snapshot())
	if err == nil && info.ModTime().Before(since) {
		err = fmt.Errorf("the snapshot is of %v", info.ModTime())
	}
	return err
}

var acceptCommand = regexp.MustCompile(`chatpass keys accept --yes (\d+) -c `)

// wantRefused wants that every verb refuses the ring and says what to do, and that none changes anything. It
// returns the version to accept.
func (s site) wantRefused(t *testing.T) string {
	t.Helper()
	const state = "SELECT kind, version FROM {records} WHERE kind IN ('ring', 'key-event') ORDER BY kind, key"
	before := s.sql(t, state)
	for _, args := range [][]string{{"keys", "list"}, {"keys", "list", "--json"}, {"keys", "rotate"}} {
		if p, code := s.chatpass(t, append(args, "-c", s.config())...); code != 1 || logged(p, "chatpass keys accept")() != nil {
			t.Errorf("%v: exit code %d: %s", args, code, p.err.String())
		}
	}
	p, code := s.chatpass(t, "keys", "accept", "-c", s.config())
	found := acceptCommand.FindStringSubmatch(p.out.String())
	if code != 1 || found == nil {
		t.Fatalf("accept: exit code %d: %s", code, p.out.String())
	}
	if after := s.sql(t, state); after != before {
		t.Errorf("the ring was changed from\n%s\nto\n%s", before, after)
	}
	return found[1]
}

// Without its canary a store is opened by its own master key alone.
func TestALostCanaryLetsNoOtherMasterKeyIn(t *testing.T) {
	s := newSite(t, nowhere)
	s.serve(t).kill()
	s.sql(t, "DELETE FROM {records} WHERE kind = 'canary'")
	right := read(t, filepath.Join(s.dir, "master.json"))
	s.newMasterKey(t)
	if p, code := s.chatpass(t, "serve", "-c", s.config()); code != 1 || logged(p, "the master key is not the one this store was made with")() != nil {
		t.Errorf("another master key: exit code %d: %s", code, p.err.String())
	}
	write(t, s.dir, "master.json", string(right))
	s.serve(t)
}
