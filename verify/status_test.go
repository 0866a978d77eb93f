package verify_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chatpass/verify"
)

const (
	listPath = "/status/support.1"
	alive    = 4710
	ended    = 4711
)

// listed are the claims of a context whose session stands at a place of i's list.
func listed(i *issuer, now time.Time, index int) object {
	return with(claims(i.url, now), "status", object{"status_list": object{"idx": index, "uri": i.url + listPath}})
}

// list is i's status list as of a time, in which some sessions have ended.
func (i *issuer) list(t testing.TB, s signer, now time.Time, gone ...int) string {
	t.Helper()
	bits := make([]byte, 1<<17)
	for _, index := range gone {
		bits[index/8] |= 1 << (index % 8)
	}
	var packed bytes.Buffer
	w := zlib.NewWriter(&packed)
	if _, err := w.Write(bits); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return s.signList(t, object{
		"iss": i.url, "sub": i.url + listPath, "iat": now.Unix(), "exp": now.Add(24 * time.Hour).Unix(), "ttl": 60,
		"status_list": object{"bits": 1, "lst": base64.RawURLEncoding.EncodeToString(packed.Bytes())},
	})
}

func (s signer) signList(t testing.TB, claims object) string {
	return s.sign(t, encode(t, object{"alg": s.alg, "kid": s.kid, "typ": "statuslist+jwt"}), encode(t, claims))
}

// A hall is an issuer with a status list, at a time that the test moves.
type hall struct {
	*issuer
	key signer
	mu  sync.Mutex
	now time.Time
}

func newHall(t testing.TB) *hall {
	key := newSigner(t, "k1", "ES256")
	h := &hall{issuer: newIssuer(t, home, key), key: key, now: start()}
	h.publishList(t)
	return h
}

func (h *hall) publishList(t testing.TB, gone ...int) {
	list := h.list(t, h.key, h.clock(), gone...)
	h.change(func() { h.answers[listPath] = list })
}

