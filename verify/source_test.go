package verify_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chatpass/jwks"
	"chatpass/verify"
)

func TestNothingIsAskedBeforeTheFirstContext(t *testing.T) {
	key := newSigner(t, "k1", "EdDSA")
	i := newIssuer(t, home, key)
	v := verifier(t, i)
	i.wantAsked(t, metadataPath, 0)
	_, err := v.Verify(t.Context(), "not.a.token")
	wantReason(t, err, verify.Malformed)
	i.wantAsked(t, metadataPath, 0)
	for range 10 {
		if _, err := v.Verify(t.Context(), key.good(t, claims(home, start()))); err != nil {
			t.Fatal(err)
		}
	}
	i.wantAsked(t, metadataPath, 1)
	i.wantAsked(t, keysPath, 1)
}

func TestManyAtOnceAskOnce(t *testing.T) {
	key := newSigner(t, "k1", "ES256")
	i := serve(t, key)
	v := verifier(t, i, verify.WithHTTPClient(client(t)))
	token := key.good(t, claims(i.url, start()))
	var wait sync.WaitGroup
	for range 50 {
		wait.Go(func() {
			if _, err := v.Verify(t.Context(), token); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	i.wantAsked(t, metadataPath, 1)
	i.wantAsked(t, keysPath, 1)
}

func TestDefaultClientReachesAnIssuerOnLoopback(t *testing.T) {
	key := newSigner(t, "k1", "ES256")
	i := serve(t, key)
	guarded := jwks.NewClient(jwks.ClientConfig{AllowPrivate: true}) // what New makes, kept here so that it can be closed
	t.Cleanup(guarded.CloseIdleConnections)
	if _, err := verifier(t, i, verify.WithHTTPClient(guarded)).Verify(t.Context(), key.good(t, claims(i.url, start()))); err != nil {
		t.Error(err)
	}
}

// The well-known path goes between host and path, not after the path (RFC 8414 §3.1).
func TestMetadataOfAnIssuerWithAPath(t *testing.T) {
	key := newSigner(t, "k1", "EdDSA")
	for path, asked := range map[string]string{
		"": metadataPath, "/": metadataPath, "/a": metadataPath + "/a", "/a/": metadataPath + "/a", "/a/b%20c": metadataPath + "/a/b c",
	} {
		i := newIssuer(t, home+path, key)
		i.answers[asked] = fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, i.url, home+keysPath)
		if _, err := verifier(t, i).Verify(t.Context(), key.good(t, claims(i.url, start()))); err != nil {
			t.Errorf("path %q: %v", path, err)
		}
		i.wantAsked(t, asked, 1)
	}
}

func TestWhatCannotBeToldIsNoRejection(t *testing.T) {
	key := newSigner(t, "k1", "EdDSA")
	metadata := func(answer string) func(*issuer) { return func(i *issuer) { i.answers[metadataPath] = answer } }
	keys := func(answer string) func(*issuer) { return func(i *issuer) { i.answers[keysPath] = answer } }
	tests := map[string]func(*issuer){
		"issuer down":                     func(i *issuer) { i.down = true },
		"metadata HTML":                   metadata("<html>"),
		"metadata empty":                  metadata("{}"),
		"metadata of another issuer":      metadata(`{"issuer":"` + home + `/","jwks_uri":"` + home + keysPath + `"}`),
		"metadata names its issuer twice": metadata(`{"issuer":"https://evil.example","issuer":"` + home + `","jwks_uri":"` + home + keysPath + `"}`),
		"metadata in capitals":            metadata(`{"ISSUER":"` + home + `","jwks_uri":"` + home + keysPath + `"}`),
		"keys elsewhere":                  metadata(`{"issuer":"` + home + `","jwks_uri":"https://evil.example/keys"}`),
		"keys on another port":            metadata(`{"issuer":"` + home + `","jwks_uri":"` + home + `:8443/keys"}`),
		"keys over plain http":            metadata(`{"issuer":"` + home + `","jwks_uri":"http://chat-auth.example.com/keys"}`),
		"keys of a user":                  metadata(`{"issuer":"` + home + `","jwks_uri":"https://a@chat-auth.example.com/keys"}`),
		"keys nowhere":                    metadata(`{"issuer":"` + home + `"}`),
		"metadata endless":                func(i *issuer) { i.answers[metadataPath] = fmt.Sprintf(`{"pad":"%100000d"}`, 1) },
		"keys HTML":                       keys("<html>"),
		"keys endless":                    func(i *issuer) { i.answers[keysPath] = fmt.Sprintf(`{"keys":[],"pad":"%600000d"}`, 1) },
		"two keys of one id":              func(i *issuer) { i.keys = append(i.keys, i.keys[0]) },
	}
	for name, breakIt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := newIssuer(t, home, key)
				i.change(func() { breakIt(i) })
				v := verifier(t, i, verify.WithClock(time.Now))
				token := key.good(t, claims(home, time.Now()))
				for range 3 {
					_, err := v.Verify(t.Context(), token)
					wantUnavailable(t, err)
				}
				i.change(func() { i.down, i.answers, i.keys = false, nil, []object{key.jwk(t)} })
				time.Sleep(2 * time.Second)
				if _, err := v.Verify(t.Context(), token); err != nil {
					t.Errorf("after it was mended: %v", err)
				}
			})
		})
	}
}

