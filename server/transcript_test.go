package server_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata from what the server says")

// shown are the headers that a transcript shows; the others are held by TestEveryAnswerIsGuarded.
var shown = []string{
	"Access-Control-Allow-Credentials", "Access-Control-Allow-Headers", "Access-Control-Allow-Methods", "Access-Control-Allow-Origin",
	"Access-Control-Max-Age", "Allow", "Cache-Control", "Content-Type", "Location", "Retry-After", "Set-Cookie", "Vary", "Www-Authenticate",
}

// TestTranscripts sends the requests of testdata/*.http, and compares the answers. A request line such
// as `subject_token={ada}` names a value of the house; form lines are joined with &. In an answer,
// what differs each time stands as <kind>.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.http")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".http"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			request, want, ok := strings.Cut(string(text), "\n---\n")
			if !ok {
				request = strings.TrimSuffix(string(text), "\n")
			}
			h := newHouse(t)
			got := h.answer(t, request)
			if *update {
				if err := os.WriteFile(file, []byte(request+"\n---\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}

// answer sends a transcript's request and writes the answer down.
func (h *house) answer(t *testing.T, request string) string {
	t.Helper()
	h.prepare(t, request)
	head, body, _ := strings.Cut(request, "\n\n")
	for {
		comment, rest, ok := strings.Cut(head, "\n")
		if !ok || !strings.HasPrefix(comment, "#") {
			break
		}
		head = rest
	}
	body = h.fill(strings.TrimSuffix(body, "\n"))
	if strings.Contains(head, "x-www-form-urlencoded") {
		body = strings.ReplaceAll(body, "\n", "&")
	}
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(h.fill(head) + "\r\n\r\n")))
	if err != nil {
		t.Fatalf("request: %v", err)
	}
	r.Body = io.NopCloser(strings.NewReader(body))
	r.ContentLength = int64(len(body))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r.WithContext(t.Context()))
	return written(t, w.Result())
}

func (h *house) fill(text string) string {
	for name, value := range h.values {
		text = strings.ReplaceAll(text, "{"+name+"}", value)
	}
	return text
}

func written(t *testing.T, res *http.Response) string {
	t.Helper()
	var out strings.Builder
	out.WriteString("HTTP/1.1 " + res.Status + "\n")
	for _, name := range shown {
		values := slices.Sorted(slices.Values(res.Header.Values(name)))
		for _, v := range values {
			out.WriteString(name + ": " + v + "\n")
		}
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if len(body) == 0 {
		return settle(out.String())
	}
	out.WriteString("\n")
	if strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") || strings.HasPrefix(res.Header.Get("Content-Type"), "application/jwk-set") {
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, body, "", "  "); err != nil {
			t.Fatalf("answer is not JSON: %v", err)
		}
		body = bytes.TrimSpace(pretty.Bytes())
	}
	out.Write(body)
	out.WriteString("\n")
	return settle(out.String())
}

// settle puts a word in place of what differs each time.
func settle(text string) string {
	for _, c := range []struct{ pattern, word string }{
		{`eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+`, "<context>"},
		{`(__Host-chatpass-[a-z]+=)[A-Za-z0-9_-]{40,}`, "${1}<secret>"},
		{`(__Host-chatpass-txn-)[A-Za-z0-9_-]{8}=[A-Za-z0-9_-]+`, "${1}<name>=<sealed>"},
		{`(state|nonce|code_challenge|l)=[A-Za-z0-9_-]{20,}`, "${1}=<$1>"},
		{`"(kid|x|y)": "[A-Za-z0-9_-]{43}"`, `"$1": "<$1>"`},
		{`\b[A-Z2-7]{26}\b`, "<id>"},
		{`"[A-Za-z0-9_-]{43}"`, `"<pseudonym>"`},
		{`"(nbf|exp|iat|auth_time)": \d+`, `"$1": <time>`},
		{`"idx": \d+`, `"idx": <place>`},
		{`"(expires_in|renew_in)": (59|35)\d\b`, `"$1": <a little less>`},
		{`http://127\.0\.0\.1:\d+`, "<issuer>"},
		{`nonce-[A-Z2-7]+|nonce="[A-Z2-7]+"`, "<nonce>"},
	} {
		text = regexp.MustCompile(c.pattern).ReplaceAllString(text, c.word)
	}
	return text
}
