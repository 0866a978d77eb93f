package server_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
)

// attackFiles are all files of testdata/hostile.
func attackFiles(t testing.TB) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir("testdata/hostile", func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".txt") {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) < 80 {
		t.Fatalf("%d attacks, %v", len(files), err)
	}
	return files
}

// TestEveryAttackIsRefused sends the good request that each file of testdata/hostile names, sees it
// accepted, makes the file's one change and sends it again. The second answer is the refusal that the
// file expects; nothing was stored or signed, and neither answer nor log tells a secret.
func TestEveryAttackIsRefused(t *testing.T) {
	tg, stranger := newTarget(t), newUpstream(t, "kid2")
	for _, file := range attackFiles(t) {
		at := readAttack(t, file)
		t.Run(at.name, func(t *testing.T) { tg.withstand(t, at, stranger) })
	}
}

// withstand is one attack, from the good request to the traces it must not leave.
func (tg *target) withstand(t testing.TB, at attack, stranger *upstream) {
	defer tg.recover(t, at)
	a := tg.newAttempt(t, at.request, stranger)
	if strings.HasPrefix(at.name, "issuer/") {
		a.useOwnIssuer(t)
	}
	a.prepare(t)
	a.seeAccepted(t)
	a.prepare(t)
	a.apply(t, at.change)
	if a.issuer != tg.corp {
		tg.restart(t, a.issuer)
	}
	before := tg.look(t)
	tg.log.Reset()
	got := a.send(t)
	at.judge(t, got)
	a.seeNothingTold(t, got)
	after := tg.look(t)
	if at.leaves == thrownAway {
		before.signatures++
	}
	if after != before {
		t.Errorf("the attack left traces:\nbefore %+v\nafter  %+v", before, after)
	}
	if n := a.issuer.fetches.Load(); a.issuer != tg.corp && n > 20 {
		t.Errorf("the issuer was asked %d times", n)
	}
	if n := stranger.fetches.Load(); n != 0 {
		t.Errorf("the attacker's host was asked %d times", n)
	}
}

// recover undoes what an attack did to the target itself.
func (tg *target) recover(t testing.TB, at attack) {
	tg.now = tg.noon
	if strings.HasPrefix(at.name, "issuer/") {
		tg.restart(t, tg.corp)
	}
}

// useOwnIssuer lets an issuer of the attempt's own stand for corp, one that may misbehave: it is asked
// anew for everything, and for not too long.
func (a *attempt) useOwnIssuer(t testing.TB) {
	t.Helper()
	own := &upstream{signingKey: a.issuer.signingKey, abroad: a.stranger.URL}
	a.issuer = own.open(t)
	header := a.token.header
	a.token = a.target.goodToken(own)
	a.token.header = header
	a.values["issuer"], a.values["ISSUER"] = own.URL, strings.ToUpper(own.URL)
	a.target.restart(t, own)
}

func (a *attempt) prepare(t testing.TB) {
	if a.renew != nil {
		a.renew(t)
	}
}

// seeAccepted sends the request as it is before the attack.
func (a *attempt) seeAccepted(t testing.TB) {
	t.Helper()
	got := a.send(t)
	var body struct {
		Token   string `json:"access_token"`
		Context struct{ Token string }
		Active  *bool
	}
	err := json.Unmarshal(got.Body.Bytes(), &body)
	silent := a.path == "/oauth2/revoke" // says nothing when all is well
	if got.Code != http.StatusOK || !silent && err != nil || body.Active != nil && !*body.Active {
		t.Fatalf("the good request is refused: %d %s %v", got.Code, got.Body, err)
	}
	a.values["context"], a.values["id token"] = body.Token+body.Context.Token, got.token
}

