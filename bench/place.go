package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	issuer = "https://idp.example.com"
	secret = "a secret of the benchmark" //nolint:gosec // known to nobody but it
)

// A place is a configuration to start the binary with, and a key whose ID tokens it believes.
type place struct {
	binary, config string
	service, admin string // host:port
	key            *ecdsa.PrivateKey
}

func prepare(ctx context.Context, dir, binary string) (place, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return place{}, fmt.Errorf("make key: %w", err)
	}
	p := place{binary: binary, config: filepath.Join(dir, "chatpass.yaml"), key: key}
	if p.service, err = freeAddress(); err != nil {
		return place{}, err
	}
	if p.admin, err = freeAddress(); err != nil {
		return place{}, err
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"}}})
	if err != nil {
		return place{}, fmt.Errorf("encode key set: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "jwks.json"), set, 0o600); err != nil {
		return place{}, fmt.Errorf("write key set: %w", err)
	}
	made, err := exec.CommandContext(ctx, binary, "secret", "new", "-o", filepath.Join(dir, "master.json")).CombinedOutput()
	if err != nil {
		return place{}, fmt.Errorf("make master key: %w: %s", err, made)
	}
	return p, os.WriteFile(p.config, []byte(p.yaml(dir)), 0o600)
}

func (p place) yaml(dir string) string {
	return fmt.Sprintf(`issuer: http://%[1]s
listen: %[1]q
admin_listen: %[2]q
store: sqlite:%[3]s/chatpass.db
master_key: file:%[3]s/master.json
log: {level: error}
limits: {exchanges_per_minute_per_client: 0, contexts_per_minute_per_session: 0}
issuers: {corp: {issuer: %[4]s, client_id: chatpass, client_secret: env:SECRET, jwks: "file:%[3]s/jwks.json"}}
apps:
  support:
    audience: [https://api.example.com]
    issuers: [corp]
    origins: [%[5]s]
    claims: {name: claims.name}
    scopes: [chat:read]
    clients:
      back: {type: backend, auth: client_secret_basic, secret: env:SECRET, accepts: {corp: [shop-web]}}
      web: {type: browser, accepts: {corp: [shop-web]}}
`, p.service, p.admin, dir, issuer, page)
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// A running is the binary at work.
type running struct {
	cmd   *exec.Cmd
	ready time.Duration // from the start of the process to the first good /readyz
}

func start(ctx context.Context, p place) (*running, error) {
	cmd := exec.CommandContext(ctx, p.binary, "serve", "-c", p.config)
	cmd.Env = []string{"SECRET=" + secret}
	cmd.Stderr = os.Stderr
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	for time.Since(begun) < 10*time.Second {
		res, err := http.Get("http://" + p.admin + "/readyz")
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return &running{cmd, time.Since(begun)}, nil
			}
		}
		time.Sleep(200 * time.Microsecond)
	}
	return nil, errors.Join(errors.New("not ready after 10 s"), cmd.Process.Kill())
}

// memory is the resident set in bytes.
func (r *running) memory() (int, error) {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(r.cmd.Process.Pid) + "/status")
	if err != nil {
		return 0, fmt.Errorf("read memory: %w", err)
	}
	_, rest, ok := strings.Cut(string(status), "VmRSS:")
	fields := strings.Fields(rest)
	if !ok || len(fields) == 0 {
		return 0, errors.New("read memory: no VmRSS")
	}
	kb, err := strconv.Atoi(fields[0])
	return kb * 1024, err
}

// burnt is the processor time that the process has used so far.
func (r *running) burnt() (time.Duration, error) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(r.cmd.Process.Pid) + "/stat")
	if err != nil {
		return 0, fmt.Errorf("read processor time: %w", err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // the name before it may hold spaces
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, errors.New("read processor time: too few fields")
	}
	user, err := strconv.Atoi(fields[11])
	if err != nil {
		return 0, fmt.Errorf("read processor time: %w", err)
	}
	system, err := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond, err // proc(5): in hundredths of a second
}

func (r *running) stop() error {
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	if err := r.cmd.Wait(); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	return nil
}
