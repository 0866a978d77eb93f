package server_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"chatpass/identity"
	"chatpass/server"
)

// refuse has a request refused, and returns the code: in a house where the second refusal of an address
// is too many, it tells which addresses are counted as one.
func (h *house) refuse(t testing.TB, peer string, forwarded ...string) identity.Code {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/oauth2/token", nil)
	r.RemoteAddr = peer
	if len(forwarded) > 0 {
		r.Header["X-Forwarded-For"] = forwarded
	}
	code, _ := h.send(t, r).data["code"].(string)
	return identity.Code(code)
}

func TestAddressIsWhatTrustedProxiesSay(t *testing.T) {
	h, _ := limitedHouse(t, server.Limits{RefusalsPerIP: 1})
	for name, c := range map[string]struct {
		peer      string
		forwarded []string
		want      string // the peer that is counted with it
	}{
		"no proxy":                      {"192.0.2.1:1000", nil, "192.0.2.1:2000"},
		"no proxy, IPv6":                {"[2001:db8:1::1]:1000", nil, "[2001:db8:1:0:ffff::1]:2000"},
		"IPv4 in IPv6":                  {"[::ffff:192.0.2.2]:1000", nil, "192.0.2.2:1000"},
		"a zone":                        {"[fe80::1%eth0]:1000", nil, "[fe80::2%eth1]:1000"},
		"a stranger's word":             {"192.0.2.3:1000", []string{"198.51.100.3"}, "192.0.2.3:1000"},
		"one proxy":                     {"10.0.0.1:1000", []string{"198.51.100.4"}, "198.51.100.4:1000"},
		"a proxy in IPv6's clothes":     {"[::ffff:10.0.0.1]:1000", []string{"198.51.100.5"}, "198.51.100.5:1000"},
		"a proxy of IPv6":               {"[fd00::1]:1000", []string{"2001:db8:6::1"}, "[2001:db8:6::2]:1000"},
		"a proxy on the same link":      {"[fe80::1%eth0]:1000", []string{"198.51.100.32"}, "198.51.100.32:1000"},
		"a proxy on its link":           {"10.0.0.1:1000", []string{"198.51.100.33, fe80::9%eth1"}, "198.51.100.33:1000"},
		"two proxies":                   {"10.0.0.1:1000", []string{"198.51.100.7, 10.0.0.2"}, "198.51.100.7:1000"},
		"two lines":                     {"10.0.0.1:1000", []string{"198.51.100.8", "10.0.0.2"}, "198.51.100.8:1000"},
		"lines in their order":          {"10.0.0.1:1000", []string{"198.51.100.99", "198.51.100.9"}, "198.51.100.9:1000"},
		"a stranger's word to a proxy":  {"10.0.0.1:1000", []string{"198.51.100.99, 198.51.100.10"}, "198.51.100.10:1000"},
		"a proxy's name as bait":        {"10.0.0.1:1000", []string{"10.9.9.9, 198.51.100.11"}, "198.51.100.11:1000"},
		"a port":                        {"10.0.0.1:1000", []string{"198.51.100.12:80"}, "198.51.100.12:1000"},
		"brackets":                      {"10.0.0.1:1000", []string{"[2001:db8:13::1]"}, "[2001:db8:13::1]:1000"},
		"brackets and port":             {"10.0.0.1:1000", []string{"[2001:db8:14::1]:80"}, "[2001:db8:14::1]:1000"},
		"a forwarded zone":              {"10.0.0.1:1000", []string{"2001:db8:15::1%25eth0"}, "[2001:db8:15::1]:1000"},
		"forwarded IPv4 in IPv6":        {"10.0.0.1:1000", []string{"::ffff:198.51.100.16"}, "198.51.100.16:1000"},
		"empty elements":                {"10.0.0.1:1000", []string{"", " 198.51.100.17 ,,\t, ", ","}, "198.51.100.17:1000"},
		"nothing but commas":            {"10.0.0.18:1000", []string{", ,", ","}, "10.0.0.18:1000"},
		"an empty header":               {"10.0.0.19:1000", []string{""}, "10.0.0.19:1000"},
		"a word":                        {"10.0.0.20:1000", []string{"unknown"}, "10.0.0.20:1000"},
		"a word before a proxy":         {"10.0.0.1:1000", []string{"198.51.100.99, unknown, 10.0.0.21"}, "10.0.0.21:1000"},
		"quotes":                        {"10.0.0.22:1000", []string{`"198.51.100.99"`}, "10.0.0.22:1000"},
		"IPv4 in brackets":              {"10.0.0.23:1000", []string{"[198.51.100.99]"}, "10.0.0.23:1000"},
		"a network":                     {"10.0.0.24:1000", []string{"198.51.100.0/24"}, "10.0.0.24:1000"},
		"leading zeros":                 {"10.0.0.25:1000", []string{"198.51.100.025"}, "10.0.0.25:1000"},
		"only proxies":                  {"10.0.0.1:1000", []string{"10.0.0.26, 10.0.0.2"}, "10.0.0.26:1000"},
		"100 KB of words":               {"10.0.0.27:1000", []string{strings.Repeat("x", 100<<10)}, "10.0.0.27:1000"},
		"100 KB of commas":              {"10.0.0.28:1000", []string{strings.Repeat(",", 100<<10)}, "10.0.0.28:1000"},
		"100 KB of proxies":             {"10.0.0.1:1000", []string{"198.51.100.29" + strings.Repeat(",10.0.0.2", 11<<10)}, "198.51.100.29:1000"},
		"100 KB of a stranger's words":  {"10.0.0.1:1000", []string{strings.Repeat("10.0.0.2,", 11<<10) + "198.51.100.30"}, "198.51.100.30:1000"},
		"another proxy's kind of wrong": {"10.0.0.31:1000", []string{"198.51.100.99;198.51.100.98"}, "10.0.0.31:1000"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := h.refuse(t, c.peer, c.forwarded...); got != identity.MethodNotAllowed {
				t.Fatalf("got %s: another case has the same address", got)
			}
			if got := h.refuse(t, c.want); got != identity.LimitPerIP {
				t.Errorf("%s is not counted with it", c.want)
			}
		})
	}
	for _, other := range []string{"[2001:db8:1:1::1]:1000", "198.51.100.99:1000", "198.51.100.3:1000"} {
		if got := h.refuse(t, other); got != identity.MethodNotAllowed {
			t.Errorf("%s was counted for somebody else", other)
		}
	}
}

