package main

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// figures is a command of scripts: it waits until the metrics at an address have all these lines.
func figures(ts *testscript.TestScript, _ bool, args []string) {
	for deadline := time.Now().Add(patience); ; {
		res, err := http.Get("http://" + args[0] + "/metrics")
		ts.Check(err)
		body, err := io.ReadAll(res.Body)
		ts.Check(err)
		ts.Check(res.Body.Close())
		missing := ""
		for _, line := range args[1:] {
			if !strings.Contains("\n"+string(body), "\n"+line+"\n") {
				missing = line
			}
		}
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("the metrics lack %s:\n%s", missing, body)
		}
	}
}

// A kid may begin with one dash or two: it is no flag, wherever it stands.
func TestAKidMayLookLikeAFlag(t *testing.T) {
	for _, kid := range []string{"-1yi5wZPW0yJkf_l_HWu7ZodPNfNhRdosyWJ0vmJLZg", "--i5wZPW0yJkf_l_HWu7ZodPNfNhRdosyWJ0vmJLZg1", "c1yi5wZPW0yJkf_l_HWu7ZodPNfNhRdosyWJ0vmJLZg"} {
		for _, args := range [][]string{
			{"keys", "hold", kid, "-c", "nowhere.yaml"},
			{"keys", "hold", "-c", "nowhere.yaml", kid},
			{"keys", "compromise", kid, "--yes", kid, "-c", "nowhere.yaml"},
			{"keys", "compromise", "--yes", kid, "-c", "nowhere.yaml", kid},
			{"keys", "compromise", "-c", "nowhere.yaml", "--yes=" + kid, "--", kid},
		} {
			var said bytes.Buffer
			if code := run(t.Context(), args, streams{&said, &said}); code != exitFailed || !strings.Contains(said.String(), "nowhere.yaml") {
				t.Errorf("%v: exit code %d, %s; want that the configuration is missing", args, code, &said)
			}
		}
	}
	if code := run(t.Context(), []string{"keys", "hold", "-1yi5w"}, streams{&bytes.Buffer{}, &bytes.Buffer{}}); code != exitUsage {
		t.Errorf("a flag that is none: exit code %d, want %d", code, exitUsage)
	}
}
