package exchange_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"chatpass/decision"
	"chatpass/exchange"
	"chatpass/identity"
	"chatpass/jwks"
	"chatpass/policy"
	"chatpass/seal"
	"chatpass/session"
	"chatpass/store"
)

// house is an exchanger over a real store, real sessions and real rules. Only the two that others
// prove elsewhere are stand-ins: who is behind a token, and the signature.
type house struct {
	*exchange.Exchanger
	cfg      exchange.Config // of it
	sessions *session.Sessions
	now      time.Time
	verifier *verifier
	people   map[string]identity.Identity // the verifier's
	pen      *pen
	store    *store.Store
	signing  *ecdsa.PrivateKey // of the client that signs
	audit    []decision.Decision
	moved    bool // no issuer is known any more by the URL it had
	// list is where sessions are placed; placed says for whom that was asked.
	list     string
	placeErr error
	placed   []string
	// grant is what a sign-in brings. asked gets the refresh token of each question to the issuer, who
	// refuses so.
	grant     identity.Grant
	asked     chan string
	refuses   error
	storeDown bool
}

// verifier believes the tokens of the people it knows.
type verifier struct {
	people    map[string]identity.Identity
	err       error  // instead of an answer
	outageFor string // only for this token; empty: for every one
	seen      func(token string)
}

func (v *verifier) Verify(_ context.Context, token string, terms identity.Terms) (identity.Identity, error) {
	if v.seen != nil {
		v.seen(token)
	}
	if v.err != nil && (v.outageFor == "" || v.outageFor == token) {
		return identity.Identity{}, v.err
	}
	who, ok := v.people[token]
	if !ok {
		return identity.Identity{}, identity.Reject(identity.SignatureInvalid, "a signature", "the issuer's")
	}
	if !slices.Contains(terms.Accepts[who.IDP], who.Client) {
		return identity.Identity{}, identity.Reject(identity.AudienceMismatch, "another client", "an accepted one")
	}
	return who, nil
}

// pen signs nothing, but tells what it was given. What is to happen meanwhile happens once.
type pen struct {
	err       error
	meanwhile func()
}

func (p *pen) Sign(_ context.Context, typ string, claims []byte) (string, error) {
	if happens := p.meanwhile; happens != nil {
		p.meanwhile = nil
		happens()
	}
	return typ + "." + base64.RawURLEncoding.EncodeToString(claims) + ".sig", p.err
}

// open knows what it has written again.
func (p *pen) open(token string) (string, []byte, error) {
	typ, rest, _ := strings.Cut(token, ".")
	body, end, _ := strings.Cut(rest, ".")
	raw, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil || end != "sig" {
		return "", nil, identity.Reject(identity.SignatureInvalid, "no match", "our signature")
	}
	return typ, raw, nil
}

