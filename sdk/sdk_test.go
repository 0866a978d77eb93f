package sdk_test

import (
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"

	"chatpass/sdk"

	"github.com/google/go-cmp/cmp"
)

func read(t *testing.T, name string) string {
	t.Helper()
	content, err := fs.ReadFile(sdk.Files(), name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestVersionIsThatOfThePackage(t *testing.T) {
	raw, err := os.ReadFile("package.json")
	if err != nil {
		t.Fatal(err)
	}
	var pkg struct{ Version string }
	if err := json.Unmarshal(raw, &pkg); err != nil {
		t.Fatal(err)
	}
	if sdk.Version != pkg.Version {
		t.Errorf("Version = %q, package.json says %q", sdk.Version, pkg.Version)
	}
	if !strings.Contains(read(t, "chatpass.js"), "web/"+sdk.Version) {
		t.Errorf("the module does not name version %s: run npm run build", sdk.Version)
	}
}

func TestFilesAreThoseThatBrowsersAskFor(t *testing.T) {
	names, err := fs.Glob(sdk.Files(), "*")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"chatpass-prompt.iife.js", "chatpass-prompt.iife.js.map", "chatpass-prompt.js", "chatpass-prompt.js.map",
		"chatpass.iife.js", "chatpass.iife.js.map", "chatpass.js", "chatpass.js.map",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
}

func TestModulesExportAndClassicScriptsDefine(t *testing.T) {
	for name, want := range map[string]string{
		"chatpass.js": "as create}", "chatpass.iife.js": "globalThis.Chatpass={create:",
		"chatpass-prompt.js": "as attach}", "chatpass-prompt.iife.js": "globalThis.ChatpassPrompt={attach:",
	} {
		if !strings.Contains(read(t, name), want) {
			t.Errorf("%s lacks %q", name, want)
		}
	}
}

// A page that copies the tags of the documents must not be refused by its browser.
func TestDocumentedIntegrityIsThatOfTheFiles(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]string{}
	for _, tag := range regexp.MustCompile(`src="https://chat-auth\.example\.com/sdk/([^/]+)/([^"]+)"\s+integrity="([^"]+)"`).FindAllStringSubmatch(string(readme), -1) {
		if tag[1] != sdk.Version {
			t.Errorf("README.md has version %s of %s, want %s", tag[1], tag[2], sdk.Version)
		}
		told[tag[2]] = tag[3]
	}
	for _, script := range sdk.Scripts() {
		sum := sha512.Sum384([]byte(read(t, script.Name)))
		if want := "sha384-" + base64.StdEncoding.EncodeToString(sum[:]); script.Integrity != want {
			t.Errorf("Integrity of %s = %s, want %s", script.Name, script.Integrity, want)
		}
		if strings.HasSuffix(script.Name, ".iife.js") && told[script.Name] != script.Integrity {
			t.Errorf("README.md has %q for %s: run npm run build, which writes %s", told[script.Name], script.Name, script.Integrity)
		}
	}
}
