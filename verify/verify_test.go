package verify_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"chatpass/verify"
)

const home = "https://chat-auth.example.com"

func TestContextIsReadWhole(t *testing.T) {
	key := newSigner(t, "k1", "ES256")
	got, err := verifier(t, newIssuer(t, home, key)).Verify(t.Context(), key.good(t, claims(home, start())))
	if err != nil {
		t.Fatal(err)
	}
	want := &verify.Context{
		Issuer: home, Customer: "c-1", Audience: []string{audience}, ClientID: "support-web",
		Scope: []string{"chat:read", "chat:write"}, IssuedAt: start(), Expires: start().Add(10 * time.Minute),
		ID: "j-1", SID: "s-1", IDP: "corp", AuthTime: start().Add(-time.Hour), ACR: "gold", AMR: []string{"pwd", "otp"},
		Chat:   verify.Chat{Version: 1, App: "support", Origin: "https://www.example.com", Conversation: "k-1"},
		Actor:  &verify.Actor{Issuer: "https://agents.example.com", Subject: "agent-7", Actor: &verify.Actor{ClientID: "support-backend"}},
		Claims: map[string]any{"tier": "gold", "groups": []any{"staff"}, "account": 9007199254740993.0},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(verify.Context{}), cmpopts.EquateApproxTime(0)); diff != "" {
		t.Error(diff)
	}
	var account int64
	if err := got.Claim("account", &account); err != nil || account != 9007199254740993 {
		t.Errorf("claim account: got %d, %v", account, err)
	}
	if got.Claim("nope", &account) == nil || got.Claim("tier", &account) == nil {
		t.Error("a claim that is missing or does not fit was read")
	}
	if !got.HasScope("chat:read") || got.HasScope("chat:read", "admin") {
		t.Error("scopes are misread")
	}
}

func TestSmallestContextIsAccepted(t *testing.T) {
	key := newSigner(t, "k1", "ES256")
	c := claims(home, start())
	for _, optional := range []string{"scope", "sid", "idp", "auth_time", "acr", "amr", "act", "tier", "groups", "account"} {
		delete(c, optional)
	}
	c["aud"], c["chat"] = []string{"other", audience}, object{"ver": 1, "app": "support"}
	got, err := verifier(t, newIssuer(t, home, key)).Verify(t.Context(), key.good(t, c))
	if err != nil {
		t.Fatal(err)
	}
	if got.Actor != nil || !got.AuthTime.IsZero() || len(got.Scope)+len(got.AMR)+len(got.Claims) != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestEveryAlgorithmFromTwoSigners(t *testing.T) {
	for _, alg := range []string{"ES256", "ES384", "EdDSA", "PS256", "RS256"} {
		t.Run(alg, func(t *testing.T) {
			key, other := newSigner(t, "k1", alg), newSigner(t, "k1", alg)
			v := verifier(t, newIssuer(t, home, key))
			good := claims(home, start())
			for name, token := range map[string]string{"go-jose": key.goodByJOSE(t, good), "standard library": key.good(t, good)} {
				if _, err := v.Verify(t.Context(), token); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			_, err := v.Verify(t.Context(), other.good(t, good))
			wantReason(t, err, verify.Signature)
		})
	}
}

func TestNoCharacterOfAContextCanBeChanged(t *testing.T) {
	for _, alg := range []string{"ES256", "EdDSA"} {
		key := newSigner(t, "k1", alg)
		v := verifier(t, newIssuer(t, home, key))
		good := key.good(t, claims(home, start()))
		for at := range good {
			for _, by := range []string{"A", "B", "_", "/", ".", "\n", ""} {
				if changed := good[:at] + by + good[at+1:]; changed != good {
					if _, err := v.Verify(t.Context(), changed); err == nil {
						t.Fatalf("%s: accepted with %q at %d", alg, by, at)
					}
				}
			}
		}
	}
}

func TestTimesAreCheckedToTheSecond(t *testing.T) {
	key := newSigner(t, "k1", "EdDSA")
	at := func(d time.Duration) any { return start().Add(d).Unix() }
	tests := []struct {
		name   string
		claim  string
		value  any
		leeway time.Duration
		want   verify.Reason
	}{
		{"expired by the leeway less a second", "exp", at(-59 * time.Second), time.Minute, ""},
		{"expired by the leeway", "exp", at(-time.Minute), time.Minute, verify.Expired},
		{"expires now, no leeway", "exp", at(0), 0, verify.Expired},
		{"expires in a second, no leeway", "exp", at(time.Second), 0, ""},
		{"expired by a fraction", "exp", float64(start().Unix()) - 0.5, 0, verify.Expired},
		{"expires in a fraction", "exp", float64(start().Unix()) + 0.5, 0, ""},
		{"issued ahead by the leeway", "iat", at(time.Minute), time.Minute, ""},
		{"issued ahead by more", "iat", at(61 * time.Second), time.Minute, verify.NotYetValid},
		{"issued ahead, no leeway", "iat", at(time.Second), 0, verify.NotYetValid},
		{"issued long ago", "iat", at(-90 * 24 * time.Hour), 0, ""},
		{"not before the leeway", "nbf", at(time.Minute), time.Minute, ""},
		{"not before more", "nbf", at(61 * time.Second), time.Minute, verify.NotYetValid},
		{"widest leeway", "exp", at(-299 * time.Second), 300 * time.Second, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v := verifier(t, newIssuer(t, home, key), verify.WithLeeway(test.leeway))
			_, err := v.Verify(t.Context(), key.good(t, with(claims(home, start()), test.claim, test.value)))
			wantReason(t, err, test.want)
		})
	}
}

func TestContextMadeOutsideItsKeysServiceIsRefused(t *testing.T) {
	key := newSigner(t, "k1", "EdDSA")
	at := func(d time.Duration) int64 { return start().Add(d).Unix() }
	tests := []struct {
		name     string
		nbf, exp any
		want     verify.Reason
	}{
		{"neither", nil, nil, ""},
		{"within", at(-time.Hour), at(time.Hour), ""},
		{"published within the leeway", at(time.Minute), nil, ""},
		{"published later", at(61 * time.Second), nil, verify.KeyPeriod},
		{"ended within the leeway", nil, at(-time.Minute), ""},
		{"ended before", nil, at(-61 * time.Second), verify.KeyPeriod},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			i := newIssuer(t, home, key)
			i.keys[0] = with(with(i.keys[0], "nbf", test.nbf), "exp", test.exp)
			_, err := verifier(t, i).Verify(t.Context(), key.good(t, claims(home, start())))
			wantReason(t, err, test.want)
		})
	}
}

