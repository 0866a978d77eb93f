package e2e_test

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const nowhere = "http://localhost:1" // an issuer that nobody runs

type brokenInstallation struct {
	edits [][2]string            // of the configuration
	site  func(*testing.T, site) // breaks what the configuration names
	says  []string
}

// Whatever is wrong with an installation, the service does not start: it says what, where and what to
// do, and ends with exit code 1.
func TestServeRefusesABrokenInstallation(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	installations := map[string]brokenInstallation{
		"port taken": {
			edits: [][2]string{{"listen: 127.0.0.1", "listen: " + taken.Addr().String() + " # 127.0.0.1"}},
			says:  []string{taken.Addr().String(), "taken"},
		},
		"admin port taken": {
			edits: [][2]string{{"admin_listen: 127.0.0.1", "admin_listen: " + taken.Addr().String() + " # 127.0.0.1"}},
			says:  []string{"admin_listen", taken.Addr().String(), "taken"},
		},
		"no master key": {
			site: func(t *testing.T, s site) { remove(t, s.dir, "master.json") },
			says: []string{"chatpass.yaml:5:", "master.json", "chatpass secret new"},
		},
		"master key is none": {
			site: func(t *testing.T, s site) { write(t, s.dir, "master.json", "hunter2") },
			says: []string{"master"},
		},
		"another master key": {
			site: func(t *testing.T, s site) {
				s.serve(t).kill()
				s.newMasterKey(t)
			},
			says: []string{"master key"},
		},
		"rule does not compile": {
			edits: [][2]string{{"has(claims.email)", "has(claims.email"}},
			says:  []string{"chatpass.yaml:18:", "admit"},
		},
		"lifetime outlives its keys": {
			edits: [][2]string{{"algorithm: ES256", "algorithm: ES256, retiring: 1s"}},
			says:  []string{"chatpass.yaml:6:", "retiring"},
		},
	}
	maps.Copy(installations, brokenStores[engine()])
	for name, broken := range installations {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, nowhere, broken.edits...)
			if broken.site != nil {
				broken.site(t, s)
			}
			p, code := s.chatpass(t, "serve", "-c", s.config())
			if code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			for _, text := range broken.says {
				if !strings.Contains(p.err.String(), text) {
					t.Errorf("does not say %q", text)
				}
			}
			if strings.Contains(p.err.String(), "hunter2") {
				t.Error("repeats a secret")
			}
			if said := p.err.String(); strings.Contains(said, "goroutine ") || strings.Count(said, "\n") > 3 {
				t.Errorf("says too much:\n%s", said)
			}
		})
	}
}

// The demo says how to go on when one of its ports is taken.
func TestDemoAdvisesWhenAPortIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	p, code := site{}.chatpass(t, "demo", "--port", port, "--data", t.TempDir())
	if said := p.err.String(); code != 1 || !strings.Contains(said, port) || !strings.Contains(said, "--port 0") {
		t.Errorf("exit code %d, %q; want 1, the port and --port 0", code, said)
	}
}

