package verify_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"chatpass/verify"
)

// packed is a list in which no session has ended, compressed.
func packed(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	if _, err := w.Write(make([]byte, 1<<17)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func bitsOf(lst []byte) object {
	return object{"bits": 1, "lst": base64.RawURLEncoding.EncodeToString(lst)}
}

// listClaims are those of a good list, with one changed.
func listClaims(t testing.TB, name string, value any) object {
	now := start()
	return with(object{
		"iss": home, "sub": home + listPath, "iat": now.Unix(), "exp": now.Add(24 * time.Hour).Unix(), "ttl": 60,
		"status_list": bitsOf(packed(t)),
	}, name, value)
}

// The issuer itself may sign nonsense: no list of it ends the program, or the sessions.
func TestNoListOfTheIssuerDoesHarm(t *testing.T) {
	good := packed(t)
	tests := []struct {
		name   string
		claim  string
		value  any
		accept bool
	}{
		{"good", "x", 1, true},
		{"ttl 0", "ttl", 0, true},
		{"ttl negative", "ttl", -5, true},
		{"ttl of a nanosecond", "ttl", 1e-9, true},
		{"ttl of 8000 years", "ttl", 252_000_000_000, true},
		{"ttl beyond an int64", "ttl", 1e300, true},
		{"ttl a string", "ttl", "60", false},
		{"iat at the leeway", "iat", start().Add(time.Minute).Unix(), true},
		{"iat beyond it", "iat", start().Add(61 * time.Second).Unix(), false},
		{"no iat", "iat", nil, false},
		{"expires now", "exp", start().Unix(), false},
		{"expires in a second", "exp", start().Unix() + 1, true},
		{"sub another list's", "sub", home + "/status/support.2", false},
		{"iss another's", "iss", "https://evil.example", false},
		{"bits a string", "status_list", with(bitsOf(good), "bits", "1"), false},
		{"bits 0", "status_list", with(bitsOf(good), "bits", 0), false},
		{"bits 3", "status_list", with(bitsOf(good), "bits", 3), false},
		{"bits 16", "status_list", with(bitsOf(good), "bits", 16), false},
		{"empty", "status_list", bitsOf(nil), false},
		{"no checksum", "status_list", bitsOf(good[:len(good)-4]), false},
		{"wrong checksum", "status_list", bitsOf(append(bytes.Clone(good[:len(good)-1]), good[len(good)-1]^1)), false},
		{"a byte behind it", "status_list", bitsOf(append(bytes.Clone(good), 0)), false},
		{"padded", "status_list", object{"bits": 1, "lst": base64.URLEncoding.EncodeToString(good) + "="}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newHall(t)
			h.answers[listPath] = h.key.signList(t, listClaims(t, test.claim, test.value))
			_, err := h.verifier(t).Verify(t.Context(), h.context(t, alive))
			if test.accept != (err == nil) {
				t.Errorf("got %v, want accepted %v", err, test.accept)
			}
			if !test.accept {
				wantUnavailable(t, err)
			}
		})
	}
}

func TestNoAgeIsTooShortToWorkWith(t *testing.T) {
	h := newHall(t)
	if _, err := h.verifier(t, verify.MaxStatusAge(1)).Verify(t.Context(), h.context(t, alive)); err != nil {
		t.Error(err)
	}
}

// A replica of the issuer that lags behind must not bring a session back.
func TestAnOlderListBringsNobodyBack(t *testing.T) {
	h := newHall(t)
	before := h.answers[listPath]
	v := h.verifier(t)
	h.advance(time.Second)
	h.publishList(t, ended)
	for range 3 {
		_, err := v.Verify(t.Context(), h.context(t, ended))
		wantReason(t, err, verify.Revoked)
		h.change(func() { h.answers[listPath] = before })
		h.advance(2 * time.Minute)
	}
	h.wantAsked(t, listPath, 3)
}

// What a server may do to somebody who asks it for a list.
func TestAServerCannotHarmWhoAsksForAList(t *testing.T) {
	key := newSigner(t, "k1", "ES256")
	now := time.Now()
	var elsewhere bool
	abroad := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere = true }))
	t.Cleanup(abroad.Close)
	megabytes := func(w http.ResponseWriter, n int) {
		for range n {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				return
			}
		}
	}
	for name, answer := range map[string]http.HandlerFunc{
		"50 MB": func(w http.ResponseWriter, _ *http.Request) { megabytes(w, 50) },
		"HTML": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "<html><body>Sign in</body></html>")
		},
		"404":                func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) },
		"500":                func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"204":                func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"304":                func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) },
		"redirect abroad":    http.RedirectHandler(abroad.URL+listPath, http.StatusFound).ServeHTTP,
		"redirects for ever": http.RedirectHandler(listPath, http.StatusFound).ServeHTTP,
		"hangs up":           func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t, "", key)
			mux := http.NewServeMux()
			mux.Handle("/", i)
			mux.Handle(listPath, answer)
			server := httptest.NewServer(mux)
			defer server.Close()
			i.url, i.metadata = server.URL, object{"issuer": server.URL, "jwks_uri": server.URL + keysPath}
			v, err := verify.New(i.url, audience)
			if err != nil {
				t.Fatal(err)
			}
			got, err := v.Verify(t.Context(), key.good(t, listed(i, now, alive)))
			if wantUnavailable(t, err); got != nil || elsewhere {
				t.Errorf("got %v, elsewhere %v", got, elsewhere)
			}
		})
	}
}

// A silent transport never answers for the list, once it is told to be silent.
type silent struct {
	*issuer
	now bool
}

func (s *silent) RoundTrip(req *http.Request) (*http.Response, error) {
	if s.now && req.URL.Path == listPath {
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	return s.issuer.RoundTrip(req)
}

// With a list to fall back on a request waits two seconds for a newer one, without one as long as a fetch
// takes, and never longer than its own context.
func TestAServerThatNeverAnswersCostsLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newSigner(t, "k1", "ES256")
		i := newIssuer(t, home, key)
		i.answers[listPath] = i.list(t, key, time.Now())
		s := &silent{issuer: i}
		v := verifier(t, i, verify.WithClock(time.Now), verify.WithHTTPClient(&http.Client{Transport: s}))
		ask := func(ctx context.Context, v *verify.Verifier) (time.Duration, error) {
			began := time.Now()
			_, err := v.Verify(ctx, key.good(t, listed(i, time.Now(), alive)))
			return time.Since(began), err
		}
		if took, err := ask(t.Context(), v); took != 0 || err != nil {
			t.Fatalf("got %v after %v", err, took)
		}
		s.now = true
		time.Sleep(2 * time.Minute)
		if took, err := ask(t.Context(), v); took != 2*time.Second || err != nil {
			t.Errorf("with a list: got %v after %v", err, took)
		}
		fresh := verifier(t, i, verify.WithClock(time.Now), verify.WithHTTPClient(&http.Client{Transport: s}))
		if took, err := ask(t.Context(), fresh); took != 5*time.Second || !errors.Is(err, verify.ErrUnavailable) {
			t.Errorf("without: got %v after %v", err, took)
		}
		time.Sleep(time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if took, err := ask(ctx, fresh); took != time.Second || !errors.Is(err, verify.ErrUnavailable) {
			t.Errorf("in a hurry: got %v after %v", err, took)
		}
		time.Sleep(time.Minute) // what is under way ends
	})
}
