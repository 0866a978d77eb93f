package admin_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"chatpass/admin"
	"chatpass/decision"
	"chatpass/identity"
)

func get(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func TestReadyFollowsWhatCanBeIssued(t *testing.T) {
	var missing error
	h := admin.Handler(admin.Config{Ready: func() error { return missing }, Metrics: admin.NewMetrics()})
	if status, _ := get(t, h, "/readyz"); status != http.StatusOK {
		t.Errorf("ready: %d", status)
	}
	missing = errors.New("no signing key is in lease")
	if status, body := get(t, h, "/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "no signing key is in lease") {
		t.Errorf("not ready: %d %s", status, body)
	}
	if status, _ := get(t, h, "/livez"); status != http.StatusOK {
		t.Errorf("a process that cannot issue is alive all the same: %d", status)
	}
}

func TestMetricsHaveTheContractsNames(t *testing.T) {
	m := admin.NewMetrics()
	m.Decision(&decision.Decision{App: "support", Verb: "exchange", Outcome: decision.Refused, Code: identity.TokenExpired})
	m.Request("/oauth2/token", 400, time.Millisecond)
	m.Store("find", time.Millisecond, nil)
	m.Fetch("corp", errors.New("away"))
	m.Fetch("good", nil)
	m.Distrusted()
	m.Watch(admin.Gauge{Name: "chatpass_issuer_keys_age_seconds", Help: "h", Label: "issuer", Read: func() map[string]float64 { return map[string]float64{"corp": 7} }})
	m.Watch(admin.Gauge{Name: "chatpass_revocation_lag_seconds", Help: "h", Read: func() map[string]float64 { return map[string]float64{"": 0.25} }})
	_, body := get(t, admin.Handler(admin.Config{Metrics: m}), "/metrics")
	for _, want := range []string{
		`chatpass_decisions_total{app="support",outcome="refused",verb="exchange"} 1`,
		`chatpass_refusals_total{code="CP-205"} 1`,
		`chatpass_request_seconds_count{route="/oauth2/token",status="400"} 1`,
		`chatpass_store_seconds_count{op="find"} 1`,
		`chatpass_issuer_fetch_failures_total{issuer="corp"} 1`,
		`chatpass_issuer_keys_age_seconds{issuer="corp"} 7`,
		"\nchatpass_forwarded_distrusted_total 1\n",
		"\nchatpass_revocation_lag_seconds 0.25\n",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	if strings.Contains(body, `issuer="good"`) {
		t.Error("a good fetch counts as a failure")
	}
}

func TestHeapIsShownOnlyWhenAskedFor(t *testing.T) {
	for _, c := range []struct {
		asked        bool
		host, origin string
		want         int
	}{
		{false, "localhost:9090", "", http.StatusNotFound},
		{true, "localhost:9090", "", http.StatusOK},
		{true, "127.0.0.1:9090", "", http.StatusOK},
		{true, "[::1]:9090", "", http.StatusOK},
		{true, "evil.example:9090", "", http.StatusForbidden}, // a name that was made to lead here
		{true, "localhost:9090", "https://evil.example", http.StatusForbidden},
	} {
		r := httptest.NewRequest(http.MethodGet, "/debug/pprof/", nil)
		r.Host = c.host
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		w := httptest.NewRecorder()
		admin.Handler(admin.Config{Metrics: admin.NewMetrics(), Pprof: c.asked}).ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%+v: got %d", c, w.Code)
		}
	}
}
