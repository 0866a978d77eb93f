package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"chatpass/session"
)

// actsAsMemory does random things to a store and to a [Memory], and compares every answer.
func actsAsMemory(t *testing.T, open Opener[session.Store]) {
	clock := NewClock()
	opened := open(t, clock)
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++ // each run has names of its own, and what earlier ones left behind lies around
		m := &machine{T: rt, clock: clock, opened: opened, memory: NewMemory(clock.Now), space: fmt.Sprint("run", run)}
		rt.Repeat(map[string]func(*rapid.T){
			"insert":     m.insert,
			"find":       m.find,
			"session":    m.session,
			"swap":       m.swap,
			"hold":       m.hold,
			"end":        m.end,
			"log":        m.log,
			"byCustomer": m.byCustomer,
			"byUpstream": m.byUpstream,
			"mark":       m.mark,
			"putOnce":    m.putOnce,
			"putResult":  m.putResult,
			"result":     m.result,
			"advance":    m.advance,
			"sweep":      m.sweep,
		})
	})
}

type machine struct {
	*rapid.T
	clock  *Clock
	opened Opened[session.Store]
	memory *Memory
	space  string
}

func (m *machine) insert(t *rapid.T) {
	s, b := m.drawSession(t), m.drawBirth(t)
	m.memory.mu.Lock()
	reasons := m.memory.refusals(s, b)
	m.memory.mu.Unlock()
	m.oneOf(t, reasons, m.memory.Insert(t.Context(), s, b), m.door(t).Insert(t.Context(), s, b))
}

func (m *machine) hold(t *rapid.T) {
	s, b := m.drawChange(t), m.drawBirth(t)
	m.memory.mu.Lock()
	reasons := m.memory.holdRefusals(s, b)
	m.memory.mu.Unlock()
	m.oneOf(t, reasons, m.memory.Hold(t.Context(), s, b), m.door(t).Hold(t.Context(), s, b))
}

// oneOf compares the answers to a write that may be refused for several reasons at once.
func (m *machine) oneOf(t *rapid.T, reasons []error, want, got error) {
	if want == nil && got == nil {
		return
	}
	if !slices.ContainsFunc(reasons, func(reason error) bool { return errors.Is(got, reason) }) {
		t.Fatalf("got %v, want one of %v", got, reasons)
	}
}

func (m *machine) drawBirth(t *rapid.T) session.Birth {
	b := session.Birth{Handle: m.drawHandle(t), Until: m.drawExpiry(t)}
	if rapid.Bool().Draw(t, "with result") {
		b.Txn = m.name(t, "txn", 3)
	}
	return b
}

func (m *machine) find(t *rapid.T) {
	h := m.drawHandle(t)
	want, wantErr := m.memory.Find(t.Context(), h)
	got, gotErr := m.door(t).Find(t.Context(), h)
	m.same(t, want, got)
	m.sameError(t, wantErr, gotErr)
}

func (m *machine) session(t *rapid.T) {
	sid := m.name(t, "sid", 5)
	want, wantErr := m.memory.Session(t.Context(), sid)
	got, gotErr := m.door(t).Session(t.Context(), sid)
	m.same(t, want, got)
	m.sameError(t, wantErr, gotErr)
}

func (m *machine) swap(t *rapid.T) {
	s := m.drawChange(t)
	m.sameError(t, m.memory.Swap(t.Context(), s), m.door(t).Swap(t.Context(), s))
}

func (m *machine) end(t *rapid.T) {
	s := m.drawChange(t)
	s.Ended = m.clock.Now()
	m.sameError(t, m.memory.End(t.Context(), s), m.door(t).End(t.Context(), s))
}

func (m *machine) log(t *rapid.T) {
	from := m.drawPast(t)
	want, _ := m.memory.Revocations(t.Context(), from)
	got, err := m.door(t).Revocations(t.Context(), from)
	m.sameError(t, nil, err)
	m.same(t, want, those(got, m.space+" "))
}

func (m *machine) byCustomer(t *rapid.T) {
	app, customer := m.name(t, "app", 2), m.name(t, "customer", 2)
	want, _ := bySID(m.memory.ByCustomer(t.Context(), app, customer))
	got, err := bySID(m.door(t).ByCustomer(t.Context(), app, customer))
	m.sameError(t, nil, err)
	m.same(t, want, got)
}

