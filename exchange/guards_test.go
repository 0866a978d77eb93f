package exchange_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"maps"
	"strings"
	"testing"
	"time"

	"chatpass/decision"
	"chatpass/exchange"
	"chatpass/identity"
	"chatpass/policy"
	"chatpass/session"
)

// Of an assertion that fails a client learns nothing, and its operator which rule it broke.
func TestOperatorHearsWhichRuleAnAssertionBroke(t *testing.T) {
	for want, present := range map[string]func(h *house) exchange.Credentials{
		"no JWT, or another algorithm": func(*house) exchange.Credentials {
			return exchange.Credentials{ClientID: "signer", Presented: true, Assertion: "a.b.c"}
		},
		"iss or sub of another": func(h *house) exchange.Credentials {
			return h.assertion(t, h.signing, nil, map[string]any{"aud": "https://chat-auth", "jti": "j"})
		},
		"a secret for a client that authenticates by private_key_jwt": func(*house) exchange.Credentials {
			return exchange.Credentials{ClientID: "signer", Presented: true, Secret: "guessed"}
		},
		"a secret for a name that no client has": func(*house) exchange.Credentials {
			return exchange.Credentials{ClientID: "nobody", Presented: true, Secret: "guessed"}
		},
		"a secret for a public client, which has none": func(*house) exchange.Credentials {
			return exchange.Credentials{ClientID: "web", Presented: true, Secret: "guessed"}
		},
		"the right secret without the form-encoding that HTTP Basic wants here (RFC 6749 §2.3.1)": func(*house) exchange.Credentials {
			return exchange.Credentials{ClientID: "back", Presented: true, Secret: "decoded", Raw: "s3cret"}
		},
		"an assertion for a name that no client has": func(h *house) exchange.Credentials {
			claims := h.assertionClaims()
			claims["iss"], claims["sub"] = "nobody", "nobody"
			return h.assertion(t, h.signing, nil, claims)
		},
		"a wrong secret": func(*house) exchange.Credentials {
			return exchange.Credentials{ClientID: "back", Presented: true, Secret: "guessed"}
		},
	} {
		h := newHouse(t)
		req := ask()
		req.Credentials = present(h)
		_, err := h.Exchange(t.Context(), req)
		wantRefusal(t, err, identity.ClientAuthentication)
		ladder := h.audit[len(h.audit)-1].Ladder
		if got := ladder[len(ladder)-1].Measured; got != want {
			t.Errorf("measured %q, want %q", got, want)
		}
	}
}