func claimsOf(t testing.TB, token string) map[string]any {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{}
	if err := json.Unmarshal(raw, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func rules(t testing.TB, source policy.Source) *policy.Rules {
	t.Helper()
	compiled, err := policy.Compile(source)
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

func apps(t testing.TB) []exchange.App {
	limits := session.Limits{Idle: time.Hour, Absolute: 10 * time.Hour, Linger: time.Hour}
	accepts := map[string][]string{"corp": {"shop-web"}}
	return []exchange.App{{
		Name: "support", Audience: []string{"https://api", "https://crm"}, Issuers: []string{"corp"},
		Origins: []string{"https://shop"}, Scopes: []string{"chat:read", "chat:write"},
		Lifetime: 10 * time.Minute, Typ: "at+jwt", Subject: exchange.Pairwise, Sector: "support",
		StepUp: exchange.StepUp{Lifetime: 15 * time.Minute}, SignIn: limits, Derived: session.Limits{Absolute: time.Hour, Linger: time.Hour},
		Rules: rules(t, policy.Source{
			Admit:  "has(claims.email)",
			Claims: map[string]policy.Mapping{"name": {Expr: "claims.name"}, "tier": {Expr: "'gold' in claims.groups ? 'gold' : 'standard'"}},
		}),
		Clients: []exchange.Client{
			{ID: "web", Type: exchange.Browser, Accepts: accepts},
			{ID: "back", Type: exchange.Backend, Accepts: accepts, Secret: []byte("s3cret")},
			{ID: "ios", Type: exchange.Native, Accepts: accepts},
			{ID: "signin-only", Type: exchange.Browser},
		},
	}}
}

func newHouse(t testing.TB) *house {
	t.Helper()
	h := &house{now: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC), people: map[string]identity.Identity{}, pen: &pen{}, asked: make(chan string, 10)}
	h.verifier = &verifier{people: h.people}
	master, err := seal.NewMasterKey()
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.New(master)
	if err != nil {
		t.Fatal(err)
	}
	clock := func() time.Time { return h.now }
	st, err := store.Open(t.Context(), store.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "s.db"), Sealer: sealer, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	h.store = st
	h.sessions, err = session.New(session.Config{
		Store: &offline{st.Sessions(), &h.storeDown}, Sealer: sealer, Now: clock, NewID: rand.Text,
		Refresh: func(_ context.Context, _ identity.Identity, token string) (identity.Grant, error) {
			defer func() { h.asked <- token }()
			return identity.Grant{RefreshToken: token + "+"}, h.refuses
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	h.cfg = exchange.Config{
		Issuer: "https://chat-auth", Apps: grown(t, h, apps(t)), Sessions: h.sessions,
		Verifiers: map[exchange.TokenType]exchange.Verifier{exchange.IDToken: h.verifier},
		Knows:     func(string, string) bool { return !h.moved },
		Place:     h.place,
		Signer:    h.pen, Open: h.pen.open, SessionsPerCustomer: 3, Store: st.Exchange(), Now: clock, NewID: rand.Text, Random: func() float64 { return 0.5 },
		Audit: func(_ context.Context, d *decision.Decision) { h.audit = append(h.audit, *d) },
	}
	if h.Exchanger, err = exchange.New(h.cfg); err != nil {
		t.Fatal(err)
	}
	h.people["ada.id.token"] = identity.Identity{
		IDP: "corp", Issuer: "https://idp", SubjectIssuer: "https://idp", Subject: "ada@example.com", UpstreamSubject: "ada@example.com",
		Client: "shop-web", IssuedAt: h.now, Expires: h.now.Add(5 * time.Minute), AuthTime: h.now.Add(-time.Minute), ACR: "mfa", AMR: []string{"otp"},
		Claims: map[string]any{"email": "ada@example.com", "name": "Ada Example", "groups": []any{"gold"}},
	}
	return h
}

// place gives every session the same place, or none if it cannot.
func (h *house) place(_ context.Context, app string, ends time.Time) (string, int, error) {
	h.placed = append(h.placed, fmt.Sprint(app, " ", ends.Sub(h.now)))
	return h.list, 4711, h.placeErr
}

// ask is a request that is granted.
func ask() exchange.Request {
	return exchange.Request{
		Credentials:  exchange.Credentials{ClientID: "web", Origin: "https://shop"},
		SubjectToken: "ada.id.token", SubjectTokenType: exchange.IDToken,
	}
}

func wantRefusal(t *testing.T, err error, want identity.Code) {
	t.Helper()
	refusal, ok := errors.AsType[*exchange.Error](err)
	if !ok || refusal.Code != want {
		t.Errorf("got %v, want refusal %s", err, want)
		return
	}
	if refusal.Decision == "" {
		t.Errorf("refusal %s names no decision", want)
	}
}

func TestContextSaysWhatTheContractSays(t *testing.T) {
	h := newHouse(t)
	req := ask()
	req.Conversation = "42"
	got, err := h.Exchange(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	claims := claimsOf(t, got.Token)
	want := map[string]any{
		"iss": "https://chat-auth", "aud": "https://api", "client_id": "web", "scope": "chat:read chat:write",
		"iat": float64(h.now.Unix()), "exp": float64(h.now.Add(10 * time.Minute).Unix()), "jti": got.JTI,
		"sub": got.Session.Customer, "sid": got.Session.SID, "idp": "corp",
		"auth_time": float64(h.now.Add(-time.Minute).Unix()), "acr": "mfa", "amr": []any{"otp"},
		"chat": map[string]any{"ver": 1.0, "app": "support", "origin": "https://shop", "conversation": "42"},
		"name": "Ada Example", "tier": "gold",
	}
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	if got.RenewIn != 6*time.Minute || got.MinHandout != time.Minute || got.Lifetime != 10*time.Minute {
		t.Errorf("times: renew in %v, hand out with %v left, live %v", got.RenewIn, got.MinHandout, got.Lifetime)
	}
}

func TestRequestIsHeldAgainstTheApp(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*exchange.Request)
		want   identity.Code
	}{
		"no client":      {func(r *exchange.Request) { r.Credentials.ClientID = "" }, identity.ParameterMissing},
		"unknown client": {func(r *exchange.Request) { r.Credentials.ClientID = "nobody" }, identity.ClientUnknown},
		"unknown client with a secret": {func(r *exchange.Request) {
			r.Credentials = exchange.Credentials{ClientID: "nobody", Presented: true, Secret: "x"}
		}, identity.ClientAuthentication},
		"browser client with a secret": {func(r *exchange.Request) { r.Credentials.Presented = true }, identity.ClientAuthentication},
		"backend without a secret":     {func(r *exchange.Request) { r.Credentials.ClientID = "back" }, identity.ClientAuthentication},
		"backend with a wrong secret": {func(r *exchange.Request) {
			r.Credentials = exchange.Credentials{ClientID: "back", Presented: true, Secret: "S3cret"}
		}, identity.ClientAuthentication},
		"backend with an empty secret":      {func(r *exchange.Request) { r.Credentials = exchange.Credentials{ClientID: "back", Presented: true} }, identity.ClientAuthentication},
		"no origin":                         {func(r *exchange.Request) { r.Credentials.Origin = "" }, identity.OriginNotAllowed},
		"foreign origin":                    {func(r *exchange.Request) { r.Credentials.Origin = "https://evil" }, identity.OriginNotAllowed},
		"origin that only begins alike":     {func(r *exchange.Request) { r.Credentials.Origin = "https://shop.evil" }, identity.OriginNotAllowed},
		"null origin":                       {func(r *exchange.Request) { r.Credentials.Origin = "null" }, identity.OriginNotAllowed},
		"native client with an origin":      {func(r *exchange.Request) { r.Credentials.ClientID = "ios" }, identity.OriginNotAllowed},
		"client that accepts nothing":       {func(r *exchange.Request) { r.Credentials.ClientID = "signin-only" }, identity.ClientMayNotExchange},
		"audience of nobody":                {func(r *exchange.Request) { r.Audience = []string{"https://api", "https://evil"} }, identity.AudienceNotAllowed},
		"resource that is no URI":           {func(r *exchange.Request) { r.Resource = []string{"api"} }, identity.AudienceNotAllowed},
		"resource with a fragment":          {func(r *exchange.Request) { r.Resource = []string{"https://api#x"} }, identity.AudienceNotAllowed},
		"no scope left":                     {func(r *exchange.Request) { r.Scope = []string{"admin"} }, identity.ScopeNotAllowed},
		"refresh token asked for":           {func(r *exchange.Request) { r.RequestedTokenType = "urn:ietf:params:oauth:token-type:refresh_token" }, identity.UnsupportedTokenType},
		"unknown subject token type":        {func(r *exchange.Request) { r.SubjectTokenType = "urn:x" }, identity.UnsupportedTokenType},
		"ID token as a context":             {func(r *exchange.Request) { r.SubjectTokenType = exchange.AccessToken }, identity.SignatureInvalid},
		"conversation of 129 characters":    {func(r *exchange.Request) { r.Conversation = strings.Repeat("x", 129) }, identity.ParameterUnsupported},
		"conversation with a line break":    {func(r *exchange.Request) { r.Conversation = "a\nb" }, identity.ParameterUnsupported},
		"conversation that is no text":      {func(r *exchange.Request) { r.Conversation = "a\xff" }, identity.ParameterUnsupported},
		"forged token":                      {func(r *exchange.Request) { r.SubjectToken = "forged" }, identity.SignatureInvalid},
		"other customer than expected":      {func(r *exchange.Request) { r.ExpectedCustomer = "bob" }, identity.CustomerMismatch},
		"cookie that was never given":       {func(r *exchange.Request) { r.SubjectTokenType, r.SubjectToken = exchange.Cookie, "x" }, identity.NoSession},
		"no cookie":                         {func(r *exchange.Request) { r.SubjectTokenType, r.SubjectToken = exchange.Cookie, "" }, identity.NoSession},
		"claim of a sign-in that never was": {func(r *exchange.Request) { r.SubjectTokenType = exchange.SignIn }, identity.SignInExpired},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			if _, err := h.Exchange(t.Context(), ask()); err != nil {
				t.Fatalf("before the change: %v", err)
			}
			req := ask()
			c.change(&req)
			got, err := h.Exchange(t.Context(), req)
			wantRefusal(t, err, c.want)
			if got.Token != "" {
				t.Error("a refusal came with a token")
			}
			last := h.audit[len(h.audit)-1]
			if last.Outcome != decision.Refused || last.Code != c.want {
				t.Errorf("audit: %s %s", last.Outcome, last.Code)
			}
		})
	}
}

func TestOtherClientsAreServedToo(t *testing.T) {
	for name, credentials := range map[string]exchange.Credentials{
		"backend":                {ClientID: "back", Presented: true, Secret: "s3cret"},
		"backend from a browser": {ClientID: "back", Presented: true, Secret: "s3cret", Origin: "https://evil"},
		"native":                 {ClientID: "ios"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			req := ask()
			req.Credentials = credentials
			got, err := h.Exchange(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			if chat := claimsOf(t, got.Token)["chat"].(map[string]any); chat["origin"] != nil {
				t.Errorf("chat names an origin that nobody checked: %v", chat)
			}
		})
	}
}

func TestGrantIsWhatWasAskedForAndAllowed(t *testing.T) {
	h := newHouse(t)
	for name, c := range map[string]struct {
		audience, resource, scope []string
		aud                       any
		granted                   string
	}{
		"nothing asked":             {nil, nil, nil, "https://api", "chat:read chat:write"},
		"second service":            {[]string{"https://crm"}, nil, nil, "https://crm", "chat:read chat:write"},
		"both, one of them twice":   {[]string{"https://crm", "https://crm"}, []string{"https://api"}, nil, []any{"https://crm", "https://api"}, "chat:read chat:write"},
		"less scope":                {nil, nil, []string{"chat:read"}, "https://api", "chat:read"},
		"an unknown scope besides":  {nil, nil, []string{"chat:write", "root"}, "https://api", "chat:write"},
		"the same scope many times": {nil, nil, []string{"chat:write", "chat:write"}, "https://api", "chat:write"},
	} {
		t.Run(name, func(t *testing.T) {
			req := ask()
			req.Audience, req.Resource, req.Scope = c.audience, c.resource, c.scope
			got, err := h.Exchange(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			claims := claimsOf(t, got.Token)
			if diff := cmp.Diff(c.aud, claims["aud"]); diff != "" || claims["scope"] != c.granted {
				t.Errorf("aud %v, scope %v", claims["aud"], claims["scope"])
			}
		})
	}
}

func TestPolicyDecides(t *testing.T) {
	for name, c := range map[string]struct {
		change func(map[string]any)
		want   identity.Code
	}{
		"rule says no":            {func(m map[string]any) { delete(m, "email") }, identity.NotAdmitted},
		"mapped claim is missing": {func(m map[string]any) { delete(m, "name") }, identity.MappingFailed},
		"context would be huge":   {func(m map[string]any) { m["name"] = strings.Repeat("n", 4000) }, identity.ContextTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			c.change(h.people["ada.id.token"].Claims)
			_, err := h.Exchange(t.Context(), ask())
			wantRefusal(t, err, c.want)
			if _, err := h.sessions.OfToken(t.Context(), "support", "ada.id.token"); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("a refused exchange left a session behind: %v", err)
			}
		})
	}
}

func TestCustomerIsTheSamePersonForEver(t *testing.T) {
	h := newHouse(t)
	first, err := h.Exchange(t.Context(), ask())
	if err != nil {
		t.Fatal(err)
	}
	who := h.people["ada.id.token"]
	if len(first.Session.Customer) != 43 || strings.Contains(first.Session.Customer, "ada@example") {
		t.Errorf("customer %q is not a pseudonym of 43 characters", first.Session.Customer)
	}
	h.people["ada.second.token"] = who
	moved := who
	moved.Issuer = "https://new-idp" // SubjectIssuer stays
	h.people["ada.moved.token"] = moved
	other := who
	other.SubjectIssuer = "https://other"
	h.people["ada.other.token"] = other
	for token, same := range map[string]bool{"ada.second.token": true, "ada.moved.token": true, "ada.other.token": false} {
		req := ask()
		req.SubjectToken = token
		got, err := h.Exchange(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if (got.Session.Customer == first.Session.Customer) != same {
			t.Errorf("%s: customer %q, first was %q", token, got.Session.Customer, first.Session.Customer)
		}
	}
}

func TestSameTokenFindsItsSession(t *testing.T) {
	h := newHouse(t)
	var sids []string
	for range 3 {
		got, err := h.Exchange(t.Context(), ask())
		if err != nil {
			t.Fatal(err)
		}
		sids = append(sids, got.Session.SID)
	}
	if len(slices.Compact(sids)) != 1 {
		t.Errorf("one token began several sessions: %v", sids)
	}
	h.now = h.now.Add(time.Hour)
	_, err := h.Exchange(t.Context(), ask())
	wantRefusal(t, err, identity.AbsoluteTimeout)
}

func TestContextNeverOutlivesItsSession(t *testing.T) {
	h := newHouse(t)
	got, err := h.Exchange(t.Context(), ask())
	if err != nil {
		t.Fatal(err)
	}
	ends := got.Session.Ends
	for h.now = ends.Add(-15 * time.Minute); h.now.Before(ends); h.now = h.now.Add(10 * time.Second) {
		got, err := h.Exchange(t.Context(), ask())
		if ends.Sub(h.now) < 90*time.Second {
			wantRefusal(t, err, identity.SessionEnding)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if exp := claimsOf(t, got.Token)["exp"].(float64); int64(exp) > ends.Unix() {
			t.Fatalf("context expires %v after its session", time.Duration(int64(exp)-ends.Unix())*time.Second)
		}
	}
}

func TestFailureUsesNothingUp(t *testing.T) {
	h := newHouse(t)
	h.pen.err = &identity.Outage{Code: identity.NoSigningKey, Err: io.EOF}
	_, err := h.Exchange(t.Context(), ask())
	undecided, ok := errors.AsType[*exchange.Undecided](err)
	if !ok || undecided.Decision == "" {
		t.Fatalf("outage: got %v, want an undecided request with its decision id", err)
	}
	if last := h.audit[len(h.audit)-1]; last.Outcome != decision.Failed || last.Code != identity.NoSigningKey {
		t.Errorf("audit: %s %s", last.Outcome, last.Code)
	}
	if _, err := h.sessions.OfToken(t.Context(), "support", "ada.id.token"); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("a failed exchange left a session behind: %v", err)
	}
	h.pen.err = nil
	if _, err := h.Exchange(t.Context(), ask()); err != nil {
		t.Errorf("after the outage: %v", err)
	}
}

func TestSessionKeepsItsPlaceInAStatusList(t *testing.T) {
	h := newHouse(t)
	h.placeErr = &identity.Outage{Code: identity.StoreUnavailable, Err: io.EOF}
	_, err := h.Exchange(t.Context(), ask())
	if undecided, ok := errors.AsType[*exchange.Undecided](err); !ok || undecided.Decision == "" {
		t.Fatalf("without the lists: got %v, want an undecided request", err)
	}
	if _, err := h.sessions.OfToken(t.Context(), "support", "ada.id.token"); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("a failed exchange left a session behind: %v", err)
	}
	h.placeErr, h.list = nil, "support.1"
	want := map[string]any{"status_list": map[string]any{"idx": 4711.0, "uri": "https://chat-auth/status/support.1"}}
	for range 2 { // the second finds the session of the first
		got, err := h.Exchange(t.Context(), ask())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, claimsOf(t, got.Token)["status"]); diff != "" {
			t.Errorf("status (-want +got):\n%s", diff)
		}
	}
	if len(h.placed) != 2 {
		t.Errorf("asked for a place %d times: %v", len(h.placed), h.placed)
	}
}

