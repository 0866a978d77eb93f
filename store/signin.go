package store

import (
	"context"
	"time"

	"chatpass/session"
)

func (s sessions) Mark(ctx context.Context, m session.Marker) error {
	row := record{
		kind: kindMarker, key: s.markerKey(m.Issuer, m.Session, m.Subject),
		expires: instant(m.Expires), stamp: instant(m.Before), value: []byte{},
	}
	return s.apply(ctx, "mark", op{verb: raise, record: row})
}

// notSignedOut are the conditions that no logout marker forbids a session to start: one for each way
// in which a marker can speak of it.
func (s sessions) notSignedOut(fresh session.Session) []op {
	who := fresh.Identity
	stamp := instant(who.IssuedAt)
	names := [][]byte{s.markerKey(who.Issuer, "", who.UpstreamSubject)}
	if who.UpstreamSession != "" {
		names = append(names,
			s.markerKey(who.Issuer, who.UpstreamSession, ""),
			s.markerKey(who.Issuer, who.UpstreamSession, who.UpstreamSubject))
	}
	var ops []op
	for _, name := range names {
		row := record{kind: kindMarker, key: name, stamp: stamp}
		ops = append(ops, op{verb: absent, record: row, otherwise: session.ErrSignedOut})
	}
	return ops
}

func (s sessions) markerKey(issuer, upstreamSession, subject string) []byte {
	return s.sum("marker", issuer, upstreamSession, subject)
}

func (s sessions) PutOnce(ctx context.Context, space, value string, expires time.Time) error {
	row := record{kind: kindOnce, key: s.sum("once", space, value), expires: instant(expires), value: []byte{}}
	return s.apply(ctx, "put_once", op{verb: create, record: row, otherwise: session.ErrExists})
}

func (s sessions) PutResult(ctx context.Context, r session.Result) error {
	row := record{kind: kindResult, key: s.resultKey(r.Txn), expires: instant(r.Expires)}
	var err error
	if row.value, err = s.seal(kindResult, row.key, r); err != nil {
		return err
	}
	return s.apply(ctx, "put_result", op{verb: create, record: row, otherwise: session.ErrExists})
}

func (s sessions) Result(ctx context.Context, txn string) (session.Result, error) {
	found, ok, err := s.get(ctx, kindResult, s.resultKey(txn))
	switch {
	case err != nil:
		return session.Result{}, err
	case !ok:
		return session.Result{}, session.ErrNotFound
	case found.version > 1:
		return session.Result{}, session.ErrTaken
	}
	var r session.Result
	if err := s.open(found, &r); err != nil {
		return session.Result{}, err
	}
	r.Expires = moment(found.expires)
	return r, nil
}

func (s sessions) resultKey(txn string) []byte { return s.sum("result", txn) }