func TestMetadataIsAskedForOnceASecondWhileItFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newSigner(t, "k1", "EdDSA")
		i := newIssuer(t, home, key)
		i.down = true
		v := verifier(t, i, verify.WithClock(time.Now))
		token := key.good(t, claims(home, time.Now()))
		for range 100 {
			_, err := v.Verify(t.Context(), token)
			wantUnavailable(t, err)
		}
		i.wantAsked(t, metadataPath, 1)
		time.Sleep(time.Second)
		_, err := v.Verify(t.Context(), token)
		wantUnavailable(t, err)
		i.wantAsked(t, metadataPath, 2)
	})
}

// slow answers when it is told to.
type slow struct {
	*issuer
	answer chan struct{}
}

func (s slow) RoundTrip(req *http.Request) (*http.Response, error) {
	select {
	case <-s.answer:
		return s.issuer.RoundTrip(req)
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
}

func TestOneCallersEndIsNotTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newSigner(t, "k1", "EdDSA")
		s := slow{newIssuer(t, home, key), make(chan struct{})}
		v := verifier(t, s.issuer, verify.WithClock(time.Now), verify.WithHTTPClient(&http.Client{Transport: s}))
		token := key.good(t, claims(home, time.Now()))
		ctx, cancel := context.WithCancel(t.Context())
		impatient, patient := make(chan error, 2), make(chan error, 1)
		for range 2 {
			go func() { _, err := v.Verify(ctx, token); impatient <- err }()
		}
		synctest.Wait()
		go func() { _, err := v.Verify(t.Context(), token); patient <- err }()
		synctest.Wait()
		cancel()
		for range 2 {
			if err := <-impatient; !errors.Is(err, verify.ErrUnavailable) || !errors.Is(err, context.Canceled) {
				t.Errorf("impatient: got %v", err)
			}
		}
		close(s.answer)
		if err := <-patient; err != nil {
			t.Errorf("patient: %v", err)
		}
	})
}

func TestNewKeyIsFoundAtOnceAndStrangeKeysCauseFewFetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, fresh := newSigner(t, "k1", "EdDSA"), newSigner(t, "k2", "EdDSA")
		i := newIssuer(t, home, old)
		v := verifier(t, i, verify.WithClock(time.Now))
		if _, err := v.Verify(t.Context(), old.good(t, claims(home, time.Now()))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Second)
		i.publish(t, old, fresh)
		if _, err := v.Verify(t.Context(), fresh.good(t, claims(home, time.Now()))); err != nil {
			t.Errorf("new key: %v", err)
		}
		i.wantAsked(t, keysPath, 2)
		stranger := newSigner(t, "", "EdDSA")
		for n := range 1000 {
			stranger.kid = fmt.Sprint("stranger-", n)
			_, err := v.Verify(t.Context(), stranger.good(t, claims(home, time.Now())))
			wantReason(t, err, verify.UnknownKey)
			time.Sleep(20 * time.Millisecond)
		}
		i.wantAsked(t, keysPath, 2)
	})
}

func TestIssuerThatIsDownIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newSigner(t, "k1", "EdDSA")
		i := newIssuer(t, home, key)
		v := verifier(t, i, verify.WithClock(time.Now))
		for n := range 200 {
			if _, err := v.Verify(t.Context(), key.good(t, claims(home, time.Now()))); err != nil {
				t.Fatal(err)
			}
			i.change(func() { i.down = n > 0 })
			time.Sleep(time.Second)
		}
		i.wantAsked(t, keysPath, 1+5) // after 60, 90, 120, 150 and 180 s
	})
}

// In the cool-down nobody knows whether a key is new, unless the fetch before it was good.
func TestUnknownKeyDuringAnOutageIsNoRejection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, fresh := newSigner(t, "k1", "EdDSA"), newSigner(t, "k2", "EdDSA")
		i := newIssuer(t, home, old)
		v := verifier(t, i, verify.WithClock(time.Now))
		if _, err := v.Verify(t.Context(), old.good(t, claims(home, time.Now()))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		i.change(func() { i.down = true })
		for range 3 {
			_, err := v.Verify(t.Context(), fresh.good(t, claims(home, time.Now())))
			wantUnavailable(t, err)
		}
	})
}

