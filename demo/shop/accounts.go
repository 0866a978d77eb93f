package shop

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// accounts is the chat vendor's way to the company's account API. The vendor cannot read a context and
// does not try: it passes it on, and the API says what it is worth.
type accounts struct {
	url    string
	client *http.Client
	log    func(line string)
}

// verdict is what the account API makes of a context.
type verdict int

const (
	accepted    verdict = iota
	expired             // refused, but a new context may do (RFC 6750 §3.1: invalid_token)
	invalid             // refused whatever the context
	unavailable         // the API could not be asked: no reason to sign anybody in again
	absent              // there was none to ask with
)

// account is what the API tells.
type account struct {
	Customer string `json:"customer"`
	Name     string `json:"name"`
	Tier     string `json:"tier"`
	Cents    int    `json:"amount_cents"`
	Currency string `json:"currency"`
}

// call is one call to the API, for the page's panel.
type call struct {
	path   string
	status int
	took   time.Duration
}

func newAccounts(address string, log func(string)) *accounts {
	return &accounts{
		url: strings.TrimSuffix(address, "/"), log: log,
		client: &http.Client{
			Timeout:       5 * time.Second,
			Transport:     &http.Transport{},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// ask forwards a context to a path of the API.
func (a *accounts) ask(ctx context.Context, path, token string) (account, verdict, call) {
	began := time.Now()
	made := call{path: path}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url+path, nil)
	if err != nil {
		return account{}, unavailable, made
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := a.client.Do(req)
	made.took = time.Since(began)
	if err != nil {
		a.log("the chat vendor could not reach the account API")
		return account{}, unavailable, made
	}
	defer res.Body.Close()
	made.status = res.StatusCode
	a.log(fmt.Sprintf("the chat vendor forwarded a context: the account API answered GET %s with %s", path, res.Status))
	if res.StatusCode != http.StatusOK {
		return account{}, judge(res), made
	}
	var found account
	if err := json.NewDecoder(io.LimitReader(res.Body, 64<<10)).Decode(&found); err != nil || found.Customer == "" {
		return account{}, unavailable, made
	}
	return found, accepted, made
}

// judge reads a refusal.
func judge(res *http.Response) verdict {
	switch {
	case res.StatusCode == http.StatusUnauthorized && strings.Contains(res.Header.Get("WWW-Authenticate"), `error="invalid_token"`):
		return expired
	case res.StatusCode >= http.StatusInternalServerError || res.StatusCode == http.StatusTooManyRequests:
		return unavailable
	}
	return invalid
}

// serverTiming names the call in a response of ours (the Server-Timing header).
func (c call) serverTiming() string {
	status := "no answer"
	if c.status != 0 {
		status = fmt.Sprint(c.status)
	}
	return fmt.Sprintf(`account;dur=%.1f;desc="GET %s: %s"`, float64(c.took.Microseconds())/1000, c.path, status)
}