func TestNewKeyOfAnIssuerIsWorthAnotherTry(t *testing.T) {
	for cooling, want := range map[bool]bool{true: true, false: false} {
		h := newHouse(t)
		h.people["ada.id.token"] = identity.Identity{}
		h.verifier.err = &identity.Rejection{Code: identity.KeyUnknown, Err: &jwks.UnknownKeyError{KID: "k9", CoolingDown: cooling}}
		_, err := h.Exchange(t.Context(), ask())
		refusal, ok := errors.AsType[*exchange.Error](err)
		if !ok || refusal.Code != identity.KeyUnknown || (refusal.RetryAfter > 0) != want {
			t.Errorf("cooling down %v: got %+v, %v", cooling, refusal, err)
		}
	}
}

func TestIssuerThatWasRemovedSignsNobodyIn(t *testing.T) {
	h := newHouse(t)
	if _, err := h.Exchange(t.Context(), ask()); err != nil {
		t.Fatal(err)
	}
	cookie := h.cookie(t)
	byCookie := ask()
	byCookie.SubjectTokenType, byCookie.SubjectToken = exchange.Cookie, cookie
	if _, err := h.Exchange(t.Context(), byCookie); err != nil {
		t.Fatal(err)
	}
	h.moved = true // the name is another issuer's now
	_, err := h.Exchange(t.Context(), byCookie)
	wantRefusal(t, err, identity.Revoked)
	h.moved = false
	for _, app := range h.Apps() {
		app.Issuers = []string{"another"}
	}
	_, err = h.Exchange(t.Context(), byCookie)
	wantRefusal(t, err, identity.Revoked)
	_, err = h.Exchange(t.Context(), ask())
	wantRefusal(t, err, identity.IssuerNotTrusted)
}

