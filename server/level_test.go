package server_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"chatpass/identity"
)

// contextOf is the payload of an answer's context.
func contextOf(t *testing.T, res reply) map[string]any {
	t.Helper()
	in, _ := res.data["context"].(map[string]any)
	token, _ := in["token"].(string)
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("no context: %s\n%s", res.Status, res.body)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var payload map[string]any
	if err := json.Unmarshal(raw, &payload); err != nil {
		t.Fatal(err)
	}
	return payload
}

func TestDemandForMoreSaysWhatIsWanted(t *testing.T) {
	b := signedIn(t, newHouse(t))
	res := b.call("/v1/context", map[string]any{"acr_values": "hwk mfa", "max_age": 300})
	wantCode(t, res, http.StatusUnauthorized, identity.StepUpNeeded)
	login, _ := res.data["login"].(map[string]any)
	if login["acr_values"] != "hwk mfa" || login["max_age"] != 300.0 || res.data["error"] != "insufficient_user_authentication" {
		t.Errorf("body: %s", res.body)
	}
	const want = `Bearer error="insufficient_user_authentication", acr_values="hwk mfa", max_age="300"`
	if got := res.Header.Get("WWW-Authenticate"); got != want {
		t.Errorf("challenge %s, want %s", got, want)
	}
	if got := b.call("/v1/context", map[string]any{"max_age": 300}); got.StatusCode != http.StatusOK {
		t.Errorf("a sign-in of just now: %s\n%s", got.Status, got.body)
	}
	for name, body := range map[string]map[string]any{
		"a quote":             {"acr_values": `a"b`},
		"a line break":        {"acr_values": "a\r\nX: y"},
		"a negative age":      {"max_age": -1},
		"an age in fractions": {"max_age": 1.5},
	} {
		if res := b.call("/v1/context", body); res.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", name, res.Status)
		}
	}
	wantCode(t, b.call("/v1/context", map[string]any{"acr_values": strings.Repeat("x", 129)}), http.StatusBadRequest, identity.TooLarge)
}

func TestStepUpGivesHigherContexts(t *testing.T) {
	h := newHouse(t)
	b := signedIn(t, h)
	old := b.cookies["__Host-chatpass-support"]
	base := contextOf(t, b.call("/v1/context", map[string]any{}))

	in := b.start("purpose", "step_up", "acr_values", "mfa", "max_age", "60")
	if in.asked.Get("acr_values") != "mfa" || in.asked.Get("max_age") != "60" {
		t.Errorf("the issuer is asked: %v", in.asked)
	}
	h.issuer.says = map[string]any{"acr": "mfa", "auth_time": time.Now().Unix()}
	b.back(in)
	res := b.claim(in)
	higher := contextOf(t, res)
	if higher["acr"] != "mfa" || higher["sid"] != base["sid"] || higher["status"].(map[string]any)["status_list"].(map[string]any)["idx"] != base["status"].(map[string]any)["status_list"].(map[string]any)["idx"] {
		t.Errorf("was %v, is %v", base, higher)
	}
	if said := res.data["session"].(map[string]any)["acr"]; said != "mfa" {
		t.Errorf("the session is said to be at %v", said)
	}
	if b.cookies["__Host-chatpass-support"] == old {
		t.Error("the cookie's value is the same as before")
	}
	if res := b.call("/v1/context", map[string]any{"acr_values": "mfa"}); res.StatusCode != http.StatusOK {
		t.Errorf("demanded: %s\n%s", res.Status, res.body)
	}
	stale := newBrowser(t, h)
	stale.cookies["__Host-chatpass-support"] = old
	wantCode(t, stale.call("/v1/context", map[string]any{}), http.StatusUnauthorized, identity.NoSession)
}

func TestStepUpAsksForTheAppsLevelByDefault(t *testing.T) {
	if in := signedIn(t, newHouse(t)).start("purpose", "step_up"); in.asked.Get("acr_values") != "hwk mfa" {
		t.Errorf("asked for %q", in.asked.Get("acr_values"))
	}
}

func TestUnmetStepUpIsToldAndChangesNothing(t *testing.T) {
	for name, row := range map[string]struct {
		ask  []string
		says map[string]any
	}{
		"another level": {[]string{"acr_values", "mfa"}, map[string]any{"acr": "pwd"}},
		"no level":      {[]string{"acr_values", "mfa"}, nil},
		"too old":       {[]string{"max_age", "60"}, map[string]any{"auth_time": time.Now().Add(-time.Hour).Unix()}},
		"no auth_time":  {[]string{"max_age", "60"}, map[string]any{"auth_time": nil}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			b := signedIn(t, h)
			in := b.start(append(row.ask, "purpose", "step_up")...)
			h.issuer.says = row.says
			res := b.back(in)
			if res.StatusCode != http.StatusForbidden || !strings.Contains(string(res.body), `"error":"step_up_unmet"`) {
				t.Errorf("callback: %s\n%s", res.Status, res.body)
			}
			if res := b.call("/v1/login/status", map[string]any{"txn": in.txn, "verifier": in.verifier}); res.data["status"] != "failed" || res.data["error"] != "step_up_unmet" {
				t.Errorf("status: %v", res.data)
			}
			wantCode(t, b.claim(in), http.StatusGone, identity.SignInExpired)
			if res := b.call("/v1/context", map[string]any{}); res.StatusCode != http.StatusOK {
				t.Errorf("the session of before: %s", res.Status)
			}
		})
	}
}

