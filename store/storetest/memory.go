package storetest

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"chatpass/session"
)

// Memory is a [session.Store] that can be read at a glance: what the others are compared with. It
// forgets everything with the process.
type Memory struct {
	now func() time.Time

	mu       sync.Mutex
	sessions map[string]session.Session
	handles  map[session.Handle]handle
	markers  map[session.Marker]marker // Before and Expires of the key are zero
	results  map[string]result
	once     map[[2]string]time.Time
	log      map[string]entry
	watchers map[context.Context]func()
}

type entry struct {
	session.Revocation
	expires time.Time
}

type handle struct {
	sid   string
	until time.Time
}

type marker struct{ before, expires time.Time }

type result struct {
	session.Result
	taken bool
}

// NewMemory returns an empty store that goes by now.
func NewMemory(now func() time.Time) *Memory {
	return &Memory{
		now: now, sessions: map[string]session.Session{}, handles: map[session.Handle]handle{},
		markers: map[session.Marker]marker{}, results: map[string]result{}, once: map[[2]string]time.Time{},
		log: map[string]entry{}, watchers: map[context.Context]func(){},
	}
}

// Find is as [session.Store] says.
func (m *Memory) Find(ctx context.Context, h session.Handle) (session.Session, error) {
	if err := ctx.Err(); err != nil {
		return session.Session{}, err
	}
	m.mu.Lock()
	at, ok := m.handles[h]
	m.mu.Unlock()
	if !ok || !m.live(at.until) {
		return session.Session{}, session.ErrNotFound
	}
	return m.Session(ctx, at.sid)
}

// Session is as [session.Store] says.
func (m *Memory) Session(ctx context.Context, sid string) (session.Session, error) {
	if err := ctx.Err(); err != nil {
		return session.Session{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if at, ok := m.sessions[sid]; ok && m.live(at.Expires) {
		return at, nil
	}
	return session.Session{}, session.ErrNotFound
}

// Insert is as [session.Store] says.
func (m *Memory) Insert(ctx context.Context, s session.Session, b session.Birth) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if reasons := m.refusals(s, b); len(reasons) > 0 {
		return reasons[0]
	}
	s.Version = 0
	m.put(s, b)
	return nil
}

// put does what Insert and Hold do when nothing stands against it.
func (m *Memory) put(s session.Session, b session.Birth) {
	if b.Txn != "" {
		m.results[b.Txn] = result{Result: session.Result{Expires: m.results[b.Txn].Expires}, taken: true}
	}
	s.Version++
	m.sessions[s.SID] = s
	m.handles[b.Handle] = handle{sid: s.SID, until: b.Until}
}

// refusals returns every reason not to insert; which of them is given is up to a store.
func (m *Memory) refusals(s session.Session, b session.Birth) (reasons []error) {
	for name, mark := range m.markers {
		if m.live(mark.expires) && speaksOf(name, s) && !mark.before.Before(s.Identity.IssuedAt) {
			reasons = append(reasons, session.ErrSignedOut)
		}
	}
	if at, ok := m.sessions[s.SID]; ok && m.live(at.Expires) {
		reasons = append(reasons, session.ErrExists)
	}
	return append(reasons, m.birthRefusals(b)...)
}

func (m *Memory) birthRefusals(b session.Birth) (reasons []error) {
	if r, ok := m.results[b.Txn]; b.Txn != "" && (!ok || r.taken || !m.live(r.Expires)) {
		reasons = append(reasons, session.ErrTaken)
	}
	if at, ok := m.handles[b.Handle]; ok && m.live(at.until) {
		reasons = append(reasons, session.ErrExists)
	}
	return reasons
}

// Hold is as [session.Store] says.
func (m *Memory) Hold(ctx context.Context, s session.Session, b session.Birth) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if reasons := m.holdRefusals(s, b); len(reasons) > 0 {
		return reasons[0]
	}
	m.put(s, b)
	return nil
}

func (m *Memory) holdRefusals(s session.Session, b session.Birth) []error {
	reasons := m.birthRefusals(b)
	if at, ok := m.sessions[s.SID]; !ok || !m.live(at.Expires) || at.Version != s.Version {
		reasons = append(reasons, session.ErrConflict)
	}
	return reasons
}

// Swap is as [session.Store] says.
func (m *Memory) Swap(ctx context.Context, s session.Session) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	at, ok := m.sessions[s.SID]
	if !ok || !m.live(at.Expires) || at.Version != s.Version {
		return session.ErrConflict
	}
	s.Version++
	m.sessions[s.SID] = s
	return nil
}