func (h *hall) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *hall) advance(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

func (h *hall) verifier(t testing.TB, options ...verify.Option) *verify.Verifier {
	return verifier(t, h.issuer, append([]verify.Option{verify.WithClock(h.clock)}, options...)...)
}

// context is a fresh one of the session at a place.
func (h *hall) context(t testing.TB, index int) string {
	return h.key.good(t, listed(h.issuer, h.clock(), index))
}

func TestWhoHasEndedIsRefused(t *testing.T) {
	h := newHall(t)
	h.publishList(t, ended)
	v := h.verifier(t)
	h.advance(10 * time.Second)
	c, err := v.Verify(t.Context(), h.context(t, alive))
	if err != nil || c.StatusAge != 10*time.Second {
		t.Fatalf("got %v, %v", c, err)
	}
	_, err = v.Verify(t.Context(), h.context(t, ended))
	wantReason(t, err, verify.Revoked)
	h.wantAsked(t, listPath, 1)
}

// A sign-out is obeyed when the list that tells of it may be used no longer than its ttl.
func TestASignOutIsObeyedWithinTheTTL(t *testing.T) {
	h := newHall(t)
	v := h.verifier(t)
	if _, err := v.Verify(t.Context(), h.context(t, ended)); err != nil {
		t.Fatal(err)
	}
	h.publishList(t, ended)
	h.advance(time.Minute)
	_, err := v.Verify(t.Context(), h.context(t, ended))
	wantReason(t, err, verify.Revoked)
}

// Before the ttl has passed a newer list is fetched beside, and nobody waits.
func TestAListIsRefreshedBeside(t *testing.T) {
	h := newHall(t)
	v := h.verifier(t)
	if _, err := v.Verify(t.Context(), h.context(t, alive)); err != nil {
		t.Fatal(err)
	}
	h.publishList(t, ended)
	h.advance(59 * time.Second)
	deadline := time.Now().Add(10 * time.Second)
	for {
		_, err := v.Verify(t.Context(), h.context(t, ended))
		if err != nil {
			wantReason(t, err, verify.Revoked)
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the list is not refreshed")
		}
	}
	h.wantAsked(t, listPath, 2)
}

func TestTheLastListServesToItsEnd(t *testing.T) {
	h := newHall(t)
	v, lenient, strict := h.verifier(t), h.verifier(t, verify.AcceptUnknownStatus()), h.verifier(t, verify.MaxStatusAge(time.Hour))
	for _, each := range []*verify.Verifier{v, lenient, strict} {
		if _, err := each.Verify(t.Context(), h.context(t, alive)); err != nil {
			t.Fatal(err)
		}
	}
	h.change(func() { h.answers[listPath] = "<html>moved</html>" })
	for _, c := range []struct {
		after  time.Duration
		v      *verify.Verifier
		accept bool
	}{
		{59 * time.Minute, strict, true},
		{2 * time.Minute, strict, false},
		{0, v, true},
		{22*time.Hour + 58*time.Minute, v, true},
		{time.Minute, v, false},
		{0, lenient, true},
	} {
		h.advance(c.after)
		got, err := c.v.Verify(t.Context(), h.context(t, alive))
		if c.accept != (err == nil) || err != nil && !errors.Is(err, verify.ErrUnavailable) {
			t.Errorf("at %v: got %v, %v", h.clock().Sub(start()), got, err)
		}
	}
}

func TestAListThatCannotBeHadIsAskedForNowAndThen(t *testing.T) {
	h := newHall(t)
	v := h.verifier(t)
	if _, err := v.Verify(t.Context(), h.context(t, alive)); err != nil {
		t.Fatal(err)
	}
	h.change(func() { h.answers[listPath] = "" })
	h.advance(2 * time.Minute)
	for range 100 {
		if _, err := v.Verify(t.Context(), h.context(t, alive)); err != nil {
			t.Fatal(err)
		}
	}
	h.wantAsked(t, listPath, 2)
	h.advance(5 * time.Second)
	if _, err := v.Verify(t.Context(), h.context(t, alive)); err != nil {
		t.Fatal(err)
	}
	h.wantAsked(t, listPath, 3)
}

func TestManyAskForAListOnce(t *testing.T) {
	h := newHall(t)
	v := h.verifier(t)
	token := h.context(t, alive)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, err := v.Verify(t.Context(), token); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	h.wantAsked(t, listPath, 1)
}

// Only the issuer makes us fetch anything, and only from itself.
func TestNobodyElseMakesUsFetchAList(t *testing.T) {
	h := newHall(t)
	v := h.verifier(t)
	forged := h.context(t, alive)
	_, err := v.Verify(t.Context(), forged[:len(forged)-8]+"AAAAAAAA")
	wantReason(t, err, verify.Signature)
	expired := h.context(t, alive)
	h.advance(time.Hour)
	_, err = v.Verify(t.Context(), expired)
	wantReason(t, err, verify.Expired)
	for _, uri := range []string{"https://evil.example" + listPath, home + "/other/support.1", home + "/status/a/b", home + "/status/..", home + listPath + "?x", home + "/status/"} {
		status := object{"status_list": object{"idx": 1, "uri": uri}}
		_, err := v.Verify(t.Context(), h.key.good(t, with(claims(home, h.clock()), "status", status)))
		wantReason(t, err, verify.ClaimInvalid)
	}
	h.wantAsked(t, listPath, 0)
}

func TestFewListsAreKept(t *testing.T) {
	h := newHall(t)
	v := h.verifier(t, verify.AcceptUnknownStatus())
	ask := func(name string) {
		status := object{"status_list": object{"idx": 1, "uri": home + "/status/" + name}}
		if _, err := v.Verify(t.Context(), h.key.good(t, with(claims(home, h.clock()), "status", status))); err != nil {
			t.Fatal(err)
		}
	}
	ask("support.1")
	for i := range 64 {
		ask(fmt.Sprint("list.", i))
	}
	ask("support.1")
	h.wantAsked(t, listPath, 2)
}

func TestWhoLeavesWaitsForNoList(t *testing.T) {
	h := newHall(t)
	v := h.verifier(t)
	plain := h.key.good(t, claims(home, h.clock()))
	if _, err := v.Verify(t.Context(), plain); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := v.Verify(ctx, h.context(t, alive)); !errors.Is(err, verify.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	_, err := h.verifier(t, verify.RequireStatus()).Verify(t.Context(), plain)
	wantReason(t, err, verify.ClaimMissing)
}

func TestRunKeepsListsFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newSigner(t, "k1", "ES256")
		i := newIssuer(t, home, key)
		i.answers[listPath] = i.list(t, key, time.Now())
		v, err := verify.New(home, audience, verify.WithHTTPClient(&http.Client{Transport: i}))
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- v.Run(ctx) }()
		token := key.good(t, listed(i, time.Now(), ended))
		if _, err := v.Verify(ctx, token); err != nil {
			t.Fatal(err)
		}
		list := i.list(t, key, time.Now(), ended)
		i.change(func() { i.answers[listPath] = list })
		time.Sleep(55 * time.Second)
		synctest.Wait()
		i.change(func() { i.down = true })
		_, err = v.Verify(ctx, token)
		wantReason(t, err, verify.Revoked)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
