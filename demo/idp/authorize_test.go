package idp_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
)

func with(name, value string) oauth2.AuthCodeOption { return oauth2.SetAuthURLParam(name, value) }

func TestWhetherAPersonIsAsked(t *testing.T) {
	b := start(t)
	adasToken, _ := b.idToken(ada)
	bensToken, _ := b.idToken(ben)
	b.clock.advance(10 * time.Second)
	const page, code = "page", "code"
	for name, c := range map[string]struct {
		stranger bool
		ask      map[string]string
		want     string
	}{
		"nobody signed in":             {stranger: true, want: page},
		"nobody signed in, none":       {stranger: true, ask: map[string]string{"prompt": "none"}, want: "login_required"},
		"signed in":                    {want: code},
		"signed in, none":              {ask: map[string]string{"prompt": "none"}, want: code},
		"signed in, login":             {ask: map[string]string{"prompt": "login"}, want: page},
		"signed in, select_account":    {ask: map[string]string{"prompt": "select_account"}, want: page},
		"fresh enough":                 {ask: map[string]string{"max_age": "10"}, want: code},
		"too old":                      {ask: map[string]string{"max_age": "9"}, want: page},
		"too old, none":                {ask: map[string]string{"max_age": "9", "prompt": "none"}, want: "login_required"},
		"max_age=0":                    {ask: map[string]string{"max_age": "0"}, want: page},
		"hint of the same person":      {ask: map[string]string{"id_token_hint": bensToken, "prompt": "none"}, want: code},
		"hint of another person":       {ask: map[string]string{"id_token_hint": adasToken}, want: page},
		"hint of another person, none": {ask: map[string]string{"id_token_hint": adasToken, "prompt": "none"}, want: "login_required"},
		"hint of nobody":               {ask: map[string]string{"id_token_hint": "x.y.z"}, want: "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			in := *b
			in.t = t
			if c.stranger {
				in.browser = newBrowser(t)
			}
			var options []oauth2.AuthCodeOption
			for k, v := range c.ask {
				options = append(options, with(k, v))
			}
			status, body, to := in.get(in.authorizeURL(options...))
			got := to.Query().Get("error")
			if status == http.StatusOK && strings.Contains(body, "Who are you today?") {
				got = page
			} else if to.Query().Get("code") != "" {
				got = code
			}
			if got != c.want {
				t.Errorf("got %q, want %q (status %d)", got, c.want, status)
			}
		})
	}
}

func TestMaxAgeZeroAlwaysAsks(t *testing.T) {
	b := start(t)
	b.signIn(ada) // this very second
	if status, _, _ := b.get(b.authorizeURL(with("max_age", "0"))); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
}

func TestSigningInAgainIsFreshAndKeepsTheSession(t *testing.T) {
	b := start(t)
	_, first := b.idToken(ada)
	b.clock.advance(time.Minute)
	_, second := b.idToken(ada)
	var was, is struct {
		SID  string `json:"sid"`
		Time int64  `json:"auth_time"`
	}
	if first.Claims(&was) != nil || second.Claims(&is) != nil {
		t.Fatal("claims cannot be read")
	}
	if was.SID != is.SID || is.Time != was.Time+60 {
		t.Errorf("first %+v, then %+v", was, is)
	}
}

func TestAnUnknownClientOrAddressLeadsNowhere(t *testing.T) {
	b := start(t)
	for name, q := range map[string]url.Values{
		"no client":        {},
		"unknown client":   {"client_id": {"x"}, "redirect_uri": {"http://127.0.0.1:1/back?own=1"}},
		"two clients":      {"client_id": {"shop", "shop"}, "redirect_uri": {"http://127.0.0.1:1/back?own=1"}},
		"no address":       {"client_id": {"shop"}},
		"prefix":           {"client_id": {"shop"}, "redirect_uri": {"http://127.0.0.1:1/back"}},
		"slash":            {"client_id": {"shop"}, "redirect_uri": {"http://127.0.0.1:1/back?own=1/"}},
		"case":             {"client_id": {"shop"}, "redirect_uri": {"HTTP://127.0.0.1:1/back?own=1"}},
		"another client's": {"client_id": {"shop"}, "redirect_uri": {"http://127.0.0.1:2/back"}},
		"two addresses":    {"client_id": {"shop"}, "redirect_uri": {"http://127.0.0.1:1/back?own=1", "http://evil.example"}},
		"fragment":         {"client_id": {"shop"}, "redirect_uri": {"http://127.0.0.1:1/back?own=1#x"}},
	} {
		for _, path := range []string{"/authorize?", "/sign-in?"} {
			var status int
			var to *url.URL
			if path == "/authorize?" {
				status, _, to = b.get(b.issuer + path + q.Encode())
			} else {
				status, _, to = b.press(b.issuer+path+q.Encode(), url.Values{"person": {ada}})
			}
			if status != http.StatusBadRequest || to.String() != "" {
				t.Errorf("%s at %s: status %d, sent to %q", name, path, status, to)
			}
		}
	}
}

