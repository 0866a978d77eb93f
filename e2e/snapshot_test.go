package e2e_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// newSiteWithSnapshot is a site on a PostgreSQL server of its own, with a snapshot of its key set.
func newSiteWithSnapshot(t *testing.T) (site, cluster) {
	t.Helper()
	c := newCluster(t)
	s := newSite(t, nowhere)
	s.edit(t, "algorithm: ES256", "algorithm: ES256, snapshot: "+s.snapshot())
	write(t, s.dir, "store", c.url())
	return s, c
}

func (s site) snapshot() string { return filepath.Join(s.dir, "jwks.json") }

// started runs the service, which need not become ready, until its key set is there.
func (s site) started(t *testing.T) (*process, shown) {
	t.Helper()
	p := start(t, command("serve", "-c", s.config()))
	var set shown
	eventually(t, func() (err error) {
		select {
		case <-p.ended:
			t.Fatalf("ended with exit code %d", p.exitCode())
		default:
		}
		set, err = s.get(http.MethodGet, "")
		return err
	})
	return p, set
}

// shown is the key set as anybody gets it.
type shown struct {
	status     int
	etag, body string
}

func (s site) get(method, etag string) (shown, error) {
	req, err := http.NewRequest(method, s.at+"/.well-known/jwks.json", nil)
	if err != nil {
		return shown{}, err
	}
	req.Header.Set("If-None-Match", etag)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return shown{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if origin := res.Header.Get("Access-Control-Allow-Origin"); origin != "*" {
		return shown{}, fmt.Errorf("access is allowed to %q", origin)
	}
	return shown{res.StatusCode, res.Header.Get("ETag"), string(body)}, err
}

func (s shown) kids(t *testing.T) []string {
	t.Helper()
	var set struct{ Keys []struct{ KID string } }
	if err := json.Unmarshal([]byte(s.body), &set); err != nil {
		t.Fatal(err)
	}
	var kids []string
	for _, k := range set.Keys {
		kids = append(kids, k.KID)
	}
	return kids
}

func logged(p *process, text string) func() error {
	return func() error {
		if !strings.Contains(p.err.String(), text) {
			return fmt.Errorf("the log does not say %q", text)
		}
		return nil
	}
}

// A service that starts while its database is dead serves the key set, byte for byte, and answers outages
// otherwise. When the database is back it serves everything, without a restart and on the same connections.
func TestPostgresDeadAtTheStart(t *testing.T) {
	s, db := newSiteWithSnapshot(t)
	service := s.serve(t)
	want, err := s.get(http.MethodGet, "")
	if err != nil || want.status != http.StatusOK || len(want.kids(t)) != 6 {
		t.Fatalf("got %+v, %v", want, err)
	}
	eventually(t, func() error { _, err := os.Stat(s.snapshot()); return err })
	service.kill()
	db.crash(t)

	service, got := s.started(t)
	if got != want {
		t.Errorf("from the snapshot: got %+v, want %+v", got, want)
	}
	wantWaiting(t, s, want)
	service.signal(t, syscall.SIGHUP)
	eventually(t, logged(service, "configuration was not taken"))
	wantWaiting(t, s, want)

	conn := s.dial(t)
	conn.wantStatus(t, http.StatusServiceUnavailable)
	db.start(t)
	s.ready(t, service)
	if got, err := s.get(http.MethodGet, ""); err != nil || got != want {
		t.Errorf("from the store: got %+v, %v, want %+v", got, err, want)
	}
	conn.wantStatus(t, http.StatusOK)
	service.signal(t, syscall.SIGTERM)
	if code := service.exitCode(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// A running service whose database is dead for longer than a lease is not ready, says so, counts what is due,
// and serves the key set all the same. When the database is back it goes on.
func TestPostgresDeadForLongerThanALease(t *testing.T) {
	s, db := newSiteWithSnapshot(t)
	s.edit(t, "listen:", "dangerously_short_lifetimes: true\nlisten:")
	s.edit(t, "keys: {", "keys: {publish_ahead: 3s, active: 6s, retiring: 8s, jwks_max_age: 1s, ")
	s.edit(t, "audience:", "context_lifetime: 3s\n    audience:")
	s.serve(t)
	db.crash(t)
	eventually(t, func() error {
		if err := s.isReady(); err == nil || !strings.Contains(err.Error(), "no signing key in lease") {
			return fmt.Errorf("readiness: %v", err)
		}
		return s.shows(`chatpass_key_gate_blocked{reason="store"} 2`)
	})
	if set, err := s.get(http.MethodGet, ""); err != nil || set.status != http.StatusOK || len(set.kids(t)) < 6 {
		t.Errorf("key set: %+v, %v", set, err)
	}
	db.start(t)
	eventually(t, func() error {
		return errors.Join(s.isReady(), s.shows(`chatpass_key_gate_blocked{reason="store"} 0`))
	})
}

// shows says whether the metrics have that line.
func (s site) shows(line string) error {
	res, err := http.Get("http://" + s.admin + "/metrics")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && !strings.Contains(string(body), "\n"+line+"\n") {
		return fmt.Errorf("the metrics lack %s", line)
	}
	return err
}

// wantWaiting wants the key set as always, and nothing else.
func wantWaiting(t *testing.T, s site, want shown) {
	t.Helper()
	if got, err := s.get(http.MethodHead, ""); err != nil || got != (shown{http.StatusOK, want.etag, ""}) {
		t.Errorf("HEAD: got %+v, %v", got, err)
	}
	if got, err := s.get(http.MethodGet, want.etag); err != nil || got != (shown{http.StatusNotModified, want.etag, ""}) {
		t.Errorf("known already: got %+v, %v", got, err)
	}
	for _, path := range []string{"/oauth2/token", "/v1/context", "/v1/session"} {
		if err := isOutage(s.ask(t, s.formRequest(t, path, url.Values{}))); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	for path, status := range map[string]int{"/livez": http.StatusOK, "/readyz": http.StatusServiceUnavailable} {
		res, err := http.Get("http://" + s.admin + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != status {
			t.Errorf("%s: got status %d, want %d", path, res.StatusCode, status)
		}
	}
}

// A connection is one that the service must not drop.
type connection struct {
	net.Conn
	answers *bufio.Reader
}

func (s site) dial(t *testing.T) connection {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.at, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return connection{conn, bufio.NewReader(conn)}
}

// wantStatus asks for the metadata.
func (c connection) wantStatus(t *testing.T, status int) {
	t.Helper()
	fmt.Fprint(c, "GET /.well-known/oauth-authorization-server HTTP/1.1\r\nHost: chatpass\r\n\r\n")
	res, err := http.ReadResponse(c.answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != status {
		t.Errorf("got status %d, %v, want %d", res.StatusCode, err, status)
	}
}

// While its database is dead, a service serves only a key set that it knows to be its own, without what is
// denied; it ends when it is told to, and when the database turns out to be one that it must not use.
func TestPostgresDeadAtTheStartBelievesNoForeignSnapshot(t *testing.T) {
	s, db := newSiteWithSnapshot(t)
	service, all := s.started(t)
	eventually(t, func() error { _, err := os.Stat(s.snapshot()); return err })
	service.kill()
	psql(t, s.database(t), "UPDATE chatpass_schema SET version = 999")
	db.crash(t)

	denied := all.kids(t)[0]
	s.edit(t, "keys: {", "keys: {denied: ["+denied+"], ")
	service, got := s.started(t)
	if got.status != http.StatusOK || strings.Join(got.kids(t), " ") != strings.Join(all.kids(t)[1:], " ") {
		t.Errorf("without the denied key: got %+v", got)
	}
	service.signal(t, syscall.SIGTERM)
	if code := service.exitCode(); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0", code)
	}

	service, _ = s.started(t)
	db.start(t)
	if code := service.exitCode(); code != 1 || logged(service, "newer version of chatpass")() != nil {
		t.Errorf("exit code %d on a store that must not be used, want 1", code)
	}
	db.crash(t)

	good := read(t, s.snapshot())
	altered := append([]byte{}, good...)
	altered[len(altered)-1] ^= 1
	s.wantNoStart(t, altered, "altered")
	s.wantNoStart(t, nil, "altered")
	s.newMasterKey(t)
	s.wantNoStart(t, good, "another master key")
	remove(t, s.snapshot())
	if p, code := s.chatpass(t, "serve", "-c", s.config()); code != 1 || logged(p, "no key set snapshot yet")() != nil {
		t.Errorf("without a snapshot: exit code %d, want 1", code)
	}
}

// wantNoStart wants that the service does not start with that snapshot, and says why.
func (s site) wantNoStart(t *testing.T, snapshot []byte, why string) {
	t.Helper()
	write(t, s.dir, "jwks.json", string(snapshot))
	p, code := s.chatpass(t, "serve", "-c", s.config())
	if err := errors.Join(logged(p, why)(), logged(p, "check that PostgreSQL runs")()); code != 1 || err != nil {
		t.Errorf("exit code %d, want 1; %v", code, err)
	}
}
