package exchange

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"chatpass/identity"
	"chatpass/session"
)

const (
	// maxContext is the greatest size of a context in bytes, that it fits into everybody's headers.
	maxContext = 4 << 10
	// shortestContext is the shortest life worth issuing, unless the app's lifetime is shorter still.
	shortestContext = 90 * time.Second
	// degradedLifetime is the life of a context that is issued while the store is down.
	degradedLifetime = 120 * time.Second
	// minHandout is the least life a widget should be handed, unless a fifth of the whole is less.
	minHandout = 60 * time.Second
)

// issue finds or makes the session and signs the context. A new session is kept only when its first
// context is signed, so that a failure uses neither the sign-in nor the token up.
func (e *evaluation) issue(ctx context.Context) (Context, error) {
	live, replaces := e.subject.session, e.req.Replaces
	switch {
	case live == nil:
		return e.start(ctx)
	case e.subject.raisedBy != nil:
		return e.keep(ctx, e.cfg.Sessions.DraftRaised(*live, replaces, *e.subject.raisedBy, e.client.App.StepUp.Lifetime))
	case e.req.Hold:
		return e.hold(ctx, *live)
	}
	issued, err := e.sign(ctx, *live)
	if err == nil && e.req.SubjectTokenType == Cookie {
		e.cfg.Sessions.Foresee(*live, e.req.SubjectToken, e.client.App.Liveness, issued.RenewIn)
	}
	return issued, err
}

// hold lets the browser hold the session of an ID token, if it does not do so already.
func (e *evaluation) hold(ctx context.Context, live session.Session) (Context, error) {
	had, err := e.cfg.Sessions.Look(ctx, live.App, e.req.Replaces)
	if err == nil && had.SID == live.SID && !had.Former {
		return e.sign(ctx, live)
	}
	issued, err := e.keep(ctx, e.cfg.Sessions.DraftHeld(live))
	if err == nil {
		e.endReplaced(ctx)
	}
	return issued, err
}

// keep signs the context of a drafted session and then stores that.
func (e *evaluation) keep(ctx context.Context, draft session.Draft) (Context, error) {
	issued, err := e.sign(ctx, draft.Session)
	if err != nil {
		return Context{}, err
	}
	if issued.Session, err = e.cfg.Sessions.Keep(ctx, draft); err != nil {
		return Context{}, err
	}
	issued.Cookie = draft.Cookie
	return issued, nil
}

// start begins a session.
func (e *evaluation) start(ctx context.Context) (Context, error) {
	draft := e.draft()
	if err := e.place(ctx, &draft.Session); err != nil {
		return Context{}, err
	}
	issued, err := e.keep(ctx, draft)
	if errors.Is(err, session.ErrExists) { // a request with the same token was faster: join its session
		return e.join(ctx)
	}
	if err != nil {
		return Context{}, err
	}
	e.endReplaced(ctx)
	_ = e.cfg.Sessions.Crowd(ctx, issued.Session, e.cfg.SessionsPerCustomer) // what fails is made up for with the customer's next session
	if e.req.Hold {
		return e.hold(ctx, issued.Session)
	}
	return issued, nil
}

// join issues a context of the session that the subject token began meanwhile.
func (e *evaluation) join(ctx context.Context) (Context, error) {
	known, err := e.cfg.Sessions.OfToken(ctx, e.client.App.Name, e.req.SubjectToken)
	switch {
	case err != nil:
		return Context{}, err
	case e.req.Hold:
		return e.hold(ctx, known)
	}
	return e.sign(ctx, known)
}

func (e *evaluation) draft() session.Draft {
	app := e.client.App
	start := session.Start{
		App: app.Name, Customer: e.customer, Identity: e.subject.identity,
		Limits: app.SignIn, Txn: e.subject.txn, IDToken: e.subject.idToken, Grant: e.subject.grant,
	}
	if e.req.SubjectTokenType == SignIn {
		return e.cfg.Sessions.DraftSignIn(start)
	}
	start.Limits = app.Derived
	if left := e.subject.identity.Expires.Sub(e.now); app.DerivedBySubject && left < start.Limits.Absolute {
		start.Limits.Absolute = left
	}
	return e.cfg.Sessions.DraftDerived(start, e.req.SubjectToken)
}

// place gives a new session its place in a status list.
func (e *evaluation) place(ctx context.Context, fresh *session.Session) error {
	if e.cfg.Place == nil {
		return nil
	}
	list, index, err := e.cfg.Place(ctx, fresh.App, fresh.Expires)
	if err != nil {
		return fmt.Errorf("place session: %w", err)
	}
	if list != "" {
		fresh.Place = &session.Place{List: list, Index: index}
	}
	return nil
}

// endReplaced ends the session that the browser had, if it was another customer's. One of the same
// customer stays: other tabs still use its contexts. If the store is away now, the sign-out is
// remembered and written later.
func (e *evaluation) endReplaced(ctx context.Context) {
	old, err := e.cfg.Sessions.Look(ctx, e.client.App.Name, e.req.Replaces)
	if err == nil && old.Customer != e.customer {
		_, _ = e.cfg.Sessions.SignOut(ctx, e.client.App.Name, e.req.Replaces)
	}
}

