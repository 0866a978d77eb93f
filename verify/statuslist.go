package verify

import (
	"bytes"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"chatpass/jwks"
)

const (
	maxListToken = 1 << 20 // bytes
	maxPlaces    = 1 << 20
	// listTyp is the `typ` of a list (draft §5.1).
	listTyp = "statuslist+jwt"
	// defaultTTL is how long a list without `ttl` is used without asking again, maxTTL the longest that counts.
	defaultTTL, maxTTL = time.Minute, 24 * time.Hour
	// patience is how long a request waits for a newer list when there is one to fall back on.
	patience = 2 * time.Second
	// fetchTime bounds one fetch.
	fetchTime = 5 * time.Second
	// listCooldown spaces attempts that fail while there is a list to fall back on, listPause those of one
	// that has never been had.
	listCooldown, listPause = 5 * time.Second, time.Second
)

var errOldList = errors.New("the status list is too old")

// A statusList is one that was fetched and believed.
type statusList struct {
	bits            int
	statuses        []byte
	issued, expires time.Time
	ttl             time.Duration
}

// check tells whether the session at a place has not ended: whatever is not VALID (draft §7.1) has.
func (s *statusList) check(index int) error {
	at := index * s.bits
	if at/8 >= len(s.statuses) {
		return reject(ClaimInvalid, "status is beyond its list") // draft §8.3
	}
	if s.statuses[at/8]>>(at%8)&(1<<s.bits-1) != 0 {
		return reject(Revoked, "its session has ended")
	}
	return nil
}

// fetchList fetches a list and believes it, if it is one of the issuer's, of this time. Its error wraps
// nothing: a fault of the list is no fault of the context, and must not be taken for one.
func (v *Verifier) fetchList(ctx context.Context, uri string) (*statusList, error) {
	token, err := v.download(ctx, uri)
	if err == nil {
		var read *statusList
		if read, err = v.believeList(ctx, uri, token); err == nil {
			return read, nil
		}
	}
	return nil, errors.New("status list: " + err.Error())
}

func (v *Verifier) believeList(ctx context.Context, uri, token string) (*statusList, error) {
	t, err := parse(token, maxListToken)
	if err != nil {
		return nil, err
	}
	if err := checkHeader(t.header, []string{listTyp}); err != nil {
		return nil, err
	}
	key, err := v.keys.key(ctx, t.header.KeyID, t.header.Algorithm)
	if err != nil {
		return nil, err
	}
	if !verifySignature(t.header.Algorithm, key.public, t.input, t.signature) {
		return nil, errors.New("its signature does not verify")
	}
	return v.readList(t.payload, uri)
}

func (v *Verifier) download(ctx context.Context, uri string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Accept", "application/"+listTyp)
	resp, err := v.client.Do(req)
	if err != nil {
		return "", err
	}
	body, err := jwks.ReadBody(resp, maxListToken)
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %d", resp.StatusCode)
	}
	return string(body), nil
}

// readList reads the payload of a verified signature (draft §5.1).
func (v *Verifier) readList(part, uri string) (*statusList, error) {
	payload, err := decode(part)
	if err != nil {
		return nil, err
	}
	claims, err := readObject(payload)
	if err != nil {
		return nil, err
	}
	r := reader{members: claims}
	read := &statusList{issued: r.needInstant("iat"), expires: r.needInstant("exp"), ttl: defaultTTL}
	if ttl := take[float64](&r, "ttl"); ttl >= 1 {
		read.ttl = time.Duration(min(ttl, maxTTL.Seconds())) * time.Second
	}
	in := r.object("status_list")
	bits, packed := take[float64](&in, "bits"), in.need("lst")
	r.adopt(in.err)
	switch iss, sub := r.text("iss"), r.need("sub"); {
	case r.err != nil:
		return nil, r.err
	case sub != uri || iss != "" && iss != v.issuer:
		return nil, errors.New("it is another one than was asked for")
	case read.issued.After(v.now().Add(v.leeway)) || !v.now().Before(read.expires):
		return nil, errors.New("it is not of this time")
	case !slices.Contains([]float64{1, 2, 4, 8}, bits):
		return nil, errors.New("bits is none of 1, 2, 4 and 8")
	}
	read.bits = int(bits)
	read.statuses, err = unpack(packed, maxPlaces*read.bits/8)
	return read, err
}