// The app has the audience: what lacks it is the context that is to be narrowed, and the operator hears so.
func TestOperatorHearsThatTheContextIsTooNarrow(t *testing.T) {
	h := newHouse(t)
	first := narrowing("back", h.wide(t).Token)
	first.Audience = []string{"https://crm"}
	narrow, err := h.Exchange(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	back := narrowing("back", narrow.Token)
	back.Audience = []string{"https://api"}
	_, err = h.Exchange(t.Context(), back)
	wantRefusal(t, err, identity.AudienceNotAllowed)
	want := "The client asked for https://api, where only one of https://crm, which the presented context is for, is allowed."
	if got := h.audit[len(h.audit)-1].Cause(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Before a signature costs anything, an assertion is measured: also one that would be good.
func TestGoodAssertionOfMoreThan16KBIsRefused(t *testing.T) {
	h := newHouse(t)
	claims := h.assertionClaims()
	claims["more"] = strings.Repeat("x", 16<<10)
	req := ask()
	req.Credentials = h.assertion(t, h.signing, nil, claims)
	_, err := h.Exchange(t.Context(), req)
	wantRefusal(t, err, identity.ClientAuthentication)
}

// Whatever a rule of an actor cannot be asked for, since nobody waits any more, is no verdict on the actor.
func TestRuleThatWasNotAskedRefusesNobody(t *testing.T) {
	h := newHouse(t)
	ctx, cancel := context.WithCancel(t.Context())
	h.verifier.seen = func(token string) {
		if token == "agent.id.token" {
			cancel()
		}
	}
	_, err := h.Exchange(ctx, delegation())
	if refusal, ok := errors.AsType[*exchange.Error](err); ok || err == nil {
		t.Errorf("got %v %v", refusal, err)
	}
	if last := h.audit[len(h.audit)-1]; last.Outcome != decision.Abandoned {
		t.Errorf("audit: %s %s", last.Outcome, last.Code)
	}
}

// A context with the names of a live session of another app is none of this app.
func TestSessionOfAnotherAppIsNoneOfOurs(t *testing.T) {
	h := newHouse(t)
	req := ask()
	req.Credentials = backend("sales-back")
	sold, err := h.Exchange(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	claimed := h.forge(t, h.wide(t).Token, "at+jwt", func(claims map[string]any) {
		claims["sid"], claims["sub"] = sold.Session.SID, sold.Session.Customer
	})
	_, err = h.Exchange(t.Context(), narrowing("back", claimed))
	wantRefusal(t, err, identity.NoSession)
}

// What our own key signed and is no context is a fault of ours: nobody is refused for it.
func TestContextThatCannotBeReadIsNoRefusal(t *testing.T) {
	h := newHouse(t)
	broken := h.forge(t, h.wide(t).Token, "at+jwt", set("chat", "support"))
	_, err := h.Exchange(t.Context(), narrowing("back", broken))
	if refusal, ok := errors.AsType[*exchange.Error](err); ok || err == nil {
		t.Errorf("got %v %v", refusal, err)
	}
}

func TestContextThatIsBoundToNoConversationStaysSo(t *testing.T) {
	h := newHouse(t)
	got, err := h.Exchange(t.Context(), narrowing("back", h.wide(t).Token))
	if err != nil {
		t.Fatal(err)
	}
	if chat := claimsOf(t, got.Token)["chat"].(map[string]any); chat["conversation"] != nil {
		t.Errorf("chat %v", chat)
	}
}

func TestMayActWithANumberNamesNobody(t *testing.T) {
	h := newHouse(t)
	who := h.people["agent.id.token"]
	who.Claims = maps.Clone(who.Claims)
	who.Claims["desk"] = ""
	h.people["agent.id.token"] = who
	mayAct(map[string]any{"sub": "bob@desk", "iss": "https://desk", "desk": 7})(h, nil)
	_, err := h.Exchange(t.Context(), delegation())
	wantRefusal(t, err, identity.ActorNotAllowed)
}

// The chat knows a person by the name the app chooses; one that a rule cannot make is a refusal.
func TestCustomerIDIsWhatTheAppChose(t *testing.T) {
	for name, c := range map[string]struct {
		choose func(*exchange.App)
		want   string
		code   identity.Code
	}{
		"the issuer's":        {func(a *exchange.App) { a.Subject = exchange.Upstream }, "ada@example.com", ""},
		"a rule's":            {subjectRule(t, "claims.name"), "Ada Example", ""},
		"a rule's that fails": {subjectRule(t, "claims.number"), "", identity.MappingFailed},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			for _, app := range h.Apps() {
				c.choose(app)
			}
			got, err := h.Exchange(t.Context(), ask())
			if c.code != "" {
				wantRefusal(t, err, c.code)
				return
			}
			if err != nil || got.Session.Customer != c.want {
				t.Errorf("customer %q, %v", got.Session.Customer, err)
			}
		})
	}
}

func TestSessionKeepsTheCustomerItBeganWith(t *testing.T) {
	h := newHouse(t)
	first, err := h.Exchange(t.Context(), ask())
	if err != nil {
		t.Fatal(err)
	}
	for _, app := range h.Apps() {
		app.Subject = exchange.Upstream
	}
	again, err := h.Exchange(t.Context(), ask())
	if err != nil {
		t.Fatal(err)
	}
	if got := claimsOf(t, again.Token)["sub"]; got != first.Session.Customer {
		t.Errorf("customer %v, was %s", got, first.Session.Customer)
	}
}

func subjectRule(t *testing.T, rule string) func(*exchange.App) {
	t.Helper()
	compiled := rules(t, policy.Source{Admit: "true", Subject: rule})
	return func(a *exchange.App) { a.Subject, a.Rules = exchange.ByRule, compiled }
}

func TestConfiguredSaltTakesThePlaceOfTheStores(t *testing.T) {
	customers := map[string]bool{}
	for range 2 {
		h := newHouse(t)
		for _, app := range h.Apps() {
			app.Salt = []byte("0123456789abcdef0123456789abcdef")
		}
		got, err := h.Exchange(t.Context(), ask())
		if err != nil {
			t.Fatal(err)
		}
		customers[got.Session.Customer] = true
	}
	if len(customers) != 1 {
		t.Errorf("two stores, one salt, one person: %v", customers)
	}
}

func TestAppsThatCannotBeServedAreFaults(t *testing.T) {
	for name, broken := range map[string][]exchange.App{
		"no audience":        {{Name: "support"}},
		"a client twice":     {{Name: "support", Audience: []string{"a"}, Clients: []exchange.Client{{ID: "web"}, {ID: "web"}}}},
		"in two of the apps": {{Name: "a", Audience: []string{"a"}, Clients: []exchange.Client{{ID: "web"}}}, {Name: "b", Audience: []string{"a"}, Clients: []exchange.Client{{ID: "web"}}}},
	} {
		if _, err := exchange.New(exchange.Config{Apps: broken}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// What the caller's limits say to a client is the answer, at introspection too.
func TestLimitsAreAskedBeforeATokenIsLookedAt(t *testing.T) {
	h := newHouse(t)
	req := narrowing("orders-api", "garbage")
	req.Meet = func(*exchange.Client) error { return &exchange.Error{Code: identity.LimitPerClient} }
	_, err := h.Introspect(t.Context(), req)
	if refusal, ok := errors.AsType[*exchange.Error](err); !ok || refusal.Code != identity.LimitPerClient {
		t.Errorf("got %v", err)
	}
}

// saltless is a store that is away when a salt is asked for.
type saltless struct{ exchange.Store }

func (saltless) Salt(context.Context, string, []byte) ([]byte, error) {
	return nil, &identity.Outage{Code: identity.StoreUnavailable, Err: io.EOF}
}

// Without its salt a person would have another customer id, or all would have one that can be guessed.
func TestNobodyIsNamedWithoutTheSalt(t *testing.T) {
	h := newHouse(t)
	h.cfg.Store = saltless{h.cfg.Store}
	x, err := exchange.New(h.cfg)
	if err != nil {
		t.Fatal(err)
	}
	_, err = x.Exchange(t.Context(), ask())
	wantOutage(t, err, identity.StoreUnavailable)
}

// Whoever revokes a token must hear that its session lives on.
func TestRevocationThatIsNotStoredIsNoSuccess(t *testing.T) {
	h := newHouse(t)
	h.wide(t)
	h.verifier.seen = func(string) { _ = h.store.Close() } // the session was found, and cannot be ended
	wantOutage(t, h.Revoke(t.Context(), revocation(backend("back"), "ada.id.token")), identity.StoreUnavailable)
}

// Of two requests with the same token the slower one joins the session of the faster, that the person is not
// one who signed in twice.
func TestSlowerRequestJoinsTheSessionOfTheFaster(t *testing.T) {
	h := newHouse(t)
	var faster exchange.Context
	h.pen.meanwhile = func() {
		var err error
		if faster, err = h.Exchange(t.Context(), ask()); err != nil {
			t.Errorf("the faster: %v", err)
		}
	}
	slower, err := h.Exchange(t.Context(), ask())
	if err != nil {
		t.Fatalf("the slower: %v", err)
	}
	if slower.Session.SID != faster.Session.SID || slower.JTI == faster.JTI {
		t.Errorf("sessions %s and %s, contexts %s and %s", faster.Session.SID, slower.Session.SID, faster.JTI, slower.JTI)
	}
	if got := claimsOf(t, slower.Token)["sid"]; got != faster.Session.SID {
		t.Errorf("the slower one's context is of session %v", got)
	}
}

// faster lets a request with the same token overtake the next one, after that has found no session.
func (h *house) faster(t *testing.T, then func(exchange.Context)) {
	t.Helper()
	h.pen.meanwhile = func() {
		first, err := h.Exchange(t.Context(), ask())
		if err != nil {
			t.Errorf("the faster: %v", err)
		}
		then(first)
	}
}

// So does one that lets its browser hold the session.
func TestSlowerBrowserHoldsTheSessionOfTheFaster(t *testing.T) {
	h := newHouse(t)
	var first exchange.Context
	h.faster(t, func(c exchange.Context) { first = c })
	req := ask()
	req.Hold = true
	if got, err := h.Exchange(t.Context(), req); err != nil || got.Session.SID != first.Session.SID || got.Cookie == "" {
		t.Errorf("session %q with cookie %q, the faster one's is %q, %v", got.Session.SID, got.Cookie, first.Session.SID, err)
	}
}

// A session that was ended in that moment is joined by nobody.
func TestSlowerRequestJoinsNoSessionThatHasEnded(t *testing.T) {
	h := newHouse(t)
	h.faster(t, func(first exchange.Context) {
		if _, err := h.sessions.End(t.Context(), first.Session, identity.Revoked); err != nil {
			t.Error(err)
		}
	})
	got, err := h.Exchange(t.Context(), ask())
	if wantRefusal(t, err, identity.Revoked); got.Token != "" {
		t.Error("a context was handed out")
	}
}

// blinking is a store that cannot be asked for a session once.
type blinking struct {
	session.Store
	away bool
}

func (b *blinking) Session(ctx context.Context, sid string) (session.Session, error) {
	if away := b.away; away {
		b.away = false
		return session.Session{}, &identity.Outage{Code: identity.StoreUnavailable, Err: io.EOF}
	}
	return b.Store.Session(ctx, sid)
}

// While nobody can tell which session a context is of, none is taken for ended.
func TestRevocationOfWhatCannotBeReadIsAnOutage(t *testing.T) {
	h := newHouse(t)
	wide := h.wide(t)
	eye := &blinking{Store: h.store.Sessions()}
	var err error
	if h.cfg.Sessions, err = session.New(session.Config{Store: eye, Now: func() time.Time { return h.now }, NewID: rand.Text}); err != nil {
		t.Fatal(err)
	}
	x, err := exchange.New(h.cfg)
	if err != nil {
		t.Fatal(err)
	}
	eye.away = true
	wantOutage(t, x.Revoke(t.Context(), revocation(backend("back"), wide.Token)), identity.StoreUnavailable)
	if err := x.Revoke(t.Context(), revocation(backend("back"), wide.Token)); err != nil || h.alive(t, wide.Session.SID) {
		t.Errorf("when it is back: %v", err)
	}
}