// cookie is that of a session in a browser.
func (h *house) cookie(t *testing.T) string {
	t.Helper()
	draft := h.sessions.DraftSignIn(session.Start{
		App: "support", Customer: "c-1", Identity: h.people["ada.id.token"], Limits: session.Limits{Idle: time.Hour, Absolute: time.Hour},
	})
	if _, err := h.sessions.Keep(t.Context(), draft); err != nil {
		t.Fatal(err)
	}
	return draft.Cookie
}

func TestReplacedCustomerIsSignedOutWhenTheNewOneIsIn(t *testing.T) {
	h := newHouse(t)
	replaced := h.cookie(t)
	req := ask()
	req.Replaces, req.Scope = replaced, []string{"root"}
	_, err := h.Exchange(t.Context(), req)
	wantRefusal(t, err, identity.ScopeNotAllowed)
	if _, err := h.sessions.Look(t.Context(), "support", replaced); err != nil {
		t.Errorf("after a refusal: %v", err)
	}
	req.Scope = nil
	if _, err := h.Exchange(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	_, err = h.sessions.Look(t.Context(), "support", replaced)
	if !errors.Is(err, identity.ErrRejected) {
		t.Errorf("after another customer signed in: %v", err)
	}
}

func TestAuditHoldsNoTokenAndNobodysName(t *testing.T) {
	h := newHouse(t)
	if _, err := h.Exchange(t.Context(), ask()); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(h.audit)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"ada.id.token", "ada@example.com", "Ada Example"} {
		if strings.Contains(string(text), secret) {
			t.Errorf("audit holds %q", secret)
		}
	}
	if h.audit[0].Customer == "" || h.audit[0].SID == "" || h.audit[0].JTI == "" {
		t.Errorf("audit does not say what was issued: %+v", h.audit[0])
	}
}

func TestEveryCodeHasItsRow(t *testing.T) {
	for _, code := range exchange.Codes() {
		row := exchange.Lookup(code)
		if row.Reason == "" || row.OAuth == "" || row.Description == "" || row.Retry == "" || row.Status < 400 {
			t.Errorf("%s: incomplete row %+v", code, row)
		}
		if row.Status >= 500 && row.Retry != exchange.RetryLater {
			t.Errorf("%s: an outage must not read as a rejection: %+v", code, row)
		}
	}
	manual, err := os.ReadFile("../docs/refusals.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range exchange.Codes() {
		if heading := "### " + string(code) + " `" + exchange.Lookup(code).Reason + "`\n"; !strings.Contains(string(manual), heading) {
			t.Errorf("docs/refusals.md lacks %q", heading)
		}
	}
	if len(exchange.Codes()) != 60 {
		t.Errorf("%d codes, the contract has 60", len(exchange.Codes()))
	}
}
