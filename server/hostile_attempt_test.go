package server_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// attempt is a request to the target: a good one, until an attack changes something.
type attempt struct {
	target           *target
	issuer, stranger *upstream
	token            *forgery
	method, path     string
	query            string
	fields           http.Header
	form             url.Values
	json             map[string]any // sent in place of the form, if any
	body             string         // may name {body}
	// actor and assertion are the other tokens of the request, if any.
	actor, assertion *forgery
	// own are the claims of a context that our own key signs, under the type ownTyp.
	own    map[string]any
	ownTyp string
	// renew, if any, makes anew what a request uses up. It is called before the good request and again
	// before the attack.
	renew  func(testing.TB)
	values map[string]string // what an attack may name
}

const (
	exchangeGrant = "urn:ietf:params:oauth:grant-type:token-exchange"
	typeIDToken   = "urn:ietf:params:oauth:token-type:id_token"
	typeContext   = "urn:ietf:params:oauth:token-type:access_token"
)

// newAttempt returns the good request of that kind.
func (tg *target) newAttempt(t testing.TB, kind string, stranger *upstream) *attempt {
	t.Helper()
	a := &attempt{
		target: tg, issuer: tg.corp, stranger: stranger, token: tg.goodToken(tg.corp), method: http.MethodPost, path: "/oauth2/token",
		fields: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, body: "{body}",
		form: url.Values{
			"grant_type": {exchangeGrant}, "subject_token": {"{token}"}, "subject_token_type": {typeIDToken},
			"audience": {"https://api.example.com"}, "scope": {"chat:read"}, "conversation": {"c-1"},
		},
	}
	if kind == "" {
		kind = "browser"
	}
	begin := kinds()[kind]
	if begin == nil {
		t.Fatalf("unknown kind of request %q", kind)
	}
	a.values = a.vocabulary(t)
	begin(t, a)
	return a
}

// vocabulary is what an attack may name in braces.
func (a *attempt) vocabulary(t testing.TB) map[string]string {
	t.Helper()
	tg, stranger := a.target, a.stranger
	jwk := func(k signingKey) string {
		raw, err := json.Marshal(k.jwkMembers())
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	return map[string]string{
		"now": strconv.FormatInt(tg.noon.Unix(), 10), "issuer": tg.corp.URL, "ISSUER": strings.ToUpper(tg.corp.URL), "partner": tg.partner.URL, "entra": tg.entra.URL, "abroad": stranger.URL,
		"right credentials": basic("back", password), "wrong credentials": basic("back", "guessed"), "credentials of nobody": basic("nobody", "guessed"),
		"credentials of web": basic("web", ""), "credentials of back": basic("back", password),
		"credentials of signed": basic("signed", ""), "credentials of the inspector": basic("inspector", password), "credentials of sales": basic("sales-back", password),
		"encrypted token": encrypted(t, 300), "encrypted bomb": tg.bomb,
		"us": ours, "LF": "\n", "CR": "\r", "NUL": "\x00", "FF": "\xff", "SP": " ", "TAB": "\t",
		"key": jwk(tg.corp.signingKey), "another key": jwk(signingKey{"k2", stranger.private}), "stranger key": jwk(signingKey{tg.corp.kid, stranger.private}), "many more": strings.Repeat(`,{"kty":"EC"}`, 100),
		"logout token": a.logoutToken(t, map[string]any{"sub": "u-81", "sid": "s"}).token(t),
	}
}

// basic is HTTP Basic with both halves form-encoded (RFC 6749 §2.3.1).
func basic(user, secret string) string {
	pair := url.QueryEscape(user) + ":" + url.QueryEscape(secret)
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair))
}

// A verdict is what came back, and what was sent.
type verdict struct {
	*httptest.ResponseRecorder
	request *http.Request
	sent    url.Values // the form, as its reader sees it
	token   string     // the ID token made for it
}

// send sends the request as it is now.
func (a *attempt) send(t testing.TB) verdict {
	t.Helper()
	token := a.token.token(t)
	body := a.text(t, token)
	r := httptest.NewRequest(a.method, a.path, strings.NewReader(body))
	r.URL.RawQuery = a.query
	r.Header = a.fields.Clone()
	w := httptest.NewRecorder()
	a.target.ServeHTTP(w, r.WithContext(t.Context()))
	form, _ := url.ParseQuery(body)
	return verdict{w, r, form, token}
}

// text is the body.
func (a *attempt) text(t testing.TB, token string) string {
	t.Helper()
	if a.json != nil {
		raw, err := json.Marshal(a.json)
		if err != nil {
			t.Fatal(err)
		}
		return fill(t, a.body, map[string]string{"body": string(raw)})
	}
	tokens := []string{"{token}", token}
	for name, f := range map[string]*forgery{"{actor}": a.actor, "{assertion}": a.assertion} {
		if f != nil {
			tokens = append(tokens, name, f.token(t))
		}
	}
	if a.own != nil {
		tokens = append(tokens, "{own}", a.signOwn(t))
	}
	form := url.Values{}
	for name, values := range a.form {
		for _, v := range values {
			form.Add(name, strings.NewReplacer(tokens...).Replace(v))
		}
	}
	return fill(t, a.body, map[string]string{"body": form.Encode()})
}

func (a *attempt) signOwn(t testing.TB) string {
	t.Helper()
	claims, err := json.Marshal(a.own)
	if err != nil {
		t.Fatal(err)
	}
	token, err := a.target.ring.Class("context").Sign(t.Context(), a.ownTyp, claims)
	if err != nil {
		t.Fatal(err)
	}
	return token
}