func (m *machine) byUpstream(t *rapid.T) {
	marker := m.drawMarker(t)
	want, _ := bySID(m.memory.ByUpstream(t.Context(), marker))
	got, err := bySID(m.door(t).ByUpstream(t.Context(), marker))
	m.sameError(t, nil, err)
	m.same(t, want, got)
}

func (m *machine) mark(t *rapid.T) {
	marker := m.drawMarker(t)
	marker.Before, marker.Expires = m.drawPast(t), m.drawExpiry(t)
	m.sameError(t, m.memory.Mark(t.Context(), marker), m.door(t).Mark(t.Context(), marker))
}

func (m *machine) putOnce(t *rapid.T) {
	space, value, expires := m.name(t, "space", 2), m.name(t, "value", 2), m.drawExpiry(t)
	m.sameError(t, m.memory.PutOnce(t.Context(), space, value, expires), m.door(t).PutOnce(t.Context(), space, value, expires))
}

func (m *machine) putResult(t *rapid.T) {
	r := session.Result{Txn: m.name(t, "txn", 3), Challenge: m.name(t, "challenge", 9), Expires: m.drawExpiry(t)}
	m.sameError(t, m.memory.PutResult(t.Context(), r), m.door(t).PutResult(t.Context(), r))
}

func (m *machine) result(t *rapid.T) {
	txn := m.name(t, "txn", 3)
	want, wantErr := m.memory.Result(t.Context(), txn)
	got, gotErr := m.door(t).Result(t.Context(), txn)
	m.same(t, want, got)
	m.sameError(t, wantErr, gotErr)
}

func (m *machine) advance(t *rapid.T) {
	m.clock.Advance(time.Duration(rapid.IntRange(1, 3).Draw(t, "seconds")) * time.Second)
}

func (m *machine) sweep(t *rapid.T) { m.sameError(t, nil, m.opened.Sweep(t.Context())) }

func (m *machine) drawSession(t *rapid.T) session.Session {
	s := plain(m.clock.Now(), m.name(t, "sid", 5))
	s.App, s.Customer = m.name(t, "app", 2), m.name(t, "customer", 2)
	s.IDToken, s.Expires = m.name(t, "token", 9), m.drawExpiry(t)
	names := m.drawMarker(t)
	s.Identity.Issuer, s.Identity.UpstreamSession = names.Issuer, names.Session
	s.Identity.UpstreamSubject, s.Identity.IssuedAt = m.name(t, "subject", 2), m.drawPast(t)
	return s
}

// drawChange draws a session to write in the place of one that may be there, mostly at its version.
func (m *machine) drawChange(t *rapid.T) session.Session {
	s := m.drawSession(t)
	known, err := m.memory.Session(t.Context(), s.SID)
	s.Version = rapid.Int64Range(0, 3).Draw(t, "version")
	if err == nil && rapid.IntRange(0, 3).Draw(t, "stale") > 0 {
		s.Version = known.Version
	}
	return s
}

func (m *machine) drawMarker(t *rapid.T) session.Marker {
	marker := session.Marker{Issuer: m.name(t, "issuer", 2)}
	if rapid.Bool().Draw(t, "names session") {
		marker.Session = m.name(t, "session", 2)
	}
	if rapid.Bool().Draw(t, "names subject") {
		marker.Subject = m.name(t, "subject", 2)
	}
	return marker
}

func (m *machine) drawHandle(t *rapid.T) session.Handle { return handleOf(m.name(t, "handle", 5)) }

func (m *machine) drawExpiry(t *rapid.T) time.Time {
	return m.clock.Now().Add(time.Duration(rapid.IntRange(0, 9).Draw(t, "lives")) * time.Second)
}

func (m *machine) drawPast(t *rapid.T) time.Time {
	return m.clock.Now().Add(-time.Duration(rapid.IntRange(-1, 4).Draw(t, "ago")) * time.Second)
}

// name draws one of n names of a sort.
func (m *machine) name(t *rapid.T, sort string, n int) string {
	return fmt.Sprint(m.space, " ", sort, " ", rapid.IntRange(1, n).Draw(t, sort))
}

func (m *machine) door(t *rapid.T) session.Store {
	return rapid.SampledFrom(m.opened.Doors).Draw(t, "door")
}

func (m *machine) same(t *rapid.T, want, got any) {
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("-want +got:\n%s", diff)
	}
}

func (m *machine) sameError(t *rapid.T, want, got error) {
	if !errors.Is(got, want) {
		t.Fatalf("got error %v, want %v", got, want)
	}
}