func mkdir(t *testing.T, path ...string) {
	t.Helper()
	if err := os.Mkdir(filepath.Join(path...), 0o700); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path ...string) {
	t.Helper()
	if err := os.Remove(filepath.Join(path...)); err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, dir, file, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// One run shows every fault of the file, each with its place and what to write instead.
func TestEveryFaultIsReportedAtOnce(t *testing.T) {
	s := newSite(t, nowhere,
		[2]string{"admin_listen", "admin_lissten"},
		[2]string{"env:CORP_SECRET", "hunter2"},
		[2]string{"algorithm: ES256", "algorithm: HS256"},
		[2]string{"issuers: [corp]", "issuers: [crop]"},
		[2]string{"has(claims.email)", "claims.email =="},
		[2]string{"type: browser", "type: brwser"},
	)
	p, code := s.chatpass(t, "serve", "-c", s.config())
	if code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	for place, path := range map[string]string{
		":3:": "admin_lissten", ":6:": "keys.algorithm", ":11:": "issuers.corp.client_secret", ":16:": "apps.support.issuers",
		":18:": "apps.support.admit", ":24:": "apps.support.clients.support-web.type",
	} {
		if !lineWith(p.err.String(), place, path) {
			t.Errorf("no fault of %s at line %s", path, place)
		}
	}
	if strings.Contains(p.err.String(), "hunter2") {
		t.Error("repeats the secret")
	}
}

func lineWith(text string, parts ...string) bool {
	for line := range strings.Lines(text) {
		all := true
		for _, part := range parts {
			all = all && strings.Contains(line, part)
		}
		if all {
			return true
		}
	}
	return false
}

// The example that operators begin with is a good configuration.
func TestExampleIsValid(t *testing.T) {
	s := newSite(t, nowhere)
	example, err := os.ReadFile("../deploy/chatpass.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, strings.NewReplacer("/etc/chatpass", s.dir, "/var/lib/chatpass", s.dir).Replace(string(example)))
	if p, code := s.chatpass(t, "check", "--offline", "-c", s.config()); code != 0 {
		t.Errorf("exit code %d: %s%s", code, p.out.String(), p.err.String())
	}
}

func TestUsageIsExitCode2(t *testing.T) {
	for _, args := range [][]string{{"sreve"}, {"serve", "--cnofig", "x"}, {"serve", "more"}, {"secret", "new", "-o"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			if p, code := (site{}).chatpass(t, args...); code != 2 || p.err.String() == "" {
				t.Errorf("exit code %d, want 2 and a message", code)
			}
		})
	}
}

// The service starts while its identity provider is down, says so to those who want to sign in, and
// works as soon as the provider does.
func TestStartsBeforeTheIssuerDoes(t *testing.T) {
	address := freeAddress(t)
	upstream := urlOf(address)
	s := newSite(t, upstream)
	s.serve(t)
	signInIsUnavailable(t, s)
	if p, code := s.chatpass(t, "check", "-c", s.config()); code != 1 || !strings.Contains(p.out.String()+p.err.String(), upstream) {
		t.Errorf("check: exit code %d, want 1 and %s named", code, upstream)
	}

	startIssuer(t, port(t, upstream), s.upstreamClient())
	eventually(t, func() error {
		resp, err := (&http.Client{CheckRedirect: stay}).Get(s.signInURL(strings.Repeat("t", 43), strings.Repeat("v", 43)))
		if err != nil {
			return err
		}
		resp.Body.Close()
		if !strings.HasPrefix(resp.Header.Get("Location"), upstream) {
			return fmt.Errorf("status %d, not sent to %s", resp.StatusCode, upstream)
		}
		return nil
	})
	if _, session := s.signIn(t, "alice"); session.Customer == "" {
		t.Error("alice has no customer id")
	}
	if p, code := s.chatpass(t, "check", "-c", s.config()); code != 0 {
		t.Errorf("check: exit code %d: %s", code, p.err.String())
	}
}

func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func signInIsUnavailable(t *testing.T, s site) {
	t.Helper()
	resp, err := (&http.Client{CheckRedirect: stay}).Get(s.signInURL(strings.Repeat("t", 43), strings.Repeat("v", 43)))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("sign-in: status %d, want 503", resp.StatusCode)
	}
	if resp.Header.Get("Retry-After") == "" {
		t.Error("sign-in: no Retry-After")
	}
}

// An identity provider that publishes garbage takes nothing down: the service runs, sign-in says 503,
// and `check` names the issuer.
func TestGarbageDiscoveryIsAnOutage(t *testing.T) {
	for name, discovery := range map[string]func(issuer string) http.HandlerFunc{
		"HTML":           func(string) http.HandlerFunc { return says("text/html", "<!doctype html><h1>It works!</h1>") },
		"half":           func(iss string) http.HandlerFunc { return says("application/json", `{"issuer":"`+iss) },
		"another issuer": func(string) http.HandlerFunc { return says("application/json", metadata("https://login.example.com")) },
		"no endpoints":   func(iss string) http.HandlerFunc { return says("application/json", `{"issuer":"`+iss+`"}`) },
		"endless": func(string) http.HandlerFunc {
			return says("application/json", `{"issuer":"`+strings.Repeat("x", 1<<20))
		},
		"moved away": func(string) http.HandlerFunc {
			return http.RedirectHandler("http://localhost:2/", http.StatusFound).ServeHTTP
		},
		"failing": func(string) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			var handler http.HandlerFunc
			upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler(w, r) }))
			defer upstream.Close()
			handler = discovery(upstream.URL)
			s := newSite(t, upstream.URL)
			s.serve(t)
			signInIsUnavailable(t, s)
			if p, code := s.chatpass(t, "check", "-c", s.config()); code != 1 || !strings.Contains(p.out.String()+p.err.String(), upstream.URL) {
				t.Errorf("check: exit code %d, want 1 and %s named", code, upstream.URL)
			}
		})
	}
}

func says(contentType, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		fmt.Fprint(w, text)
	}
}

func metadata(issuer string) string {
	return fmt.Sprintf(`{"issuer":%q,"authorization_endpoint":%q,"token_endpoint":%q,"jwks_uri":%q}`, issuer, issuer+"/a", issuer+"/t", issuer+"/k")
}
