package sdk_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"strings"
	"testing"

	"chatpass/sdk"

	"github.com/google/go-cmp/cmp"
)

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
	if !bytes.Contains(sdk.Module(), []byte("web/"+sdk.Version)) {
		t.Errorf("the module does not name version %s: run npm run build", sdk.Version)
	}
}

func TestFilesAreThoseThatBrowsersAskFor(t *testing.T) {
	names, err := fs.Glob(sdk.Files(), "*")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"chatpass.iife.js", "chatpass.iife.js.map", "chatpass.js", "chatpass.js.map"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
	for name, content := range map[string][]byte{"chatpass.js": sdk.Module(), "chatpass.iife.js": sdk.Classic()} {
		file, err := fs.ReadFile(sdk.Files(), name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(file, content) || len(content) == 0 {
			t.Errorf("%s: %d bytes, as a file %d", name, len(content), len(file))
		}
	}
}

func TestModuleExportsAndClassicDefines(t *testing.T) {
	if !strings.Contains(string(sdk.Module()), "as create}") {
		t.Error("the module does not export create")
	}
	if !strings.Contains(string(sdk.Classic()), "globalThis.Chatpass={create:") {
		t.Error("the classic script does not define Chatpass")
	}
}

func TestIntegrity(t *testing.T) {
	const empty = "sha384-OLBgp1GsljhM2TJ+sbHjaiH9txEUvgdDTAzHv2P24donTt6/529l+9Ua0vFImLlb"
	if got := sdk.Integrity(nil); got != empty {
		t.Errorf("Integrity(nil) = %s, want %s", got, empty)
	}
	if sdk.Integrity(sdk.Module()) == sdk.Integrity(sdk.Classic()) {
		t.Error("module and classic script have one hash")
	}
}
