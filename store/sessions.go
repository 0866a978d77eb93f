package store

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"chatpass/session"
)

// The index columns of a session.
const (
	byCustomer = iota
	bySubject
	byUpstreamSession
)

// pageSize is how many sessions are read at a time while listing.
const pageSize = 100

// sessions is the [session.Store] over the records.
type sessions struct{ *Store }

func (s sessions) Find(ctx context.Context, h session.Handle) (session.Session, error) {
	found, ok, err := s.get(ctx, kindHandle, h[:])
	if err != nil {
		return session.Session{}, err
	}
	if !ok {
		return session.Session{}, session.ErrNotFound
	}
	var sid string
	if err := s.open(found, &sid); err != nil {
		return session.Session{}, err
	}
	return s.Session(ctx, sid)
}

func (s sessions) Session(ctx context.Context, sid string) (session.Session, error) {
	found, ok, err := s.get(ctx, kindSession, []byte(sid))
	if err != nil {
		return session.Session{}, err
	}
	if !ok {
		return session.Session{}, session.ErrNotFound
	}
	at, err := s.decode(found)
	if err != nil {
		return session.Session{}, outage("open session", err)
	}
	return at, nil
}

func (s sessions) Insert(ctx context.Context, fresh session.Session, b session.Birth) error {
	row, err := s.encode(fresh)
	if err != nil {
		return err
	}
	handle, err := s.handle(fresh.SID, b)
	if err != nil {
		return err
	}
	ops := append(s.notSignedOut(fresh), s.taking(b.Txn)...)
	return s.apply(ctx, "insert_session", append(ops, op{verb: create, record: row, otherwise: session.ErrExists}, handle)...)
}

func (s sessions) Hold(ctx context.Context, held session.Session, b session.Birth) error {
	row, err := s.encode(held)
	if err != nil {
		return err
	}
	handle, err := s.handle(held.SID, b)
	if err != nil {
		return err
	}
	ops := append(s.taking(b.Txn), op{verb: swap, record: row, otherwise: session.ErrConflict}, handle)
	return s.apply(ctx, "hold_session", ops...)
}

// handle is what makes a handle lead to a session.
func (s sessions) handle(sid string, b session.Birth) (op, error) {
	row := record{kind: kindHandle, key: b.Handle[:], expires: instant(b.Until)}
	var err error
	row.value, err = s.seal(kindHandle, row.key, sid)
	return op{verb: create, record: row, otherwise: session.ErrExists}, err
}

// taking is what takes the result of a sign-in; nothing without one.
func (s sessions) taking(txn string) []op {
	if txn == "" {
		return nil
	}
	return []op{{verb: take, record: record{kind: kindResult, key: s.resultKey(txn)}, otherwise: session.ErrTaken}}
}

func (s sessions) Swap(ctx context.Context, changed session.Session) error {
	row, err := s.encode(changed)
	if err != nil {
		return err
	}
	return s.apply(ctx, "swap_session", op{verb: swap, record: row, otherwise: session.ErrConflict})
}

func (s sessions) End(ctx context.Context, ended session.Session) error {
	row, err := s.encode(ended)
	if err != nil {
		return err
	}
	entry := record{kind: kindRevocation, key: row.key, expires: row.expires}
	entry.value, err = s.seal(kindRevocation, entry.key, session.Revocation{
		SID: ended.SID, App: ended.App, Ended: ended.Ended, Cause: ended.Cause, Place: ended.Place,
	})
	if err != nil {
		return err
	}
	err = s.apply(ctx, "end_session",
		op{verb: swap, record: row, otherwise: session.ErrConflict},
		op{verb: enter, record: entry, otherwise: session.ErrConflict})
	if err == nil {
		s.announce()
	}
	return err
}

func (s sessions) ByCustomer(ctx context.Context, app, customer string) iter.Seq2[session.Session, error] {
	all := s.scan(ctx, byCustomer, s.customer(app, customer))
	return matching(all, func(at session.Session) bool { return at.App == app && at.Customer == customer })
}