func TestAFaultyRequestIsToldToTheClient(t *testing.T) {
	b := start(t)
	for name, c := range map[string]struct {
		change url.Values
		want   string
	}{
		"implicit flow":      {url.Values{"response_type": {"token"}}, "unsupported_response_type"},
		"fragment answer":    {url.Values{"response_mode": {"fragment"}}, "invalid_request"},
		"no openid":          {url.Values{"scope": {"email"}}, "invalid_scope"},
		"no PKCE":            {url.Values{"code_challenge": nil}, "invalid_request"},
		"plain PKCE":         {url.Values{"code_challenge_method": {"plain"}}, "invalid_request"},
		"short challenge":    {url.Values{"code_challenge": {"abc"}}, "invalid_request"},
		"unknown prompt":     {url.Values{"prompt": {"create"}}, "invalid_request"},
		"contrary prompts":   {url.Values{"prompt": {"none login"}}, "invalid_request"},
		"max_age not a time": {url.Values{"max_age": {"-1"}}, "invalid_request"},
		"request object":     {url.Values{"request": {"x"}}, "request_not_supported"},
		"request_uri":        {url.Values{"request_uri": {"x"}}, "request_uri_not_supported"},
		"nonce twice":        {url.Values{"nonce": {"a", "b"}}, "invalid_request"},
	} {
		u, err := url.Parse(b.authorizeURL())
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		for k, v := range c.change {
			q[k] = v
		}
		status, _, to := b.get(b.issuer + "/authorize?" + q.Encode())
		got := to.Query()
		if status != http.StatusSeeOther || to.Host != "127.0.0.1:1" || got.Get("error") != c.want || got.Get("state") != "st&te" || got.Get("iss") != b.issuer || got.Has("code") {
			t.Errorf("%s: status %d, sent to %q", name, status, to)
		}
	}
}

func TestCancelIsToldToTheClient(t *testing.T) {
	b := start(t)
	_, q, _ := strings.Cut(b.authorizeURL(), "?")
	_, _, to := b.press(b.issuer+"/sign-in?"+q, url.Values{"cancel": {"yes"}})
	if got := to.Query(); got.Get("error") != "access_denied" || got.Get("state") != "st&te" {
		t.Errorf("sent to %q", to)
	}
	if _, _, to := b.get(b.authorizeURL(with("prompt", "none"))); to.Query().Get("error") != "login_required" {
		t.Errorf("somebody is signed in: %q", to)
	}
}

func TestTheSignInPageCarriesTheRequest(t *testing.T) {
	b := start(t)
	address := b.authorizeURL(with("login_hint", "ben@example.com"))
	_, body, _ := b.get(address)
	_, rest, ok := strings.Cut(body, `action="/sign-in?`)
	if !ok {
		t.Fatal(body)
	}
	query, _, _ := strings.Cut(rest, `"`)
	status, _, to := b.press(b.issuer+"/sign-in?"+strings.ReplaceAll(query, "&amp;", "&"), url.Values{"person": {ben}})
	if status != http.StatusSeeOther || to.Query().Get("code") == "" {
		t.Errorf("status %d, sent to %q", status, to)
	}
	if strings.Index(body, `value="`+ben) > strings.Index(body, `value="`+ada) {
		t.Error("the expected person does not come first")
	}
}
