package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"chatpass/decision"
	"chatpass/exchange"
	"chatpass/identity"
)

// routes are the paths of the handler, read from its source: none can be forgotten here.
func routes(t *testing.T) []string {
	t.Helper()
	source, err := os.ReadFile("server.go")
	if err != nil {
		t.Fatal(err)
	}
	paths := []string{
		"/", "/nothing/here", "//oauth2/token", "/oauth2//token", "/oauth2/../oauth2/token", "/oauth2/./token", "/oauth2/%2e%2e/oauth2/token", "/%6fauth2/token", "/status/..%2f..%2fetc", "/oauth2/%74oken",
		"/oauth2/token/", "/oauth2/token/.", "/..", "//", "*", "/.well-known/openid-configuration", "/sdk/v9/chatpass.js",
	}
	for _, match := range regexp.MustCompile(`route\("([^"]+)"`).FindAllStringSubmatch(string(source), -1) {
		paths = append(paths, strings.NewReplacer("{issuer}", "corp", "{version}", "v1", "{file}", "nothing.js").Replace(match[1]))
	}
	if len(paths) < 15 {
		t.Fatalf("only %v", paths)
	}
	return paths
}

// Whatever is asked wherever: an error is JSON with code, decision and request id, or a page that shows
// code and decision; and the decision was made, with a ladder that breaks at its last rung.
func TestEveryErrorNamesItsDecision(t *testing.T) {
	h := newHouse(t)
	methods := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "NONSENSE"}
	headers := []http.Header{
		{},
		{"Origin": {page}, "Content-Type": {"application/json"}, "X-Chatpass-Client": {"web/0"}},
		{"Origin": {"https://elsewhere.example"}, "Content-Type": {"application/x-www-form-urlencoded"}},
		{"Origin": {page, page}, "Authorization": {"Basic nonsense"}, "Content-Type": {"application/x-www-form-urlencoded"}},
		{"Range": {"bytes=99999999-"}, "If-Match": {`"other"`}, "If-Unmodified-Since": {"Thu, 01 Jan 1970 00:00:01 GMT"}},
	}
	bodies := []string{"", "{", `{"client_id":"web"}`, "%zz", "grant_type=password", strings.Repeat("x", 65<<10)}
	errors := 0
	for _, path := range routes(t) {
		for _, method := range methods {
			for _, header := range headers {
				for _, body := range bodies {
					r := httptest.NewRequest(method, path, strings.NewReader(body))
					r.Header = header.Clone()
					w := httptest.NewRecorder()
					h.ServeHTTP(w, r)
					if w.Code >= http.StatusBadRequest {
						errors++
						h.wantExplained(t, fmt.Sprintf("%s %s %v %.20q", method, path, header, body), w)
					}
				}
			}
		}
	}
	if errors < 1000 {
		t.Errorf("only %d errors", errors)
	}
}

