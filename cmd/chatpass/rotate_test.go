package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"chatpass/seal"
)

// What docs/operations.md says to type, testdata/rotate.txtar types.
func TestTheDocumentedRenewalIsTheOneThatIsTested(t *testing.T) {
	manual, script := readFile(t, "../../docs/operations.md"), readFile(t, "testdata/rotate.txtar")
	_, section, _ := strings.Cut(manual, "## Renew the master key")
	section, _, _ = strings.Cut(section, "\n## ")
	commands := regexp.MustCompile(`(?m)^chatpass [^#\n]*[^# \n]`).FindAllString(section, -1)
	if len(commands) != 4 {
		t.Errorf("%d commands in the manual, want 4: %q", len(commands), commands)
	}
	for _, command := range commands {
		if !strings.Contains(script, strings.ReplaceAll(command, "KEY", "$OLD")+"\n") {
			t.Errorf("the script does not type %q", command)
		}
	}
}

func TestACensusIsJudged(t *testing.T) {
	old, current, staged := seal.Key{ID: "0000000a", Use: seal.Old}, seal.Key{ID: "0000000b", Use: seal.Current}, seal.Key{ID: "0000000c", Use: seal.Staged}
	missing := seal.Key{ID: "ffffffff", Use: seal.Unknown}
	for name, tt := range map[string]struct {
		held   []seal.Key
		counts map[seal.Key]int
		whole  bool
		want   []string
	}{
		"on the way": {[]seal.Key{old, current}, map[seal.Key]int{old: 7}, true, []string{
			"advice values still sealed under old key 0000000a: 7; the service seals them anew in the background",
		}},
		"cut off": {[]seal.Key{old, current}, map[seal.Key]int{}, false, []string{
			"advice values still sealed under old key 0000000a: at least 0; the service seals them anew in the background",
		}},
		"done": {[]seal.Key{old, current}, map[seal.Key]int{}, true, []string{
			"advice nothing is sealed under old key 0000000a any more: `chatpass secret retire FILE` removes it",
		}},
		"staged": {[]seal.Key{current, staged}, map[seal.Key]int{staged: 3}, true, []string{
			"advice key 0000000c is staged: when every replica runs with it, `chatpass secret rotate FILE` lets it seal",
		}},
		"an older copy, and damage": {[]seal.Key{current, staged}, map[seal.Key]int{missing: 2, {}: 1}, true, []string{
			"advice key 0000000c is staged: when every replica runs with it, `chatpass secret rotate FILE` lets it seal",
			"fault values that it cannot open: 1, damaged; give its newest copy, or restore what is damaged",
			"fault values that it cannot open: 2, sealed under key ffffffff; give its newest copy, or restore what is damaged",
		}},
	} {
		var got []string
		for _, f := range judgeSeals(tt.held, tt.counts, tt.whole) {
			got = append(got, string(f.Status)+" "+f.Text)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// However many change a file at once, what those who succeeded wrote is there.
func TestNoChangeOfAFileIsLost(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(path, nil, 0o640))
	must(t, os.Chmod(path, 0o640))
	link := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink(path, link))
	var changing sync.WaitGroup
	var done atomic.Int64
	for range 8 {
		changing.Go(func() {
			for range 20 {
				if changeFile(link, func(old []byte) ([]byte, error) { return append(old, 'x'), nil }) == nil {
					done.Add(1)
				}
			}
		})
	}
	changing.Wait()
	if got := readFile(t, path); done.Load() == 0 || got != strings.Repeat("x", int(done.Load())) {
		t.Errorf("%d bytes after %d changes", len(got), done.Load())
	}
	info, err := os.Lstat(link)
	must(t, err)
	if info.Mode()&os.ModeSymlink == 0 {
		t.Error("the link was replaced and not its file")
	}
	info, err = os.Stat(path)
	must(t, err)
	if info.Mode().Perm() != 0o640 {
		t.Errorf("mode %o, want 640", info.Mode().Perm())
	}
}

// At the moment of the change the old content is still there; one that fails leaves it, and nothing beside.
func TestAChangeThatFailsLeavesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(path, []byte("old"), 0o600))
	refusal := errors.New("no")
	err := changeFile(path, func(old []byte) ([]byte, error) {
		if !bytes.Equal(old, []byte("old")) || readFile(t, path) != "old" {
			t.Errorf("while it is changed: %q", old)
		}
		return []byte("half"), refusal
	})
	if !errors.Is(err, refusal) || readFile(t, path) != "old" {
		t.Errorf("got %v, and %q", err, readFile(t, path))
	}
	if _, err := os.Stat(path + ".new"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was left beside it: %v", err)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	must(t, err)
	return string(content)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
