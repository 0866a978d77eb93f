// Package session remembers who signed in: sessions, sign-in transactions and logout markers.
package session

import (
	"context"
	"errors"
	"iter"
	"time"

	"chatpass/identity"
)

// Errors of a [Store]. Any other error means the store could not be asked.
var (
	// ErrNotFound: there is no such record, or it has expired.
	ErrNotFound = errors.New("not found")
	// ErrExists: a record of that key is there already; nothing was written.
	ErrExists = errors.New("already exists")
	// ErrConflict: the record changed since it was read; nothing was written.
	ErrConflict = errors.New("changed meanwhile")
	// ErrTaken: the sign-in result was taken before, or is no longer there; nothing was written.
	ErrTaken = errors.New("already taken")
	// ErrSignedOut: a logout marker is newer than the token the session would start from; nothing was written.
	ErrSignedOut = errors.New("signed out meanwhile")
	// ErrUnreadable: a listing has come to a session that is damaged, or sealed under a key that we do not
	// have. It goes on with the next. No outage: waiting does not help.
	ErrUnreadable = errors.New("cannot be read")
)

// A Store remembers sessions, handles, logout markers and sign-in results.
// Every method is atomic and, once it has returned nil, durable.
type Store interface {
	// Find returns the session a handle leads to, ended or not, or ErrNotFound.
	Find(ctx context.Context, h Handle) (Session, error)
	// Session returns the session of that sid, ended or not, or ErrNotFound.
	Session(ctx context.Context, sid string) (Session, error)
	// Insert writes a new session and its handle together, at version 1, and takes the sign-in
	// result that b names, if any. In the same transaction it checks the logout markers of the
	// session's identity: ErrSignedOut if one has Before ≥ Identity.IssuedAt. ErrExists if the
	// handle or the sid is known; ErrTaken if the result is not there to be taken.
	Insert(ctx context.Context, s Session, b Birth) error
	// Swap replaces the session if its stored version still equals s.Version, and stores it
	// with s.Version+1; else ErrConflict.
	Swap(ctx context.Context, s Session) error
	// Hold is Swap with one more handle that leads to the session, in the same transaction; it takes the
	// sign-in result that b names, if any. ErrConflict as for Swap; ErrExists if the handle is known;
	// ErrTaken if the result is not there to be taken.
	Hold(ctx context.Context, s Session, b Birth) error
	// End is Swap for a session that ends with it: in the same transaction its revocation is entered
	// in the log, where it stays until s.Expires.
	End(ctx context.Context, s Session) error
	// ByCustomer yields the sessions of a customer of an app, ended or not, in no particular order.
	ByCustomer(ctx context.Context, app, customer string) iter.Seq2[Session, error]
	// ByApp iterates over the sessions of an app, in no order. A session that begins or changes meanwhile
	// may be missing, or come as it was.
	ByApp(ctx context.Context, app string) iter.Seq2[Session, error]
	// ByUpstream yields the sessions, ended or not, that a logout marker speaks of.
	ByUpstream(ctx context.Context, m Marker) iter.Seq2[Session, error]

	// Revocations returns what was entered in the log at from or later, by the store's clock, in that
	// order. What other processes are just entering may become visible up to ten seconds late.
	Revocations(ctx context.Context, from time.Time) ([]Revocation, error)
	// Clock returns the time of the store's clock.
	Clock(ctx context.Context) (time.Time, error)
	// Watch calls wake whenever there is a hint of something new in the log, until ctx ends. Hints may
	// be late, lost or many for one.
	Watch(ctx context.Context, wake func())

	// Mark writes a logout marker, kept until m.Expires. Of two for the same person or upstream
	// session the later Before wins.
	Mark(ctx context.Context, m Marker) error
	// PutOnce remembers a value that may be used only once (a logout token's jti), until expires.
	// ErrExists if it was there.
	PutOnce(ctx context.Context, space, value string, expires time.Time) error

	// PutResult writes the result of a sign-in, once per txn: else ErrExists.
	PutResult(ctx context.Context, r Result) error
	// Result returns the result of a sign-in without taking it. ErrNotFound if none has come or
	// it has expired, ErrTaken once it has been taken.
	Result(ctx context.Context, txn string) (Result, error)
}

// A Handle finds a session: the SHA-256 of a session cookie's value, or of an ID token's signing
// input (its first two parts). The secret itself is never stored.
type Handle [32]byte

