package shop_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	adasBalance = "bot: Ada, your balance is EUR 1209.05. Thank you for being a gold customer!"
	pleaseSign  = "bot: I need to know who you are for that. Please sign in, and I will go on."
	question    = "What is my balance?"
)

func TestAnAnonymousQuestionGoesOnAfterTheSignIn(t *testing.T) {
	b := newBank(t)
	var logged []string
	w := &widget{t: t, site: newShop(t, b, func(line string) { logged = append(logged, line) })}
	opened := w.call("open", nil)
	if len(opened.History) != 1 || len(opened.History[0].Replies) == 0 {
		t.Fatalf("greeting: %+v", opened)
	}
	asked := w.say(question)
	if !asked.SignIn || !asked.Pending || !cmp.Equal(texts(asked.Append), []string{pleaseSign}) {
		t.Errorf("anonymous: %+v", asked)
	}
	if again := w.call("message", map[string]any{"resume": true}); len(again.Append) != 0 || !again.SignIn {
		t.Errorf("asked to sign in twice: %+v", again)
	}
	if calls := b.calls(); len(calls) != 0 {
		t.Errorf("the account API was asked for an anonymous person: %v", calls)
	}
	w.customer, w.token = "c-ada", "c-ada:Ada:gold"
	known := w.call("authenticate", nil)
	if !known.Pending || len(known.History) != 3 {
		t.Errorf("signed in: %+v", known)
	}
	told := w.call("message", map[string]any{"resume": true})
	if told.Pending || told.SignIn || !told.Settled || !cmp.Equal(texts(told.Append), []string{adasBalance}) {
		t.Errorf("resumed: %+v", told)
	}
	want := []string{"/customer Bearer c-ada:Ada:gold", "/balance Bearer c-ada:Ada:gold"}
	if diff := cmp.Diff(want, b.calls()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	if !regexp.MustCompile(`^account;dur=[\d.]+;desc="GET /balance: 200"$`).MatchString(told.timing) {
		t.Errorf("server timing: %q", told.timing)
	}
	if len(logged) != 2 || strings.Contains(strings.Join(logged, ""), "c-ada") {
		t.Errorf("log: %q", logged)
	}
}

func TestWhatARefusalMeans(t *testing.T) {
	const challenge = `Bearer error="invalid_token", error_description="the token is not accepted: expired"`
	for name, c := range map[string]struct {
		status  int
		header  string
		err     string
		pending bool
		said    string
	}{
		"expired":            {http.StatusUnauthorized, challenge, "token_expired", true, ""},
		"no scope":           {http.StatusForbidden, `Bearer error="insufficient_scope"`, "invalid_auth", true, pleaseSign},
		"no challenge":       {http.StatusUnauthorized, "Bearer", "invalid_auth", true, pleaseSign},
		"a wrong status":     {http.StatusForbidden, challenge, "invalid_auth", true, pleaseSign},
		"not found":          {http.StatusNotFound, "", "invalid_auth", true, pleaseSign},
		"issuer unreachable": {http.StatusServiceUnavailable, "", "", false, "bot: I cannot reach your account at the moment. Please ask again in a minute."},
		"overloaded":         {http.StatusTooManyRequests, "", "", false, "bot: I cannot reach your account at the moment. Please ask again in a minute."},
		"a redirect":         {http.StatusFound, "", "invalid_auth", true, pleaseSign},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBank(t)
			b.refuse(c.status, c.header)
			w := &widget{t: t, site: newShop(t, b, nil), customer: "c-ada", token: "c-ada:Ada:gold"}
			got := w.say(question)
			if got.Error != c.err || got.Pending != c.pending || got.SignIn || strings.Join(texts(got.Append), "|") != c.said {
				t.Errorf("got %+v", got)
			}
			b.refuse(0, "")
			if told := w.call("message", map[string]any{"resume": true}); c.pending != cmp.Equal(texts(told.Append), []string{adasBalance}) {
				t.Errorf("resumed: %+v", told)
			}
		})
	}
}

