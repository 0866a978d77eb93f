package keys_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// jwx3 is the version that the room can move to.
const jwx3 = "github.com/lestrrat-go/jwx/v3 v3.3.0"

// moves are all that has to change in the room when jwx/v2, whose life has ended, is left.
var moves = strings.NewReplacer(
	"github.com/lestrrat-go/jwx/v2", "github.com/lestrrat-go/jwx/v3",
	"jwk.FromRaw(", "jwk.Import(",
	"jwa.KeyAlgorithmFrom(alg)", "known(jwa.KeyAlgorithmFrom(alg))",
)

// known takes the place of this file there.
const known = `package keys_test

func known[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
`

// The room is compiled against the next major version of its library, and passes the same tests.
func TestTheRoomCanMoveToJWX3(t *testing.T) {
	dir := t.TempDir()
	sums := append(read(t, "../go.sum"), read(t, "testdata/jwx3/go.sum")...)
	write(t, filepath.Join(dir, "go.sum"), sums)
	write(t, filepath.Join(dir, "go.mod"), append(read(t, "../go.mod"), "\nrequire "+jwx3+"\n"...))
	cmd := exec.Command("go", "test", "-count=1", "-mod=mod", "-modfile="+filepath.Join(dir, "go.mod"), "-overlay="+overlay(t, dir), ".", "-rapid.checks=10")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// overlay puts the moved files in the place of those that use jwx/v2.
func overlay(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	replace := map[string]string{}
	for _, file := range files {
		text := string(read(t, file))
		moved := moves.Replace(text)
		if file == "jwx3_test.go" {
			moved = known
		} else if moved == text {
			continue
		}
		path, err := filepath.Abs(file)
		if err != nil {
			t.Fatal(err)
		}
		replace[path] = filepath.Join(dir, file)
		write(t, replace[path], []byte(moved))
	}
	if len(replace) < 2 {
		t.Fatal("no file uses jwx/v2: this test has done its work")
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "overlay.json")
	write(t, path, text)
	return path
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