// A Birth is what a new session, or another holder of a session, is stored with.
type Birth struct {
	// Handle leads to the session until Until.
	Handle Handle
	Until  time.Time
	// Txn names the sign-in result that is taken in the same transaction; empty for none.
	Txn string
}

// A Marker says that a person, or one upstream session, signed out: no session may start from an
// ID token issued at or before Before. It names Session, or Subject, or both.
type Marker struct {
	Issuer  string // upstream issuer URL, as Identity.Issuer
	Session string // upstream `sid`; empty: every session of Subject
	Subject string // upstream `sub`; empty: whoever Session belongs to
	Before  time.Time
	Expires time.Time
}

// A Revocation is the entry of a session's end in the log.
type Revocation struct {
	SID   string        `json:"sid"`
	App   string        `json:"app"`
	Ended time.Time     `json:"ended"`
	Cause identity.Code `json:"cause"`
	// Place is the session's.
	Place *Place `json:"place,omitempty"`
	// Until is when it is forgotten: no context of the session can verify any more.
	Until time.Time `json:"-"`
	// Logged is when it was entered, by the store's clock.
	Logged time.Time `json:"-"`
}

// A Session is a remembered sign-in. Every context belongs to one.
type Session struct {
	SID      string            `json:"sid"` // public reference; not a secret, not the cookie
	Version  int64             `json:"-"`   // of the stored row; counts from 1
	App      string            `json:"app"`
	Kind     Kind              `json:"kind"`
	Customer string            `json:"customer"` // the context's `sub`
	Identity identity.Identity `json:"identity"`
	// IDToken is the upstream ID token of a sign-in, kept as id_token_hint for sign-out; sealed at rest.
	IDToken string    `json:"id_token,omitempty"`
	Started time.Time `json:"started"`
	// Standing is what the issuer said of the sign-in since; zero if it cannot be asked.
	Standing Standing `json:"standing,omitzero"`
	// Raised is a higher level of authentication that was reached since; nil if none was.
	Raised *Level `json:"raised,omitempty"`
	// Holders are the cookies that lead to the session; none: the one that it began with.
	Holders []Holder `json:"holders,omitempty"`
	// Former is true if the session was found by a cookie value that another has replaced: such a one has
	// but moments left, at the base level.
	Former bool `json:"-"`
	// Degraded is true if the store could not be asked, and this is what it said some time ago.
	Degraded bool `json:"-"`
	// Active is the last time the person did something; it slides the idle limit.
	Active time.Time `json:"active"`
	// Idle is the greatest pause between two activities; 0: none is required.
	Idle time.Duration `json:"idle"`
	// Ends is the absolute end.
	Ends time.Time `json:"ends"`
	// Ended is when the session was ended before its time, and Cause why; zero while it is alive.
	Ended time.Time     `json:"ended,omitzero"`
	Cause identity.Code `json:"cause,omitempty"`
	// Place is where verifiers look up whether it has ended; nil if they cannot.
	Place *Place `json:"place,omitempty"`
	// Expires is when the row may be forgotten: when no context of the session, and no token it was
	// derived from, could still be presented.
	Expires time.Time `json:"-"`
}

// A Place is an entry of a status list (draft-ietf-oauth-status-list).
type Place struct {
	List  string `json:"list"` // the list's name
	Index int    `json:"index"`
}

// A Kind says what a session came from.
type Kind string

const (
	// SignIn is a sign-in in the browser, held by a cookie.
	SignIn Kind = "sign-in"
	// Derived comes from an ID token that somebody else holds (a site, a backend, a native app).
	Derived Kind = "derived"
)

// A Result is what came of a sign-in at the issuer, waiting to be claimed by the page that started it.
type Result struct {
	Txn       string `json:"txn"`
	Challenge string `json:"challenge"` // S256 of the page's verifier (RFC 7636 §4.2)
	// State is that of the transaction in the browser that came back from the issuer: nobody else's
	// browser may claim what happened in it.
	State    string            `json:"state"`
	Identity identity.Identity `json:"identity"`
	IDToken  string            `json:"id_token,omitempty"`
	Grant    identity.Grant    `json:"grant,omitzero"`
	// Purpose and Expected are the transaction's.
	Purpose  string `json:"purpose,omitempty"`
	Expected string `json:"expected,omitempty"`
	// Error is the OAuth error the issuer answered instead; empty for a success.
	Error   string    `json:"error,omitempty"`
	Expires time.Time `json:"-"`
}
