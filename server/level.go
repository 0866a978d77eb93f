package server

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"chatpass/exchange"
	"chatpass/identity"
)

// maxACR is the most that may be asked for in acr_values, in bytes: they go into cookies and headers.
const maxACR = 128

// readLevel reads what a page asks of the person's authentication: acr_values, separated by spaces, and
// max_age in seconds (RFC 9470 §4). Of a level only what may stand in a header is passed on.
func readLevel(acrValues, maxAge string) (exchange.Level, error) {
	level := exchange.Level{ACR: strings.Fields(acrValues)}
	if len(acrValues) > maxACR {
		return level, exchange.Refuse(identity.TooLarge, "acr_values is too long").
			Measured(fmt.Sprintf("%d bytes", len(acrValues)), fmt.Sprintf("at most %d bytes", maxACR))
	}
	if strings.ContainsFunc(acrValues, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
		return level, exchange.Refuse(identity.ParameterUnsupported, "acr_values must be printable ASCII without quote and backslash")
	}
	if maxAge == "" {
		return level, nil
	}
	seconds, err := strconv.ParseUint(maxAge, 10, 31)
	if err != nil {
		return level, exchange.Refuse(identity.ParameterUnsupported, "max_age must be a number of seconds")
	}
	limit := time.Duration(seconds) * time.Second
	level.MaxAge = &limit
	return level, nil
}

// loginBody tells a page how to sign in for what it was refused; its names are those of the sign-in.
type loginBody struct {
	Prompt    string `json:"prompt,omitempty"`
	ACRValues string `json:"acr_values,omitempty"`
	MaxAge    *int   `json:"max_age,omitempty"`
}

func describeSignIn(hint *exchange.SignInHint) *loginBody {
	if hint == nil {
		return nil
	}
	body := &loginBody{Prompt: hint.Prompt, ACRValues: strings.Join(hint.ACR, " ")}
	if hint.MaxAge != nil {
		age := seconds(*hint.MaxAge)
		body.MaxAge = &age
	}
	return body
}

// challenge is what a demand for a higher authentication says to those who read headers (RFC 9470 §3).
func (b *loginBody) challenge(oauthError string) string {
	text := fmt.Sprintf("Bearer error=%q", oauthError)
	if b.ACRValues != "" {
		text += fmt.Sprintf(", acr_values=%q", b.ACRValues)
	}
	if b.MaxAge != nil {
		text += fmt.Sprintf(`, max_age="%d"`, *b.MaxAge)
	}
	return text
}
