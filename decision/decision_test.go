package decision_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"chatpass/decision"
	"chatpass/identity"
)

func line(t *testing.T, d decision.Decision) map[string]any {
	t.Helper()
	var out bytes.Buffer
	d.Log(t.Context(), slog.New(slog.NewJSONHandler(&out, nil)))
	if n := bytes.Count(out.Bytes(), []byte("\n")); n != 1 {
		t.Fatalf("%d lines, want one:\n%s", n, &out)
	}
	fields := map[string]any{}
	if err := json.Unmarshal(out.Bytes(), &fields); err != nil {
		t.Fatal(err)
	}
	return fields
}

func TestAuditLineHasTheShapeOfItsClass(t *testing.T) {
	for verb, want := range map[string]struct{ class, typ float64 }{
		"exchange": {3003, 300301}, "context": {3003, 300301}, "claim": {3003, 300301},
		"sign-in": {3002, 300201}, "sign-out": {3002, 300202}, "logout-token": {3002, 300202}, "front-channel": {3002, 300202},
	} {
		got := line(t, decision.Decision{ID: "d1", Verb: verb, Time: time.UnixMilli(1700000000123), Outcome: decision.Issued})
		if got["class_uid"] != want.class || got["type_uid"] != want.typ || got["category_uid"] != 3.0 || got["time"] != 1700000000123.0 {
			t.Errorf("%s: class %v, type %v, category %v, time %v", verb, got["class_uid"], got["type_uid"], got["category_uid"], got["time"])
		}
	}
}

func TestAuditLineTellsWhoWhatAndWhy(t *testing.T) {
	d := decision.Decision{
		ID: "d1", RequestID: "r1", Verb: "exchange", App: "support", Client: "web", IDP: "corp", Subject: "s", Customer: "c", SID: "sid",
	}
	d.Pass("client", "browser", "a registered client")
	d.End(decision.Refused, identity.TokenExpired, "7m", "at most 5m")
	got := line(t, d)
	if got["status"] != "Failure" || got["status_code"] != "CP-205" || got["level"] != "INFO" {
		t.Errorf("status %v %v at %v", got["status"], got["status_code"], got["level"])
	}
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"uid":"d1"`, `"correlation_uid":"r1"`, `"uid":"c"`, `"domain":"corp"`, `"uid":"sid"`, `"failed_check":"token age"`, `"client":"web"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("line lacks %s: %s", want, text)
		}
	}
}

func FuzzForeignStringsAreTamed(f *testing.F) {
	for _, s := range []string{"plain", "a\nb", "\x1b[31m", strings.Repeat("ü", 100), "\xff\xfe", strings.Repeat("\x00", 70), "\u202e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := decision.Clip(s)
		if !utf8.ValidString(got) || strings.ContainsAny(got, "\n\r\x1b\x00") {
			t.Errorf("%q became %q", s, got)
		}
		if len(got) > 64*10+len("…") { // each byte may be written as an escape
			t.Errorf("%d bytes became %d", len(s), len(got))
		}
	})
}
