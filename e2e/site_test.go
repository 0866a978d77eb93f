package e2e_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const (
	audience   = "https://api.example.com"
	shopOrigin = "http://localhost:3999" // a registered page
	webClient  = "support-web"
	backend    = "support-backend"
)

// secrets are what configurations name as env:NAME.
var secrets = []string{"CORP_SECRET=chatpass-secret-at-the-issuer-0123456789", "BACKEND_SECRET=support-backend-secret-0123456789"}

// configuration is a whole small site; {…} is filled in by newSite.
const configuration = `issuer: {issuer}
listen: {listen}
admin_listen: {admin}
store: {store}
master_key: file:{dir}/master.json
keys: {algorithm: ES256}
issuers:
  corp:
    issuer: {upstream}
    client_id: chatpass
    client_secret: env:CORP_SECRET
    scopes: [openid, profile, email]
apps:
  support:
    audience: ["https://api.example.com"]
    issuers: [corp]
    origins: ["http://localhost:3999"]
    admit: has(claims.email)
    claims:
      name: claims.name
      tier: "'gold' in claims.groups ? 'gold' : 'standard'"
    scopes: [chat:read, chat:write]
    clients:
      support-web: {type: browser, accepts: {corp: [shop-web]}}
      support-backend: {type: backend, auth: client_secret_basic, secret: env:BACKEND_SECRET, accepts: {corp: [shop-web]}}
log: {level: info, format: json}
`

// A site is an installation: a folder with a configuration, a master key and the name of a store.
type site struct {
	dir, issuer, admin string
	at                 string // where requests go: the issuer, but for replicas
}

// newSite installs chatpass for an upstream issuer, on free ports. Each edit is an old and a new text
// in the configuration.
func newSite(t testing.TB, upstream string, edits ...[2]string) site {
	t.Helper()
	s := site{dir: t.TempDir(), admin: freeAddress(t)}
	listen := freeAddress(t)
	s.issuer = urlOf(listen)
	s.at = s.issuer
	s.newMasterKey(t)
	text := strings.NewReplacer("{issuer}", s.issuer, "{listen}", listen, "{admin}", s.admin, "{dir}", s.dir, "{store}", newStore(t, s.dir), "{upstream}", upstream).Replace(configuration)
	s.write(t, text)
	for _, edit := range edits {
		s.edit(t, edit[0], edit[1])
	}
	return s
}

// urlOf is where a browser finds an address.
func urlOf(address string) string {
	return "http://" + strings.Replace(address, "127.0.0.1", "localhost", 1)
}

func (s site) config() string { return filepath.Join(s.dir, "chatpass.yaml") }

func (s site) write(t testing.TB, text string) {
	t.Helper()
	write(t, s.dir, "chatpass.yaml", text)
}

func (s site) edit(t testing.TB, old, text string) {
	t.Helper()
	before, err := os.ReadFile(s.config())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(before), old) {
		t.Fatalf("the configuration has no %q", old)
	}
	s.write(t, strings.Replace(string(before), old, text, 1))
}

func (s site) newMasterKey(t testing.TB) {
	t.Helper()
	file := filepath.Join(s.dir, "master.json")
	if err := os.RemoveAll(file); err != nil {
		t.Fatal(err)
	}
	if out, err := command("secret", "new", "-o", file).CombinedOutput(); err != nil {
		t.Fatalf("chatpass secret new: %v: %s", err, out)
	}
}

// chatpass runs the binary to its end and returns its exit code.
func (s site) chatpass(t testing.TB, args ...string) (*process, int) {
	t.Helper()
	p := start(t, command(args...))
	return p, p.exitCode()
}

// command is the binary with the secrets that configurations name.
func command(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Getenv("CHATPASS"), args...)
	cmd.Env = append(os.Environ(), secrets...)
	return cmd
}

// serve starts the service and waits until it says that it is ready.
func (s site) serve(t testing.TB) *process {
	t.Helper()
	return s.ready(t, start(t, command("serve", "-c", s.config())))
}

// ready waits until the service says that it is.
func (s site) ready(t testing.TB, service *process) *process {
	t.Helper()
	eventually(t, func() error {
		select {
		case <-service.ended:
			t.Fatalf("ended with exit code %d before it was ready", service.exitCode())
		default:
		}
		return s.isReady()
	})
	return service
}

func (s site) isReady() error {
	resp, err := http.Get("http://" + s.admin + "/readyz")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s", body)
	}
	return nil
}

// upstreamClient registers the site at an identity provider, as its operator would.
func (s site) upstreamClient() map[string]any {
	return map[string]any{
		"client_id": "chatpass", "client_secret": strings.TrimPrefix(secrets[0], "CORP_SECRET="),
		"redirect_uris":          []string{s.issuer + "/v1/login/callback/corp"},
		"backchannel_logout_uri": s.issuer + "/v1/backchannel-logout/corp", "backchannel_logout_session_required": true,
	}
}

// freeAddress is a loopback address that nobody listens on. Its port is none of those that the system gives to
// whoever connects somewhere: one of these may be taken again before we listen on it.
func freeAddress(t testing.TB) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(10_000+rand.IntN(20_000)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no free port")
	return ""
}

// newSiteWithIssuer is a site whose identity provider runs.
func newSiteWithIssuer(t testing.TB, edits ...[2]string) (site, string) {
	t.Helper()
	address := freeAddress(t)
	upstream := urlOf(address)
	s := newSite(t, upstream, edits...)
	startIssuer(t, port(t, upstream), s.upstreamClient())
	return s, upstream
}
