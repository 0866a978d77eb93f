package shop_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"

	"chatpass/demo/shop"
)

// bank is an account API that knows tokens of the form "customer:name:tier".
type bank struct {
	*httptest.Server
	mu     sync.Mutex
	before func() // each answer; may be nil
	status int    // instead of an answer
	header string // of WWW-Authenticate then
	asked  []string
}

func newBank(t *testing.T) *bank {
	b := &bank{}
	b.Server = httptest.NewServer(b)
	t.Cleanup(b.Close)
	return b
}

func (b *bank) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if b.before != nil {
		b.before()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = append(b.asked, r.URL.Path+" "+r.Header.Get("Authorization"))
	if b.status != 0 {
		w.Header().Set("WWW-Authenticate", b.header)
		w.WriteHeader(b.status)
		return
	}
	part := strings.Split(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), ":")
	_ = json.NewEncoder(w).Encode(map[string]any{"customer": part[0], "name": part[1], "tier": part[2], "amount_cents": 120905, "currency": "EUR"})
}

// refuse makes the bank answer so from now on; 0 ends it.
func (b *bank) refuse(status int, header string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status, b.header = status, header
}

func (b *bank) calls() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string{}, b.asked...)
}

func newShop(t *testing.T, b *bank, log func(string)) http.Handler {
	t.Helper()
	var mu sync.Mutex
	ids := 0
	site, err := shop.New(shop.Config{
		Service: "http://localhost:8080", ClientID: "shop-web", AccountAPI: b.URL, Operator: "http://localhost:9000/operator", Log: log,
		NewID: func() string {
			mu.Lock()
			defer mu.Unlock()
			ids++
			return fmt.Sprintf("s-%d", ids)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return site
}

type line struct {
	From    string   `json:"from"`
	Text    string   `json:"text"`
	Replies []string `json:"replies"`
}

type answer struct {
	Show            bool
	Session         string
	Error           string
	SignIn, Pending bool
	History, Append []line
	IssueID         int
	Settled, Live   bool
	timing          string
}

// widget is a page's widget as the vendor's server sees it.
type widget struct {
	t                        *testing.T
	site                     http.Handler
	session, customer, token string
}

func (w *widget) call(name string, more map[string]any) answer {
	w.t.Helper()
	request := map[string]any{"session": w.session, "customerId": w.customer, "context": map[string]any{"Auth": map[string]any{"Token": w.token}}}
	for k, v := range more {
		request[k] = v
	}
	status, body, header := post(w.t, w.site, name, request)
	if status != http.StatusOK {
		w.t.Fatalf("%s: status %d: %s", name, status, body)
	}
	var a answer
	if err := json.Unmarshal(body, &a); err != nil {
		w.t.Fatal(err)
	}
	a.timing = header.Get("Server-Timing")
	w.session = a.Session
	return a
}

func (w *widget) say(text string) answer { return w.call("message", map[string]any{"text": text}) }

func post(t *testing.T, site http.Handler, name string, request any) (int, []byte, http.Header) {
	t.Helper()
	body, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, "/vendor/"+name, bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	site.ServeHTTP(rec, r)
	return rec.Code, rec.Body.Bytes(), rec.Header()
}

func texts(lines []line) (all []string) {
	for _, l := range lines {
		all = append(all, l.From+": "+l.Text)
	}
	return all
}

func TestTheSiteIsWiredToItsService(t *testing.T) {
	site := newShop(t, newBank(t), nil)
	for path, want := range map[string]string{
		"/":                    `src="http://localhost:8080/sdk/v1/chatpass.iife.js"`,
		"/wiring.js":           `Chatpass.create({clientId: 'shop-web', authHost: 'http://localhost:8080'`,
		"/panel.js":            "watchCalls",
		"/embed.js":            "chat-sdk-standin.js",
		"/chat-sdk-standin.js": "STAND-IN",
		"/standin/core.mjs":    "STAND-IN",
		"/standin/frame.html":  "Stand-in of the ASAPP Chat SDK",
		"/standin/badge.css":   ".asappChatSDKBadge",
	} {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		rec := httptest.NewRecorder()
		site.ServeHTTP(rec, r)
		policy := rec.Header().Get("Content-Security-Policy")
		if rec.Code != http.StatusOK || !strings.Contains(rec.Body.String(), want) {
			t.Errorf("%s: status %d, without %q", path, rec.Code, want)
		}
		if !strings.HasPrefix(policy, "default-src 'none'; script-src 'self' http://localhost:8080; connect-src 'self' http://localhost:8080; ") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", path, policy)
		}
		if strings.HasSuffix(path, "js") && !strings.Contains(rec.Header().Get("Content-Type"), "javascript") {
			t.Errorf("%s: type %q", path, rec.Header().Get("Content-Type"))
		}
	}
}

func TestTheStandInImportsNothingOfOurSDK(t *testing.T) {
	site := newShop(t, newBank(t), nil)
	imports := regexp.MustCompile(`(?:from |import\()'([^']+)'`)
	for _, path := range []string{"/chat-sdk-standin.js", "/standin/install.mjs", "/standin/core.mjs", "/standin/provider.mjs", "/standin/server.mjs", "/standin/store.mjs", "/standin/stub.mjs", "/standin/view.mjs"} {
		rec := httptest.NewRecorder()
		site.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
		if !strings.Contains(rec.Body.String(), "STAND-IN of the ASAPP Chat SDK") {
			t.Errorf("%s does not say that it is a stand-in", path)
		}
		for _, found := range imports.FindAllStringSubmatch(rec.Body.String(), -1) {
			if !strings.HasPrefix(found[1], "./") && !strings.HasPrefix(found[1], "/standin/") {
				t.Errorf("%s imports %s", path, found[1])
			}
		}
	}
}

func TestWrongSettingsAreRefused(t *testing.T) {
	good := shop.Config{Service: "http://localhost:8080", ClientID: "x", AccountAPI: "http://localhost:1", Operator: "http://localhost:9000"}
	for name, change := range map[string]func(*shop.Config){
		"no client":      func(c *shop.Config) { c.ClientID = "" },
		"no service":     func(c *shop.Config) { c.Service = "" },
		"no account API": func(c *shop.Config) { c.AccountAPI = "localhost" },
		"bad operator":   func(c *shop.Config) { c.Operator = "%" },
	} {
		cfg := good
		change(&cfg)
		if _, err := shop.New(cfg); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	good.ClientID = `</script>'x`
	site, err := shop.New(good)
	if err != nil {
		t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	site.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/wiring.js", nil))
	if strings.Contains(rec.Body.String(), good.ClientID) {
		t.Error("a client id got out of its string")
	}
}
