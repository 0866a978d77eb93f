package server_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// answered is what a client reads of any answer.
type answered struct {
	status int
	code   string
}

// readAnswer makes sure that an answer is one that every client can read: JSON, and if it is not a
// success, with error, code, decision and request id.
func readAnswer(w *httptest.ResponseRecorder) (answered, bool) {
	var body struct {
		Error, Code, Decision string
		RequestID             string `json:"request_id"`
	}
	err := json.Unmarshal(w.Body.Bytes(), &body)
	complete := w.Code < 400 || body.Error != "" && body.Code != "" && body.Decision != "" && body.RequestID != ""
	again := w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != ""
	json := strings.HasPrefix(w.Header().Get("Content-Type"), "application/json")
	return answered{w.Code, body.Code}, err == nil && complete && again && json
}

// A mix is several attacks at once on one kind of good request.
type mix struct {
	kind    string
	changes []string
}

// mixes draws from all attacks that do not need an issuer of their own, or time to pass.
func mixes(t testing.TB) *rapid.Generator[mix] {
	changes := map[string][]string{}
	for _, file := range attackFiles(t) {
		a := readAttack(t, file)
		if strings.HasPrefix(a.name, "issuer/") || strings.HasPrefix(a.change, "clock") || strings.HasPrefix(a.change, "before") {
			continue
		}
		changes[a.request] = append(changes[a.request], a.change)
	}
	for _, kind := range []string{"browser", "native", "backend", "delegation", "assertion"} {
		changes[kind] = append(changes[kind], changes[""]...)
	}
	return rapid.Custom(func(t *rapid.T) mix {
		kind := rapid.SampledFrom([]string{"browser", "native", "backend", "delegation", "assertion", "renewal"}).Draw(t, "kind")
		return mix{kind, rapid.SliceOfN(rapid.SampledFrom(changes[kind]), 0, 3).Draw(t, "changes")}
	})
}

func (tg *target) try(t testing.TB, m mix, stranger *upstream) *httptest.ResponseRecorder {
	a := tg.newAttempt(t, m.kind, stranger)
	a.values["context"], a.values["id token"] = "context.of.ours", a.token.token(t)
	a.prepare(t)
	for _, change := range m.changes {
		a.apply(t, change)
	}
	tg.log.Reset()
	return a.send(t).ResponseRecorder
}

// Whatever attacks come together, the answer is JSON with a code and a decision, and no fault of ours.
func TestEveryAnswerCanBeRead(t *testing.T) {
	tg, stranger, some := newTarget(t), newUpstream(t, "kid2"), mixes(t)
	rapid.Check(t, func(rt *rapid.T) {
		m := some.Draw(rt, "mix")
		w := tg.try(t, m, stranger)
		got, readable := readAnswer(w)
		if !readable || got.status >= 500 {
			rt.Errorf("%+v: %d %s", m, w.Code, w.Body)
		}
		if len(m.changes) == 0 && got.status != http.StatusOK {
			rt.Errorf("the good request %s is refused: %s", m.kind, w.Body)
		}
	})
}

// While the store or the issuers are away, whatever would be granted is answered 503, and what would be
// refused is refused in the same way or answered 503. An outage never makes a refusal.
func TestOutageIsNeverARefusal(t *testing.T) {
	up, stranger, some := newTarget(t), newUpstream(t, "kid2"), mixes(t)
	storeless := newTarget(t)
	if err := storeless.store.Close(); err != nil {
		t.Fatal(err)
	}
	alone := newTarget(t)
	for name, issuer := range map[string]*upstream{"corp": alone.corp, "partner": alone.partner} {
		if err := issuer.behave(&issuer.documentPage, "an error page"); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	for name, away := range map[string]*target{"the store": storeless, "the issuers": alone} {
		rapid.Check(t, func(rt *rapid.T) {
			m := some.Draw(rt, "mix")
			want, _ := readAnswer(up.try(t, m, stranger))
			w := away.try(t, m, stranger)
			got, readable := readAnswer(w)
			outage := got.status == http.StatusServiceUnavailable
			if !readable || got != want && !outage {
				rt.Errorf("%+v: with %s away %d %s, else %+v", m, name, w.Code, w.Body, want)
			}
			if want.status == http.StatusOK && m.kind != "renewal" && !outage {
				rt.Errorf("%+v: granted with %s away", m, name)
			}
		})
	}
}
