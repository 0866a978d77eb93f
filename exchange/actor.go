package exchange

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"chatpass/identity"
	"chatpass/policy"
)

const (
	// maxActors is how many may act one through another.
	maxActors = 3
	// actorTokenAge is the greatest age of an actor token.
	actorTokenAge = 60 * time.Minute
)

// An Actor is a rule of an app: people of one issuer who may act for its customers.
type Actor struct {
	// Issuer is the upstream issuer's name; Accepts are its clients whose ID tokens are actor tokens.
	Issuer  string
	Accepts []string
	// Rules admit the actor.
	Rules *policy.Rules
	// Scopes is the most that a delegated context may be granted, Lifetime how long it lives at most.
	Scopes   []string
	Lifetime time.Duration
}

// An actor is a link of the chain `act` (RFC 8693 §4.1): who acts, through whom. A person is named by
// their upstream issuer and subject, a client of ours by its id.
type actor struct {
	Issuer  string `json:"iss,omitempty"`
	Subject string `json:"sub,omitempty"`
	Client  string `json:"client_id,omitempty"`
	Through *actor `json:"act,omitempty"`
}

func (a *actor) depth() int {
	if a == nil {
		return 0
	}
	return 1 + a.Through.depth()
}

// checkActor finds who acts for the subject. Another client that carries a context on acts through whoever
// acted before; a person who shows an actor token acts through all of them.
func (e *evaluation) checkActor(ctx context.Context) error {
	if err := ActsItself(e.subject.identity, "subject"); err != nil {
		return err
	}
	if from := e.subject.from; from != nil {
		e.actor = from.Actor
		if from.Client != e.client.ID {
			names := map[string]any{"iss": e.cfg.Issuer, "sub": e.client.ID, "client_id": e.client.ID}
			next := actor{Client: e.client.ID, Through: e.actor}
			e.asking = &next
			if err := e.act(next, names); err != nil {
				return err
			}
		}
	}
	if e.req.ActorToken == "" {
		return nil
	}
	who, err := e.verifyActor(ctx)
	if err != nil {
		return err
	}
	next := actor{Issuer: who.Issuer, Subject: who.UpstreamSubject, Through: e.actor}
	e.asking = &next
	if err := ActsItself(who, "actor"); err != nil {
		return err
	}
	rule, err := e.findRule(ctx, who)
	if err != nil {
		return err
	}
	e.most.scope = common(e.most.scope, rule.Scopes)
	e.most.lifetime = min(e.most.lifetime, rule.Lifetime)
	names := maps.Clone(who.Claims)
	names["iss"], names["sub"], names["client_id"] = who.Issuer, who.UpstreamSubject, who.Client
	return e.act(next, names)
}

// ActsItself refuses the person of an upstream token in whose name somebody else acts already, as the
// issuer says by `act` (RFC 8693 §4.1). To leave that out would hide who acts; to carry it on would let
// somebody act whom no rule of the app has seen.
func ActsItself(who identity.Identity, token string) error {
	if who.Claims["act"] == nil {
		return nil
	}
	return Refuse(identity.ActorNotAllowed, "the "+token+" token says by act that somebody else acts for its person: let the actor show an ID token of their own as actor_token").
		Measured("a claim act in the "+token+" token", "a token of the person alone")
}

// nameParties writes down who asked to act for whom, also when the answer is no.
func (e *evaluation) nameParties(ctx context.Context) {
	if e.asking == nil || e.record.Subject != "" {
		return
	}
	if salt, err := e.salt(ctx, e.client.App); err == nil { // else the line says less
		e.record.Subject = pseudonym(salt, "audit", e.subject.identity.UpstreamSubject)
		e.record.Actor = actors(e.asking, salt)
	}
}

// checkMayDelegate refuses an actor token that nobody could use, before any token is looked at.
func (e *evaluation) checkMayDelegate() error {
	switch {
	case e.req.ActorToken == "":
		return nil
	case e.client.Type != Backend:
		return Refuse(identity.ActorNotAllowed, "only a backend client may let somebody act for a customer").
			Measured("a "+string(e.client.Type)+" client", "a backend client")
	case e.req.ActorTokenType != IDToken:
		return Refuse(identity.UnsupportedTokenType, "an actor token is an ID token: urn:ietf:params:oauth:token-type:id_token").
			Measured("another actor_token_type", string(IDToken))
	case len(e.client.App.Actors) == 0:
		return Refuse(identity.ActorNotAllowed, "").Measured("no actors", "a rule in actors of app "+e.client.App.Name)
	}
	return nil
}

