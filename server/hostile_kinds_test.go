package server_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// kinds are the good requests that attacks begin with. Each makes one of a fresh attempt.
func kinds() map[string]func(testing.TB, *attempt) {
	return map[string]func(testing.TB, *attempt){
		"browser": asBrowser, "native": asNative, "backend": asBackend, "renewal": asRenewal, "tenant": asTenant, "without kid": asWithoutKid,
		"narrowing": asNarrowing, "carrying on": asCarryingOn, "delegation": asDelegation, "assertion": asAssertion,
		"introspection": asIntrospection, "revocation": asRevocation,
	}
}

func asBrowser(_ testing.TB, a *attempt) {
	a.form.Set("client_id", "web")
	a.fields.Set("Origin", shopPage)
}

func asNative(_ testing.TB, a *attempt) { a.form.Set("client_id", "ios") }

func asBackend(_ testing.TB, a *attempt) { a.fields.Set("Authorization", basic("back", password)) }

// asRenewal is a page that asks for the next context with its visitor's cookie.
func asRenewal(_ testing.TB, a *attempt) {
	a.path, a.form = "/v1/context", nil
	a.json = map[string]any{"client_id": "web", "activity": "passive", "cause": "timer"}
	a.fields = http.Header{
		"Content-Type": {"application/json"}, "Origin": {shopPage}, "X-Chatpass-Client": {"web/0"}, "Sec-Fetch-Site": {"same-site"}, "Sec-Fetch-Mode": {"cors"},
		"Cookie": {"__Host-chatpass-support=" + a.target.visitor + "; __Host-chatpass-sales=" + a.target.visitor},
	}
}

// asTenant is an ID token of one tenant of a provider with many.
func asTenant(t testing.TB, a *attempt) {
	asBrowser(t, a)
	a.token = a.target.goodToken(a.target.entra)
	maps.Copy(a.token.payload, map[string]any{"iss": a.target.entra.URL + "/tenant-1/v2.0", "tid": "tenant-1", "oid": a.token.payload["sub"]})
}

// asWithoutKid is an ID token that does not say by which key: the issuer has but one.
func asWithoutKid(t testing.TB, a *attempt) {
	asBrowser(t, a)
	delete(a.token.header, "kid")
}

// asDelegation is an agent who acts for a customer.
func asDelegation(t testing.TB, a *attempt) {
	asBackend(t, a)
	a.actor = a.target.goodToken(a.target.corp)
	maps.Copy(a.actor.payload, map[string]any{"aud": "agent-desk", "groups": []string{"support-agents"}})
	a.form.Set("actor_token", "{actor}")
	a.form.Set("actor_token_type", typeIDToken)
	a.values["actor subject"] = fmt.Sprint(a.actor.payload["sub"])
}

// asAssertion is a backend that authenticates with private_key_jwt.
func asAssertion(_ testing.TB, a *attempt) {
	a.form.Set("client_id", "signed")
	a.form.Set("client_assertion", "{assertion}")
	a.form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	a.assertion = a.target.goodToken(a.target.corp)
	a.assertion.header["kid"], a.assertion.sign = a.target.client.kid, a.target.client.es256
	a.assertion.payload = map[string]any{
		"iss": "signed", "sub": "signed", "aud": ours, "iat": a.target.noon.Unix(), "exp": a.target.noon.Unix() + 60,
	}
	a.renew = func(testing.TB) {
		a.target.people++
		a.assertion.payload["jti"] = fmt.Sprint("assertion-", a.target.people)
	}
}

// asNarrowing is a context that was narrowed before, and is narrowed again.
func asNarrowing(t testing.TB, a *attempt) {
	asBrowser(t, a)
	wide := a.ask(t, func(form url.Values) {
		form["audience"] = []string{"https://api.example.com", "https://orders.example.com"}
		form.Set("scope", "chat:read chat:write")
		form.Del("conversation")
	})
	a.form.Set("subject_token_type", typeContext)
	a.form.Set("subject_token", wide)
	narrow := a.ask(t, func(url.Values) {})
	parts := strings.Split(narrow, ".")
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(claims, &a.own)
	}
	if err != nil {
		t.Fatal(err)
	}
	a.ownTyp = "at+jwt"
	a.form.Set("subject_token", "{own}")
	a.values["wide context"] = wide
	a.values["context signed by a stranger"] = parts[0] + "." + parts[1] + "." + a.stranger.es256(parts[0]+"."+parts[1])
	a.values["context without signature"] = encoded([]byte(`{"alg":"none","typ":"at+jwt"}`)) + "." + parts[1] + "."
	a.values["context of sales"] = a.contextOfSales(t)
}

// asCarryingOn is a context that three have acted through already.
func asCarryingOn(t testing.TB, a *attempt) {
	asDelegation(t, a)
	context := a.ask(t, func(url.Values) {})
	a.form.Set("subject_token_type", typeContext)
	for _, name := range []string{"actor_token", "actor_token_type"} {
		a.form.Del(name)
	}
	asBrowser(t, a)
	a.fields.Del("Authorization")
	context = a.ask(t, func(form url.Values) { form.Set("subject_token", context) })
	asNative(t, a)
	a.fields.Del("Origin")
	a.form.Set("subject_token", a.ask(t, func(form url.Values) { form.Set("subject_token", context) }))
}

func asIntrospection(t testing.TB, a *attempt) {
	asBrowser(t, a)
	a.values["context"] = a.ask(t, func(url.Values) {})
	a.path, a.form = "/oauth2/introspect", url.Values{"token": {a.values["context"]}}
	a.fields.Del("Origin")
	a.fields.Set("Authorization", basic("inspector", password))
}

// asRevocation ends a session that began just before.
func asRevocation(t testing.TB, a *attempt) {
	asBrowser(t, a)
	exchange, form := a.form, url.Values{"client_id": {"web"}}
	a.renew = func(t testing.TB) {
		a.path, a.form, a.token = "/oauth2/token", exchange, a.target.goodToken(a.target.corp)
		context := a.ask(t, func(url.Values) {})
		a.values["narrowed context"] = a.ask(t, func(form url.Values) {
			form.Set("subject_token", context)
			form.Set("subject_token_type", typeContext)
		})
		a.values["context of sales"] = a.contextOfSales(t)
		a.path, a.form = "/oauth2/revoke", form
		a.form.Set("token", context)
	}
}

// ask exchanges what the request holds, changed, for a context.
func (a *attempt) ask(t testing.TB, change func(url.Values)) string {
	t.Helper()
	other := *a
	other.form = maps.Clone(a.form)
	change(other.form)
	got := other.send(t)
	var body struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(got.Body.Bytes(), &body); err != nil || body.Token == "" {
		t.Fatalf("no context: %d %s", got.Code, got.Body)
	}
	return body.Token
}

// contextOfSales is one of the same person's at another app.
func (a *attempt) contextOfSales(t testing.TB) string {
	t.Helper()
	other := *a
	other.token, other.path = a.target.goodToken(a.target.partner), "/oauth2/token"
	return other.ask(t, func(form url.Values) {
		form.Set("client_id", "sales-web")
		form.Set("subject_token", "{token}")
		form.Set("subject_token_type", typeIDToken)
	})
}
