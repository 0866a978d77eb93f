package server

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"

	"chatpass/exchange"
	"chatpass/identity"
)

const (
	// maxBody is the greatest size of a request's body in bytes.
	maxBody = 64 << 10
	// maxToken is the greatest size of a token in a request, in bytes.
	maxToken = 16 << 10
)

// unsupported are parameters of the standards that change what a request means. Leaving one out of
// account would be an answer to another question, so they are refused.
var unsupported = []string{
	"authorization_details", "requested_subject", "requested_issuer", "request", "claims",
	"actor_token", "actor_token_type", "client_secret", "client_assertion", "client_assertion_type",
}

// readForm reads a form from the body alone: nothing is taken from the query. Each parameter may come
// once, those in repeatable more often; an empty one counts as absent (RFC 6749 §3.2).
func readForm(r *http.Request, repeatable ...string) (url.Values, error) {
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/x-www-form-urlencoded" {
		return nil, mediaType("application/x-www-form-urlencoded")
	}
	if r.URL.RawQuery != "" {
		return nil, exchange.Refuse(identity.ParameterUnsupported, "send parameters in the body, not in the query")
	}
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, exchange.Refuse(identity.ParameterMissing, "the body is not form-urlencoded")
	}
	for name, values := range form {
		if len(values) > 1 && !slices.Contains(repeatable, name) {
			return nil, exchange.Refuse(identity.ParameterRepeated, "")
		}
		if slices.Contains(unsupported, name) && values[0] != "" {
			return nil, exchange.Refuse(identity.ParameterUnsupported, name+" is not supported here: leave it out")
		}
		form[name] = slices.DeleteFunc(values, func(v string) bool { return v == "" })
	}
	return form, nil
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
	if err := json.Unmarshal(body, v); err != nil {
		return &exchange.Error{Code: identity.ParameterMissing, Description: "the body is not the JSON object this endpoint takes", Err: err}
	}
	return nil
}

func readBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, exchange.Refuse(identity.TooLarge, "")
	}
	if err != nil {
		return nil, &exchange.Error{Code: identity.ParameterMissing, Description: "the body ended early", Err: err}
	}
	return body, nil
}

// errMediaType marks the one refusal of its code that is answered 415 instead of 405.
var errMediaType = errors.New("media type not served")

func mediaType(want string) error {
	return &exchange.Error{Code: identity.MethodNotAllowed, Description: "send content type " + want, Err: errMediaType}
}
