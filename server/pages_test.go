package server_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// signedOutPage is what a browser that wants these languages is shown.
func signedOutPage(t *testing.T, h *house, languages string) reply {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/v1/logout/callback", nil)
	r.Header.Set("Accept-Language", languages)
	return newBrowser(t, h).do(r)
}

func TestPagesSpeakTheBrowsersLanguage(t *testing.T) {
	h := newHouse(t)
	for _, row := range []struct{ asked, speaks, says string }{
		{"", "en", "You are signed out"},
		{"de", "de", "Sie sind abgemeldet"},
		{"de-CH,en;q=0.5", "de", "Sie sind abgemeldet"},
		{"fr-CA", "fr", "Vous êtes déconnecté"},
		{"es-419,es;q=0.9", "es", "Ha cerrado la sesión"},
		{"ja-JP", "ja", "サインアウトしました"},
		{"nl, ja;q=0.1", "ja", "サインアウトしました"},
		{"nl", "en", "You are signed out"},
		{"de;q=0.1, fr;q=0.9", "fr", "Vous êtes déconnecté"},
		{"*", "en", "You are signed out"},
		{"de;q=banana", "en", "You are signed out"},
		{`"><script>`, "en", "You are signed out"},
		{"de," + strings.Repeat("a-", 5000), "en", "You are signed out"},
	} {
		res := signedOutPage(t, h, row.asked)
		body := string(res.body)
		if !strings.Contains(body, `<html lang="`+row.speaks+`">`) || !strings.Contains(body, row.says) || res.Header.Get("Content-Language") != row.speaks {
			t.Errorf("%.40q: wanted %s, got %s\n%s", row.asked, row.speaks, res.Header.Get("Content-Language"), body)
		}
	}
}

// A translation that lacks a text would show an empty page.
func TestEveryLanguageSaysEverything(t *testing.T) {
	files, err := filepath.Glob("pages/*.json")
	if err != nil || len(files) != 5 {
		t.Fatalf("languages: %v, %v", files, err)
	}
	said := map[string]string{} // by text: the language that says it
	var keys int
	for _, file := range files {
		flat := texts(t, file)
		if keys == 0 {
			keys = len(flat)
		}
		if len(flat) != keys || keys < 15 {
			t.Errorf("%s says %d things, another language %d", file, len(flat), keys)
		}
		for key, text := range flat {
			if text == "" {
				t.Errorf("%s: %s is empty", file, key)
			}
			if other, twice := said[key+text]; twice {
				t.Errorf("%s and %s say the same: %q", file, other, text)
			}
			said[key+text] = file
		}
	}
}

// texts are the texts of a language by their path.
func texts(t *testing.T, file string) map[string]string {
	t.Helper()
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var tree map[string]any
	if err := json.Unmarshal(source, &tree); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	flat := map[string]string{}
	for key, value := range tree {
		switch value := value.(type) {
		case string:
			flat[key] = value
		case map[string]any:
			for part, text := range value {
				flat[key+"."+part], _ = text.(string)
			}
		}
	}
	return flat
}
