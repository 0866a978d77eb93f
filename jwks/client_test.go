package jwks_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"chatpass/jwks"
)

func guarded(t *testing.T, cfg jwks.ClientConfig) *http.Client {
	client := jwks.NewClient(cfg)
	t.Cleanup(client.CloseIdleConnections)
	return client
}

func get(t *testing.T, client *http.Client, url string) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err == nil {
		resp.Body.Close()
	}
	return resp, err
}

// Nothing listens at these addresses; what matters is that the refusal comes before any dialling.
func TestForbiddenAddressIsNeverDialled(t *testing.T) {
	always := []string{
		"169.254.169.254", "169.254.0.1", "[fe80::1]", "[fe80::1%25eth0]", "0.0.0.0", "[::]", "224.0.0.1", "[ff02::1]",
		"255.255.255.255", "240.0.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192", "[fd00:ec2::254]", "[fd20:ce::254]",
		"[::ffff:169.254.169.254]", "[::169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::a9fe:a9fe]",
		"[64:ff9b:1:a9fe:a9:fe00::]", "[2002:a9fe:a9fe::]", "[2001:0:a9fe:a9fe::]", "[2001:0:1:1::5601:5601]",
	}
	private := []string{
		"127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "198.18.0.1",
		"[fd12::1]", "[fec0::1]", "[64:ff9b::a00:1]", "[64:ff9b:1::808:808]", "[2002:a00:1::]", "[::10.0.0.1]", "localhost:1",
	}
	for _, host := range always {
		_, err := get(t, guarded(t, jwks.ClientConfig{AllowPrivate: true, AllowHTTP: true}), "https://"+host+"/")
		if err == nil || !strings.Contains(err.Error(), "refused link-local or metadata") && !strings.Contains(err.Error(), "refused reserved") {
			t.Errorf("%s with private addresses allowed: got %v", host, err)
		}
	}
	for _, host := range append(always, private...) {
		_, err := get(t, guarded(t, jwks.ClientConfig{AllowHTTP: true}), "https://"+host+"/")
		if err == nil || !strings.Contains(err.Error(), "refused ") || strings.Contains(err.Error(), "connection refused") {
			t.Errorf("%s: got %v", host, err)
		}
	}
}

func TestNameOfAForbiddenAddressIsCheckedWhenDialled(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(server.URL, "http://"), ":")
	if _, err := get(t, guarded(t, jwks.ClientConfig{AllowPrivate: true}), "http://localhost:"+port); err != nil {
		t.Errorf("loopback allowed: %v", err)
	}
	if _, err := get(t, guarded(t, jwks.ClientConfig{}), "http://localhost:"+port); err == nil {
		t.Error("loopback not allowed: got an answer")
	}
}

func TestPlainHTTPStopsAtLoopback(t *testing.T) {
	client := guarded(t, jwks.ClientConfig{AllowPrivate: true})
	for _, target := range []string{"http://example.com/", "http://10.0.0.1/", "http://localhost.example.com/", "ftp://localhost/", "file:///etc/passwd"} {
		if _, err := get(t, client, target); err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("%s: got %v", target, err)
		}
	}
}

func TestRedirectsStayOnTheHost(t *testing.T) {
	var foreign atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { foreign.Add(1) }))
	defer other.Close()
	mux := http.NewServeMux()
	mux.Handle("/abroad", http.RedirectHandler(other.URL, http.StatusFound))
	for hop := range 5 {
		mux.Handle(fmt.Sprint("/", hop+1), http.RedirectHandler(fmt.Sprint("/", hop), http.StatusFound))
	}
	mux.HandleFunc("/0", func(http.ResponseWriter, *http.Request) {})
	server := httptest.NewServer(mux)
	defer server.Close()
	client := guarded(t, jwks.ClientConfig{AllowPrivate: true})
	for path, ok := range map[string]bool{"/3": true, "/4": false, "/abroad": false} {
		if _, err := get(t, client, server.URL+path); (err == nil) != ok {
			t.Errorf("%s: got %v, want success %v", path, err, ok)
		}
	}
	if _, err := client.Post(server.URL+"/1", "text/plain", strings.NewReader("secret")); err == nil {
		t.Error("a POST was redirected")
	}
	if foreign.Load() != 0 {
		t.Error("the other host was asked")
	}
}

