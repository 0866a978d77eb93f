package verify

import (
	"container/list"
	"context"
	"math"
	"strings"
	"sync"
	"time"
)

const (
	// maxLists bounds the status lists that are kept.
	maxLists = 64
	// maxListName is the greatest length of a list's name, in bytes.
	maxListName = 128
)

// A place is where a context's session stands in a status list (draft-ietf-oauth-status-list-20 §6.2).
type place struct {
	uri   string
	index int
}

// place reads `status`; nil if it is not there.
func (r *reader) place() *place {
	if _, ok := r.members["status"]; !ok {
		return nil
	}
	outer := r.object("status")
	in := outer.object("status_list")
	uri, index := in.text("uri"), take[float64](&in, "idx")
	if _, ok := in.members["idx"]; !ok || index < 0 || index != math.Trunc(index) || index > math.MaxInt32 {
		in.fail(ClaimInvalid, "status")
	}
	if outer.err != nil || in.err != nil {
		r.fail(ClaimInvalid, "status")
		return nil
	}
	return &place{uri: uri, index: int(index)}
}

// isListOf tells whether uri is a status list of the issuer: nobody else speaks for its sessions.
func isListOf(issuer, uri string) bool {
	name, ok := strings.CutPrefix(uri, strings.TrimSuffix(issuer, "/")+"/status/")
	if !ok || name == "" || name == "." || name == ".." || len(name) > maxListName {
		return false
	}
	return !strings.ContainsFunc(name, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-')
	})
}

// statusTerms is what a service wants of status lists.
type statusTerms struct {
	required bool          // every context must have a place
	lenient  bool          // a list that cannot be had does not stand in the way
	maxAge   time.Duration // 0: up to the list's end
}

// RequireStatus refuses contexts that no status list tells of. By default they are accepted, since the
// service may have issued them before it had lists.
func RequireStatus() Option { return func(v *Verifier) { v.status.required = true } }

// AcceptUnknownStatus accepts a context although its status list cannot be had: then a sign-out is obeyed
// only when the context expires. By default that is [ErrUnavailable], as soon as the last list that could
// be fetched has expired, a day after it was made.
func AcceptUnknownStatus() Option { return func(v *Verifier) { v.status.lenient = true } }

// MaxStatusAge sets how old the knowledge in a status list may be, its `iat`: an older list counts as one
// that cannot be had. The default is no limit but the list's end.
func MaxStatusAge(age time.Duration) Option { return func(v *Verifier) { v.status.maxAge = age } }

// checkStatus looks the session up, and writes down how old the answer is.
func (v *Verifier) checkStatus(ctx context.Context, c *Context) error {
	switch {
	case c.place == nil && v.status.required:
		return reject(ClaimMissing, "status")
	case c.place == nil:
		return nil
	case !isListOf(v.issuer, c.place.uri):
		return reject(ClaimInvalid, "status is of a list that is not the issuer's")
	}
	at, err := v.lists.get(ctx, c.place.uri)
	if err == nil {
		age := max(0, v.now().Sub(at.issued))
		if v.status.maxAge == 0 || age <= v.status.maxAge {
			c.StatusAge = age
			return at.check(c.place.index)
		}
		err = errOldList
	}
	if v.status.lenient {
		return nil
	}
	return unavailable(err)
}

// lists keeps the issuer's status lists, the latest used first.
type lists struct {
	fetch  func(ctx context.Context, uri string) (*statusList, error)
	now    func() time.Time
	maxAge time.Duration

	mu     sync.Mutex
	byURI  map[string]*list.Element
	recent *list.List // of *cachedList
}

func newLists(maxAge time.Duration, now func() time.Time, fetch func(context.Context, string) (*statusList, error)) *lists {
	return &lists{fetch: fetch, now: now, maxAge: maxAge, byURI: map[string]*list.Element{}, recent: list.New()}
}

// get returns a list that may be used now.
func (l *lists) get(ctx context.Context, uri string) (*statusList, error) {
	return l.of(uri).get(ctx)
}

// of finds or makes the place of a list. Only contexts with a good signature lead here.
func (l *lists) of(uri string) *cachedList {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known, ok := l.byURI[uri]; ok {
		l.recent.MoveToFront(known)
		return known.Value.(*cachedList)
	}
	if l.recent.Len() == maxLists {
		oldest := l.recent.Remove(l.recent.Back()).(*cachedList)
		delete(l.byURI, oldest.uri)
	}
	fresh := &cachedList{lists: l, uri: uri}
	l.byURI[uri] = l.recent.PushFront(fresh)
	return fresh
}

// run refreshes the lists that are kept until ctx ends.
func (l *lists) run(ctx context.Context) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, at := range l.all() {
			at.keepFresh(ctx, l.now())
		}
	}
}

// all returns the lists that are kept.
func (l *lists) all() []*cachedList {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []*cachedList
	for at := l.recent.Front(); at != nil; at = at.Next() {
		found = append(found, at.Value.(*cachedList))
	}
	return found
}
