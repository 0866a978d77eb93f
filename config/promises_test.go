package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"chatpass/config"
)

// minimal is a configuration with the least in it; lines that a test adds go before, after or inside.
const minimal = `issuer: https://chat-auth.example.com
store: sqlite:/var/lib/chatpass/chatpass.db
master_key: env:MASTER_KEY
issuers:
  corp: {issuer: https://login.example.com, client_id: chatpass, client_secret: env:SECRET}
apps:
  support:
    audience: [https://api.example.com]
    issuers: [corp]
    origins: [https://www.example.com]
    clients:
      support-web: {type: browser}
`

// sameConfig compares what the file says, secrets by value.
func sameConfig() cmp.Options {
	return cmp.Options{
		cmpopts.IgnoreUnexported(config.Config{}), cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Prefix{}),
		cmp.Comparer(func(a, b config.Secret) bool { return a == b }),
	}
}

func mustRead(t testing.TB, dir, text string) *config.Config {
	t.Helper()
	cfg, faults := read(t, dir, "chatpass.yaml", text)
	if len(faults) > 0 {
		t.Fatalf("faults:\n%s", list(faults, dir))
	}
	return cfg
}

func TestDefaultsAreThoseWrittenOut(t *testing.T) {
	dir := t.TempDir()
	good := testdata(t, "good/*.yaml")
	short := mustRead(t, dir, good["testdata/good/minimal.yaml"])
	long := mustRead(t, dir, good["testdata/good/defaults.yaml"])
	// Who writes 10h means it, also for issuers that cannot be asked: TestSessionsThatNobodyIsAskedAboutAreShorter.
	if diff := cmp.Diff(long, short, sameConfig(), cmpopts.IgnoreFields(config.Session{}, "Unasked")); diff != "" {
		t.Errorf("defaults differ from those written out:\n%s", diff)
	}
}