func TestAnAnswerThatIsNoKeySetForgetsNoKeyPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newSigner(t, "k1", "EdDSA")
		i := newIssuer(t, home, key)
		i.keys[0]["exp"] = time.Now().Add(-time.Hour).Unix()
		v := verifier(t, i, verify.WithClock(time.Now))
		for _, answer := range []string{"<html>", "{}", `{"keys":null}`} {
			_, err := v.Verify(t.Context(), key.good(t, claims(home, time.Now())))
			wantReason(t, err, verify.KeyPeriod)
			i.change(func() { i.answers[keysPath] = answer })
			time.Sleep(10 * time.Minute)
		}
		_, err := v.Verify(t.Context(), key.good(t, claims(home, time.Now())))
		wantReason(t, err, verify.KeyPeriod)
	})
}

func TestRequiredScopes(t *testing.T) {
	key := newSigner(t, "k1", "EdDSA")
	token := key.good(t, claims(home, start()))
	for scopes, want := range map[string]verify.Reason{
		"chat:read": "", "chat:read chat:write": "", "admin": verify.InsufficientScope, "chat:read admin": verify.InsufficientScope,
		"chat": verify.InsufficientScope,
	} {
		_, err := verifier(t, newIssuer(t, home, key), verify.WithRequiredScopes(strings.Fields(scopes)...)).Verify(t.Context(), token)
		wantReason(t, err, want)
	}
}

func TestTypes(t *testing.T) {
	key := newSigner(t, "k1", "EdDSA")
	strict, lax := verifier(t, newIssuer(t, home, key)), verifier(t, newIssuer(t, home, key), verify.AllowTyp("JWT"))
	for typ, accepted := range map[string]struct{ strict, lax bool }{
		"at+jwt": {true, true}, "AT+JWT": {true, true}, "application/at+jwt": {true, true},
		"JWT": {false, true}, "jwt": {false, true}, "": {}, "logout+jwt": {}, "statuslist+jwt": {}, "application/application/at+jwt": {},
	} {
		token := key.sign(t, encode(t, with(key.header(), "typ", typ)), encode(t, claims(home, start())))
		for v, want := range map[*verify.Verifier]bool{strict: accepted.strict, lax: accepted.lax} {
			if _, err := v.Verify(t.Context(), token); (err == nil) != want {
				t.Errorf("typ %q: got %v, want accepted %v", typ, err, want)
			}
		}
	}
}

