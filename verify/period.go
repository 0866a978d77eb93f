package verify

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"chatpass/jwks"
)

const maxKeySet = 512 << 10

// A period is when a key signs: the members nbf and exp of its JWK, in Unix seconds. The issuer fixes
// both when it makes the key. 0 leaves that end open.
type period struct {
	NotBefore int64 `json:"nbf"`
	Expires   int64 `json:"exp"`
}

func (p period) covers(t time.Time, leeway time.Duration) bool {
	started := !t.Before(time.Unix(p.NotBefore, 0).Add(-leeway))
	ended := p.Expires != 0 && t.After(time.Unix(p.Expires, 0).Add(leeway))
	return started && !ended
}

// periods is the transport that fetches the key set. It notes the keys' periods as the set passes by,
// since go-jose's key type has no place for them.
type periods struct {
	next  http.RoundTripper
	byKID atomic.Pointer[map[string]period]
}

func newPeriods(client *http.Client) *periods {
	p := &periods{next: client.Transport}
	if p.next == nil {
		p.next = http.DefaultTransport
	}
	p.byKID.Store(&map[string]period{})
	return p
}

// RoundTrip fetches like the transport beneath.
func (p *periods) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := p.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := jwks.ReadBody(resp, maxKeySet)
	if err != nil {
		return nil, err
	}
	p.note(body)
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// note keeps the periods of a set, if body is one. Whether its keys are used is not decided here.
func (p *periods) note(body []byte) {
	var set struct {
		Keys []struct {
			KeyID string `json:"kid"`
			period
		} `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil || set.Keys == nil {
		return
	}
	byKID := make(map[string]period, len(set.Keys))
	for _, k := range set.Keys {
		byKID[k.KeyID] = k.period
	}
	p.byKID.Store(&byKID)
}

func (p *periods) of(kid string) period { return (*p.byKID.Load())[kid] }