func TestEveryKeyReachesItsField(t *testing.T) {
	dir := files(t)
	cfg := mustRead(t, dir, testdata(t, "good/complete.yaml")["testdata/good/complete.yaml"])
	if got, want := cfg.MasterKey.Reveal()+" "+cfg.Store.Reveal()+" "+cfg.Proxy.Reveal(), "m4ster-value sqlite:/var/lib/chatpass/chatpass.db http://proxy.corp:3128"; got != want {
		t.Errorf("secrets: got %s, want %s", got, want)
	}
	if got := cfg.Issuers[0].ClientSecret.Reveal(); got != "s3cr3t-corp" {
		t.Errorf("client secret: got %q", got)
	}
	if got := cfg.Console.Secret.Reveal(); got != "s3cr3t-value" {
		t.Errorf("secret in a file: got %q, want it without its line end", got)
	}
	keySet, _ := environment("KEY_SET")
	salt, _ := environment("SALT")
	if string(cfg.Issuers[0].JWKS) != keySet || cfg.Apps[0].SubjectSalt.Reveal() != salt || !strings.Contains(cfg.TLS.Key.Reveal(), "PRIVATE KEY") {
		t.Error("a file's content is not what was in it")
	}
	golden, err := json.MarshalIndent(cfg, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	compareGolden(t, "testdata/complete.json", withoutCertificates(golden))
}

// withoutCertificates cuts the documents that are made anew for each test.
func withoutCertificates(text []byte) []byte {
	lines := bytes.Split(text, []byte("\n"))
	for i, line := range lines {
		if key, _, ok := bytes.Cut(line, []byte(`": "LS0t`)); ok { // base64 of "---"
			lines[i] = append(bytes.Clone(key), `": "…",`...)
		}
	}
	return append(bytes.Join(lines, []byte("\n")), '\n')
}

func TestFileOrderIsKept(t *testing.T) {
	cfg := mustRead(t, files(t), testdata(t, "good/entra.yaml")["testdata/good/entra.yaml"])
	var got []string
	for _, issuer := range cfg.Issuers {
		got = append(got, issuer.Name)
	}
	for _, app := range cfg.Apps {
		got = append(got, app.Name)
		for _, client := range app.Clients {
			got = append(got, client.Name)
		}
	}
	want := []string{"entra", "google", "offline", "support", "web", "crm", "com.example.ios", "kiosk", "kiosk-backend"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDerivedValues(t *testing.T) {
	cfg := mustRead(t, files(t), testdata(t, "good/entra.yaml")["testdata/good/entra.yaml"])
	entra, google, support, kiosk := cfg.Issuers[0], cfg.Issuers[1], cfg.Apps[0], cfg.Apps[1]
	for _, c := range []struct{ what, got, want any }{
		{"openid is added", entra.Scopes, []string{"openid", "email"}},
		{"subject issuer of tenants is a template", entra.SubjectIssuer, "https://login.microsoftonline.com/{tenantid}/v2.0"},
		{"subject issuer is the issuer", google.SubjectIssuer, "https://accounts.google.com"},
		{"sector is the app's name", support.SubjectSector, "support"},
		{"site_absolute: subject", support.Session.SiteAbsolute, config.SiteAbsolute{Subject: true}},
		{"default in a list", support.Actors[0].Lifetime, 2 * time.Minute},
		{"a duration of 0", support.DegradedRenewal, time.Duration(0)},
		{"short form", support.Claims["groups"], config.Mapping{From: "groups", Prefix: "chat-", Strip: true}},
		{"block text", support.Claims["https://example.com/tier"].Expr, "'gold' in claims.groups ?\n  'gold' : 'standard'\n"},
		{"kiosk idle", kiosk.Session.Idle, 5 * time.Minute},
		{"kiosk absolute", kiosk.Session.Absolute, time.Hour},
		{"kiosk context", kiosk.ContextLifetime, 2 * time.Minute},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s:\n%s", c.what, diff)
		}
	}
}

func TestKioskKeepsWhatIsWritten(t *testing.T) {
	cfg := mustRead(t, t.TempDir(), minimal+"    context_lifetime: 3m\n    session: {kiosk: true, idle: 6m}\n")
	app := cfg.Apps[0]
	if app.ContextLifetime != 3*time.Minute || app.Session.Idle != 6*time.Minute || app.Session.Absolute != time.Hour {
		t.Errorf("got %v, %+v", app.ContextLifetime, app.Session)
	}
}

func TestSessionsThatNobodyIsAskedAboutAreShorter(t *testing.T) {
	for limits, want := range map[string]time.Duration{
		"{}": 4 * time.Hour, "{absolute: 10h}": 10 * time.Hour, "{absolute: 1h}": time.Hour, "{kiosk: true}": time.Hour, "{kiosk: true, absolute: 2h}": 2 * time.Hour,
	} {
		cfg := mustRead(t, t.TempDir(), minimal+"    session: "+limits+"\n")
		if got := cfg.Apps[0].Session.Unasked; got != want {
			t.Errorf("%s: got %v, want %v", limits, got, want)
		}
	}
}

func TestShortLifetimesStayPositive(t *testing.T) {
	dir := t.TempDir()
	local := strings.Replace(minimal, "https://chat-auth.example.com", "http://localhost:8080", 1)
	for value, ok := range map[string]bool{"1ms": true, "0s": false, "61m": false} {
		_, faults := read(t, dir, "c.yaml", local+"    context_lifetime: "+value+"\ndangerously_short_lifetimes: true\n")
		if (len(faults) == 0) != ok {
			t.Errorf("%s: faults %v, want none: %t", value, faults, ok)
		}
	}
}

func TestLongListsAreFine(t *testing.T) {
	var scopes strings.Builder
	for i := range 100 {
		fmt.Fprintf(&scopes, "      - chat:%d\n", i)
	}
	cfg := mustRead(t, t.TempDir(), minimal+"    scopes:\n"+scopes.String())
	if got := cfg.Apps[0].Scopes; len(got) != 100 || got[99] != "chat:99" {
		t.Errorf("got %v", got)
	}
}

func TestStoreForms(t *testing.T) {
	for value, want := range map[string]string{
		"sqlite:/var/lib/chatpass.db":                   "",
		"postgres://chatpass@db/chatpass":               "",
		"postgresql://db:5432/chatpass?sslmode=require": "",
		"postgres:///chatpass?host=/run/postgresql":     "",
		"sqlite:chatpass.db":                            "absolute path",
		"sqlite:":                                       "absolute path",
		"sqlite::memory:":                               "absolute path",
		"sqlite:///var/lib/chatpass.db":                 "slashes too many",
		"sqlite:/var/lib/chatpass.db?mode=ro":           "options",
		"sqlite:/var/lib/":                              "a directory",
		"postgres://db":                                 "no database",
		"postgres:///chatpass":                          "no host",
		"postgres:chatpass":                             "not a URL",
		"postgres://u:hunter2@db/chatpass":              "holds a password",
		"postgres://db/chatpass?password=hunter2":       "holds a password",
		"postgres://db/chatpass?sslPassword=hunter2":    "holds a password",
		"postgres://u:hunter2%zz@db/chatpass":           "holds a password",
		"redis://cache":                                 "no store",
		"/var/lib/chatpass.db":                          "no store",
	} {
		text := strings.Replace(minimal, "sqlite:/var/lib/chatpass/chatpass.db", strconv.Quote(value), 1)
		_, faults := read(t, t.TempDir(), "c.yaml", text)
		got := faults.Error()
		if (want == "") != (len(faults) == 0) || !strings.Contains(got, want) || strings.Contains(got, "hunter2") {
			t.Errorf("%s: got %q, want %q", value, got, want)
		}
	}
}

func TestPlacesOfValues(t *testing.T) {
	cfg := mustRead(t, t.TempDir(), `# a comment
`+minimal+`    claims:
      plain: claims.name
      single: 'claims.name'
      double:   "claims.name"
      block: |

        claims.a +
          claims.b
      folded: >-
          claims.name
      short: {from: groups}
    scopes:
      - chat:read
      -   "chat:write"
`)
	for path, want := range map[string]string{
		"":                                      "1:1",
		"issuer":                                "2:9",
		"keys.retiring":                         "1:1", // absent
		"issuers.corp":                          "6:3",
		"issuers.corp.client_id":                "6:56",
		"issuers.corp.subject_claim":            "6:3", // absent: the issuer
		"apps.support.claims.plain":             "15:14",
		"apps.support.claims.single":            "16:16",
		"apps.support.claims.double":            "17:18",
		"apps.support.claims.block":             "19:9",
		"apps.support.claims.folded":            "23:11",
		"apps.support.claims.short":             "24:7",
		"apps.support.claims.other":             "14:5",
		"apps.support.scopes[0]":                "26:9",
		"apps.support.scopes[1]":                "27:12",
		"apps.support.scopes[2]":                "25:5",
		"apps.support.clients.support-web.type": "13:27",
	} {
		line, column := cfg.At(path)
		if got := fmt.Sprintf("%d:%d", line, column); got != want {
			t.Errorf("%q: got %s, want %s", path, got, want)
		}
	}
	fault := cfg.Fault("apps.support.claims.plain", "is odd", "write something else")
	if got, want := filepath.Base(fault.String()), "chatpass.yaml:15:14: apps.support.claims.plain: is odd; write something else"; got != want {
		t.Errorf("got %s", got)
	}
	if line, column := new(config.Config).At("issuer"); line != 1 || column != 1 {
		t.Errorf("configuration that was not read: got %d:%d", line, column)
	}
}

func TestFaultsJoinWhatOtherRoomsFind(t *testing.T) {
	cfg, faults := read(t, t.TempDir(), "c.yaml", minimal+"    admit: claims.x ==\nlog: {level: loud}\n")
	if len(faults) != 1 || cfg == nil || cfg.Apps[0].Admit != "claims.x ==" {
		t.Fatalf("got %+v, %v", cfg, faults)
	}
}