func (h *house) wantExplained(t *testing.T, what string, w *httptest.ResponseRecorder) {
	t.Helper()
	made := h.decisions[len(h.decisions)-1]
	wantLadder(t, made)
	if strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
		if shown := "decision " + made.ID + "<"; !strings.Contains(w.Body.String(), shown) {
			t.Errorf("%s: page does not show %q", what, shown)
		}
		return
	}
	var body struct {
		Error, Code, Decision, Reason string
		RequestID                     string `json:"request_id"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Errorf("%s: %d is no JSON: %v: %.80s", what, w.Code, err, w.Body)
		return
	}
	if body.Error == "" || body.Reason == "" || body.Code != string(made.Code) || body.Decision != made.ID ||
		body.RequestID != w.Header().Get("X-Request-Id") || body.RequestID != made.RequestID {
		t.Errorf("%s: %d %s does not name decision %s", what, w.Code, w.Body, made.ID)
	}
}

// A path with another spelling is another path: nothing is redirected, so that no POST loses its body and
// no proxy's rule is walked around.
func TestEveryPathHasOneSpelling(t *testing.T) {
	h := newHouse(t)
	for _, path := range []string{"//oauth2/token", "/oauth2/../oauth2/token", "/oauth2//token", "/oauth2/token/", "/oauth2/%2e/token", "/../oauth2/token", "//", "/..", "*"} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodOptions} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
			if w.Code != http.StatusNotFound || w.Header().Get("Location") != "" {
				t.Errorf("%s %s: %d, to %q", method, path, w.Code, w.Header().Get("Location"))
			}
			h.wantExplained(t, method+" "+path, w)
		}
	}
}

// wantLadder holds a ladder to its promise: all rungs were passed, but for the last one of a no.
func wantLadder(t testing.TB, d decision.Decision) {
	t.Helper()
	failed := 0
	for i, r := range d.Ladder {
		if r.Check == "" || r.Measured == "" || r.Required == "" {
			t.Errorf("%s %s: incomplete rung %+v", d.Verb, d.Code, r)
		}
		if !r.Passed {
			failed++
			if i != len(d.Ladder)-1 {
				t.Errorf("%s %s: rungs above the failed one: %+v", d.Verb, d.Code, d.Ladder)
			}
		}
	}
	if (failed == 1) != (d.Outcome != decision.Issued) || failed > 1 {
		t.Errorf("%s %s: outcome %s with %d failed checks", d.Verb, d.Code, d.Outcome, failed)
	}
}

// exchange sends an exchange of Ada's token; change replaces parameters.
func (h *house) exchange(change url.Values) *httptest.ResponseRecorder {
	form := url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "client_id": {"web"},
		"subject_token": {h.values["ada"]}, "subject_token_type": {string(exchange.IDToken)},
	}
	maps.Copy(form, change)
	r := httptest.NewRequest(http.MethodPost, "/oauth2/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", page)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func token(value string) url.Values { return url.Values{"subject_token": {value}} }

func checks(d decision.Decision) []string {
	names := []string{}
	for _, r := range d.Ladder {
		names = append(names, r.Check)
	}
	return names
}

// The ladder of a refusal is that of a yes, up to the check that was not passed.
func TestLadderShowsEveryCheckBeforeTheFailedOne(t *testing.T) {
	h := newHouse(t)
	if w := h.exchange(nil); w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	all := checks(h.decisions[0])
	for _, check := range []string{
		"client", "origin", "audience", "scope", "accepts", "token shape", "token issuer", "token kind", "token algorithm", "token key",
		"token signature", "token claims", "token times", "token audience", "token age", "subject", "customer", "admit", "claims", "context",
	} {
		if !slices.Contains(all, check) {
			t.Errorf("a yes does not show %q: %q", check, all)
		}
	}
	now := time.Now()
	for _, c := range []struct {
		change url.Values
		want   string // the check that is not passed
	}{
		{url.Values{"client_id": {"nobody"}}, "client"},
		{url.Values{"client_id": {"sales-web"}}, "origin"},
		{url.Values{"audience": {"https://elsewhere.example"}}, "audience"},
		{url.Values{"scope": {"admin"}}, "scope"},
		{token(h.issuer.sign(t, "JWT", map[string]any{"iss": "https://other.example"})), "token issuer"},
		{token(h.issuer.sign(t, "at+jwt", map[string]any{"iss": h.issuer.URL})), "token kind"},
		{token(h.values["ada"][:len(h.values["ada"])-4] + "AAAA"), "token signature"},
		{token(h.issuer.idToken(t, map[string]any{"sub": nil})), "token claims"},
		{token(h.issuer.idToken(t, map[string]any{"iat": now.Add(time.Hour).Unix()})), "token times"},
		{token(h.issuer.idToken(t, map[string]any{"aud": "crm"})), "token audience"},
		{token(h.issuer.idToken(t, map[string]any{"iat": now.Add(-2 * time.Hour).Unix()})), "token age"},
		{token(h.issuer.sign(t, "JWT", map[string]any{
			"iss": h.issuer.URL, "sub": "eve", "aud": "shop-web", "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
		})), "admit"},
		{token(h.issuer.idToken(t, map[string]any{"name": strings.Repeat("x", 4<<10)})), "context"},
	} {
		w := h.exchange(c.change)
		made := h.decisions[len(h.decisions)-1]
		wantLadder(t, made)
		at := slices.Index(all, c.want)
		if diff := cmp.Diff(all[:at+1], checks(made)); w.Code < 400 || diff != "" {
			t.Errorf("%s: %d %s, checks (-want +got):\n%s", c.want, w.Code, made.Code, diff)
		}
	}
}

// Two refusals of one code tell different stories where the values differ.
func TestLaddersDifferWhereValuesDo(t *testing.T) {
	h := newHouse(t)
	causes := map[string]bool{}
	for _, age := range []time.Duration{7 * time.Minute, 11 * time.Minute} {
		h.exchange(token(h.issuer.idToken(t, map[string]any{
			"iat": time.Now().Add(-age).Unix(), "exp": time.Now().Add(5*time.Minute - age).Unix(),
		})))
		made := h.decisions[len(h.decisions)-1]
		if made.Code != identity.TokenExpired || !strings.Contains(made.Cause(), "kept the token too long before exchanging it: "+strings.TrimSuffix(age.String(), "0s")) {
			t.Errorf("%s: %s", made.Code, made.Cause())
		}
		causes[made.Cause()] = true
	}
	if len(causes) != 2 {
		t.Errorf("one story for both: %v", causes)
	}
}

// Whatever is sent: the rungs up to the failed one were passed, and exactly one failed.
func TestALadderBreaksOnce(t *testing.T) {
	h := newHouse(t)
	anything := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{
		"", "web", "back", "sales-web", "https://api.example.com", "chat:read", string(exchange.IDToken), string(exchange.JWT),
		h.values["ada"], h.values["expired"], h.values["stranger"], h.values["long"], "a.b.c", "eyJhbGciOiJub25lIn0.e30.",
	}))
	names := []string{
		"grant_type", "client_id", "subject_token", "subject_token_type", "requested_token_type", "audience", "resource", "scope",
		"conversation", "actor_token", "actor_token_type", "client_secret", "client_assertion", "request",
	}
	rapid.Check(t, func(rt *rapid.T) {
		change := url.Values{}
		for range rapid.IntRange(0, 3).Draw(rt, "changes") {
			change.Add(rapid.SampledFrom(names).Draw(rt, "name"), anything.Draw(rt, "value"))
		}
		before := len(h.decisions)
		w := h.exchange(change)
		if len(h.decisions) != before+1 {
			rt.Fatalf("%d decisions for one request", len(h.decisions)-before)
		}
		made := h.decisions[before]
		wantLadder(t, made)
		if (w.Code == http.StatusOK) != (made.Outcome == decision.Issued) {
			rt.Errorf("%d for %s", w.Code, made.Outcome)
		}
	})
}

// Tokens, secrets and what an issuer says of a person are in no decision that is kept, in no log and in
// nothing that is made of them, whatever the request was refused for.
func TestNothingPersonalIsKept(t *testing.T) {
	h := newHouse(t)
	b := newBrowser(t, h)
	person := map[string]any{
		"sub": "canary-sub@example.com", "email": "canary-email@example.com", "name": "Canary Name", "sid": "canary-sid",
		"groups": []string{"canary-group"}, "phone_number": "canary-phone", "nonce": "canary-nonce", "jti": "canary-jti",
		"preferred_username": "canary-user", "address": map[string]any{"street": "canary-street"},
	}
	secrets := regexp.MustCompile(`(?i:canary|s3cret)|eyJ[A-Za-z0-9_-]{4}|` + regexp.QuoteMeta(h.values["ada"][len(h.values["ada"])-20:]))
	for _, change := range []map[string]any{
		{},
		{"exp": 1},
		{"iat": time.Now().Add(time.Hour).Unix()},
		{"iat": 1},
		{"aud": "crm"},
		{"aud": []string{"shop-web", "crm"}},
		{"email": nil},
		{"events": "canary"},
		{"sub": 7},
		{"sub": strings.Repeat("canary", 60)},
		{"SUB": "canary"},
		{"name": []any{"canary"}, "email": false},
		{"amr": "canary"},
		{"acr": []any{"canary"}},
		{"exp": "canary"},
		{"iss": nil},
		{"name": nil},
		{"iss": h.values["ada"]},
		{"aud": h.values["ada"]},
		{"azp": h.values["ada"]},
		{"typ": h.values["ada"]},
	} {
		claims := maps.Clone(person)
		maps.Copy(claims, change)
		h.exchange(token(h.issuer.idToken(t, claims)))
		h.exchange(url.Values{"subject_token": {h.issuer.idToken(t, claims)}, "client_id": {"back"}})
	}
	h.exchange(token(withKID(h.values["ada"], h.values["ada"])))
	for _, change := range []url.Values{
		{"client_secret": {"canary-secret"}},
		{"actor_token": {"canary.canary.canary"}},
		{"conversation": {"canary\n"}},
		{"login_hint": {"canary"}},
		token("canary"), token("canary.canary.canary"), token(h.values["ada"] + ".canary.canary"),
		{"client_assertion": {"canary"}},
		{"conversation": {"canary"}, "scope": {"admin"}},
		{"requested_subject": {"canary@example.com"}},
		{"client_id": {h.values["ada"]}},
		{"audience": {h.values["ada"]}},
		{"resource": {"urn:" + h.values["ada"]}},
		{"scope": {"x " + h.values["ada"]}},
		{"grant_type": {h.values["ada"]}},
		{"subject_token_type": {h.values["ada"]}},
		{"requested_token_type": {h.values["ada"]}},
		{h.values["ada"]: {"1", "2"}},
		{"client_id": {"canary@example.com"}},
		{"client_id": {"s3cret%"}},
	} {
		h.exchange(change)
	}
	b.call("/v1/context", map[string]any{"conversation": "canary\n", "expected_customer": "canary"})
	b.call("/v1/session", map[string]any{"txn": strings.Repeat("canary", 5), "verifier": "canary"})
	b.call("/v1/login/status", map[string]any{"txn": "canary", "verifier": "canary"})
	b.visit("/v1/login/start?client_id=web&login_hint=canary@example.com&mode=canary")
	b.visit("/v1/login/callback/corp?state=canary&code=canary&error_description=canary")
	b.visit("/v1/logout/start?l=canary")
	b.visit("/oauth2/token/" + h.values["ada"])
	swapped := asks(h, nil)
	swapped.SetBasicAuth(h.values["ada"], "back")
	h.send(t, swapped)

	keeper := decision.NewKeeper(decision.KeeperConfig{Keep: h.store.KeepDecisions, Now: time.Now})
	refused := 0
	for _, d := range h.decisions {
		keeper.See(&d, netip.Prefix{})
		keeper.Flush(t.Context(), 0) // each is a first one
		if d.Outcome == decision.Issued {
			continue
		}
		refused++
		kept, err := h.store.Decision(t.Context(), d.ID)
		if err != nil {
			t.Errorf("decision of %s is not kept: %v", d.Code, err)
		}
		row, err := json.Marshal(kept)
		if err != nil {
			t.Fatal(err)
		}
		for what, text := range map[string]string{"row": string(row), "cause": kept.Cause()} {
			if found := secrets.FindString(text); found != "" {
				t.Errorf("%s of %s holds %q: %s", what, d.Code, found, text)
			}
		}
	}
	if refused < 30 {
		t.Errorf("only %d refusals", refused)
	}
	if found := secrets.FindString(h.log.String()); found != "" {
		t.Errorf("the log holds %q", found)
	}
}

// The keeper tells by the ladder who has proven what: the ladders that are really made must tell it.
func TestLaddersTellWhoHasProvenWhat(t *testing.T) {
	h := newHouse(t)
	last := func() decision.Decision { return h.decisions[len(h.decisions)-1] }
	h.exchange(token(h.values["ada"][:len(h.values["ada"])-4] + "AAAA"))
	made := map[string]decision.Decision{"forged": last()}
	h.exchange(token(h.values["expired"]))
	made["expired"] = last()
	h.exchange(url.Values{"subject_token": {h.values["ada"]}, "audience": {"https://elsewhere.example"}, "client_id": {"back"}})
	made["no secret"] = last()
	back := asks(h, url.Values{"client_id": {"back"}, "audience": {"https://elsewhere.example"}})
	back.SetBasicAuth("back", "s3cret%25")
	back.Header.Del("Origin")
	h.send(t, back)
	made["backend"] = last()

	for _, c := range []struct {
		flood, victim string
		kept          bool
	}{
		{"no secret", "forged", true},
		{"no secret", "backend", true},
		{"forged", "backend", true},
		{"forged", "expired", true},
		{"forged", "no secret", true},
		{"no secret", "no secret", false},
		{"expired", "forged", false},
	} {
		kept := map[string]bool{}
		keeper := decision.NewKeeper(decision.KeeperConfig{Now: time.Now, Keep: func(_ context.Context, fresh, _ []decision.Decision) error {
			for _, d := range fresh {
				kept[d.ID] = true
			}
			return nil
		}})
		for i := range 100 {
			other := made[c.flood]
			other.ID, other.Client = fmt.Sprint(i), fmt.Sprint("client ", i)
			keeper.See(&other, netip.Prefix{})
		}
		victim := made[c.victim]
		keeper.See(&victim, netip.Prefix{})
		keeper.Flush(t.Context(), 0)
		if kept[victim.ID] != c.kept {
			t.Errorf("%s (%s) behind 100 of %s (%s): kept is %v", c.victim, victim.Code, c.flood, made[c.flood].Code, kept[victim.ID])
		}
	}
}

// A logout token goes through a ladder too, and one that is not obeyed can be explained by it.
func TestLogoutTokensHaveALadder(t *testing.T) {
	h := newHouse(t)
	tell := func(issuer, token string) decision.Decision {
		body := url.Values{"logout_token": {token}}.Encode()
		r := httptest.NewRequest(http.MethodPost, "/v1/backchannel-logout/"+issuer, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		h.send(t, r)
		made := h.decisions[len(h.decisions)-1]
		wantLadder(t, made)
		return made
	}
	good := h.issuer.logoutToken(t)
	done := tell("corp", good)
	all := checks(done)
	if diff := cmp.Diff([]string{
		"token shape", "token issuer", "token algorithm", "token key", "token signature", "token kind", "token audience", "token times",
		"token age", "token claims", "subject", "single use",
	}, all); done.Outcome != decision.Issued || done.IDP != "corp" || diff != "" {
		t.Errorf("%s of %q (-want +got):\n%s", done.Outcome, done.IDP, diff)
	}
	for _, c := range []struct{ issuer, token, want, idp string }{
		{"corp", "x.y", "token shape", "corp"},
		{"corp", h.issuer.sign(t, "logout+jwt", map[string]any{"iss": "https://other.example"}), "token issuer", ""},
		{"eyJhbGciOiJFUzI1NiJ9", good, "token issuer", ""},
		{"corp", good[:len(good)-4] + "AAAA", "token signature", "corp"},
		{"corp", h.values["ada"], "token kind", "corp"},
		{"corp", h.issuer.logoutTokenWith(t, map[string]any{"aud": "another"}), "token audience", "corp"},
		{"corp", h.issuer.logoutTokenWith(t, map[string]any{"exp": 1}), "token age", "corp"},
		{"corp", h.issuer.logoutTokenWith(t, map[string]any{"iat": time.Now().Add(-10 * time.Minute).Unix()}), "token age", "corp"},
		{"corp", h.issuer.logoutTokenWith(t, map[string]any{"jti": nil}), "token claims", "corp"},
		{"corp", good, "single use", "corp"},
	} {
		made := tell(c.issuer, c.token)
		rung, _ := made.Failed()
		if rung.Check != c.want || made.IDP != c.idp || strings.Contains(fmt.Sprint(made), "eyJ") {
			t.Errorf("%s: failed check %q of issuer %q: %+v", c.want, rung.Check, made.IDP, made)
		}
		if passed := checks(made); c.want != "token shape" && c.idp != "" && !slices.Contains(passed, "token issuer") {
			t.Errorf("%s: passed %q", c.want, passed)
		}
	}
}

// Whoever sends a good token under the wrong type hears which one is right.
func TestAMisdeclaredTokenIsNamed(t *testing.T) {
	h := newHouse(t)
	var issued struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(h.exchange(nil).Body.Bytes(), &issued); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ token, kind, code, want string }{
		{issued.Token, string(exchange.IDToken), "CP-201", "this is a context of ours, no ID token: send it with subject_token_type " + string(exchange.AccessToken)},
		{h.values["ada"], string(exchange.AccessToken), "CP-202", "this is no context of ours: send an ID token with subject_token_type " + string(exchange.IDToken)},
		{h.values["ada"], string(exchange.JWT), "CP-202", "this is no context of ours: send an ID token with subject_token_type " + string(exchange.IDToken)},
		{h.issuer.sign(t, "JWT", map[string]any{"iss": "https://other.example"}), string(exchange.IDToken), "CP-201", exchange.Lookup(identity.IssuerNotTrusted).Description},
	} {
		w := h.exchange(url.Values{"subject_token": {c.token}, "subject_token_type": {c.kind}})
		var answer struct {
			Code        string
			Description string `json:"error_description"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Code != c.code || answer.Description != c.want {
			t.Errorf("%s: %v %s", c.kind, err, w.Body)
		}
	}
}
