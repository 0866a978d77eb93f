package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"chatpass/config"
)

func TestFilesThatCannotBeRead(t *testing.T) {
	dir := files(t)
	for name, want := range map[string]string{
		"nowhere": "nowhere: cannot be read: no such file or directory; name a readable file",
		"large":   "large: cannot be read: larger than 1048576 bytes; name a readable file",
		"":        filepath.Base(dir) + ": cannot be read: not a regular file; name a readable file",
	} {
		cfg, err := config.Read(filepath.Join(dir, name), environment)
		if cfg != nil || err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%q: got %v, %v", name, cfg, err)
		}
	}
}

// A fault, and quickly: nothing is parsed before it is bounded.
func TestTextOutsideTheLimitsIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"issuer: \"a\x00b\"\n":          "c.yaml:1:11: holds the control character U+0000; remove it",
		"# ok\nissuer: a\x1b[31mb\n":    "c.yaml:2:10: holds the control character U+001B; remove it",
		"issuer: é\u0085\n":             "c.yaml:1:10: holds the control character U+0085; remove it",
		"issuer: \xff\n":                "c.yaml:1:9: is not UTF-8; save the file as UTF-8",
		"\xff\xfei\x00":                 "c.yaml:1:1: is not UTF-8; save the file as UTF-8",
		strings.Repeat("x: 1\n", 1<<16): "c.yaml:1:1: has more than 65536 words and signs; write less into one file",
		strings.Repeat("[", 60_000):     "c.yaml:1:33: is nested more than 32 deep; write fewer brackets or dashes",
		strings.Repeat("- ", 60_000):    "c.yaml:1:65: is nested more than 32 deep; write fewer brackets or dashes",
		strings.Repeat("? ", 60_000):    "c.yaml:1:65: is nested more than 32 deep; write fewer brackets or dashes",
		strings.Repeat("{a: ", 15_000):  "c.yaml:1:129: is nested more than 32 deep; write fewer brackets or dashes",
	} {
		dir := t.TempDir()
		cfg, faults := read(t, dir, "c.yaml", text)
		if got := list(faults, dir); cfg != nil || got != want+"\n" {
			t.Errorf("%.20q: got %s, want %s", text, got, want)
		}
	}
}

func TestWindowsLineEndsAndByteOrderMark(t *testing.T) {
	dir := t.TempDir()
	got := mustRead(t, dir, "\ufeff"+strings.ReplaceAll(minimal, "\n", "\r\n"))
	if diff := cmp.Diff(mustRead(t, dir, minimal), got, sameConfig()); diff != "" {
		t.Error(diff)
	}
	line, column := got.At("store")
	if line != 2 || column != 8 {
		t.Errorf("store at %d:%d", line, column)
	}
}

func BenchmarkRead(b *testing.B) {
	dir := files(b)
	complete := strings.ReplaceAll(testdata(b, "good/complete.yaml")["testdata/good/complete.yaml"], "DIR", dir)
	for name, text := range map[string]string{
		"complete":              complete,
		"worst for the parser":  many("k%d: 1\n", 16_000),
		"worst for the checker": "apps:\n" + many("  a%d: {issuers: [b%d], clients: {c%d: {type: x}}}\n", 2500),
	} {
		path := filepath.Join(b.TempDir(), "c.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_, _ = config.Read(path, environment)
			}
		})
	}
}

func many(format string, n int) string {
	var text strings.Builder
	for i := range n {
		text.WriteString(strings.ReplaceAll(format, "%d", fmt.Sprint(i)))
	}
	return text.String()
}

func FuzzRead(f *testing.F) {
	for _, pattern := range []string{"good/*.yaml", "bad/*.yaml"} {
		for _, text := range testdata(f, pattern) {
			f.Add([]byte(text))
		}
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		cfg, faults := read(t, dir, "fuzz.yaml", string(text))
		if (len(faults) == 0) && cfg == nil {
			t.Error("neither a configuration nor a fault")
		}
		for _, fault := range faults {
			if fault.Line < 1 || fault.Column < 1 || fault.Message == "" || fault.Remedy == "" || strings.Contains(fault.String(), "\n") {
				t.Errorf("fault %+v", fault)
			}
		}
		if cfg != nil {
			cfg.At("apps.support.admit")
		}
	})
}
