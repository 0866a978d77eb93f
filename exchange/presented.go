package exchange

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	strict "github.com/go-jose/go-jose/v4/json"

	"chatpass/decision"
	"chatpass/identity"
	"chatpass/session"
)

// A presented context is one of ours that came back: signed by us, in its time, of a living session.
type presented struct {
	contextClaims
	all     map[string]json.RawMessage // every claim, as it was signed
	session session.Session
}

// contextClaims are the claims that we read again. Their names must match exactly: an app may map a
// claim `Scope`, which encoding/json would take for `scope`.
type contextClaims struct {
	Issuer   string   `json:"iss"`
	Customer string   `json:"sub"`
	Audience audience `json:"aud"`
	Client   string   `json:"client_id"`
	Scope    string   `json:"scope"`
	SID      string   `json:"sid"`
	JTI      string   `json:"jti"`
	IssuedAt int64    `json:"iat"`
	Expires  int64    `json:"exp"`
	Chat     struct {
		App          string `json:"app"`
		Conversation string `json:"conversation"`
	} `json:"chat"`
	Actor *actor `json:"act"`
}

// An audience is a string when single (RFC 7519 §4.1.3).
type audience []string

// UnmarshalJSON reads a string or a list of strings.
func (a *audience) UnmarshalJSON(raw []byte) error {
	if len(raw) > 0 && raw[0] == '[' {
		return json.Unmarshal(raw, (*[]string)(a))
	}
	*a = make([]string, 1)
	return json.Unmarshal(raw, &(*a)[0])
}

// read believes a context of the app. Its error is an [identity.Rejection] if it is none, is over, or if
// its session has ended; then the session comes with it. It is an [identity.Outage] if nobody could tell.
func (x *Exchanger) read(ctx context.Context, token string, app *App) (presented, error) {
	typ, payload, err := x.cfg.Open(token)
	if err != nil {
		return presented{}, err
	}
	if typ != "at+jwt" && typ != "JWT" {
		return presented{}, identity.Reject(identity.NotAnIDToken, "typ "+decision.Clip(typ), "at+jwt or JWT")
	}
	var p presented
	if err := strict.Unmarshal(payload, &p.contextClaims); err != nil {
		return presented{}, fmt.Errorf("decode context: %w", err)
	}
	if err := json.Unmarshal(payload, &p.all); err != nil {
		return presented{}, fmt.Errorf("decode context: %w", err)
	}
	if err := x.checkPresented(p, app); err != nil {
		return presented{}, err
	}
	p.session, err = x.cfg.Sessions.BySID(ctx, p.SID)
	if err != nil {
		return p, err
	}
	if p.session.App != app.Name || p.session.Customer != p.Customer {
		return p, identity.Reject(identity.NoSession, "the session of another", "the session of this customer")
	}
	return p, nil
}

func (x *Exchanger) checkPresented(p presented, app *App) error {
	now, issued, expires := x.cfg.Now(), time.Unix(p.IssuedAt, 0), time.Unix(p.Expires, 0)
	switch {
	case p.Issuer != x.cfg.Issuer:
		return identity.Reject(identity.IssuerNotTrusted, "issuer "+decision.Clip(p.Issuer), x.cfg.Issuer)
	case p.Chat.App != app.Name:
		return identity.Reject(identity.AudienceMismatch, "chat.app "+decision.Clip(p.Chat.App), "chat.app "+app.Name)
	case issued.Sub(now) > clockSkew:
		return identity.Reject(identity.IssuedInFuture, "issued "+issued.Sub(now).Round(time.Second).String()+" ahead", "at most "+clockSkew.String()+" ahead")
	case expires.Sub(now) < time.Second: // less could not be told to anybody
		return identity.Reject(identity.TokenExpired, "issued "+ago(now, issued)+", expired "+ago(now, expires), "a context that has not expired")
	}
	return nil
}

func ago(now, then time.Time) string { return now.Sub(then).Round(time.Second).String() + " ago" }

// byContext believes one of our own contexts: to narrow it, or to carry its chain on. Nothing it does not
// hold is granted again.
func (e *evaluation) byContext(ctx context.Context) (subject, error) {
	from, err := e.read(ctx, e.req.SubjectToken, e.client.App)
	e.record.SID = from.session.SID
	if err != nil {
		return subject{}, e.misdeclared(err)
	}
	e.record.Pass("token signature", "verifies", "our own")
	e.record.Pass("token age", "issued "+ago(e.now, time.Unix(from.IssuedAt, 0)), "a context that has not expired")
	e.record.Pass("session", "in use", "one of this app that has not ended")
	if bound := from.Chat.Conversation; bound != "" && e.req.Conversation != "" && e.req.Conversation != bound {
		return subject{}, Refuse(identity.ActorWider, "the context is bound to another conversation").
			Measured("another conversation", "its own conversation")
	}
	e.most.audience = common(from.Audience, e.most.audience)
	e.most.scope = common(e.most.scope, strings.Fields(from.Scope))
	e.most.until = time.Unix(from.Expires, 0)
	who := from.session.Identity
	who.SID = from.session.SID
	return subject{identity: who, session: &from.session, from: &from}, nil
}

// narrowed is what the new context says as the presented one did: claims that were mapped are as they
// were granted. Mapping them anew could say more, since rules may look at the client and at what it asks.
func (p *presented) narrowed() map[string]any {
	claims := make(map[string]any, len(p.all))
	for name, value := range p.all {
		claims[name] = value
	}
	delete(claims, "scope")
	return claims
}

// chat is the chat scope of the presented context, bound to the conversation if it was bound to none.
func (p *presented) chat(conversation string) (any, error) {
	if conversation == "" {
		return p.all["chat"], nil
	}
	var chat map[string]json.RawMessage
	if err := json.Unmarshal(p.all["chat"], &chat); err != nil {
		return nil, fmt.Errorf("decode chat: %w", err)
	}
	bound := map[string]any{"conversation": conversation}
	for name, value := range chat {
		bound[name] = value
	}
	return bound, nil
}

// origin is the jti of the context that a session issued and all narrowing began with.
func (p *presented) origin() string {
	if _, first, narrowed := strings.Cut(p.JTI, narrowedFrom); narrowed {
		return first
	}
	return p.JTI
}

// narrowedFrom stands in a narrowed context's jti between its own id and that of the context it began
// with: an audit line leads to the other, and revocation tells them apart.
const narrowedFrom = "."

func (p *presented) isNarrowed() bool { return strings.Contains(p.JTI, narrowedFrom) }

// common returns what is in both lists, in the order of the first.
func common(list, other []string) []string {
	var both []string
	for _, s := range list {
		if slices.Contains(other, s) {
			both = append(both, s)
		}
	}
	return both
}