// ByApp reads every session: nothing leads from an app to its own.
func (s sessions) ByApp(ctx context.Context, app string) iter.Seq2[session.Session, error] {
	return func(yield func(session.Session, error) bool) {
		next := scan{after: record{kind: kindSession, key: []byte{}}, mark: []byte{0}, limit: pageSize} // no value begins so
		for {
			rows, err := s.Store.scan(ctx, "scan_sessions", next)
			if err != nil {
				yield(session.Session{}, err)
				return
			}
			for _, row := range rows {
				if row.kind != kindSession {
					return
				}
				at, err := s.ofApp(ctx, row, app)
				if errors.Is(err, session.ErrNotFound) {
					continue
				}
				if !yield(at, err) || over(err) {
					return
				}
			}
			if len(rows) < pageSize {
				return
			}
			next.after = rows[len(rows)-1]
		}
	}
}

// ofApp returns the session of a row that a scan has found, if it is one of the app; else ErrNotFound.
func (s sessions) ofApp(ctx context.Context, row record, app string) (session.Session, error) {
	at, err := s.listed(row)
	if err != nil {
		return session.Session{}, err
	}
	if at.App != app {
		return session.Session{}, session.ErrNotFound
	}
	return s.Session(ctx, at.SID)
}

// listed is decode for a row among others, which can do without it.
func (s sessions) listed(row record) (session.Session, error) {
	at, err := s.decode(row)
	if err != nil {
		err = fmt.Errorf("session %s %w: %w", row.key, session.ErrUnreadable, err)
	}
	return at, err
}

// over is whether an error ends a listing: all do, save that of a row that cannot be read.
func over(err error) bool { return err != nil && !errors.Is(err, session.ErrUnreadable) }

func (s sessions) ByUpstream(ctx context.Context, m session.Marker) iter.Seq2[session.Session, error] {
	speaks := func(at session.Session) bool {
		who := at.Identity
		return who.Issuer == m.Issuer &&
			(m.Session == "" || m.Session == who.UpstreamSession) &&
			(m.Subject == "" || m.Subject == who.UpstreamSubject)
	}
	switch {
	case m.Session != "":
		return matching(s.scan(ctx, byUpstreamSession, s.upstreamSession(m.Issuer, m.Session)), speaks)
	case m.Subject != "":
		return matching(s.scan(ctx, bySubject, s.subject(m.Issuer, m.Subject)), speaks)
	}
	return func(func(session.Session, error) bool) {} // it speaks of nobody
}

// scan yields the sessions of an index value. It reads page by page and holds nothing in between, so
// that the caller may write while it goes on.
func (s sessions) scan(ctx context.Context, column int, value []byte) iter.Seq2[session.Session, error] {
	return func(yield func(session.Session, error) bool) {
		next := page{kind: kindSession, column: column, value: value, after: []byte{}, limit: pageSize}
		for {
			rows, err := s.list(ctx, "list_sessions", next)
			if err != nil {
				yield(session.Session{}, err)
				return
			}
			for _, row := range rows {
				if at, err := s.listed(row); !yield(at, err) || over(err) {
					return
				}
			}
			if len(rows) < pageSize {
				return
			}
			next.after = rows[len(rows)-1].key
		}
	}
}

func matching(all iter.Seq2[session.Session, error], want func(session.Session) bool) iter.Seq2[session.Session, error] {
	return func(yield func(session.Session, error) bool) {
		for at, err := range all {
			if (err != nil || want(at)) && !yield(at, err) {
				return
			}
		}
	}
}

func (s sessions) encode(at session.Session) (record, error) {
	row := record{kind: kindSession, key: []byte(at.SID), version: at.Version, expires: instant(at.Expires)}
	row.index[byCustomer] = s.customer(at.App, at.Customer)
	row.index[bySubject] = s.subject(at.Identity.Issuer, at.Identity.UpstreamSubject)
	if sid := at.Identity.UpstreamSession; sid != "" {
		row.index[byUpstreamSession] = s.upstreamSession(at.Identity.Issuer, sid)
	}
	var err error
	row.value, err = s.seal(kindSession, row.key, at)
	return row, err
}

func (s sessions) decode(row record) (session.Session, error) {
	var at session.Session
	if err := s.unseal(row, &at); err != nil {
		return session.Session{}, err
	}
	at.Version, at.Expires = row.version, moment(row.expires)
	return at, nil
}

func (s sessions) customer(app, customer string) []byte { return s.sum("customer", app, customer) }

func (s sessions) subject(issuer, subject string) []byte { return s.sum("subject", issuer, subject) }

func (s sessions) upstreamSession(issuer, sid string) []byte {
	return s.sum("upstream session", issuer, sid)
}
