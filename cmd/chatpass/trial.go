package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"chatpass/decision"
	"chatpass/exchange"
	"chatpass/identity"
	"chatpass/policy"
)

// A trial is what would become of one attempt.
type trial struct {
	decision.Decision
	use      use
	customer string // its id, if that follows from the token alone
	claims   map[string]any
	rule     exchange.Actor // that lets the person act
	cause    error          // why it came to no end
}

// try makes the checks that the service would, up to the first that is not passed.
func (r *rehearsal) try(ctx context.Context, a attempt) trial {
	t := trial{use: a.use, Decision: decision.Decision{Verb: "exchange", Outcome: decision.Issued, App: a.App.Name, Client: a.ID, ClientType: string(a.Type)}}
	evaluate := map[use]func(context.Context, exchange.Client, *trial) error{signingIn: r.signIn, exchanging: r.exchange, acting: r.act}[a.use]
	if err := evaluate(ctx, a.Client, &t); err != nil {
		t.end(err)
	}
	return t
}

func (r *rehearsal) signIn(ctx context.Context, c exchange.Client, t *trial) error {
	for _, issuer := range r.issuers {
		if issuer.Userinfo && r.isFrom(issuer.Name) {
			r.note("At a sign-in issuer %s is asked for userinfo too, which fills in what the ID token lacks. It is not asked here.", issuer.Name)
		}
	}
	return r.context(ctx, c, identity.Terms{App: c.App.Name, Accepts: r.ourselves(c.App), Passed: t.Pass}, t)
}

func (r *rehearsal) exchange(ctx context.Context, c exchange.Client, t *trial) error {
	if len(c.Accepts) == 0 && c.ID != "" {
		return identity.Reject(identity.ClientMayNotExchange, "no accepts", "accepts of client "+c.ID)
	}
	terms := identity.Terms{App: c.App.Name, Accepts: c.Accepts, Passed: t.Pass}
	if c.Type != exchange.Backend {
		terms.MaxAge = sampleAge
	}
	return r.context(ctx, c, terms, t)
}

// context makes what a context would be made of.
func (r *rehearsal) context(ctx context.Context, c exchange.Client, terms identity.Terms, t *trial) error {
	who, err := r.verify(ctx, terms)
	if err != nil {
		return err
	}
	t.IDP = who.IDP
	if err := exchange.ActsItself(who, "subject"); err != nil {
		return err
	}
	in := input(who, c)
	if err := c.App.Rules.Admit(ctx, in); err != nil {
		return err
	}
	t.Pass("admit", "true", "true")
	if err := t.subject(ctx, c.App, in); err != nil {
		return err
	}
	claims, err := c.App.Rules.Claims(ctx, in)
	if err != nil {
		return err
	}
	t.Pass("claims", fmt.Sprintf("%d claims", len(claims)), "what every rule of claims needs")
	made, err := r.exchanger.Rehearse(ctx, exchange.Rehearsal{Client: c, Identity: who, Customer: t.customer, Claims: claims})
	if err != nil {
		return err
	}
	t.Ladder, t.claims = append(t.Ladder, made), claims
	return nil
}

// act tries the sample as the token of somebody who acts for a customer.
func (r *rehearsal) act(ctx context.Context, c exchange.Client, t *trial) error {
	t.Pass("client", "a "+string(c.Type)+" client", "a backend client")
	who, err := r.verify(ctx, identity.Terms{App: c.App.Name, Accepts: actorsOfApp(c.App), MaxAge: sampleAge, Passed: t.Pass})
	if err != nil {
		return err
	}
	t.IDP = who.IDP
	if err := exchange.ActsItself(who, "actor"); err != nil {
		return err
	}
	at, err := exchange.FindActor(ctx, c.App.Actors, input(who, c))
	if err != nil {
		return err
	}
	t.Pass("actor", "admitted by rule "+strconv.Itoa(at+1), "a rule in actors")
	t.rule = c.App.Actors[at]
	return nil
}

// verify believes the sample; offline, where its issuer's keys are not in a file, without a look at the
// signature.
func (r *rehearsal) verify(ctx context.Context, terms identity.Terms) (identity.Identity, error) {
	for _, issuer := range r.issuers {
		if r.offline && len(issuer.JWKS) == 0 && r.isFrom(issuer.Name) {
			r.note("The issuer was not asked for its keys (--offline): the signature was not checked.")
			return r.gate.Rehearse(r.sample.raw, terms)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	return r.gate.Verify(ctx, r.sample.raw, terms)
}

// input is what rules see when the client asks for as much as its app can grant.
func input(who identity.Identity, c exchange.Client) policy.Input {
	request := map[string]any{"audience": c.App.Audience[:1], "scope": c.App.Scopes}
	if c.Type == exchange.Browser && len(c.App.Origins) > 0 {
		request["origin"] = c.App.Origins[0]
	}
	return policy.Input{
		Identity: who, Request: request,
		Client: map[string]any{"id": c.ID, "type": string(c.Type), "app": c.App.Name},
	}
}

func (t *trial) subject(ctx context.Context, app *exchange.App, in policy.Input) (err error) {
	kind := string(app.Subject)
	switch app.Subject {
	case exchange.Upstream:
		t.customer = in.Identity.Subject
	case exchange.ByRule:
		kind = "by rule"
		if t.customer, err = app.Rules.Subject(ctx, in); err != nil {
			return err
		}
	}
	t.Pass("customer id", kind, kind)
	return nil
}

// end writes down what the service would answer in place of a context.
func (t *trial) end(err error) {
	rejection, ok := errors.AsType[*identity.Rejection](err)
	if ok && t.use == acting && rejection.Code != identity.ActorNotAllowed {
		t.End(decision.Refused, identity.ActorTokenRejected, string(rejection.Code)+": "+rejection.Measured, rejection.Required)
		return
	}
	if ok {
		t.End(decision.Refused, rejection.Code, rejection.Measured, rejection.Required)
		return
	}
	t.cause = err
	code := identity.Internal
	if outage, ok := errors.AsType[*identity.Outage](err); ok {
		code, t.cause = outage.Code, outage.Err
	}
	t.End(decision.Failed, code, "no answer", "an answer")
}

// verdict says in a line what the sample is good for.
func (t trial) verdict() string {
	if t.App == "" {
		return "In no app: refused, " + string(t.Code)
	}
	by := t.ClientType + " client " + t.Client
	yes, no := "it may be exchanged by "+by, "it may not be exchanged by "+by
	switch t.use {
	case signingIn:
		yes, no = "its person signs in, by "+by, "its person does not sign in, by "+by
	case acting:
		yes, no = "its person may act for customers, by "+by, "its person may not act for customers, by "+by
	}
	switch t.Outcome {
	case decision.Issued:
		return "App " + t.App + ": " + yes
	case decision.Refused:
		return "App " + t.App + ": " + no + ", " + string(t.Code)
	}
	return "App " + t.App + ": cannot tell whether " + yes + ", " + string(t.Code)
}
