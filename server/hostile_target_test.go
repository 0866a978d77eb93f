package server_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"log/slog"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"chatpass/decision"
	"chatpass/exchange"
	"chatpass/identity"
	"chatpass/keys"
	"chatpass/oidc"
	"chatpass/server"
	"chatpass/session"
	"chatpass/store"
)

// target is the service under attack: the front door over the real rooms, with a clock that stands
// still unless it is set, and with eyes on the store, the log and the signing key.
type target struct {
	http.Handler
	corp, partner *upstream
	entra         *upstream  // has many tenants
	client        signingKey // of the client called signed
	gate          *oidc.Gate
	sessions      *session.Sessions
	store         *store.Store
	ring          *keys.Ring
	records       *sql.DB
	log           *bytes.Buffer
	signatures    int
	people        int    // each good token is of another person
	bomb          string // see encrypted
	visitor       string // the cookie of somebody who is signed in
	noon, now     time.Time
}

const (
	ours     = "https://auth.example.com"
	shopPage = "https://shop.example.com"
	password = "s3cret%of/the+backend"
)

func newTarget(t testing.TB) *target {
	t.Helper()
	tg := &target{
		corp: newUpstream(t, "k1"), partner: newUpstream(t, "k1"), entra: newUpstream(t, "k1"), client: newSigningKey(t, "c1"), log: &bytes.Buffer{}, bomb: encrypted(t, 8<<20),
	}
	tg.entra.document["issuer"] = tg.entra.URL + tenants
	tg.noon = time.Now().Truncate(time.Second)
	tg.now = tg.noon
	clock := func() time.Time { return tg.now }
	path, sealer := filepath.Join(t.TempDir(), "target.db"), newSealer(t)
	var err error
	if tg.store, err = store.Open(t.Context(), store.Config{URL: "sqlite:" + path, Sealer: sealer, Now: clock}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tg.store.Close() })
	if tg.records, err = sql.Open("sqlite", "file:"+path+"?mode=ro"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tg.records.Close() })
	if tg.ring, err = keys.Open(t.Context(), keys.Config{
		Algorithm: "ES256", Classes: []string{"context"}, PublishAhead: 48 * time.Hour, Active: 168 * time.Hour, Retiring: 24 * time.Hour,
		JWKSMaxAge: 5 * time.Minute, LongestLifetime: 10 * time.Minute, Store: tg.store.Keys(), Now: clock, Log: slog.New(slog.DiscardHandler),
	}); err != nil {
		t.Fatal(err)
	}
	if tg.sessions, err = session.New(session.Config{Store: tg.store.Sessions(), Sealer: sealer, Now: clock, NewID: rand.Text}); err != nil {
		t.Fatal(err)
	}
	tg.visitor = tg.signIn(t)
	tg.restart(t, tg.corp)
	return tg
}

// restart makes all that does not outlive a restart anew: the gate, which forgets the issuers' keys, and
// what stands on it. corp is the issuer of that name.
func (tg *target) restart(t testing.TB, corp *upstream) {
	t.Helper()
	clock := func() time.Time { return tg.now }
	log := slog.New(slog.NewJSONHandler(tg.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	audit := func(ctx context.Context, d *decision.Decision) { d.Log(ctx, log) }
	var err error
	if tg.gate, err = oidc.New([]oidc.Config{corp.config("corp", clock), tg.partner.config("partner", clock), tg.entra.tenantConfig(clock)}); err != nil {
		t.Fatal(err)
	}
	exchanger, err := exchange.New(exchange.Config{
		Issuer: ours, Apps: tg.apps(t), Sessions: tg.sessions, Signer: tg, Open: tg.open, Store: tg.store.Exchange(),
		Verifiers: map[exchange.TokenType]exchange.Verifier{exchange.IDToken: tg.gate}, Knows: tg.gate.Knows,
		Audit: audit, Now: clock, NewID: rand.Text, Random: func() float64 { return 0.5 },
	})
	if err != nil {
		t.Fatal(err)
	}
	front, err := server.New(server.Config{
		Issuer: ours, Exchanger: exchanger, Gate: tg.gate, Sessions: tg.sessions, Ring: tg.ring, Log: log,
		Audit: func(r *http.Request, d *decision.Decision) { audit(r.Context(), d) },
		Now:   clock, NewID: rand.Text, Random: func() float64 { return 0.5 }, JWKSMaxAge: 5 * time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	tg.Handler = front.Handler()
}

// Sign implements [exchange.Signer], and counts.
func (tg *target) Sign(ctx context.Context, typ string, claims []byte) (string, error) {
	tg.signatures++
	return tg.ring.Class("context").Sign(ctx, typ, claims)
}

func (tg *target) open(token string) (typ string, claims []byte, err error) {
	opened, err := tg.ring.Class("context").Verify(token)
	return opened.Typ, opened.Claims, err
}

// A sight is all that an attack must leave as it was.
type sight struct {
	records    string // how many of each kind, their versions, expiries and sizes
	signatures int
}

func (tg *target) look(t testing.TB) sight {
	t.Helper()
	seen := sight{signatures: tg.signatures}
	err := tg.records.QueryRowContext(t.Context(), `SELECT group_concat(line, '; ') FROM (
		SELECT kind || ' ' || count(*) || ' ' || sum(version) || ' ' || total(expires) || ' ' || total(stamp) || ' ' || sum(length(value)) AS line
		FROM records GROUP BY kind ORDER BY kind)`).Scan(&seen.records)
	if err != nil {
		t.Fatal(err)
	}
	return seen
}

// signIn begins a session, and returns its cookie.
func (tg *target) signIn(t testing.TB) string {
	t.Helper()
	who := identity.Identity{
		IDP: "corp", Issuer: tg.corp.URL, SubjectIssuer: tg.corp.URL, Subject: "u-82", UpstreamSubject: "u-82", UpstreamSession: rand.Text(),
		Client: "chatpass", IssuedAt: tg.now, Expires: tg.now.Add(time.Hour), Claims: map[string]any{"email": "bob@example.com", "name": "Bob"},
	}
	draft := tg.sessions.DraftSignIn(session.Start{
		App: "support", Customer: "c-82", Identity: who, Limits: session.Limits{Idle: time.Hour, Absolute: 10 * time.Hour, Linger: time.Hour},
	})
	if _, err := tg.sessions.Keep(t.Context(), draft); err != nil {
		t.Fatal(err)
	}
	return draft.Cookie
}