// verifyActor verifies the actor token as an ID token for the clients that the app's rules name.
func (e *evaluation) verifyActor(ctx context.Context) (identity.Identity, error) {
	accepts := map[string][]string{}
	for _, rule := range e.client.App.Actors {
		accepts[rule.Issuer] = append(accepts[rule.Issuer], rule.Accepts...)
	}
	who, err := e.cfg.Verifiers[IDToken].Verify(ctx, e.req.ActorToken, identity.Terms{
		App: e.client.App.Name, Accepts: accepts, MaxAge: actorTokenAge,
		Passed: func(check, measured, required string) { e.record.Pass("actor "+check, measured, required) },
	})
	if rejection, ok := errors.AsType[*identity.Rejection](err); ok {
		return who, &identity.Rejection{
			Code: identity.ActorTokenRejected, Measured: string(rejection.Code) + ": " + rejection.Measured,
			Required: rejection.Required, Err: err,
		}
	}
	if err != nil {
		return who, fmt.Errorf("verify actor token: %w", err)
	}
	return who, nil
}

// findRule returns the rule that lets the actor act.
func (e *evaluation) findRule(ctx context.Context, who identity.Identity) (Actor, error) {
	in, rules := e.input(), e.client.App.Actors
	in.Identity = who
	at, err := FindActor(ctx, rules, in)
	if err != nil {
		return Actor{}, err
	}
	e.record.Pass("actor", "admitted by rule "+strconv.Itoa(at+1), "a rule in actors")
	return rules[at], nil
}

// FindActor returns the index of the first rule that lets the person of in act. Its error is an
// [identity.Rejection] if none does.
func FindActor(ctx context.Context, rules []Actor, in policy.Input) (int, error) {
	who := in.Identity
	refusal := identity.Reject(identity.ActorNotAllowed, "no rule for this issuer and client", "a rule in actors")
	for i, rule := range rules {
		if rule.Issuer != who.IDP || !slices.Contains(rule.Accepts, who.Client) {
			continue
		}
		err := rule.Rules.Admit(ctx, in)
		if err == nil {
			return i, nil
		}
		rejection, ok := errors.AsType[*identity.Rejection](err)
		if !ok {
			return 0, fmt.Errorf("ask actor rule: %w", err)
		}
		refusal = &identity.Rejection{
			Code: identity.ActorNotAllowed, Measured: fmt.Sprintf("rule %d yields %s", i+1, rejection.Measured),
			Required: rejection.Required, Err: err,
		}
	}
	return 0, refusal
}

// act puts a new actor in front of the chain, if the subject token lets it and the chain is not too long.
// names are the actor's verified names and claims.
func (e *evaluation) act(next actor, names map[string]any) error {
	who := e.subject.identity
	if named := who.Claims["may_act"]; named != nil && !mayAct(named, who.Issuer, names) {
		return Refuse(identity.ActorNotAllowed, "the subject token's may_act names somebody else").
			Measured("an actor that may_act does not name", "the actor of may_act")
	}
	if depth := next.depth(); depth > maxActors {
		return identity.Reject(identity.ActorTooDeep, strconv.Itoa(depth)+" actors", "at most "+strconv.Itoa(maxActors))
	}
	e.actor = &next
	e.record.Pass("actor chain", strconv.Itoa(next.depth())+" deep", "at most "+strconv.Itoa(maxActors))
	return nil
}

// mayAct reports whether a subject token's `may_act` (RFC 8693 §4.4) names the actor: every member must be
// what the actor's own token says. It restricts the app's rules and never takes their place. A `sub`
// without `iss` is one of the subject token's own issuer.
func mayAct(named any, issuer string, actor map[string]any) bool {
	members, _ := named.(map[string]any) // what is no object names nobody
	if members["sub"] == nil && members["client_id"] == nil {
		return false
	}
	if members["iss"] == nil && members["sub"] != nil && actor["iss"] != issuer {
		return false
	}
	for name, want := range members {
		text, ok := want.(string)
		if !ok || actor[name] != text {
			return false
		}
	}
	return true
}

// actors is the chain in words for the audit line: people by their issuer and an HMAC, clients by id.
func actors(chain *actor, salt []byte) string {
	var names []string
	for a := chain; a != nil; a = a.Through {
		if a.Client != "" {
			names = append(names, "client "+a.Client)
			continue
		}
		names = append(names, a.Issuer+" "+pseudonym(salt, "audit", a.Subject))
	}
	return strings.Join(names, " through ")
}
