package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"chatpass/decision"
	"chatpass/exchange"
	"chatpass/jwks"
	"chatpass/keys"
	"chatpass/oidc"
	"chatpass/policy"
	"chatpass/seal"
	"chatpass/server"
	"chatpass/session"
	"chatpass/status"
	"chatpass/store"
)

// house is the front door over the real rooms, and a small issuer that signs Ada in.
type house struct {
	http.Handler
	issuer *issuer
	values map[string]string // what transcripts may name
	log    *strings.Builder
	lists  *status.Lists
	// decisions are all that were made, and store is where refusals may be kept.
	decisions []decision.Decision
	household netip.Prefix // of the last one
	store     exchange.Store
	signing   *ecdsa.PrivateKey // of the backend that signs
}

const (
	page = "https://shop.example.com"
	self = "https://auth.example.com"
	// farPage is registered, on no origin of the app's: people may land there after a sign-out.
	farPage = "https://goodbye.example.net/"
)

func newHouse(t testing.TB, changes ...func(*server.Config)) *house {
	t.Helper()
	perMinute := 60
	if _, measured := t.(*testing.B); measured {
		perMinute = 0
	}
	h := &house{issuer: newIssuer(t), log: &strings.Builder{}}
	log := slog.New(slog.NewTextHandler(h.log, nil))
	audit := func(ctx context.Context, d *decision.Decision) {
		d.Log(ctx, log)
		h.decisions = append(h.decisions, *d)
		h.household = server.Household(ctx)
	}
	if perMinute == 0 { // measured: as in service, where nobody keeps what was written
		quiet := slog.New(slog.NewJSONHandler(io.Discard, nil))
		audit = func(ctx context.Context, d *decision.Decision) { d.Log(ctx, quiet) }
	}
	sealer := newSealer(t)
	st, err := store.Open(t.Context(), store.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "s.db"), Sealer: sealer, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	ring, err := keys.Open(t.Context(), keys.Config{
		Algorithm: "ES256", Classes: []string{"context", "status"}, PublishAhead: 48 * time.Hour, Active: 168 * time.Hour, Retiring: 24 * time.Hour,
		JWKSMaxAge: 5 * time.Minute, LongestLifetime: 10 * time.Minute, Store: st.Keys(), Now: time.Now, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	home := newIssuer(t).config()
	home.Name, home.RedirectURL = "home", self+"/v1/login/callback/home"
	partner := oidc.Config{Name: "partner", Issuer: "https://partner.example.com", Now: time.Now} // for exchanges alone
	gate, err := oidc.New([]oidc.Config{h.issuer.config(), home, partner})
	if err != nil {
		t.Fatal(err)
	}
	sessions, err := session.New(session.Config{Store: st.Sessions(), Sealer: sealer, Now: time.Now, NewID: rand.Text})
	if err != nil {
		t.Fatal(err)
	}
	h.lists = status.New(status.Config{
		Store: st.Status(), Signer: ring.Class("status"), Log: log, URI: self + "/status/", Issuer: self, TTL: time.Minute, Now: time.Now,
		Secret: func(list string) []byte { return sealer.Sum("status list", []byte(list)) },
	})
	exchanger, err := exchange.New(exchange.Config{
		Issuer: self, Apps: withBackends(t, h, apps(t)), Sessions: sessions, Signer: ring.Class("context"), Store: st.Exchange(),
		Open: func(token string) (string, []byte, error) {
			opened, err := ring.Class("context").Verify(token)
			return opened.Typ, opened.Claims, err
		},
		Verifiers: map[exchange.TokenType]exchange.Verifier{exchange.IDToken: gate}, Knows: gate.Knows,
		Place: h.lists.Place, Audit: audit, Now: time.Now, NewID: rand.Text, Random: func() float64 { return 0.5 },
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg := server.Config{
		Issuer: self, Exchanger: exchanger, Gate: gate, Sessions: sessions, Ring: ring, Lists: h.lists, Log: log, Labels: map[string]string{"corp": "Example <Corp>"},
		Audit: func(r *http.Request, d *decision.Decision) { audit(r.Context(), d) },
		Now:   time.Now, NewID: rand.Text, Random: func() float64 { return 0.5 }, JWKSMaxAge: 5 * time.Minute, Limits: server.Limits{ContextsPerSession: perMinute},
	}
	for _, change := range changes {
		change(&cfg)
	}
	front, err := server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	h.Handler, h.store = front.Handler(), st.Exchange()
	h.values = map[string]string{
		"ada": h.issuer.idToken(t, map[string]any{}), "expired": h.issuer.idToken(t, map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}),
		"stranger": h.issuer.idToken(t, map[string]any{"aud": "another-client"}), "long": strings.Repeat("x", 16<<10),
	}
	return h
}

func newSealer(t testing.TB) *seal.Sealer {
	t.Helper()
	master, err := seal.NewMasterKey()
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.New(master)
	if err != nil {
		t.Fatal(err)
	}
	return sealer
}

func apps(t testing.TB) []exchange.App {
	t.Helper()
	compile := func(claim string) *policy.Rules {
		rules, err := policy.Compile(policy.Source{Admit: "has(claims.email)", Claims: map[string]policy.Mapping{"name": {Expr: claim}}})
		if err != nil {
			t.Fatal(err)
		}
		return rules
	}
	limits := session.Limits{Idle: time.Hour, Absolute: 10 * time.Hour, Linger: time.Hour}
	accepts := map[string][]string{"corp": {"shop-web"}}
	support := exchange.App{
		Name: "support", Audience: []string{"https://api.example.com"}, Issuers: []string{"corp"}, Origins: []string{page},
		ReturnTo: []string{page + "/return", farPage}, Scopes: []string{"chat:read", "chat:write"}, Lifetime: 10 * time.Minute, Typ: "at+jwt",
		StepUp: exchange.StepUp{ACR: []string{"hwk", "mfa"}, Lifetime: 15 * time.Minute},
		Rules:  compile("claims.name"), Subject: exchange.Pairwise, Sector: "support", SignIn: limits, Derived: limits,
		Clients: []exchange.Client{
			{ID: "web", Type: exchange.Browser, Accepts: accepts},
			{ID: "back", Type: exchange.Backend, Accepts: accepts, Secret: []byte("s3cret%")},
		},
	}
	sales := support
	sales.Name, sales.Sector, sales.Origins = "sales", "sales", []string{"https://sales.example.com", self}
	sales.Clients = []exchange.Client{{ID: "sales-web", Type: exchange.Browser, Accepts: accepts}}
	both := support
	both.Name, both.Sector, both.Issuers = "both", "both", []string{"corp", "partner", "home"}
	both.Clients = []exchange.Client{{ID: "both-web", Type: exchange.Browser, Accepts: accepts}}
	return []exchange.App{support, sales, both}
}

// issuer is an identity provider as small as can be: its codes are the nonces they are for.
type issuer struct {
	*httptest.Server
	key *ecdsa.PrivateKey
	// says replaces claims of the ID tokens that sign-ins bring.
	says map[string]any
}

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: key}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":%[1]q,"authorization_endpoint":"%[1]s/auth","token_endpoint":"%[1]s/token","jwks_uri":"%[1]s/keys",
			"end_session_endpoint":"%[1]s/logout","response_types_supported":["code"],"subject_types_supported":["public"],
			"id_token_signing_alg_values_supported":["ES256"]}`, i.URL)
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"}}})
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		claims := map[string]any{"aud": "chatpass", "nonce": r.FormValue("code")}
		maps.Copy(claims, i.says)
		token := i.idToken(t, claims)
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "at", "token_type": "Bearer", "id_token": token})
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) config() oidc.Config {
	return oidc.Config{
		Name: "corp", Issuer: i.URL, ClientID: "chatpass", ClientSecret: "s", FrontchannelLogout: true, Scopes: []string{"openid"}, SubjectClaim: "sub", SubjectIssuer: i.URL,
		Algorithms: []string{"ES256"}, ClockSkew: time.Minute, MaxTokenAge: time.Hour, RedirectURL: self + "/v1/login/callback/corp",
		Client: jwks.NewClient(jwks.ClientConfig{AllowPrivate: true}), Now: time.Now,
	}
}

// idToken signs an ID token of Ada's; change replaces claims.
func (i *issuer) idToken(t testing.TB, change map[string]any) string {
	t.Helper()
	claims := map[string]any{
		"iss": i.URL, "sub": "ada", "aud": "shop-web", "sid": "u1", "email": "ada@example.com", "name": "Ada",
		"iat": time.Now().Unix(), "exp": time.Now().Add(5 * time.Minute).Unix(), "auth_time": time.Now().Unix(),
	}
	for name, value := range change {
		claims[name] = value
	}
	return i.sign(t, "JWT", claims)
}

// logoutToken signs a logout token for Ada's upstream session.
func (i *issuer) logoutToken(t testing.TB) string { return i.logoutTokenWith(t, nil) }

func (i *issuer) logoutTokenWith(t testing.TB, change map[string]any) string {
	t.Helper()
	claims := map[string]any{
		"iss": i.URL, "aud": "chatpass", "sub": "ada", "sid": "u1", "jti": rand.Text(), "iat": time.Now().Unix(), "exp": time.Now().Add(2 * time.Minute).Unix(),
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	}
	maps.Copy(claims, change)
	return i.sign(t, "logout+jwt", claims)
}

func (i *issuer) sign(t testing.TB, typ string, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: i.key, KeyID: "k1"}}, (&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}