// unpack decompresses what must be zlib (RFC 1950) from its first byte to its checksum.
func unpack(packed string, limit int) ([]byte, error) {
	raw, err := decode(packed)
	if err != nil {
		return nil, err
	}
	in := bytes.NewReader(raw)
	unpacked, err := zlib.NewReader(in)
	if err != nil {
		return nil, err
	}
	all, err := io.ReadAll(io.LimitReader(unpacked, int64(limit)+1))
	switch {
	case err != nil:
		return nil, err
	case len(all) > limit:
		return nil, fmt.Errorf("it holds more than %d bytes", limit)
	case in.Len() > 0:
		return nil, errors.New("something follows it")
	}
	return all, nil
}

// A cachedList is a list, fetched when it is asked for.
type cachedList struct {
	lists *lists
	uri   string
	last  atomic.Pointer[fetchedList]

	mu      sync.Mutex
	pending chan struct{} // closed when the fetch under way has ended; nil if there is none
	tried   time.Time
	failure error // of the last fetch; nil if it went well
}

// A fetchedList is a list and when it was asked for.
type fetchedList struct {
	*statusList
	at   time.Time
	soon time.Duration // at what age it is fetched again in the background
	due  time.Duration // at what age a request waits for that
}

// get returns a list that may be used now: what there is if it is new enough, else a newer one if that
// comes in time, else what there is.
func (c *cachedList) get(ctx context.Context) (*statusList, error) {
	last, now := c.last.Load(), c.lists.now()
	usable := last != nil && now.Before(last.expires)
	if usable && now.Sub(last.at) < last.soon {
		return last.statusList, nil
	}
	fetched := c.refresh(ctx, now, usable)
	if usable && now.Sub(last.at) < last.due {
		return last.statusList, nil
	}
	if err := wait(ctx, fetched, usable); err != nil {
		return nil, err
	}
	if last = c.last.Load(); last != nil && c.lists.now().Before(last.expires) {
		return last.statusList, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return nil, errors.Join(errors.New("there is no status list that may be used"), c.failure)
}

// keepFresh fetches a list again that is no longer new. One that has expired waits until it is asked for.
func (c *cachedList) keepFresh(ctx context.Context, now time.Time) {
	if last := c.last.Load(); last != nil && now.Before(last.expires) && now.Sub(last.at) >= last.soon {
		c.refresh(ctx, now, true)
	}
}

// wait waits for a fetch; no longer than patience if there is something to fall back on.
func wait(ctx context.Context, fetched <-chan struct{}, usable bool) error {
	if fetched == nil {
		return nil
	}
	var enough <-chan time.Time
	if usable {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		enough = timer.C
	}
	select {
	case <-fetched:
	case <-enough:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// refresh sees to it that the list is being fetched, unless that has just failed; then it returns nil.
func (c *cachedList) refresh(ctx context.Context, now time.Time, usable bool) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	pause := listPause
	if usable {
		pause = listCooldown
	}
	if c.pending != nil || c.failure != nil && now.Sub(c.tried) < pause {
		return c.pending
	}
	c.pending, c.tried = make(chan struct{}), now
	go c.fetch(context.WithoutCancel(ctx), now, c.pending) // others wait for it too
	return c.pending
}

func (c *cachedList) fetch(ctx context.Context, asked time.Time, done chan<- struct{}) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	read, err := c.lists.fetch(ctx, c.uri)
	if err == nil {
		c.keep(read, asked)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending, c.failure = nil, err
	close(done)
}

// keep makes a list the one that is used. What a replica of the issuer says that knows less than the last
// one did changes nothing, or a session that has ended would come to life again.
func (c *cachedList) keep(read *statusList, asked time.Time) {
	if last := c.last.Load(); last != nil && read.issued.Before(last.issued) {
		read = last.statusList
	}
	due := read.ttl
	if c.lists.maxAge > 0 { // it must not grow too old meanwhile
		due = min(due, c.lists.maxAge/2)
	}
	c.last.Store(&fetchedList{statusList: read, at: asked, soon: due*3/5 + rand.N(due/4+1), due: due})
}