func TestClientIgnoresProxyVariablesAndCookies(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
		if len(r.Cookies()) > 0 {
			w.WriteHeader(http.StatusTeapot)
		}
	}))
	defer server.Close()
	client := guarded(t, jwks.ClientConfig{AllowPrivate: true})
	for range 2 {
		if resp, err := get(t, client, server.URL); err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("got %v, %v", resp, err)
		}
	}
}

func TestConfiguredProxyIsUsedAndLiteralsStillChecked(t *testing.T) {
	var asked atomic.Pointer[string]
	proxy := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked.Store(&r.RequestURI)
	}))
	defer proxy.Close()
	address, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := guarded(t, jwks.ClientConfig{Proxy: address, AllowHTTP: true})
	if _, err := get(t, client, "http://idp.example/keys"); err != nil {
		t.Error(err)
	}
	if got := asked.Load(); got == nil || *got != "http://idp.example/keys" {
		t.Errorf("proxy was asked for %v", got)
	}
	if _, err := get(t, client, "http://169.254.169.254/latest"); err == nil {
		t.Error("a metadata address was asked for through the proxy")
	}
}

func TestFailedGetIsTriedOnceMoreAndAPostNever(t *testing.T) {
	var calls atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1); r.URL.Path == "/always" || calls.Load() == 1 {
			panic(http.ErrAbortHandler)
		}
	}))
	defer server.Close()
	client := guarded(t, jwks.ClientConfig{AllowPrivate: true})
	if _, err := get(t, client, server.URL); err != nil || calls.Load() != 2 {
		t.Errorf("get: %v after %d calls, want success after 2", err, calls.Load())
	}
	client.CloseIdleConnections() // net/http by itself repeats what a stale connection lost
	calls.Store(0)
	if _, err := get(t, client, server.URL+"/always"); err == nil || calls.Load() != 2 {
		t.Errorf("get: %v after %d calls, want an error after 2", err, calls.Load())
	}
	calls.Store(0)
	if _, err := client.Post(server.URL, "text/plain", strings.NewReader("code")); err == nil || calls.Load() != 1 {
		t.Errorf("post: %v after %d calls, want an error after 1", err, calls.Load())
	}
}

func TestSilentServerIsGivenUpInTime(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	started := time.Now()
	_, err := get(t, guarded(t, jwks.ClientConfig{AllowPrivate: true, Timeout: 100 * time.Millisecond}), server.URL)
	if err == nil || time.Since(started) > 3*time.Second {
		t.Errorf("got %v after %v", err, time.Since(started))
	}
}

func TestReadBodyStopsAtTheLimit(t *testing.T) {
	endless := &countingReader{}
	for _, length := range []int64{-1, 50 << 20} {
		resp := &http.Response{Body: endless, ContentLength: length}
		if _, err := jwks.ReadBody(resp, 1000); err == nil {
			t.Error("got no error")
		}
	}
	if endless.read > 1001 || endless.closed != 2 {
		t.Errorf("read %d bytes and closed %d times, want at most 1001 and 2", endless.read, endless.closed)
	}
	resp := &http.Response{Body: io.NopCloser(strings.NewReader("1234")), ContentLength: -1}
	if body, err := jwks.ReadBody(resp, 4); err != nil || string(body) != "1234" {
		t.Errorf("got %q, %v", body, err)
	}
	resp = &http.Response{Body: io.NopCloser(failing{}), ContentLength: -1}
	if _, err := jwks.ReadBody(resp, 4); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

type countingReader struct {
	read   int64
	closed int
}

func (r *countingReader) Read(p []byte) (int, error) { r.read += int64(len(p)); return len(p), nil }
func (r *countingReader) Close() error               { r.closed++; return nil }

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, context.DeadlineExceeded }
