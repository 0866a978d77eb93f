package config_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"chatpass/config"
)

// TestRecommendedIssuersAreRead holds docs/issuers.md to what the reader takes.
func TestRecommendedIssuersAreRead(t *testing.T) {
	page, err := os.ReadFile("../docs/issuers.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	products := []string{"entra", "okta", "google", "keycloak", "auth0", "ping"}
	if len(blocks) != len(products) {
		t.Fatalf("got %d blocks, want one for each of %v", len(blocks), products)
	}
	for i, product := range products {
		t.Run(product, func(t *testing.T) {
			if !strings.HasPrefix(blocks[i][1], product+":\n") {
				t.Fatalf("block %d is of another product", i)
			}
			readBlock(t, product, blocks[i][1])
		})
	}
}

func readBlock(t *testing.T, product, block string) {
	dir := t.TempDir()
	file := filepath.Join(dir, "chatpass.yaml")
	text := "issuer: https://chat-auth.example.com\nstore: sqlite:" + dir + "/chatpass.db\nmaster_key: env:MASTER\n" +
		"issuers:\n  " + strings.ReplaceAll(strings.TrimSpace(block), "\n", "\n  ") + "\n" +
		"apps:\n  support:\n    audience: [https://api.example.com]\n    issuers: [" + product + "]\n" +
		"    origins: [https://www.example.com]\n    clients:\n      support-web: {type: browser}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Read(file, func(string) (string, bool) { return "a-secret-of-the-test-long-enough", true }); err != nil {
		t.Error(err)
	}
}
