package e2e_test

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Of many who ask for what there is once, over all replicas, exactly one gets it.
func TestReplicasHaveOneWinner(t *testing.T) {
	const racers, rounds = 16, 10
	f := newFleet(t)
	over := func(i int) *replica { return f.replicas[i%3] }
	t.Run("one sign-in, claimed by many", func(t *testing.T) {
		for range rounds {
			v, claim := f.comeBack(t, "alice")
			v = v.held(t)
			answers := race(racers, func(i int) answer { return v.before(over(i)).call(t, "/v1/session", claim) })
			winner := exactlyOne(t, answers, http.StatusCreated, http.StatusGone, "CP-409")
			for _, cookie := range (&http.Response{Header: winner.header}).Cookies() {
				v.Jar = append(v.Jar.(heldJar), cookie)
			}
			f.wantSession(t, v, winner)
		}
	})
	t.Run("one logout token, delivered by many", func(t *testing.T) {
		for round := range rounds {
			v, _ := f.signIn(t, fmt.Sprint("person", round))
			token := f.logoutToken(t, v)
			answers := race(racers, func(i int) answer { return over(i).logout(t, token) })
			exactlyOne(t, answers, http.StatusOK, http.StatusBadRequest, "CP-209")
			f.wantRefused(t, v.held(t), "CP-405")
		}
	})
	t.Run("one ID token, exchanged by many", func(t *testing.T) {
		for round := range rounds {
			idToken := shopIDToken(t, f.upstream, fmt.Sprint("person", rounds+round))
			answers := race(racers, func(i int) answer { return over(i).asBackend(t, idToken) })
			sessions := map[string]bool{}
			for _, a := range answers {
				a.want(t, http.StatusOK)
				sessions[a.SID] = true
			}
			if len(sessions) != 1 || sessions[""] {
				t.Errorf("the token has begun %d sessions", len(sessions))
			}
		}
	})
}

// A client's assertion is good once, whichever replicas see it.
func TestReplicasHearAnAssertionOnce(t *testing.T) {
	var key jose.JSONWebKey
	f := newFleet(t, func(s site) { key = s.registerKeyed(t) })
	form := exchangeForm(shopIDToken(t, f.upstream, "alice"))
	form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	for range 10 {
		form.Set("client_assertion", f.assertion(t, key))
		answers := race(16, func(i int) answer {
			r := f.replicas[i%3]
			return r.ask(t, r.tokenRequest(t, form))
		})
		exactlyOne(t, answers, http.StatusOK, http.StatusUnauthorized, "CP-107")
	}
}

// assertion is how the client with a key says who it is (RFC 7523 §3).
func (f *fleet) assertion(t *testing.T, key jose.JSONWebKey) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: keyedBackend, Subject: keyedBackend, Audience: jwt.Audience{f.issuer}, ID: rand.Text(),
		IssuedAt: jwt.NewNumericDate(time.Now()), Expiry: jwt.NewNumericDate(time.Now().Add(time.Minute)),
	}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// exactlyOne returns the one answer of that status; all others must be the refusal.
func exactlyOne(t *testing.T, answers []answer, status, refusal int, code string) (winner answer) {
	t.Helper()
	winners := 0
	for _, a := range answers {
		switch {
		case a.status == status:
			winner = a
			winners++
		case a.status != refusal || a.Code != code:
			t.Errorf("a loser got status %d %s (%s), want %d %s", a.status, a.Code, a.Description, refusal, code)
		}
	}
	if winners != 1 {
		t.Fatalf("%d winners", winners)
	}
	return winner
}

// Nobody comes back after an issuer's logout: not with an older ID token, not with a sign-in that was
// not claimed yet, not by a request that was under way at another replica.
func TestReplicasLetNobodyBackAfterALogout(t *testing.T) {
	f := newFleet(t)
	for round := range 20 {
		person := fmt.Sprint("person", round)
		used, unused := shopIDToken(t, f.upstream, person), shopIDToken(t, f.upstream, person)
		f.asBackend(t, used).want(t, http.StatusOK)
		signedIn, session := f.signIn(t, person)
		pending, claim := f.comeBack(t, person)
		token := f.logoutToken(t, signedIn)
		signedIn, pending = signedIn.held(t), pending.held(t)
		f.wantSession(t, signedIn, session)

		under := []func(r *replica) answer{
			func(r *replica) answer { return r.asBackend(t, unused) },
			func(r *replica) answer { return r.asBackend(t, used) },
			func(r *replica) answer { return pending.before(r).call(t, "/v1/session", claim) },
			func(r *replica) answer { return signedIn.before(r).renew(t) },
		}
		answers := race(13, func(i int) answer {
			if i == 0 {
				return f.replicas[round%3].logout(t, token)
			}
			return under[i%4](f.replicas[(round+i)%3])
		})
		answers[0].want(t, http.StatusOK)
		for _, a := range answers {
			for _, cookie := range (&http.Response{Header: a.header}).Cookies() {
				if cookie.MaxAge > 0 && a.status == http.StatusCreated {
					f.wantRefused(t, visitor{&browser{http.Client{Jar: heldJar{cookie}}}, f.site}, "CP-405")
				}
			}
		}
		f.wantRefused(t, signedIn, "CP-405")
		for _, idToken := range []string{used, unused} {
			f.wantTokenRefused(t, idToken)
		}
		for _, a := range f.each(func(r *replica) answer { return pending.before(r).call(t, "/v1/session", claim) }) {
			if a.status < 400 || a.status > 499 {
				t.Errorf("a sign-in from before the logout: status %d %s", a.status, a.Code)
			}
		}
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
}

// wantTokenRefused waits until every replica refuses the ID token as of a person who was signed out.
func (f *fleet) wantTokenRefused(t *testing.T, idToken string) {
	t.Helper()
	for range 2 {
		for _, r := range f.replicas {
			eventually(t, func() error {
				if a := r.asBackend(t, idToken); a.status != http.StatusUnauthorized || a.Code != "CP-405" {
					return fmt.Errorf("status %d %s, want 401 CP-405", a.status, a.Code)
				}
				return nil
			})
		}
	}
}
