package keys_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

	"chatpass/keys"
)

// payload is of the size of a usual context.
const payload = `{"aud":"https://api.example.com","chat":{"app":"support","origin":"https://www.example.com","ver":1},` +
	`"client_id":"support-web","exp":1772366400,"iat":1772365800,"idp":"corp","iss":"https://chat-auth.example.com",` +
	`"jti":"3XLP6RJIQ4NTLK5CBEM3HDW2UE","name":"Ada Lovelace","scope":"chat:read chat:write","sid":"J5W2FGM6PQXK4BTZ",` +
	`"sub":"k6Yy0cYw3gS6V6v1dJj3o8D3T1b5j7m9c2x4z6v8b0n"}`

func privateKey(t testing.TB, r keys.Record) crypto.Signer {
	t.Helper()
	key, err := x509.ParsePKCS8PrivateKey(r.Private)
	if err != nil {
		t.Fatal(err)
	}
	return key.(crypto.Signer)
}

// BenchmarkSign makes whole tokens.
func BenchmarkSign(b *testing.B) {
	for _, alg := range allAlgorithms {
		b.Run(alg, func(b *testing.B) {
			token, _ := signers(b, alg)
			b.ReportAllocs()
			for b.Loop() {
				token()
			}
		})
	}
}

// BenchmarkSignRatio compares a whole token with the signature alone of what is signed in it. The two are
// timed in turn and by their medians, so that other load on the machine meets both.
func BenchmarkSignRatio(b *testing.B) {
	for _, alg := range allAlgorithms {
		b.Run(alg, func(b *testing.B) {
			token, bare := signers(b, alg)
			var tokens, bares []time.Duration
			for b.Loop() {
				tokens, bares = append(tokens, timed(token)), append(bares, timed(bare))
			}
			slices.Sort(tokens)
			slices.Sort(bares)
			whole, alone := float64(tokens[len(tokens)/2]), float64(bares[len(bares)/2])
			b.ReportMetric(whole, "ns/token")
			b.ReportMetric(alone, "ns/bare")
			b.ReportMetric(whole/alone, "ratio")
		})
	}
}

// BenchmarkSignDuringTurn compares a token made while a turn is stuck in the store with one made while
// nothing happens. Both are timed in turn and by their medians.
func BenchmarkSignDuringTurn(b *testing.B) {
	c, memory := newClock(), &door{memory: &memory{}}
	quiet := open(b, c.config(memory))
	slow := hanging{memory, make(chan bool), make(chan bool, 1)}
	slow.proceed <- true
	opened := make(chan *keys.Ring)
	go func() { opened <- open(b, c.config(slow)) }()
	<-slow.asked
	stuck := <-opened
	go func() { _ = stuck.Tick(context.Background()) }()
	<-slow.asked
	var whiles, idles []time.Duration
	for b.Loop() {
		whiles, idles = append(whiles, timed(func() { sign(b, stuck) })), append(idles, timed(func() { sign(b, quiet) }))
	}
	slow.proceed <- true
	slices.Sort(whiles)
	slices.Sort(idles)
	during, idle := float64(whiles[len(whiles)/2]), float64(idles[len(idles)/2])
	b.ReportMetric(during, "ns/during")
	b.ReportMetric(idle, "ns/idle")
	b.ReportMetric(during/idle, "ratio")
}

func timed(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

// signers returns two ways to sign: a token, and its signing input's digest by the private key alone.
func signers(b *testing.B, alg string) (token, bare func()) {
	store := &door{memory: &memory{}}
	cfg := newClock().config(store)
	cfg.Algorithm = alg
	class := open(b, cfg).Class("context")
	made, err := class.Sign(context.Background(), "at+jwt", []byte(payload))
	if err != nil {
		b.Fatal(err)
	}
	private := privateKey(b, active(b, store.read()))
	input, opts := digest(alg, []byte(made[:strings.LastIndexByte(made, '.')]))
	token = func() {
		if _, err := class.Sign(context.Background(), "at+jwt", []byte(payload)); err != nil {
			b.Fatal(err)
		}
	}
	bare = func() {
		if _, err := private.Sign(rand.Reader, input, opts); err != nil {
			b.Fatal(err)
		}
	}
	return token, bare
}

// digest is what a private key signs: for EdDSA the input itself.
func digest(alg string, input []byte) ([]byte, crypto.SignerOpts) {
	short, long := sha256.Sum256(input), sha512.Sum384(input)
	switch alg {
	case "ES384":
		return long[:], crypto.SHA384
	case "EdDSA":
		return input, crypto.Hash(0)
	case "PS256":
		return short[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	}
	return short[:], crypto.SHA256
}

func BenchmarkKeySet(b *testing.B) {
	ring := open(b, newClock().config(&door{memory: &memory{}}))
	b.ReportAllocs()
	for b.Loop() {
		if len(ring.KeySet().Body) == 0 {
			b.Fatal("empty")
		}
	}
}

// BenchmarkTick is a look at the store that finds nothing to do.
func BenchmarkTick(b *testing.B) {
	ring := open(b, newClock().config(&door{memory: &memory{}}))
	b.ReportAllocs()
	for b.Loop() {
		if err := ring.Tick(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}
