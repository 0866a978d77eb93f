package config_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"chatpass/config"
)

var update = flag.Bool("update", false, "rewrite golden files, config.schema.json and the tables of docs/configuration.md")

// environment is what the test files may refer to by env:NAME.
func environment(name string) (string, bool) {
	value, ok := map[string]string{
		"SECRET": "s3cr3t-value", "CORP_SECRET": "s3cr3t-corp", "LEGACY_SECRET": "s3cr3t-legacy-0123456789abcdef01234", "ORDERS_SECRET": "s3cr3t-orders-0123456789abcdef01234",
		"FILLER": "s3cr3t-s3cr3t-s3cr3t-s3cr3t-s3cr3t", "MASTER_KEY": "m4ster-value", "EMPTY": "", "NEWLINE": "\n",
		"SALT":        "0123456789abcdef0123456789abcdef",
		"OTHER_SALT":  "fedcba9876543210fedcba9876543210",
		"SHORT":       "0123456789abcdef0123456789abcde",
		"KEY_SET":     `{"keys":[{"kty":"EC","crv":"P-256","x":"x","y":"y"}]}`,
		"PRIVATE_SET": `{"keys":[{"kty":"EC","d":"priv4te"}]}`,
		"NO_SET":      `{"keys":[]}`,
		"JWK":         `{"kty":"EC","crv":"P-256","x":"x","y":"y","d":"priv4te"}`,
		"PUBLIC_JWK":  `{"kty":"EC","crv":"P-256","x":"x","y":"y"}`,
		"OLD_PEM":     "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----",
		"BAD_PEM":     "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
		"STORE":       "postgres://chatpass:hunter2@db.example.com/chatpass?sslmode=verify-full",
		"BAD_STORE":   "mysql://chatpass:hunter2@db.example.com/chatpass",
		"PROXY":       "http://user:hunter2@proxy.corp:3128",
	}[name]
	return value, ok
}

// files makes a folder with what the test files refer to by file:DIR/….
func files(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	cert, key := certificate(t)
	otherCert, _ := certificate(t)
	keySet, _ := environment("KEY_SET")
	for name, content := range map[string]string{
		"master.json": "m4ster-value\n", "secret": "s3cr3t-value\r\n", "empty": "\n", "blank": "",
		"tls.crt": cert, "tls.key": key, "other.crt": otherCert, "ca.pem": cert, "corp.pem": key,
		"jwks.json": keySet, "salt": "0123456789abcdef0123456789abcdef\n",
		"large": strings.Repeat("x", 1<<20+1),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// certificate makes a certificate and its private key, PEM.
func certificate(t testing.TB) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return block("CERTIFICATE", der), block("PRIVATE KEY", pkcs8)
}

// read writes text, with DIR replaced by dir, to a file of that name and reads it. Faults name the file alone.
func read(t testing.TB, dir, name, text string) (*config.Config, config.Faults) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Read(path, environment)
	var faults config.Faults
	if err != nil && !errors.As(err, &faults) {
		t.Fatalf("error is not Faults: %v", err)
	}
	return cfg, faults
}

// list returns the faults as the golden files have them: no folder in a name.
func list(faults config.Faults, dir string) string {
	var text strings.Builder
	for _, f := range faults {
		f.File = filepath.Base(f.File)
		text.WriteString(strings.ReplaceAll(f.String(), dir, "DIR") + "\n")
	}
	return text.String()
}

func testdata(t testing.TB, pattern string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no test files %s: %v", pattern, err)
	}
	texts := map[string]string{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		texts[path] = string(text)
	}
	return texts
}

// Each good file has the advice on it, often none, in the file beside it.
func TestGoodFilesAreRead(t *testing.T) {
	dir := files(t)
	for path, text := range testdata(t, "good/*.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			cfg, faults := read(t, dir, filepath.Base(path), text)
			if len(faults) > 0 || cfg == nil {
				t.Fatalf("faults:\n%s", list(faults, dir))
			}
			compareGolden(t, strings.TrimSuffix(path, ".yaml")+".advice", []byte(list(cfg.Advice(), dir)))
		})
	}
}

// Each bad file has all its faults listed, in file order, in the golden file beside it.
func TestBadFilesAreRefusedWithEveryFault(t *testing.T) {
	dir := files(t)
	for path, text := range testdata(t, "bad/*.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			cfg, faults := read(t, dir, filepath.Base(path), text)
			golden := strings.TrimSuffix(path, ".yaml") + ".golden"
			got := list(faults, dir)
			if got == "" {
				t.Fatal("no faults")
			}
			compareGolden(t, golden, []byte(got))
			if strings.Contains(got, "hunter2") || strings.Contains(got, "s3cr3t") || strings.Contains(got, "priv4te") {
				t.Error("faults show a secret")
			}
			if parsed := !strings.HasPrefix(filepath.Base(path), "syntax-"); parsed != (cfg != nil) {
				t.Errorf("configuration returned: %t, want %t", cfg != nil, parsed)
			}
			for _, f := range faults {
				if f.Remedy == "" || f.Line == 0 || f.Column == 0 {
					t.Errorf("fault without remedy or place: %+v", f)
				}
			}
		})
	}
}

func compareGolden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s is not up to date (go test ./config -update rewrites it; look at the difference):\n%s", path, diff)
	}
}