func TestAnotherPersonRaisesNothing(t *testing.T) {
	h := newHouse(t)
	b := signedIn(t, h)
	in := b.start("purpose", "step_up", "acr_values", "mfa")
	h.issuer.says = map[string]any{"acr": "mfa", "sub": "bob"}
	b.back(in)
	wantCode(t, b.claim(in), http.StatusConflict, identity.CustomerMismatch)
	if got := contextOf(t, b.call("/v1/context", map[string]any{})); got["acr"] != nil {
		t.Errorf("context: %v", got)
	}
}

func TestWhoIsNotAdmittedMayChooseAnotherAccount(t *testing.T) {
	h := newHouse(t)
	b := newBrowser(t, h)
	in := b.start()
	h.issuer.says = map[string]any{"email": nil}
	b.back(in)
	res := b.claim(in)
	wantCode(t, res, http.StatusForbidden, identity.NotAdmitted)
	if login, _ := res.data["login"].(map[string]any); login["prompt"] != "select_account" {
		t.Errorf("body: %s", res.body)
	}
}

func TestSignInIsHeldToItsPurpose(t *testing.T) {
	h := newHouse(t)
	if in := newBrowser(t, h).start("purpose", "switch"); in.asked.Get("prompt") != "select_account" {
		t.Errorf("to switch, the issuer is asked with %v", in.asked)
	}
	b := newBrowser(t, h)
	in := b.start("expected_customer", "somebody-else")
	b.back(in)
	wantCode(t, b.claim(in), http.StatusConflict, identity.CustomerMismatch)
	in = b.start("purpose", "switch")
	b.back(in)
	if res := b.call("/v1/session", map[string]any{"txn": in.txn, "verifier": in.verifier, "expected_customer": "somebody-else"}); res.StatusCode != http.StatusCreated {
		t.Errorf("to switch: %s\n%s", res.Status, res.body)
	}
}

// Somebody else signs in, in the browser that still holds a session: that one ends, for verifiers too.
func TestASignInOfSomebodyElseEndsTheSessionOfBefore(t *testing.T) {
	h := newHouse(t)
	b := signedIn(t, h)
	former, secret := statusOf(t, b), b.cookies[sessionName]
	in := b.start("purpose", "switch")
	h.issuer.says = map[string]any{"sub": "bob"}
	b.back(in)
	if res := b.call("/v1/session", map[string]any{"txn": in.txn, "verifier": in.verifier, "expected_customer": "ada"}); res.StatusCode != http.StatusCreated {
		t.Fatalf("claim: %s\n%s", res.Status, res.body)
	}
	if now := statusOf(t, b); now.SID == former.SID || published(t, h, now) {
		t.Errorf("the session of whoever signed in: %+v", now)
	}
	if !published(t, h, former) {
		t.Error("verifiers go on believing contexts of the one before")
	}
	stale := newBrowser(t, h)
	stale.cookies[sessionName] = secret
	if res := stale.call("/v1/context", map[string]any{}); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("the cookie of before: %s", res.Status)
	}
}

func TestBrowserHoldsASessionOfItsSitesToken(t *testing.T) {
	h := newHouse(t)
	b := newBrowser(t, h)
	body := map[string]any{"subject_token": h.values["ada"], "subject_token_type": "urn:ietf:params:oauth:token-type:id_token", "conversation": "42"}
	res := b.call("/v1/session", body)
	if res.StatusCode != http.StatusCreated || b.cookies["__Host-chatpass-support"] == "" {
		t.Fatalf("claim: %s\n%s", res.Status, res.body)
	}
	first := contextOf(t, res)
	again := b.call("/v1/session", body)
	if got := contextOf(t, again); got["sid"] != first["sid"] || len(again.Cookies()) != 0 {
		t.Errorf("again: sid %v after %v, cookies %v", got["sid"], first["sid"], again.Cookies())
	}
	if got := contextOf(t, b.call("/v1/context", map[string]any{})); got["sid"] != first["sid"] {
		t.Errorf("by cookie: %v", got)
	}
	short := newBrowser(t, h) // there is no other type that it could be
	if res := short.call("/v1/session", map[string]any{"subject_token": h.values["ada"]}); res.StatusCode != http.StatusCreated {
		t.Errorf("without a type: %s\n%s", res.Status, res.body)
	}
	for name, row := range map[string]struct {
		change map[string]any
		code   identity.Code
	}{
		"expired":            {map[string]any{"subject_token": h.values["expired"]}, identity.TokenExpired},
		"of another client":  {map[string]any{"subject_token": h.values["stranger"]}, identity.AudienceMismatch},
		"not a token":        {map[string]any{"subject_token": "hello"}, identity.MalformedToken},
		"too long":           {map[string]any{"subject_token": h.values["long"] + h.values["ada"]}, identity.TooLarge},
		"a context":          {map[string]any{"subject_token_type": "urn:ietf:params:oauth:token-type:access_token"}, identity.UnsupportedTokenType},
		"of another type":    {map[string]any{"subject_token_type": "x"}, identity.UnsupportedTokenType},
		"another's customer": {map[string]any{"expected_customer": "c-other"}, identity.CustomerMismatch},
	} {
		changed := map[string]any{}
		for key, value := range body {
			changed[key] = value
		}
		for key, value := range row.change {
			changed[key] = value
		}
		stranger := newBrowser(t, h)
		if res := stranger.call("/v1/session", changed); res.data["code"] != string(row.code) || len(stranger.cookies) != 0 {
			t.Errorf("%s: %s %v, cookies %v, want %s", name, res.Status, res.data["code"], stranger.cookies, row.code)
		}
	}
}
