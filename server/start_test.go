package server_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"chatpass/identity"
)

var link = regexp.MustCompile(`<a href="([^"]+)">([^<]+)</a>`)

// question is the query of a sign-in to the app with several issuers.
func question(more ...string) string {
	q := url.Values{
		"client_id": {"both-web"}, "txn": {strings.Repeat("t", 22)}, "challenge": {strings.Repeat("c", 43)}, "mode": {"popup"}, "page_origin": {page},
	}
	for i := 0; i < len(more); i += 2 {
		q.Set(more[i], more[i+1])
	}
	return "/v1/login/start?" + q.Encode()
}

func TestWhoMayUseSeveralIssuersChooses(t *testing.T) {
	h := newHouse(t)
	b := newBrowser(t, h)
	res := b.visit(question("login_hint", "ada & bob"))
	found := link.FindAllStringSubmatch(string(res.body), -1)
	if res.StatusCode != http.StatusOK || len(res.Cookies()) != 0 || len(found) != 2 {
		t.Fatalf("chooser: %s, cookies %v, links %v\n%s", res.Status, res.Cookies(), found, res.body)
	}
	if found[0][2] != "Example &lt;Corp&gt;" || found[1][2] != "home" || strings.Contains(string(res.body), "partner") {
		t.Errorf("offered: %v", found)
	}
	chosen := b.visit(html.UnescapeString(found[0][1]))
	if to := chosen.Header.Get("Location"); chosen.StatusCode != http.StatusFound || !strings.HasPrefix(to, h.issuer.URL+"/auth?") || !strings.Contains(to, "ada+%26+bob") {
		t.Errorf("chosen: %s to %q", chosen.Status, to)
	}
	other := b.visit(html.UnescapeString(found[1][1]))
	if to := other.Header.Get("Location"); other.StatusCode != http.StatusFound || strings.HasPrefix(to, h.issuer.URL) {
		t.Errorf("the other: %s to %q", other.Status, to)
	}
}

func TestNobodyChoosesWhereNothingMayBeAsked(t *testing.T) {
	h := newHouse(t)
	for name, query := range map[string]string{"silently": question("prompt", "none"), "by the page": question("idp", "corp")} {
		res := newBrowser(t, h).visit(query)
		if to := res.Header.Get("Location"); res.StatusCode != http.StatusFound || !strings.HasPrefix(to, h.issuer.URL+"/auth?") {
			t.Errorf("%s: %s to %q", name, res.Status, to)
		}
	}
}

func TestStepUpGoesToTheIssuerOfTheSession(t *testing.T) {
	h := newHouse(t)
	b := newBrowser(t, h)
	in := b.start("client_id", "both-web", "idp", "corp")
	b.back(in)
	if res := b.call("/v1/session", map[string]any{"client_id": "both-web", "txn": in.txn, "verifier": in.verifier}); res.StatusCode != http.StatusCreated {
		t.Fatalf("claim: %s\n%s", res.Status, res.body)
	}
	b.start("client_id", "both-web", "purpose", "step_up") // fails unless it leads to corp
}

func TestStartIsRefusedOnAPageOfOurs(t *testing.T) {
	h := newHouse(t)
	for name, row := range map[string]struct {
		more []string
		code identity.Code
	}{
		"another app's issuer":      {[]string{"idp", "nobody"}, identity.IssuerNotTrusted},
		"an issuer for exchanges":   {[]string{"idp", "partner"}, identity.IssuerNotTrusted},
		"an unknown purpose":        {[]string{"purpose", "fun"}, identity.ParameterUnsupported},
		"an unknown prompt":         {[]string{"prompt", "loud"}, identity.ParameterUnsupported},
		"a level with a quote":      {[]string{"acr_values", `"`}, identity.ParameterUnsupported},
		"a long level":              {[]string{"acr_values", strings.Repeat("x", 129)}, identity.TooLarge},
		"a negative age":            {[]string{"max_age", "-1"}, identity.ParameterUnsupported},
		"a long hint":               {[]string{"login_hint", strings.Repeat("x", 257)}, identity.TooLarge},
		"a long expected customer":  {[]string{"expected_customer", strings.Repeat("x", 256)}, identity.TooLarge},
		"a return to another place": {[]string{"mode", "redirect", "return_to", "https://evil"}, identity.ParameterUnsupported},
	} {
		res := newBrowser(t, h).visit(question(row.more...))
		if res.StatusCode < 400 || res.Header.Get("Location") != "" || !strings.Contains(string(res.body), string(row.code)) || len(res.Cookies()) != 0 {
			t.Errorf("%s: %s to %q, want %s", name, res.Status, res.Header.Get("Location"), row.code)
		}
	}
}