// End is as [session.Store] says.
func (m *Memory) End(ctx context.Context, s session.Session) error {
	if m.ended(s.SID) {
		return session.ErrConflict
	}
	if err := m.Swap(ctx, s); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.log[s.SID] = entry{session.Revocation{SID: s.SID, App: s.App, Ended: s.Ended, Cause: s.Cause, Place: s.Place, Until: s.Expires, Logged: m.now()}, s.Expires}
	for _, wake := range m.watchers {
		wake()
	}
	return nil
}

func (m *Memory) ended(sid string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.live(m.log[sid].expires)
}

// Revocations is as [session.Store] says.
func (m *Memory) Revocations(ctx context.Context, from time.Time) (found []session.Revocation, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, at := range m.log {
		if m.live(at.expires) && !at.Logged.Before(from) {
			found = append(found, at.Revocation)
		}
	}
	slices.SortFunc(found, byTime)
	return found, ctx.Err()
}

// Clock is as [session.Store] says.
func (m *Memory) Clock(ctx context.Context) (time.Time, error) { return m.now(), ctx.Err() }

// Watch is as [session.Store] says.
func (m *Memory) Watch(ctx context.Context, wake func()) {
	m.mu.Lock()
	m.watchers[ctx] = wake
	m.mu.Unlock()
	<-ctx.Done()
	m.mu.Lock()
	delete(m.watchers, ctx)
	m.mu.Unlock()
}

// ByCustomer is as [session.Store] says.
func (m *Memory) ByCustomer(ctx context.Context, app, customer string) iter.Seq2[session.Session, error] {
	return m.those(ctx, func(s session.Session) bool { return s.App == app && s.Customer == customer })
}

// ByApp is as [session.Store] says.
func (m *Memory) ByApp(ctx context.Context, app string) iter.Seq2[session.Session, error] {
	return m.those(ctx, func(s session.Session) bool { return s.App == app })
}

// ByUpstream is as [session.Store] says.
func (m *Memory) ByUpstream(ctx context.Context, name session.Marker) iter.Seq2[session.Session, error] {
	return m.those(ctx, func(s session.Session) bool { return speaksOf(name, s) })
}

func (m *Memory) those(ctx context.Context, want func(session.Session) bool) iter.Seq2[session.Session, error] {
	return func(yield func(session.Session, error) bool) {
		m.mu.Lock()
		all := slices.Collect(maps.Values(m.sessions))
		m.mu.Unlock()
		if err := ctx.Err(); err != nil {
			yield(session.Session{}, err)
			return
		}
		for _, s := range all {
			if m.live(s.Expires) && want(s) && !yield(s, nil) {
				return
			}
		}
	}
}

// speaksOf tells whether a marker names the session: by all that it names, and by something.
func speaksOf(m session.Marker, s session.Session) bool {
	return m.Issuer == s.Identity.Issuer && (m.Session != "" || m.Subject != "") &&
		(m.Session == "" || m.Session == s.Identity.UpstreamSession) &&
		(m.Subject == "" || m.Subject == s.Identity.UpstreamSubject)
}

// Mark is as [session.Store] says; of two markers the later Before and the later Expires count.
func (m *Memory) Mark(ctx context.Context, fresh session.Marker) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	name := session.Marker{Issuer: fresh.Issuer, Session: fresh.Session, Subject: fresh.Subject}
	was := m.markers[name]
	if !m.live(was.expires) {
		was = marker{}
	}
	m.markers[name] = marker{before: later(was.before, fresh.Before), expires: later(was.expires, fresh.Expires)}
	return nil
}

// PutOnce is as [session.Store] says.
func (m *Memory) PutOnce(ctx context.Context, space, value string, expires time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	key := [2]string{space, value}
	if m.live(m.once[key]) {
		return session.ErrExists
	}
	m.once[key] = expires
	return nil
}

// PutResult is as [session.Store] says.
func (m *Memory) PutResult(ctx context.Context, r session.Result) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.live(m.results[r.Txn].Expires) {
		return session.ErrExists
	}
	m.results[r.Txn] = result{Result: r}
	return nil
}

// Result is as [session.Store] says.
func (m *Memory) Result(ctx context.Context, txn string) (session.Result, error) {
	if err := ctx.Err(); err != nil {
		return session.Result{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.results[txn]
	switch {
	case !m.live(r.Expires):
		return session.Result{}, session.ErrNotFound
	case r.taken:
		return session.Result{}, session.ErrTaken
	}
	return r.Result, nil
}

func (m *Memory) live(expires time.Time) bool { return m.now().Before(expires) }

// answers are the errors that are no fault of a store.
func answers() []error {
	return []error{session.ErrNotFound, session.ErrExists, session.ErrConflict, session.ErrTaken, session.ErrSignedOut}
}

func isAnswer(err error) bool {
	return slices.ContainsFunc(answers(), func(answer error) bool { return errors.Is(err, answer) })
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
