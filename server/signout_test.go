package server_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"chatpass/identity"
)

// Nobody's sign-out is a success, leads nowhere, and is no decision of ours.
func TestSignOutOfNobodyIsASuccess(t *testing.T) {
	h := newHouse(t)
	res := newBrowser(t, h).call("/v1/logout", map[string]any{"scope": "global"})
	if address, there := res.data["end_session_url"]; res.StatusCode != http.StatusOK || !there || address != nil || len(h.decisions) != 0 {
		t.Errorf("%s\n%s\n%v", res.Status, res.body, h.decisions)
	}
}

func TestTicketThatIsNoneOfOursIsRefused(t *testing.T) {
	for _, ticket := range []string{"", "garbage"} {
		res := newBrowser(t, newHouse(t)).visit("/v1/logout/start?l=" + ticket)
		if res.StatusCode != http.StatusGone || !strings.Contains(string(res.body), string(identity.SignInExpired)) {
			t.Errorf("%q: %s\n%s", ticket, res.Status, res.body)
		}
	}
}

// ticket signs the visitor out of the chat, and returns the way to the issuer's sign-out.
func (tg *target) ticket(t *testing.T) string {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/v1/logout", strings.NewReader(`{"client_id":"web","scope":"global"}`))
	r.Header = http.Header{"Origin": {shopPage}, "X-Chatpass-Client": {"web/0"}, "Content-Type": {"application/json"}, "Cookie": {"__Host-chatpass-support=" + tg.visitor}}
	w := httptest.NewRecorder()
	tg.ServeHTTP(w, r)
	_, rest, _ := strings.Cut(w.Body.String(), ours)
	path, _, found := strings.Cut(rest, `"`)
	if !found {
		t.Fatalf("logout: %d %s", w.Code, w.Body)
	}
	return path
}

func (tg *target) visit(path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	tg.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

// An issuer that cannot be signed out of is no failure: what we could do is done.
func TestSignOutEndsHereWhereTheIssuerHasNone(t *testing.T) {
	tg := newTarget(t)
	if w := tg.visit(tg.ticket(t)); w.Code != http.StatusOK || w.Header().Get("Location") != "" {
		t.Errorf("%d to %q", w.Code, w.Header().Get("Location"))
	}
}

// An issuer that is away costs nothing: the same way leads there when it is back, and once.
func TestTicketIsSpentWhenTheWayIsKnown(t *testing.T) {
	tg := newTarget(t)
	tg.corp.document["end_session_endpoint"] = tg.corp.URL + "/logout"
	if err := tg.corp.behave(&tg.corp.documentPage, "an error page"); err != nil {
		t.Fatal(err)
	}
	tg.restart(t, tg.corp)
	way := tg.ticket(t)
	for range 2 {
		if w := tg.visit(way); w.Code != http.StatusServiceUnavailable {
			t.Fatalf("while it is away: %d %s", w.Code, w.Body)
		}
	}
	tg.corp.documentPage = nil
	tg.now = tg.now.Add(30 * time.Second)
	if w := tg.visit(way); w.Code != http.StatusFound || !strings.HasPrefix(w.Header().Get("Location"), tg.corp.URL+"/logout?") {
		t.Errorf("when it is back: %d to %q", w.Code, w.Header().Get("Location"))
	}
	if w := tg.visit(way); w.Code == http.StatusFound {
		t.Error("the way leads there twice")
	}
}
