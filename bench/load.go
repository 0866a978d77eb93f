package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// A load is a number of clients that exchange ID tokens, one after another each, for a while.
type load struct {
	workers int
	length  time.Duration
}

// run returns how long each exchange took, and how long all of them together.
func (l load) run(ctx context.Context, p place) ([]time.Duration, time.Duration, error) {
	var mu sync.Mutex
	var all []time.Duration
	var first error
	var crowd sync.WaitGroup
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: l.workers}}
	begun := time.Now()
	until := begun.Add(l.length)
	for worker := range l.workers {
		crowd.Go(func() {
			took, err := caller{client, p, worker}.exchangeUntil(ctx, until)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
			if err != nil && first == nil {
				first = err
			}
		})
	}
	crowd.Wait()
	return all, time.Since(begun), first
}

// A caller is one client of the load.
type caller struct {
	client *http.Client
	place  place
	number int
}

// exchangeUntil exchanges a new ID token each time, of another person each.
func (c caller) exchangeUntil(ctx context.Context, until time.Time) ([]time.Duration, error) {
	var took []time.Duration
	for n := 0; time.Now().Before(until); n++ {
		token, err := c.place.idToken(fmt.Sprintf("person-%d-%d", c.number, n))
		if err != nil {
			return took, err
		}
		begun := time.Now()
		if err := c.exchange(ctx, token); err != nil {
			return took, err
		}
		took = append(took, time.Since(begun))
	}
	return took, nil
}

func (c caller) exchange(ctx context.Context, token string) error {
	form := url.Values{
		"grant_type":         {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"subject_token_type": {"urn:ietf:params:oauth:token-type:id_token"}, "subject_token": {token},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.place.service+"/oauth2/token", strings.NewReader(form.Encode()))
	if err != nil {
		return fmt.Errorf("exchange: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth("back", url.QueryEscape(secret))
	res, err := c.client.Do(req)
	if err != nil {
		return fmt.Errorf("exchange: %w", err)
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("answer %s: %s", res.Status, body)
	}
	return err
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

// percentile returns the p-th percentile, 0 being the least.
func percentile(all []time.Duration, p int) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(sorted)-1, len(sorted)*p/100)]
}
