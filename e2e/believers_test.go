package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"chatpass/verify"
)

// haste is how many times as fast as usual the verifiers of a hasty site age: what they keep for half a
// minute they keep for six seconds.
const haste = 5

// A believer is a service that verifies contexts, for as long as a test runs, with one cache of keys.
type believer struct {
	name    string
	believe func(token string) error

	mu       sync.Mutex
	verified map[string]int // contexts by kid
}

// check verifies a context, and counts it.
func (b *believer) check(kid, token string) error {
	if err := b.believe(token); err != nil {
		return fmt.Errorf("%s: %w", b.name, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.verified[kid]++
	return nil
}

// count is how many contexts were verified, from how many keys.
func (b *believer) count() (contexts, kids int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, n := range b.verified {
		contexts += n
	}
	return contexts, len(b.verified)
}

// newBelievers are one verifier of each kind of cache: refetch on an unknown kid, the same with a
// cool-down, keep for the max-age and never ask meanwhile, and ours.
func newBelievers(t testing.TB, s site) []*believer {
	t.Helper()
	url := s.issuer + "/.well-known/jwks.json"
	var all []*believer
	for name, believe := range map[string]func(string) error{
		"go-oidc, asks for unknown keys":         goOIDC(t, s, gooidc.NewRemoteKeySet(t.Context(), url)),
		"go-oidc, keeps its keys to the max-age": goOIDC(t, s, &patientKeySet{url: url}),
		"jose, asks with a cool-down":            joseChild(t, s, url),
		"verify":                                 ours(t, s),
	} {
		all = append(all, &believer{name: name, believe: believe, verified: map[string]int{}})
	}
	return all
}

func goOIDC(t testing.TB, s site, keys gooidc.KeySet) func(string) error {
	verifier := gooidc.NewVerifier(s.issuer, keys, &gooidc.Config{ClientID: audience, SupportedSigningAlgs: []string{gooidc.ES256}})
	return func(token string) error {
		_, err := verifier.Verify(t.Context(), token)
		return err
	}
}

// ours is package verify with a clock that runs ahead, which its leeway of five minutes allows for a
// minute.
func ours(t testing.TB, s site) func(string) error {
	start := time.Now()
	hasty := func() time.Time { return start.Add(haste * time.Since(start)) }
	verifier, err := verify.New(s.issuer, audience, verify.WithClock(hasty), verify.WithLeeway(5*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	return func(token string) error {
		_, err := verifier.Verify(t.Context(), token)
		return err
	}
}

// joseChild is npm jose in a process of its own that is asked line by line.
func joseChild(t testing.TB, s site, url string) func(string) error {
	t.Helper()
	node := exec.CommandContext(t.Context(), "node", "jose/verify.mjs", s.issuer, url, audience, strconv.Itoa(haste))
	node.Stderr = os.Stderr
	in, err := node.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = node.Wait() // killed with the test's context, if it was not done
	})
	var turn sync.Mutex
	answers := bufio.NewReader(out)
	ask := func(token string) error {
		turn.Lock()
		defer turn.Unlock()
		if _, err := io.WriteString(in, token+"\n"); err != nil {
			return err
		}
		line, err := answers.ReadBytes('\n')
		if err != nil {
			return err
		}
		var said struct{ Error string }
		if err := json.Unmarshal(line, &said); err != nil || said.Error != "" {
			return cmpErr(err, errors.New(said.Error))
		}
		return nil
	}
	if ask("") == nil { // it is up when it answers
		t.Fatal("jose believes nothing at all")
	}
	return ask
}

func cmpErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// A patientKeySet asks for keys when those it has are older than twice the max-age they came with, and
// for no other reason: it is as late as a verifier behind a cache of that kind.
type patientKeySet struct {
	url string

	mu    sync.Mutex
	keys  map[string]jose.JSONWebKey
	stale time.Time
}

// VerifySignature implements [gooidc.KeySet].
func (p *patientKeySet) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return nil, err
	}
	key, err := p.key(ctx, jws.Signatures[0].Header.KeyID)
	if err != nil {
		return nil, err
	}
	return jws.Verify(key)
}

func (p *patientKeySet) key(ctx context.Context, kid string) (jose.JSONWebKey, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Now().After(p.stale) {
		if err := p.fetch(ctx); err != nil {
			return jose.JSONWebKey{}, err
		}
	}
	key, ok := p.keys[kid]
	if !ok {
		return jose.JSONWebKey{}, fmt.Errorf("key %s is unknown", kid)
	}
	return key, nil
}

func (p *patientKeySet) fetch(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
	if err != nil {
		return err
	}
	asked := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var set jose.JSONWebKeySet
	var seconds int
	_, afterMaxAge, _ := strings.Cut(resp.Header.Get("Cache-Control"), "max-age=")
	_, err = fmt.Sscan(strings.ReplaceAll(afterMaxAge, ",", " "), &seconds)
	if err := cmpErr(err, json.NewDecoder(resp.Body).Decode(&set)); err != nil {
		return fmt.Errorf("read key set: %w", err)
	}
	p.keys, p.stale = map[string]jose.JSONWebKey{}, asked.Add(2*time.Duration(seconds)*time.Second)
	for _, k := range set.Keys {
		p.keys[k.KeyID] = k
	}
	return nil
}
