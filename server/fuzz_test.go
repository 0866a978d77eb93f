package server_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// FuzzTokenRequest sends any body to the token endpoint, with any Authorization and Origin. None of the
// tokens it begins with is signed, so that every answer is a refusal: JSON with a code and a decision, and
// no fault of ours.
func FuzzTokenRequest(f *testing.F) {
	tg, stranger := newTarget(f), newUpstream(f, "kid2")
	for _, kind := range []string{"browser", "native", "backend"} {
		a := tg.newAttempt(f, kind, stranger)
		a.token.sign = func(string) string { return strings.Repeat("A", 86) }
		f.Add(a.text(f, a.token.token(f)), a.fields.Get("Authorization"), a.fields.Get("Origin"))
	}
	f.Fuzz(func(t *testing.T, body, authorization, origin string) {
		r := httptest.NewRequest(http.MethodPost, "/oauth2/token", strings.NewReader(body))
		r.Header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Authorization": {authorization}, "Origin": {origin}}
		w := httptest.NewRecorder()
		tg.log.Reset()
		tg.ServeHTTP(w, r.WithContext(t.Context()))
		if got, readable := readAnswer(w); !readable || got.status < 400 || got.status >= 500 {
			t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
		}
	})
}

// FuzzSubjectToken signs any header and payload with the issuer's key, and exchanges the result. Whatever
// is granted was, to another reader, an ID token of this issuer for an accepted client, in its time.
func FuzzSubjectToken(f *testing.F) {
	tg, stranger := newTarget(f), newUpstream(f, "kid2")
	at := func(shift int64) string { return strconv.FormatInt(tg.noon.Unix()+shift, 10) }
	live := strings.NewReplacer("{issuer}", tg.corp.URL, "{past}", at(-60), "{future}", at(300))
	f.Add(`{"alg":"ES256","kid":"k1","typ":"JWT"}`, `{"iss":"{issuer}","sub":"u","aud":"shop-web","iat":{past},"exp":{future},"email":"a@b.example","name":"A"}`)
	f.Add(`{"alg":"ES256"}`, `{"iss":"{issuer}","sub":"u","aud":["shop-web","shop-app"],"azp":"shop-app","iat":{past},"exp":{future},"nbf":{past},"email":"","name":""}`)
	f.Fuzz(func(t *testing.T, header, payload string) {
		a := tg.newAttempt(t, "browser", stranger)
		payload = live.Replace(payload)
		input := encoded([]byte(header)) + "." + encoded([]byte(payload))
		a.token.text = input + "." + tg.corp.es256(input)
		tg.log.Reset()
		w := a.send(t).ResponseRecorder
		if got, readable := readAnswer(w); !readable || got.status >= 500 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if w.Code == http.StatusOK {
			tg.checkGranted(t, payload)
		}
	})
}

// checkGranted reads a payload that was granted in the plainest way.
func (tg *target) checkGranted(t testing.TB, payload string) {
	t.Helper()
	claims := map[string]any{}
	if err := json.Unmarshal([]byte(payload), &claims); err != nil {
		t.Fatalf("granted, though not JSON: %v", err)
	}
	now := float64(tg.now.Unix())
	subject, _ := claims["sub"].(string)
	issued, _ := claims["iat"].(float64)
	expires, _ := claims["exp"].(float64)
	if claims["iss"] != tg.corp.URL || subject == "" || issued > now+60 || issued < now-3600 || expires <= now-60 {
		t.Errorf("granted: %s", payload)
	}
	audience, several := claims["aud"].([]any)
	if !several {
		audience = []any{claims["aud"]}
	}
	for _, aud := range audience {
		if !slices.Contains([]any{"shop-web", "shop-app"}, aud) {
			t.Errorf("granted to %v", aud)
		}
	}
	if len(audience) == 0 {
		t.Error("granted to nobody in particular")
	}
}
