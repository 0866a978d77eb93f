package server

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/time/rate"

	"chatpass/exchange"
	"chatpass/identity"
)

// maxLimited bounds how many keys each limit watches at once. Forgetting one only gives it a fresh
// start: nothing here grants access.
const maxLimited = 100_000

// Limits bound what one party may do within a minute, on this replica. 0: no limit. A new [Server], as
// after every reading of the configuration, counts from nothing: the limits may be other ones, and a
// fresh start is worth no more than one minute.
type Limits struct {
	// RefusalsPerIP are refusals of requests from one IPv4 address or IPv6 /64 (CP-701).
	RefusalsPerIP int
	// ExchangesPerClient are requests of a client that authenticates, contexts issued to one that does
	// not (CP-702).
	ExchangesPerClient int
	// ContextsPerSession are contexts asked for with one session's cookie (CP-703).
	ContextsPerSession int
}

type limits struct {
	households *limiter[netip.Prefix]
	clients    *limiter[string]
	sessions   *limiter[[sha256.Size]byte] // a hash: secrets are not kept
}

func newLimits(l Limits, now func() time.Time) (limits, error) {
	households, err := newLimiter[netip.Prefix](identity.LimitPerIP, l.RefusalsPerIP, now)
	clients, clientsErr := newLimiter[string](identity.LimitPerClient, l.ExchangesPerClient, now)
	sessions, sessionsErr := newLimiter[[sha256.Size]byte](identity.LimitPerSession, l.ContextsPerSession, now)
	return limits{households, clients, sessions}, errors.Join(err, clientsErr, sessionsErr)
}

// A limiter counts by key, and refuses with its code what is too much within a minute.
type limiter[K comparable] struct {
	code      identity.Code
	perMinute int
	now       func() time.Time
	buckets   *otter.Cache[K, *rate.Limiter]
}

func newLimiter[K comparable](code identity.Code, perMinute int, now func() time.Time) (*limiter[K], error) {
	buckets, err := otter.New(&otter.Options[K, *rate.Limiter]{MaximumSize: maxLimited})
	if err != nil {
		return nil, fmt.Errorf("make limiter: %w", err)
	}
	return &limiter[K]{code: code, perMinute: perMinute, now: now, buckets: buckets}, nil
}

// count adds one. Its error is the refusal if that is one too many.
func (l *limiter[K]) count(key K) error {
	if l.perMinute == 0 {
		return nil
	}
	bucket, _ := l.buckets.ComputeIfAbsent(key, func() (*rate.Limiter, bool) {
		return rate.NewLimiter(rate.Every(time.Minute/time.Duration(l.perMinute)), l.perMinute), false
	})
	if now := l.now(); !bucket.AllowN(now, 1) {
		return l.refuse(bucket, now)
	}
	return nil
}

// check adds nothing. Its error is the refusal if one more would be too many.
func (l *limiter[K]) check(key K) error {
	bucket, known := l.buckets.GetIfPresent(key)
	if now := l.now(); known && bucket.TokensAt(now) < 1 {
		return l.refuse(bucket, now)
	}
	return nil
}

func (l *limiter[K]) refuse(bucket *rate.Limiter, now time.Time) error {
	missing := 1 - bucket.TokensAt(now)
	wait := time.Duration(missing / float64(bucket.Limit()) * float64(time.Second))
	return &exchange.Error{Code: l.code, RetryAfter: max(wait, time.Millisecond)}
}

// askForContext counts one call for a context of a session: of the one that a cookie holds before the
// store is asked for it, else of the one of that sid.
func (l limits) askForContext(session string) error {
	if session == "" {
		return nil
	}
	return l.sessions.count(sha256.Sum256([]byte(session)))
}

// limited turns away, before anything of it is read, a request of a household that was refused too
// often. A whole company may live there. So whatever may carry a session or a client's credentials
// goes on to be checked for them; who makes one up pays with one more refusal.
func (s *Server) limited(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isDragged(r) {
			visitOf(r).trusted = true
			s.answerError(w, r, exchange.Refuse(identity.CSRFFailed, "this endpoint answers scripts that may read its answer"))
			return
		}
		if err := s.limits.households.check(visitOf(r).household); err != nil && !mayProveItself(r) {
			s.answerError(w, r, err)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// isDragged is true for what a page of another site makes a visitor's browser send without being able to read the
// answer. It is refused at no cost, and does not count against the household: any page could use up its limit so.
func isDragged(r *http.Request) bool {
	mode, site := r.Header.Get("Sec-Fetch-Mode"), r.Header.Get("Sec-Fetch-Site")
	return r.Method == http.MethodPost && site == "cross-site" && (mode == "no-cors" || mode == "navigate")
}

// mayProveItself is true for what has our cookie, a credential, or a form in which a client assertion
// may be (RFC 7523 §2.2): a page's has an Origin, and never one of those.
func mayProveItself(r *http.Request) bool {
	hasCookie := strings.Contains(strings.Join(r.Header["Cookie"], ";"), sessionCookie)
	return hasCookie || r.Header["Authorization"] != nil || r.Header["Origin"] == nil && isForm(r)
}

// unlimited serves a sign-in: the limit of a household neither stops it nor counts what it is refused.
func (s *Server) unlimited(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		visitOf(r).trusted = true
		h.ServeHTTP(w, r)
	})
}

// meet is asked as soon as an exchange knows its client, before any signature is looked at. A client
// that has authenticated is limited by itself, and not for what its neighbours do. For a public one the
// household counts, and what was issued: else a stranger, who can name it too, could use it up.
func (s *Server) meet(r *http.Request) func(*exchange.Client) error {
	return func(c *exchange.Client) error {
		v := visitOf(r)
		if c.Type != exchange.Browser && c.Type != exchange.Native {
			v.trusted = true
			return s.limits.clients.count(c.ID)
		}
		if err := s.limits.households.check(v.household); err != nil {
			return err
		}
		return s.limits.clients.check(c.ID)
	}
}

// countIssued counts a context issued to a client that does not authenticate.
func (s *Server) countIssued(r *http.Request, client string) {
	if !visitOf(r).trusted {
		_ = s.limits.clients.count(client) // one too many is the next one's affair
	}
}

// counted counts a refusal against the household it goes to. If it is one too many, that is the
// answer; the decision still tells what the refusal was.
func (s *Server) counted(r *http.Request, err error) error {
	v := visitOf(r)
	refusal, ok := errors.AsType[*exchange.Error](err)
	if !ok || v.trusted || !isFault(refusal) {
		return err
	}
	slow, ok := errors.AsType[*exchange.Error](s.limits.households.count(v.household))
	if !ok {
		return err
	}
	slow.Decision, slow.Err = refusal.Decision, err
	return slow
}

// isFault is true for what only a wrong program or an attacker sends: a malformed request or token, a
// forged one, a wrong secret, a page that may not ask. It is false for all that time, a sign-in or the
// operator can change for the person: an answer of "later" must not take the place of "sign in".
func isFault(refusal *exchange.Error) bool {
	switch refusal.Code {
	case identity.IssuerNotTrusted, identity.KeyUnknown, identity.SignatureInvalid, identity.AlgorithmNotAllowed,
		identity.NotAnIDToken, identity.ClaimAmbiguous, identity.ClaimMissing, identity.HeaderUnsupported:
		return refusal.RetryAfter == 0
	}
	return strings.HasPrefix(string(refusal.Code), "CP-1")
}
