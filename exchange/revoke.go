package exchange

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"chatpass/identity"
	"chatpass/session"
)

// Revoke ends the session of req.SubjectToken, a context or the ID token that the session came from, and
// what a sign-out ends with it (RFC 7009 §2); whoever still uses it hears that it was revoked (CP-406). The decision is written down. Nothing happens, and that is no error, if
// the token leads to no living session. Its error is an *[Error] if the client may not end this one, an
// *[Undecided] if nobody could tell or it could not be stored.
func (x *Exchanger) Revoke(ctx context.Context, req Request) error {
	e := x.begin(req, "sign-out")
	err := e.conclude(ctx, e.revoke(ctx))
	x.cfg.Audit(ctx, &e.record)
	return err
}

func (e *evaluation) revoke(ctx context.Context) error {
	if err := e.checkClient(ctx); err != nil {
		return err
	}
	if e.req.SubjectToken == "" {
		return Refuse(identity.ParameterMissing, "token is missing")
	}
	find := e.ofIDToken
	if _, _, err := e.cfg.Open(e.req.SubjectToken); err == nil { // whatever the hint says (RFC 7009 §2.1)
		find = e.ofContext
	}
	live, err := find(ctx)
	e.record.IDP, e.record.Customer, e.record.SID = live.Identity.IDP, live.Customer, live.SID
	if errors.Is(err, session.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := e.cfg.Sessions.Revoke(ctx, live); err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	return nil
}

// ofContext returns the session of a context. It is [session.ErrNotFound] if the context is over already.
// Who was given a context that was narrowed or delegated was given its use, not the session's end.
func (e *evaluation) ofContext(ctx context.Context) (session.Session, error) {
	found, err := e.read(ctx, e.req.SubjectToken, e.client.App)
	rejection, rejected := errors.AsType[*identity.Rejection](err)
	switch {
	case rejected && rejection.Code == identity.AudienceMismatch:
		return session.Session{}, e.notYours("a context of another app", "one of app "+e.client.App.Name)
	case rejected:
		return session.Session{}, session.ErrNotFound
	case err != nil:
		return session.Session{}, err
	case e.client.public() && found.Client != e.client.ID:
		return session.Session{}, e.notYours("a context of another client", "one of client "+e.client.ID)
	case found.isNarrowed() || found.Actor != nil:
		refusal := Refuse(identity.UnsupportedTokenType, "a narrowed or delegated context does not end the session: revoke the one it came from").
			Measured("a narrowed or delegated context", "a context as the session issued it")
		refusal.OAuth = "unsupported_token_type" // RFC 7009 §2.2.1
		return session.Session{}, refusal
	}
	return found.session, nil
}

// ofIDToken returns the session that an ID token has begun. It is [session.ErrNotFound] if that is over,
// or there was none, which then never will be. The token must be genuine, and may have expired: people sign
// out late.
func (e *evaluation) ofIDToken(ctx context.Context) (session.Session, error) {
	live, err := e.cfg.Sessions.OfToken(ctx, e.client.App.Name, e.req.SubjectToken)
	switch {
	case errors.Is(err, identity.ErrRejected):
		return session.Session{}, session.ErrNotFound
	case errors.Is(err, session.ErrNotFound):
		return session.Session{}, e.revokeUnused(ctx)
	case err != nil:
		return session.Session{}, err
	}
	if !slices.Contains(e.client.Accepts[live.Identity.IDP], live.Identity.Client) {
		return session.Session{}, e.notYours("an ID token of another upstream client", "one of the accepts of client "+e.client.ID)
	}
	_, err = e.cfg.Verifiers[IDToken].Verify(ctx, e.req.SubjectToken, identity.Terms{App: e.client.App.Name, Accepts: e.client.Accepts})
	if rejection, ok := errors.AsType[*identity.Rejection](err); ok && rejection.Code == identity.TokenExpired {
		return live, nil
	}
	if err != nil { // it names a session that lives on: whoever meant to end it must hear
		return session.Session{}, fmt.Errorf("verify token to revoke: %w", err)
	}
	return live, nil
}

// revokeUnused keeps an ID token that has begun no session from beginning one: the sign-out may have overtaken
// the exchange. It is [session.ErrNotFound] when that is done, or there was nothing to do.
func (e *evaluation) revokeUnused(ctx context.Context) error {
	who, err := e.cfg.Verifiers[IDToken].Verify(ctx, e.req.SubjectToken, identity.Terms{App: e.client.App.Name, Accepts: e.client.Accepts})
	if errors.Is(err, identity.ErrRejected) {
		return session.ErrNotFound // RFC 7009 §2.2: what is no good token needs no revocation
	}
	if err != nil {
		return fmt.Errorf("verify token to revoke: %w", err)
	}
	if err := e.cfg.Sessions.RevokeUnused(ctx, e.client.App.Name, who); err != nil {
		return fmt.Errorf("revoke sign-in: %w", err)
	}
	return session.ErrNotFound
}

func (e *evaluation) notYours(measured, required string) error {
	return Refuse(identity.ClientMayNotExchange, "the token was not issued to this client").Measured(measured, required)
}