func TestNewChecksItsArguments(t *testing.T) {
	own := verify.WithHTTPClient(http.DefaultClient)
	tests := []struct {
		issuer, audience string
		options          []verify.Option
		ok               bool
	}{
		{home, audience, nil, true},
		{home + "/tenant/a", audience, nil, true},
		{"http://localhost:8080", audience, nil, true},
		{"http://127.0.0.1:8080", audience, nil, true},
		{"http://[::1]:8080", audience, nil, true},
		{"http://chatpass:8080", audience, []verify.Option{own}, true},
		{home, audience, []verify.Option{verify.WithLeeway(300 * time.Second), verify.WithRequiredScopes("a", "b")}, true},

		{"", audience, nil, false},
		{"chat-auth.example.com", audience, nil, false},
		{"https://", audience, nil, false},
		{"https:chat-auth.example.com", audience, nil, false},
		{"https://user@chat-auth.example.com", audience, nil, false},
		{home + "?a", audience, nil, false},
		{home + "?", audience, nil, false},
		{home + "#a", audience, nil, false},
		{home + "#", audience, nil, false},
		{"http://chatpass:8080", audience, nil, false},
		{"http://localhost.example.com", audience, nil, false},
		{"ftp://localhost", audience, []verify.Option{own}, false},
		{home, "", nil, false},
		{home, audience, []verify.Option{verify.WithLeeway(301 * time.Second)}, false},
		{home, audience, []verify.Option{verify.WithLeeway(-time.Second)}, false},
		{home, audience, []verify.Option{verify.WithRequiredScopes("a b")}, false},
		{home, audience, []verify.Option{verify.WithRequiredScopes("")}, false},
		{home, audience, []verify.Option{verify.WithRequiredScopes("a\"")}, false},
	}
	for _, test := range tests {
		if _, err := verify.New(test.issuer, test.audience, test.options...); (err == nil) != test.ok {
			t.Errorf("issuer %q, audience %q: got %v, want success %v", test.issuer, test.audience, err, test.ok)
		}
	}
}

func FuzzVerify(f *testing.F) {
	key := newSigner(f, "k1", "EdDSA")
	good := key.good(f, claims(home, start()))
	f.Add(good)
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add(strings.Repeat(".", 100))
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat(`{"a":`, 200))) + "..")
	v := verifier(f, newIssuer(f, home, key))
	f.Fuzz(func(t *testing.T, token string) {
		got, err := v.Verify(t.Context(), token)
		if token == good {
			return
		}
		if _, ok := errors.AsType[*verify.Error](err); !ok || got != nil {
			t.Errorf("got %v, %v", got, err)
		}
	})
}

// FuzzPayload is what the issuer itself might sign by mistake: it never panics, and what is accepted is complete.
func FuzzPayload(f *testing.F) {
	key := newSigner(f, "k1", "EdDSA")
	header := encode(f, key.header())
	raw, err := base64.RawURLEncoding.DecodeString(encode(f, claims(home, start())))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`{"x":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`))
	f.Add([]byte(`{"aud":[[]],"exp":1e300,"chat":{"ver":1},"act":{"act":{}}}`))
	v := verifier(f, newIssuer(f, home, key))
	f.Fuzz(func(t *testing.T, payload []byte) {
		got, err := v.Verify(t.Context(), key.sign(t, header, base64.RawURLEncoding.EncodeToString(payload)))
		if err != nil {
			if _, ok := errors.AsType[*verify.Error](err); !ok || got != nil {
				t.Errorf("got %v, %v", got, err)
			}
			return
		}
		if got.Issuer != home || got.Customer == "" || got.ClientID == "" || got.ID == "" || got.Chat.App == "" || got.Expires.Before(start().Add(-time.Minute)) {
			t.Errorf("accepted %+v", got)
		}
	})
}

// wantReason checks that err is the rejection with that reason, or nil if the reason is empty.
func wantReason(t *testing.T, err error, want verify.Reason) {
	t.Helper()
	var got verify.Reason
	if rejected, ok := errors.AsType[*verify.Error](err); ok {
		got = rejected.Reason
	}
	if got != want || (err == nil) != (want == "") {
		t.Errorf("got %v, want reason %q", err, want)
	}
}

func wantUnavailable(t *testing.T, err error) {
	t.Helper()
	if _, rejected := errors.AsType[*verify.Error](err); rejected || !errors.Is(err, verify.ErrUnavailable) {
		t.Errorf("got %v, want %v", err, verify.ErrUnavailable)
	}
}
