package e2e_test

import (
	"bytes"
	"compress/zlib"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"chatpass/verify"
)

// A placed context says where its session can be looked up.
type placed struct {
	Status struct {
		List struct {
			Index int    `json:"idx"`
			URI   string `json:"uri"`
		} `json:"status_list"`
	} `json:"status"`
}

func placeOf(t testing.TB, token string) placed {
	t.Helper()
	var p placed
	readPart(t, token, &p)
	if p.Status.List.URI == "" {
		t.Fatal("the context says nothing of a status list")
	}
	return p
}

// readPart reads the payload of a token, whoever signed it.
func readPart(t testing.TB, token string, v any) {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(payload, v); err != nil {
		t.Fatal(err)
	}
}

// hasEnded reads the bit of a place at one replica.
func (s site) hasEnded(t testing.TB, p placed) (bool, error) {
	t.Helper()
	resp, err := http.Get(s.at + "/status/" + p.Status.List.URI[strings.LastIndex(p.Status.List.URI, "/")+1:])
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return false, fmt.Errorf("list: status %d, %w", resp.StatusCode, err)
	}
	var list struct {
		List struct {
			List string `json:"lst"`
		} `json:"status_list"`
	}
	readPart(t, string(body), &list)
	packed, err := base64.RawURLEncoding.DecodeString(list.List.List)
	if err != nil {
		return false, err
	}
	unpack, err := zlib.NewReader(bytes.NewReader(packed))
	if err != nil {
		return false, err
	}
	bits, err := io.ReadAll(unpack)
	if err != nil {
		return false, err
	}
	at := p.Status.List.Index
	return bits[at/8]>>(at%8)&1 == 1, nil
}

// Whatever ends a session at one replica is in the list of every replica soon: within a second or so, on a
// machine that is not overloaded.
func TestReplicasPublishWhoHasEnded(t *testing.T) {
	f := newFleet(t)
	var mu sync.Mutex
	var took []time.Duration
	for i := range 10 {
		var rounds sync.WaitGroup
		for _, way := range signOuts {
			rounds.Go(func() {
				one := f.publishes(t, f.replicas[i%3], way.end)
				mu.Lock()
				defer mu.Unlock()
				took = append(took, one)
			})
		}
		rounds.Wait()
	}
	slices.Sort(took)
	if last := took[len(took)-1]; last > 6*time.Second {
		t.Errorf("published by all after %v", last)
	}
	t.Logf("published by all after p50 %v, at most %v", took[len(took)/2], took[len(took)-1])
}

// publishes returns how long it takes from a sign-out at r until every replica publishes it.
func (f *fleet) publishes(t *testing.T, r *replica, prepare func(testing.TB, *fleet, visitor) func(*replica) answer) time.Duration {
	v, _ := r.signIn(t, "person-"+rand.Text())
	v = v.held(t)
	at := placeOf(t, v.renew(t).Context.Token)
	end := prepare(t, f, v)
	for _, each := range f.replicas {
		eventually(t, func() error { return each.wantEnded(t, at, false) })
	}
	begun := time.Now()
	end(r).want(t, http.StatusOK)
	for _, each := range f.replicas {
		eventually(t, func() error { return each.wantEnded(t, at, true) })
	}
	return time.Since(begun)
}

func (r *replica) wantEnded(t testing.TB, at placed, want bool) error {
	ended, err := r.hasEnded(t, at)
	if err == nil && ended != want {
		err = fmt.Errorf("the bit says %v", ended)
	}
	return err
}

// The lists come from memory while the database is away, and say when they were true.
func TestReplicasServeTheirListsWithoutADatabase(t *testing.T) {
	f := newFleet(t)
	v, _ := f.signIn(t, "alice")
	at := placeOf(t, v.renew(t).Context.Token)
	r := f.replicas[0]
	eventually(t, func() error { return r.wantEnded(t, at, false) })
	f.shut(t)
	for range 3 {
		if err := r.wantEnded(t, at, false); err != nil {
			t.Error(err)
		}
	}
	f.open(t)
	v.call(t, "/v1/logout", nil).want(t, http.StatusOK)
	eventually(t, func() error { return r.wantEnded(t, at, true) })
}

// A service that verifies offline refuses a session's contexts soon after its end: when the list that it has
// may be used no longer, and a newer one says so.
func TestVerifiersHearOfASignOut(t *testing.T) {
	f := newFleet(t)
	v, _ := f.signIn(t, "alice")
	v = v.held(t)
	token := v.renew(t).Context.Token
	verifier, err := verify.New(f.at, "https://api.example.com", verify.RequireStatus(), verify.MaxStatusAge(5*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verifier.Verify(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	v.call(t, "/v1/logout", nil).want(t, http.StatusOK)
	begun := time.Now()
	eventually(t, func() error {
		_, err := verifier.Verify(t.Context(), token)
		if rejected, ok := errors.AsType[*verify.Error](err); !ok || rejected.Reason != verify.Revoked {
			return fmt.Errorf("verify: %w", err)
		}
		return nil
	})
	t.Logf("refused after %v", time.Since(begun))
}