// judge compares an answer with what the attack expects.
func (at attack) judge(t testing.TB, got verdict) {
	t.Helper()
	var body struct {
		Error, Code, Decision string
		RequestID             string `json:"request_id"`
	}
	if err := json.Unmarshal(got.Body.Bytes(), &body); err != nil {
		t.Fatalf("answer is not JSON: %v\n%s", err, got.Body)
	}
	if said := fmt.Sprintf("%d %s %s", got.Code, body.Error, body.Code); said != at.expect {
		t.Fatalf("%s\nchange %s\ngot    %s\nexpect %s\n%s", at.why, at.change, said, at.expect, got.Body)
	}
	if body.Decision == "" || body.RequestID == "" || got.Header().Get("Cache-Control") != "no-store" || got.Header().Get("Set-Cookie") != "" {
		t.Errorf("answer lacks a decision, or may be kept, or sets a cookie: %v %s", got.Header(), got.Body)
	}
	if got.Code == http.StatusServiceUnavailable && got.Header().Get("Retry-After") == "" {
		t.Error("an outage without Retry-After")
	}
}

// maxLine is more than any log line of a refusal takes, whatever a stranger sends.
const maxLine = 2 << 10

// seeNothingTold looks for secrets and control characters in all that was said: answer, log, audit line.
func (a *attempt) seeNothingTold(t testing.TB, got verdict) {
	t.Helper()
	said := a.target.log.String() + got.Body.String() + fmt.Sprint(got.Header())
	for _, secret := range a.secrets(got) {
		if strings.Contains(said, secret) {
			t.Fatalf("%q is told:\n%s", secret, said)
		}
	}
	for line := range strings.Lines(a.target.log.String()) {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil || len(line) > maxLine {
			t.Errorf("a log line is not one record of at most %d bytes: %v\n%s", maxLine, err, line)
		}
		if text := fmt.Sprint(record); strings.ContainsFunc(text, unicode.IsControl) {
			t.Errorf("control characters in the log: %q", text)
		}
	}
	if text := fmt.Sprint(got.Header()); strings.ContainsFunc(text, unicode.IsControl) {
		t.Errorf("control characters in the header: %q", text)
	}
}

// secrets are what nobody may read in an answer or a log: who the person is, credentials, and any 48
// characters in a row of a token.
func (a *attempt) secrets(got verdict) []string {
	secrets := []string{
		"ada@example.com", "Lovelace", "u-81", "upstream-session-", "n-0S6_WzA2Mj", "bob@example.com", "u-82", password, "guessed",
	}
	for _, name := range []string{"Authorization", "Cookie"} {
		for _, value := range got.request.Header[name] {
			secrets = append(secrets, pieces(value)...)
		}
	}
	for _, name := range []string{"subject_token", "actor_token", "client_assertion", "token"} {
		secrets = append(secrets, pieces(got.sent.Get(name))...)
	}
	secrets = append(secrets, pieces(got.token)...)
	return secrets
}

// pieces are parts of a secret such that any long part of it has one of them inside.
func pieces(secret string) []string {
	const size = 24
	var all []string
	for ; len(secret) >= size; secret = secret[size:] {
		all = append(all, secret[:size])
	}
	return all
}

// Ten thousand tokens that each name another key, spread over ten minutes, make the service ask their
// issuer at most twice a minute; and a key that the issuer begins to use meanwhile is found.
func TestUnknownKeysDoNotMakeUsAskTheIssuer(t *testing.T) {
	tg := newTarget(t)
	a := tg.newAttempt(t, "browser", tg.partner)
	a.seeAccepted(t)
	a.token.sign = func(string) string { return strings.Repeat("A", 86) }
	at := attack{name: "unknown key", expect: "400 invalid_request CP-202"}
	begun := tg.corp.fetches.Load()
	for i := range 10_000 {
		tg.now = tg.now.Add(60 * time.Millisecond)
		a.token.header["kid"] = fmt.Sprint("key-", i)
		if at.judge(t, a.send(t)); t.Failed() {
			t.FailNow()
		}
	}
	if n := tg.corp.fetches.Load() - begun; n < 10 || n > 20 {
		t.Errorf("the issuer was asked %d times in ten minutes, want 10 to 20", n)
	}
	tg.corp.signingKey = newSigningKey(t, "k2")
	tg.now = tg.now.Add(time.Minute)
	tg.noon = tg.now
	a.token = tg.goodToken(tg.corp)
	a.seeAccepted(t)
}