func TestWithdrawnKeyIsRefusedAfterAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newSigner(t, "k1", "EdDSA")
		i := newIssuer(t, home, key)
		v := verifier(t, i, verify.WithClock(time.Now))
		token := key.good(t, claims(home, time.Now()))
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		i.publish(t)
		time.Sleep(59 * time.Second)
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Errorf("before: %v", err)
		}
		time.Sleep(time.Second)
		_, _ = v.Verify(t.Context(), token) // does not wait for the refresh that it causes
		synctest.Wait()
		_, err := v.Verify(t.Context(), token)
		wantReason(t, err, verify.UnknownKey)
	})
}

func TestFirstContextAfterAPauseWaitsForFreshKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newSigner(t, "k1", "EdDSA")
		i := newIssuer(t, home, key)
		v := verifier(t, i, verify.WithClock(time.Now))
		token := key.good(t, claims(home, time.Now()))
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		i.publish(t)
		time.Sleep(5 * time.Minute)
		_, err := v.Verify(t.Context(), token)
		wantReason(t, err, verify.UnknownKey)
	})
}

func TestWeakKeyBesideAGoodOneIsNoOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key, stranger := newSigner(t, "k1", "EdDSA"), newSigner(t, "k9", "EdDSA")
		i := newIssuer(t, home, key)
		i.keys = append(i.keys, object{"kty": "RSA", "kid": "weak", "alg": "RS256", "n": "AQAB", "e": "AQAB"})
		v := verifier(t, i, verify.WithClock(time.Now))
		for range 2 {
			_, err := v.Verify(t.Context(), stranger.good(t, claims(home, time.Now())))
			wantReason(t, err, verify.UnknownKey)
		}
	})
}

func TestKeysServeADayWithoutTheirIssuer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newSigner(t, "k1", "EdDSA")
		i := newIssuer(t, home, key)
		v := verifier(t, i, verify.WithClock(time.Now))
		check := func() error {
			_, err := v.Verify(t.Context(), key.good(t, claims(home, time.Now())))
			return err
		}
		if err := check(); err != nil {
			t.Fatal(err)
		}
		i.change(func() { i.down = true })
		for range 24*60 - 1 {
			time.Sleep(time.Minute)
			if err := check(); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		wantUnavailable(t, check())
		i.change(func() { i.down = false })
		time.Sleep(time.Minute)
		if err := check(); err != nil {
			t.Errorf("after the outage: %v", err)
		}
	})
}

func TestDuplicateKeyIDLeavesTheLastGoodKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key, evil := newSigner(t, "k1", "EdDSA"), newSigner(t, "k1", "EdDSA")
		i := newIssuer(t, home, key)
		v := verifier(t, i, verify.WithClock(time.Now))
		for range 5 {
			if _, err := v.Verify(t.Context(), key.good(t, claims(home, time.Now()))); err != nil {
				t.Error(err)
			}
			_, err := v.Verify(t.Context(), evil.good(t, claims(home, time.Now())))
			wantReason(t, err, verify.Signature)
			i.publish(t, key, evil)
			time.Sleep(2 * time.Minute)
		}
	})
}

func TestKeyWithoutAlgorithmVerifiesNothing(t *testing.T) {
	key := newSigner(t, "k1", "EdDSA")
	i := newIssuer(t, home, key)
	delete(i.keys[0], "alg")
	_, err := verifier(t, i).Verify(t.Context(), key.good(t, claims(home, start())))
	wantReason(t, err, verify.UnknownKey)
}

func TestRunKeepsKeysFreshWithoutRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newSigner(t, "k1", "EdDSA")
		i := newIssuer(t, home, key)
		v := verifier(t, i, verify.WithClock(time.Now))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- v.Run(ctx) }()
		synctest.Wait()
		i.wantAsked(t, keysPath, 1)
		time.Sleep(time.Hour)
		i.mu.Lock()
		if n := i.asked[keysPath]; n < 60 || n > 90 {
			t.Errorf("asked %d times in an hour", n)
		}
		i.mu.Unlock()
		i.publish(t)
		time.Sleep(time.Minute)
		_, err := v.Verify(t.Context(), key.good(t, claims(home, time.Now())))
		wantReason(t, err, verify.UnknownKey)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

func TestRunStartsWhileTheIssuerIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newSigner(t, "k1", "EdDSA")
		i := newIssuer(t, home, key)
		i.down = true
		v := verifier(t, i, verify.WithClock(time.Now))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go v.Run(ctx)
		time.Sleep(time.Hour)
		i.change(func() { i.down = false })
		time.Sleep(30 * time.Second)
		synctest.Wait()
		i.change(func() { i.down = true })
		if _, err := v.Verify(t.Context(), key.good(t, claims(home, time.Now()))); err != nil {
			t.Error(err)
		}
	})
}