func TestAnAccountAPIThatIsDownSignsNobodyOut(t *testing.T) {
	b := newBank(t)
	w := &widget{t: t, site: newShop(t, b, nil), customer: "c-ada", token: "c-ada:Ada:gold"}
	b.Close()
	got := w.say(question)
	if got.Error != "" || got.SignIn || len(got.Append) != 1 || !strings.Contains(got.timing, "no answer") {
		t.Errorf("got %+v, timing %q", got, got.timing)
	}
}

func TestAPageCannotNameAnotherCustomer(t *testing.T) {
	site := newShop(t, newBank(t), nil)
	ada := &widget{t: t, site: site, customer: "c-ada", token: "c-ada:Ada:gold"}
	ada.call("authenticate", nil)
	ada.say("a secret")
	thief := &widget{t: t, site: site, customer: "c-ada", token: "c-ben:Ben:standard"}
	for _, name := range []string{"authenticate", "open"} {
		if got := thief.call(name, nil); strings.Contains(fmt.Sprint(got.History), "secret") {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := thief.say(question); got.Error != "invalid_auth" || strings.Contains(fmt.Sprint(got), "1209") {
		t.Errorf("balance: %+v", got)
	}
}

func TestAHistoryTakesAContext(t *testing.T) {
	b := newBank(t)
	w := &widget{t: t, site: newShop(t, b, nil), customer: "c-ada", token: "c-ada:Ada:gold"}
	w.call("authenticate", nil)
	w.say("a secret")
	w.token = ""
	for _, name := range []string{"open", "authenticate"} {
		if got := w.call(name, nil); len(got.History) != 0 || len(got.Append) != 0 {
			t.Errorf("%s without a context: %+v", name, got)
		}
	}
	b.refuse(http.StatusForbidden, "")
	w.token = "c-ada:Ada:gold"
	if got := w.call("authenticate", nil); got.Error != "invalid_auth" || len(got.History) != 0 || len(got.Append) != 0 {
		t.Errorf("authenticate with a refused one: %+v", got)
	}
}

func TestTwoTabsGetOneAnswer(t *testing.T) {
	b := newBank(t)
	var asked sync.WaitGroup
	asked.Add(2)
	b.before = func() { // answers nobody before both have asked
		asked.Done()
		asked.Wait()
	}
	site := newShop(t, b, nil)
	w := &widget{t: t, site: site, customer: "c-ada"}
	w.say(question)
	answers := make(chan int)
	for range 2 {
		go func() {
			tab := &widget{t: t, site: site, session: w.session, customer: "c-ada", token: "c-ada:Ada:gold"}
			answers <- len(tab.call("message", map[string]any{"resume": true}).Append)
		}()
	}
	if got := <-answers + <-answers; got != 1 {
		t.Errorf("%d answers", got)
	}
}

func TestASessionIsOnlyForItsCustomer(t *testing.T) {
	site := newShop(t, newBank(t), nil)
	ada := &widget{t: t, site: site, customer: "c-ada", token: "c-ada:Ada:gold"}
	ada.call("authenticate", nil)
	ada.say("a secret")
	next := &widget{t: t, site: site, session: ada.session} // who comes after her, at the same browser
	if got := next.call("open", nil); next.session == ada.session || len(got.History) != 1 {
		t.Errorf("nobody in particular: %+v", got)
	}
	ben := &widget{t: t, site: site, session: ada.session, customer: "c-ben", token: "c-ben:Ben:standard"}
	if got := ben.call("authenticate", nil); strings.Contains(fmt.Sprint(got.History), "secret") {
		t.Errorf("Ben: %+v", got)
	}
}

func TestHistoryFollowsTheCustomerAndOnlyTheAnonymousIsMerged(t *testing.T) {
	site := newShop(t, newBank(t), nil)
	home := &widget{t: t, site: site, customer: "c-ada", token: "c-ada:Ada:gold"}
	home.call("authenticate", nil)
	home.say("said at home")
	away := &widget{t: t, site: site}
	away.call("open", nil)
	away.say("said away, anonymous")
	away.customer, away.token = "c-ada", "c-ada:Ada:gold"
	got := fmt.Sprint(texts(away.call("authenticate", nil).History))
	if !strings.Contains(got, "said at home") || !strings.Contains(got, "said away") {
		t.Errorf("Ada away: %s", got)
	}
	silent := &widget{t: t, site: site}
	silent.call("open", nil)
	silent.customer, silent.token = "c-ada", "c-ada:Ada:gold"
	if got := fmt.Sprint(texts(silent.call("authenticate", nil).History)); strings.Count(got, "Hello!") != 2 {
		t.Errorf("Ada, who said nothing before: %s", got)
	}
	away.customer, away.token = "c-ben", "c-ben:Ben:standard"
	if got := fmt.Sprint(texts(away.call("authenticate", nil).History)); strings.Contains(got, "said") {
		t.Errorf("Ben at the same browser: %s", got)
	}
}

func TestSignOutForgetsTheSessionAndNotTheConversation(t *testing.T) {
	site := newShop(t, newBank(t), nil)
	w := &widget{t: t, site: site, customer: "c-ada", token: "c-ada:Ada:gold"}
	w.call("authenticate", nil)
	w.say("remember me")
	old := w.session
	w.call("clear", nil)
	w.session = old
	if got := w.call("open", nil); w.session == old || len(got.History) != 1 {
		t.Errorf("after the sign-out: %+v", got)
	}
	if got := w.call("authenticate", nil); !strings.Contains(fmt.Sprint(got.History), "remember me") {
		t.Errorf("signed in again: %+v", got)
	}
}

func TestSmallTalk(t *testing.T) {
	w := &widget{t: t, site: newShop(t, newBank(t), nil)}
	for _, c := range []struct {
		say, from     string
		settled, live bool
		issue         int
	}{
		{"When will my order arrive?", "bot", true, false, 1},
		{"Opening hours?", "bot", true, false, 2},
		{"Blurb", "bot", false, false, 3},
		{"Talk to a person", "agent", false, true, 3},
		{"Blurb", "agent", false, true, 3},
		{"Goodbye", "agent", true, false, 3},
		{"Thanks", "bot", true, false, 4},
	} {
		got := w.say(c.say)
		if len(got.Append) != 1 || got.Append[0].From != c.from || got.Settled != c.settled || got.Live != c.live || got.IssueID != c.issue {
			t.Errorf("%s: %+v", c.say, got)
		}
	}
}

func TestFaultyRequestsAreRefused(t *testing.T) {
	site := newShop(t, newBank(t), nil)
	auth := func(token string) any {
		return map[string]any{"context": map[string]any{"Auth": map[string]any{"Token": token}}}
	}
	for name, request := range map[string]any{
		"long text":    map[string]string{"text": strings.Repeat("é", 501)},
		"long token":   auth(strings.Repeat("x", 16<<10+1)),
		"token in two": auth("x\r\nX-Injected: y"),
		"long session": map[string]string{"session": strings.Repeat("x", 129)},
		"huge":         map[string]string{"other": strings.Repeat("x", 65<<10)},
		"no object":    []string{},
		"wrong type":   map[string]any{"text": 1},
	} {
		if status, body, _ := post(t, site, "message", request); status != http.StatusBadRequest {
			t.Errorf("%s: status %d: %s", name, status, body)
		}
	}
	if status, _, _ := post(t, site, "explode", map[string]string{}); status != http.StatusNotFound {
		t.Errorf("unknown call: status %d", status)
	}
	for header, value := range map[string]string{"Content-Type": "text/plain", "Origin": "http://evil.example", "Sec-Fetch-Site": "same-site"} {
		r := httptest.NewRequest(http.MethodPost, "/vendor/open", strings.NewReader("{}"))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set(header, value)
		rec := httptest.NewRecorder()
		site.ServeHTTP(rec, r)
		if rec.Code == http.StatusOK {
			t.Errorf("%s: %s was accepted", header, value)
		}
	}
}
