package e2e_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// commandsOf are the shell commands of a page of the manual, in order.
func commandsOf(t *testing.T, manual string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docs", manual))
	if err != nil {
		t.Fatal(err)
	}
	var commands []string
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllSubmatch(text, -1) {
		commands = append(commands, string(block[1]))
	}
	return commands
}

// What docs/native.md says to type, somebody types who holds an ID token of the app's own client.
func TestNativeAppDoesAsTheManualSays(t *testing.T) {
	site, upstream := newSiteWithIssuer(t, [2]string{"      support-web:", "      support-ios: {type: native, accepts: {corp: [shop-web]}}\n      support-web:"})
	site.serve(t)
	phone := t.TempDir()
	write(t, phone, "id-token.txt", shopIDToken(t, upstream, "alice"))
	commands := commandsOf(t, "native.md")
	if len(commands) != 2 {
		t.Fatalf("the manual has %d commands", len(commands))
	}
	get := func() answer {
		t.Helper()
		runAt(t, phone, commands[0], "CHATPASS="+site.issuer)
		text, err := os.ReadFile(filepath.Join(phone, "context.json"))
		if err != nil {
			t.Fatal(err)
		}
		var a answer
		if err := json.Unmarshal(text, &a); err != nil {
			t.Fatalf("not JSON: %s", text)
		}
		return a
	}
	first, second := get(), get()
	claims := verifyWithJose(t, site, first.AccessToken)
	if claims["sub"] != first.Customer || claims["name"] != "Alice" {
		t.Errorf("the context says %v, the answer %s", claims, first.Customer)
	}
	if second.AccessToken == first.AccessToken || second.SID != first.SID || second.RenewIn <= 0 {
		t.Errorf("asked again: a new context %v, session %s then %s", second.AccessToken != first.AccessToken, first.SID, second.SID)
	}
	runAt(t, phone, commands[1], "CHATPASS="+site.issuer)
	if after := get(); after.AccessToken != "" || after.Retry != "login" {
		t.Errorf("after the sign-out: %s, retry %s", after.Code, after.Retry)
	}
	form := exchangeForm(shopIDToken(t, upstream, "alice"))
	form.Set("client_id", "support-ios")
	fromPage := site.tokenRequest(t, form)
	fromPage.Header.Set("Origin", shopOrigin)
	site.ask(t, fromPage).want(t, http.StatusForbidden)
}

// runAt runs shell commands in a folder.
func runAt(t *testing.T, dir, commands string, env ...string) {
	t.Helper()
	shell := exec.Command("bash", "-euo", "pipefail", "-c", commands)
	shell.Dir, shell.Env = dir, append(os.Environ(), env...)
	if out, err := shell.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", commands, err, out)
	}
}