// sign issues a context of the session s.
func (e *evaluation) sign(ctx context.Context, s session.Session) (Context, error) {
	lifetime, err := e.lifetime(s)
	if err != nil {
		return Context{}, err
	}
	claims, err := e.payload(s)
	if err != nil {
		return Context{}, err
	}
	issuedAt, jti := e.now.Unix(), e.jti()
	claims["iat"], claims["exp"], claims["jti"] = issuedAt, issuedAt+int64(lifetime/time.Second), jti
	payload, err := json.Marshal(claims)
	if err != nil {
		return Context{}, fmt.Errorf("encode context: %w", err)
	}
	token, err := e.cfg.Signer.Sign(ctx, e.client.App.Typ, payload)
	if err != nil {
		return Context{}, fmt.Errorf("sign context: %w", err)
	}
	if len(token) > maxContext {
		return Context{}, identity.Reject(identity.ContextTooLarge, strconv.Itoa(len(token))+" bytes", "at most "+strconv.Itoa(maxContext))
	}
	e.record.SID, e.record.JTI, e.record.Lifetime = s.SID, jti, lifetime
	e.record.Pass("context", fmt.Sprintf("%d bytes for %v", len(token), lifetime), fmt.Sprintf("at most %d bytes", maxContext))
	return Context{
		Token: token, JTI: jti, TokenType: e.tokenType(), Lifetime: lifetime, Expires: time.Unix(issuedAt, 0).Add(lifetime), Scope: e.scope,
		RenewIn:    time.Duration(float64(lifetime) * (0.5 + 0.2*e.cfg.Random())),
		MinHandout: min(minHandout, lifetime/5), Session: s, Decision: e.record.ID,
	}, nil
}

// lifetime is how long the context lives: within bounds, and never beyond its session. One that is
// narrowed may be short, since what it came from may be about to end.
func (e *evaluation) lifetime(s session.Session) (time.Duration, error) {
	shortest := min(shortestContext, e.most.lifetime)
	lifetime := min(e.most.lifetime, s.Left(e.now))
	if until := e.most.until; !until.IsZero() {
		shortest, lifetime = time.Second, min(lifetime, until.Sub(e.now))
	}
	if higher := e.subject.higher; !higher.IsZero() {
		lifetime = min(lifetime, higher.Sub(e.now))
	}
	if lifetime < shortest {
		return 0, identity.Reject(identity.SessionEnding, s.Left(e.now).Round(time.Second).String()+" left", "at least "+shortest.String())
	}
	return lifetime.Truncate(time.Second), nil
}

func (e *evaluation) jti() string {
	if from := e.subject.from; from != nil {
		return e.cfg.NewID() + narrowedFrom + from.origin()
	}
	return e.cfg.NewID()
}

func (e *evaluation) tokenType() TokenType {
	if e.req.RequestedTokenType == "" {
		return AccessToken
	}
	return e.req.RequestedTokenType
}

// payload is the context's claims (RFC 9068 §2.2), but for those that are new each time. Mapped claims
// come first: nothing they say can stand against what we say.
func (e *evaluation) payload(s session.Session) (map[string]any, error) {
	claims := make(map[string]any, len(e.claims)+16)
	maps.Copy(claims, e.claims)
	if from := e.subject.from; from != nil {
		chat, err := from.chat(e.req.Conversation)
		if err != nil {
			return nil, err
		}
		claims["chat"] = chat
	} else {
		maps.Copy(claims, e.person(s))
		claims["chat"] = e.chat()
	}
	claims["aud"], claims["client_id"] = audienceClaim(e.audience), e.client.ID
	if len(e.scope) > 0 {
		claims["scope"] = strings.Join(e.scope, " ")
	}
	if e.actor != nil {
		claims["act"] = e.actor
	}
	if at := s.Place; at != nil {
		claims["status"] = map[string]any{"status_list": map[string]any{"idx": at.Index, "uri": e.cfg.Issuer + "/status/" + at.List}}
	}
	return claims, nil
}

// person is what a context says of whom it speaks for.
func (e *evaluation) person(s session.Session) map[string]any {
	who := e.subject.identity
	claims := map[string]any{"iss": e.cfg.Issuer, "sub": e.customer, "idp": who.IDP, "sid": s.SID}
	if !who.AuthTime.IsZero() {
		claims["auth_time"] = who.AuthTime.Unix()
	}
	if who.ACR != "" {
		claims["acr"] = who.ACR
	}
	if len(who.AMR) > 0 {
		claims["amr"] = who.AMR
	}
	return claims
}

// chat is the context's chat scope: what the caller asked for. It narrows the context's use and proves
// neither membership of a conversation nor a page.
func (e *evaluation) chat() map[string]any {
	chat := map[string]any{"ver": 1, "app": e.client.App.Name}
	if e.client.Type == Browser {
		chat["origin"] = e.req.Credentials.Origin
	}
	if e.req.Conversation != "" {
		chat["conversation"] = e.req.Conversation
	}
	return chat
}

func audienceClaim(audience []string) any {
	if len(audience) == 1 {
		return audience[0]
	}
	return audience
}
