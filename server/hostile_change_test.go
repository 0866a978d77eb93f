package server_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// An attack is a file of testdata/hostile: one change to a good request, which must be refused.
type attack struct {
	name    string
	why     string // in one line
	request string // which good request; default browser
	change  string
	expect  string // status, OAuth error, code
	leaves  string // default nothing: see thrownAway
}

// thrownAway is the only trace that an attack may leave: some refusals are known only when the context
// is signed.
const thrownAway = "a signature that is thrown away"

func readAttack(t testing.TB, file string) attack {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	a := attack{name: strings.TrimSuffix(strings.TrimPrefix(file, "testdata/hostile/"), ".txt")}
	fields := map[string]*string{"why": &a.why, "request": &a.request, "change": &a.change, "expect": &a.expect, "leaves": &a.leaves}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		field := fields[name]
		if field == nil || *field != "" || value == "" {
			t.Fatalf("%s: line %q", file, line)
		}
		*field = value
	}
	if a.why == "" || a.change == "" || a.expect == "" || a.leaves != "" && a.leaves != thrownAway {
		t.Fatalf("%s: why, change or expect is missing, or leaves something unknown", file)
	}
	return a
}

// apply makes the one change of an attack: PLACE = VALUE, PLACE is missing, or PLACE + VALUE, which sends
// a form parameter or header field a second time. A place is a whole, such as token, or one member, such
// as payload.aud.
func (a *attempt) apply(t testing.TB, change string) {
	t.Helper()
	place, rest, _ := strings.Cut(change, " ")
	verb, value, _ := strings.Cut(rest, " ")
	if rest == "is missing" {
		verb = rest
	}
	value = fill(t, value, a.values)
	whole, member, named := strings.Cut(place, ".")
	var err error
	switch {
	case named && (whole == "form" || whole == "field"):
		err = a.changeList(whole, member, verb, value)
	case named:
		err = a.changeMember(whole, member, verb, value)
	default:
		err = a.changeWhole(t, whole, value)
	}
	if err != nil {
		t.Fatalf("change %q: %v", change, err)
	}
}

func (a *attempt) changeList(whole, name, verb, value string) error {
	list := map[string]map[string][]string{"form": a.form, "field": a.fields}[whole]
	if whole == "field" {
		name = http.CanonicalHeaderKey(name)
	}
	switch verb {
	case "=":
		list[name] = []string{value}
	case "+":
		list[name] = append(slices.Clone(list[name]), value)
	case "is missing":
		delete(list, name)
	default:
		return fmt.Errorf("unknown verb %q", verb)
	}
	return nil
}

func (a *attempt) changeMember(whole, name, verb, value string) error {
	members := map[string]map[string]any{
		"header": a.token.header, "payload": a.token.payload, "json": a.json, "own": a.own, "document": a.issuer.document, "jwk": a.issuer.jwk,
	}[whole]
	for prefix, f := range map[string]*forgery{"actor": a.actor, "assertion": a.assertion} {
		switch {
		case f == nil:
		case whole == prefix:
			members = f.payload
		case whole == prefix+"-header":
			members = f.header
		}
	}
	switch {
	case members == nil:
		return fmt.Errorf("unknown place %q", whole)
	case verb == "is missing":
		delete(members, name)
		return nil
	case verb != "=":
		return fmt.Errorf("unknown verb %q", verb)
	}
	members[name] = json.RawMessage(value)
	if !json.Valid([]byte(value)) {
		return fmt.Errorf("%s is not JSON", value)
	}
	return nil
}

func (a *attempt) changeWhole(t testing.TB, whole, value string) error {
	texts := map[string]*string{
		"header": &a.token.headerText, "payload": &a.token.payloadText, "token": &a.token.text,
		"body": &a.body, "query": &a.query, "path": &a.path, "method": &a.method, "own-typ": &a.ownTyp,
		"document": &a.issuer.documentText, "keys": &a.issuer.keysText,
		"document-status": &a.issuer.documentStatus, "keys-status": &a.issuer.keysStatus,
	}
	if text := texts[whole]; text != nil {
		*text = value
		return nil
	}
	switch whole {
	case "clock":
		shift, err := time.ParseDuration(value)
		a.target.now = a.target.noon.Add(shift)
		return err
	case "signer":
		return call(a.signers(t, a.token, a.issuer.signingKey), value)
	case "actor-signer":
		return call(a.signers(t, a.actor, a.issuer.signingKey), value)
	case "assertion-signer":
		return call(a.signers(t, a.assertion, a.target.client), value)
	case "actor":
		a.actor.text = value
		return nil
	case "assertion":
		a.assertion.text = value
		return nil
	case "before":
		return call(a.events(t), value)
	case "document-page":
		return a.issuer.behave(&a.issuer.documentPage, value)
	case "keys-page":
		return a.issuer.behave(&a.issuer.keysPage, value)
	}
	return fmt.Errorf("unknown place %q", whole)
}

func call(known map[string]func(), name string) error {
	if known[name] == nil {
		return fmt.Errorf("unknown %q", name)
	}
	known[name]()
	return nil
}

// events are what may happen between the good request and its repetition.
func (a *attempt) events(t testing.TB) map[string]func() {
	signOut := func() { a.signOut(t, map[string]any{"sub": a.token.payload["sub"], "sid": a.token.payload["sid"]}) }
	return map[string]func(){
		"the issuer signs the person out": signOut,
		"the issuer signs the person out, and an older token of that sign-in is used": func() {
			signOut()
			a.token.payload["nonce"] = "another"
		},
		"the session is revoked": func() {
			told := *a
			told.path, told.form = "/oauth2/revoke", url.Values{"client_id": {"web"}, "token": {cmp.Or(a.values["wide context"], a.values["context"])}}
			if got := told.send(t); got.Code != http.StatusOK {
				t.Fatalf("revocation: %d %s", got.Code, got.Body)
			}
		},
		"the assertion is used": func() { _ = a.ask(t, func(url.Values) {}) },
		"the issuer signs all of the person's sessions out, and an older token is used": func() {
			a.signOut(t, map[string]any{"sub": a.token.payload["sub"]})
			a.token.payload["sid"] = "upstream-session-of-another-day"
		},
	}
}

// logoutToken says that somebody signed out (OpenID Connect Back-Channel Logout 1.0 §2.4).
func (a *attempt) logoutToken(t testing.TB, of map[string]any) *forgery {
	out := a.target.goodToken(a.issuer)
	out.header["typ"] = "logout+jwt"
	out.payload = map[string]any{
		"iss": a.issuer.URL, "aud": "chatpass", "jti": fmt.Sprint("logout-", a.target.people), "iat": a.target.now.Unix(), "exp": a.target.now.Unix() + 120,
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	}
	maps.Copy(out.payload, of)
	return out
}

// signOut delivers a logout token.
func (a *attempt) signOut(t testing.TB, of map[string]any) {
	t.Helper()
	out, told := a.logoutToken(t, of), *a
	told.token, told.path, told.form = out, "/v1/backchannel-logout/corp", url.Values{"logout_token": {"{token}"}}
	told.fields = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	if got := told.send(t); got.Code != http.StatusOK {
		t.Fatalf("logout token: %d %s", got.Code, got.Body)
	}
}