func TestDistrustedForwardingIsReported(t *testing.T) {
	told := 0
	h, _ := limitedHouse(t, server.Limits{}, func(cfg *server.Config) { cfg.Distrusted = func() { told++ } })
	h.refuse(t, "10.0.0.1:1000", "198.51.100.1")
	h.refuse(t, "192.0.2.1:1000")
	if told != 0 {
		t.Errorf("told %d times of what is in order", told)
	}
	h.refuse(t, "192.0.2.1:1000", "198.51.100.1")
	if told != 1 {
		t.Errorf("told %d times, want once", told)
	}
}

// Whoever keeps decisions can tell one sender's from another's, whichever room has made them.
func TestDecisionIsToldWithItsHousehold(t *testing.T) {
	h, _ := limitedHouse(t, server.Limits{})
	h.refuse(t, "10.0.0.1:1000", "198.51.100.4")
	if got := h.household.String(); got != "198.51.100.4/32" {
		t.Errorf("a request of 198.51.100.4 that was refused at the door is told as one of %s", got)
	}
	r := asks(h, url.Values{"subject_token": {"none"}})
	r.RemoteAddr = "[2001:db8:1:2:3::1]:1000"
	h.send(t, r)
	if got := h.household.String(); got != "2001:db8:1:2::/64" {
		t.Errorf("an exchange of 2001:db8:1:2:3::1 is told as one of %s", got)
	}
	if got := server.Household(t.Context()); got.IsValid() {
		t.Errorf("nobody's request is one of %s", got)
	}
}

// Whatever a stranger writes into X-Forwarded-For, the address that is counted is the one that a proxy
// of ours, or the connection itself, has seen.
func FuzzNobodyChoosesTheirAddress(f *testing.F) {
	for _, header := range []string{"", "198.51.100.1", "10.0.0.2, 10.0.0.3", "[::1]:80, %", ",,,\t,", "unknown", "fe80::1%eth0", "::ffff:10.0.0.1", `"`, "10.0.0.1:99999"} {
		f.Add(header)
	}
	h, _ := limitedHouse(f, server.Limits{RefusalsPerIP: 1})
	const seen, behind = "192.0.2.1:1000", "192.0.2.2"
	h.refuse(f, seen)
	h.refuse(f, behind+":1000")
	f.Fuzz(func(t *testing.T, header string) {
		h.log.Reset()
		for _, c := range []struct {
			peer      string
			forwarded []string
		}{
			{seen, []string{header}},
			{seen, []string{header, header}},
			{"10.0.0.1:1000", []string{header + "," + behind}},
			{"10.0.0.1:1000", []string{header, behind}},
			{"10.0.0.1:1000", []string{header, behind, "10.0.0.2, "}},
		} {
			if got := h.refuse(t, c.peer, c.forwarded...); got != identity.LimitPerIP {
				t.Errorf("peer %s, header %q: got %s", c.peer, c.forwarded, got)
			}
		}
	})
}
