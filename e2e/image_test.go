package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"debug/elf"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// The image needs nothing but the binary: it is static, and the Dockerfile's last stage is empty
// otherwise and not root.
func TestImageIsOneStaticBinary(t *testing.T) {
	binary, err := elf.Open(os.Getenv("CHATPASS"))
	if err != nil {
		t.Fatal(err)
	}
	defer binary.Close()
	for _, p := range binary.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("the binary needs a loader or shared libraries: %v", p.Type)
		}
	}
	dockerfile, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	stages := strings.Split(string(dockerfile), "\nFROM ")
	last := stages[len(stages)-1]
	for _, line := range []string{
		`^scratch\n`, `\nUSER 65532:65532\n`, `\nENTRYPOINT \["/chatpass"\]\n`, `\nEXPOSE 8080\n`,
		`\nHEALTHCHECK .* CMD \["/chatpass", "health", "-c", "/etc/chatpass/chatpass.yaml"\]\n`,
	} {
		if !regexp.MustCompile(line).MatchString(last) {
			t.Errorf("the last stage has no line like %s", line)
		}
	}
	if strings.Contains(last, "\nRUN ") {
		t.Error("the last stage runs something: there is no shell")
	}
}

// The binary serves, says that it is healthy and reaches an identity provider by TLS, with nothing
// around it but what the Dockerfile's last stage holds: as user 65532, in that folder as its root.
// Only root may make it so; for others it runs beside that folder.
func TestImageRuns(t *testing.T) {
	upstream, certificate := tlsIssuer(t)
	image := newImage(t, certificate)
	site := newSite(t, upstream, [2]string{"master_key: file:", "master_key: file:" + image.path("/etc/chatpass/master.json") + " #"})
	site.edit(t, "store: ", "store: "+image.store(t, site)+" #")
	image.put(t, filepath.Join(site.dir, "master.json"), "etc/chatpass/master.json")
	image.put(t, site.config(), "etc/chatpass/chatpass.yaml")
	config := image.path("/etc/chatpass/chatpass.yaml")

	service := site.ready(t, start(t, image.command("serve", "-c", config)))
	for _, args := range [][]string{{"health", "-c", config}, {"check", "-c", config}, {"version"}} {
		if code := start(t, image.command(args...)).exitCode(); code != 0 {
			t.Errorf("chatpass %s: exit code %d", args[0], code)
		}
	}
	service.signal(t, syscall.SIGTERM)
	if code := service.exitCode(); code != 0 {
		t.Errorf("serve: exit code %d", code)
	}
	if code := start(t, image.command("health", "-c", config)).exitCode(); code != 1 {
		t.Errorf("health of a service that ended: exit code %d, want 1", code)
	}
}

const imageUser = 65532

// An image is a folder that holds what the Dockerfile's last stage does.
type image struct {
	root string
	jail bool // the processes see nothing else
}

func newImage(t *testing.T, certificates []byte) image {
	t.Helper()
	i := image{root: t.TempDir(), jail: os.Geteuid() == 0}
	for _, dir := range []string{"etc/chatpass", "etc/ssl/certs", "var/lib/chatpass"} {
		if err := os.MkdirAll(filepath.Join(i.root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(i.root, "etc/ssl/certs"), "ca-certificates.crt", string(certificates))
	i.own(t, "etc/ssl/certs/ca-certificates.crt")
	i.own(t, "var/lib/chatpass")
	i.put(t, os.Getenv("CHATPASS"), "chatpass")
	return i
}

// put copies a file into the image, for its user alone.
func (i image) put(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(i.root, to), content, 0o700); err != nil {
		t.Fatal(err)
	}
	i.own(t, to)
}

func (i image) own(t *testing.T, name string) {
	t.Helper()
	if !i.jail {
		return
	}
	if err := os.Chown(filepath.Join(i.root, name), imageUser, imageUser); err != nil {
		t.Fatal(err)
	}
}

// store is where the image's processes keep records.
func (i image) store(t *testing.T, s site) string {
	t.Helper()
	if engine() == "sqlite" {
		return "sqlite:" + i.path("/var/lib/chatpass/chatpass.db")
	}
	i.put(t, filepath.Join(s.dir, "store"), "etc/chatpass/store")
	return "file:" + i.path("/etc/chatpass/store")
}

// path is the name by which the image's processes know a file in it.
func (i image) path(name string) string {
	if i.jail {
		return name
	}
	return filepath.Join(i.root, name)
}

func (i image) command(args ...string) *exec.Cmd {
	cmd := exec.Command(i.path("/chatpass"), args...)
	cmd.Env = secrets
	if i.jail {
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: i.root, Credential: &syscall.Credential{Uid: imageUser, Gid: imageUser}}
	} else {
		cmd.Env = append(cmd.Env, "SSL_CERT_FILE="+i.path("/etc/ssl/certs/ca-certificates.crt"))
	}
	return cmd
}

// tlsIssuer is an identity provider with a certificate of its own, as far as `chatpass check` asks it.
func tlsIssuer(t *testing.T) (issuer string, certificate []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "1", Algorithm: "ES256", Use: "sig"}}}
	mux := http.NewServeMux()
	server := httptest.NewTLSServer(mux)
	t.Cleanup(server.Close)
	mux.HandleFunc("GET /.well-known/openid-configuration", says("application/json", metadata(server.URL)))
	mux.HandleFunc("GET /k", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(keys) // a fetch that is cut off fails the check
	})
	return server.URL, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
}
