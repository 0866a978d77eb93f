package server

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"chatpass/decision"
	"chatpass/exchange"
	"chatpass/identity"
)

const (
	// maxBody is the greatest size of a request's body in bytes.
	maxBody = 64 << 10
	// usualBody is the most that is set aside for a body before any of it has come, in bytes.
	usualBody = 4 << 10
	// readSize is how much of a body is read at a time, in bytes.
	readSize = 512
	// maxToken is the greatest size of a token in a request, in bytes.
	maxToken = 16 << 10
)

// insteadOf says what to do instead of sending a parameter of the standards that changes what a request
// means and is not supported. Leaving one out of account would be an answer to another question, so they
// are refused. It is empty for any other parameter.
func insteadOf(name string) string {
	switch name {
	case "authorization_details", "requested_subject", "requested_issuer", "request", "claims":
		return "leave it out"
	case "client_secret":
		return "send it in the Authorization header (client_secret_basic)"
	}
	return ""
}

const formType = "application/x-www-form-urlencoded"

// maxParameters is far beyond what any request of ours has.
const maxParameters = 100

// isForm tells whether the body is declared to be a form, once, and as it is read here: as UTF-8, and not
// compressed. A reader before us that obeyed what we leave out of account would see another request.
func isForm(r *http.Request) bool {
	declared := r.Header["Content-Type"]
	if len(declared) != 1 || r.Header["Content-Encoding"] != nil {
		return false
	}
	if declared[0] == formType { // as nearly all write it
		return true
	}
	kind, terms, err := mime.ParseMediaType(declared[0])
	return err == nil && kind == formType && strings.EqualFold(cmp.Or(terms["charset"], "utf-8"), "utf-8")
}

// readForm reads a form from the body alone: nothing is taken from the query. Each parameter may come
// once, those in repeatable more often; an empty one counts as absent (RFC 6749 §3.2). A form that breaks
// such a rule comes with the refusal: who sent it is worth knowing.
func readForm(r *http.Request, repeatable ...string) (url.Values, error) {
	if !isForm(r) {
		return nil, mediaType(r, formType)
	}
	if r.URL.RawQuery != "" {
		return nil, exchange.Refuse(identity.ParameterUnsupported, "send parameters in the body, not in the query")
	}
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	form, err := readParameters(body, "body")
	if err != nil {
		return nil, err
	}
	names := slices.AppendSeq(make([]string, 0, len(form)), maps.Keys(form))
	slices.Sort(names) // the same request gets the same answer
	for _, name := range names {
		values := form[name]
		if len(values) > 1 && !slices.Contains(repeatable, name) {
			return form, exchange.Refuse(identity.ParameterRepeated, "").Measured(fmt.Sprintf("parameter %s %d times", decision.Clip(name), len(values)), "once")
		}
		if remedy := insteadOf(name); remedy != "" && values[0] != "" {
			return form, exchange.Refuse(identity.ParameterUnsupported, name+" is not supported here: "+remedy)
		}
		form[name] = slices.DeleteFunc(values, func(v string) bool { return v == "" })
	}
	return form, nil
}

// readParameters reads what a form or a query holds.
func readParameters(text, where string) (url.Values, error) {
	if n := strings.Count(text, "&") + 1; n > maxParameters {
		return nil, exchange.Refuse(identity.TooLarge, "the "+where+" has too many parameters").
			Measured(fmt.Sprintf("%d parameters", n), fmt.Sprintf("at most %d", maxParameters))
	}
	found, err := url.ParseQuery(text)
	if err != nil {
		return nil, exchange.Refuse(identity.ParameterMissing, "the "+where+" is not form-urlencoded")
	}
	return found, nil
}

// readScope reads scopes, which spaces alone separate (RFC 6749 §3.3): what has a tab or a line feed in it
// is no scope of anybody's, and is not taken apart into some that are.
func readScope(scope string) []string {
	return strings.FieldsFunc(scope, func(r rune) bool { return r == ' ' })
}

// readQuery reads the parameters of a request without a body, each of which may come once.
func readQuery(r *http.Request) (url.Values, error) {
	q, err := readParameters(r.URL.RawQuery, "query")
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(q)) {
		if len(q[name]) > 1 {
			return nil, exchange.Refuse(identity.ParameterRepeated, "").Measured("parameter "+decision.Clip(name)+" more than once", "once")
		}
	}
	return q, nil
}

// readJSON reads a JSON body into v. Unknown members are ignored, so that newer callers work too.
func readJSON(r *http.Request, v any) error {
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
		return exchange.Refuse(identity.CSRFFailed, "send content type application/json")
	}
	body, err := readBody(r)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(body), v); err != nil {
		return &exchange.Error{Code: identity.ParameterMissing, Description: "the body is not the JSON object this endpoint takes", Err: err}
	}
	return nil
}

func readBody(r *http.Request) (string, error) {
	var body strings.Builder
	body.Grow(int(min(max(r.ContentLength, 0), usualBody)))
	_, err := io.CopyBuffer(&body, r.Body, make([]byte, readSize))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return "", exchange.Refuse(identity.TooLarge, "").Measured("a larger body", fmt.Sprintf("at most %d bytes", maxBody))
	}
	if err != nil {
		return "", &exchange.Error{Code: identity.ParameterMissing, Description: "the body ended early", Err: err}
	}
	return body.String(), nil
}

// errMediaType marks the one refusal of its code that is answered 415 instead of 405.
var errMediaType = errors.New("media type not served")

func mediaType(r *http.Request, want string) error {
	given := cmp.Or(decision.Clip(strings.Join(r.Header["Content-Type"], " and ")), "no content type")
	if coding := r.Header.Get("Content-Encoding"); coding != "" {
		given += " in content coding " + decision.Clip(coding)
	}
	refusal := exchange.Refuse(identity.MethodNotAllowed, "send content type "+want).Measured(given, want)
	refusal.Err = fmt.Errorf("%w: %w", errMediaType, refusal.Err)
	return refusal
}
