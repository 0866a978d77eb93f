package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// page is the origin of the pages whose people have sessions.
const page = "https://www.example.com"

// A caller asks the service that stands at a place.
type caller struct {
	ctx    context.Context //nolint:containedctx // a caller lives no longer than one measurement
	client *http.Client
	place  place
}

func newCaller(ctx context.Context, p place, workers int) caller {
	return caller{ctx, &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: workers}}, p}
}

// exchange is a backend's exchange of a new ID token, of another person each time.
func (c caller) exchange(worker, n int) error {
	token, err := c.place.idToken(fmt.Sprintf("person-%d-%d", worker, n))
	if err != nil {
		return err
	}
	form := url.Values{
		"grant_type":         {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"subject_token_type": {"urn:ietf:params:oauth:token-type:id_token"}, "subject_token": {token},
	}
	req, err := http.NewRequestWithContext(c.ctx, http.MethodPost, "http://"+c.place.service+"/oauth2/token", strings.NewReader(form.Encode()))
	if err != nil {
		return fmt.Errorf("exchange: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth("back", url.QueryEscape(secret))
	_, err = c.do(req, http.StatusOK)
	return err
}

// begin signs a person in at a page, and returns the cookie.
func (c caller) begin(name string) (*http.Cookie, error) {
	token, err := c.place.idToken(name)
	if err != nil {
		return nil, err
	}
	res, err := c.call("/v1/session", map[string]string{"subject_token": token}, nil, http.StatusCreated)
	if err != nil {
		return nil, err
	}
	for _, cookie := range res.Cookies() {
		return cookie, nil
	}
	return nil, fmt.Errorf("begin session: no cookie")
}

// renew is a page's renewal.
func (c caller) renew(cookie *http.Cookie) error {
	_, err := c.call("/v1/context", map[string]string{"cause": "timer", "activity": "passive"}, cookie, http.StatusOK)
	return err
}

// call is what a script of the page sends.
func (c caller) call(path string, body map[string]string, cookie *http.Cookie, want int) (*http.Response, error) {
	body["client_id"] = "web"
	text, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	req, err := http.NewRequestWithContext(c.ctx, http.MethodPost, "http://"+c.place.service+path, bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", path, err)
	}
	req.Header = http.Header{"Content-Type": {"application/json"}, "Origin": {page}, "X-Chatpass-Client": {"web/0"}}
	if cookie != nil {
		req.AddCookie(cookie)
	}
	return c.do(req, want)
}

func (c caller) do(req *http.Request, want int) (*http.Response, error) {
	res, err := c.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask: %w", err)
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != want {
		err = fmt.Errorf("answer %s: %s", res.Status, body)
	}
	return res, err
}

func (p place) idToken(subject string) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: p.key, KeyID: "k1"}}, nil)
	if err != nil {
		return "", fmt.Errorf("sign ID token: %w", err)
	}
	now := time.Now()
	payload, err := json.Marshal(map[string]any{
		"iss": issuer, "sub": subject, "aud": "shop-web", "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "name": "Somebody",
	})
	if err != nil {
		return "", fmt.Errorf("encode ID token: %w", err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign ID token: %w", err)
	}
	return signed.CompactSerialize()
}
