package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"chatpass/decision"
	"chatpass/exchange"
	"chatpass/identity"
	"chatpass/oidc"
	"chatpass/policy"
)

// maxSample bounds the file of a sample token, in bytes: more than any token that is accepted.
const maxSample = 64 << 10

// A sample is an ID token to try the configuration on, and what it says of itself. Nothing of that is
// believed; it only helps to find out what to try.
type sample struct {
	raw, issuer     string
	audience        []string
	issued, expires time.Time // zero if it does not say
}

// readSample reads the token in a file; "-" is in.
func readSample(path string, in io.Reader) (sample, error) {
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return sample{}, fmt.Errorf("read token: %w; name a file that holds an ID token, or - for standard input", err)
		}
		defer file.Close() //nolint:errcheck // only read
		in = file
	}
	text, err := io.ReadAll(io.LimitReader(in, maxSample+1))
	if err != nil {
		return sample{}, fmt.Errorf("read token: %w", err)
	}
	if len(text) > maxSample {
		return sample{}, fmt.Errorf("read token: more than %d bytes: name a file that holds one ID token and nothing else", maxSample)
	}
	return peek(strings.TrimSpace(string(text))), nil
}

func peek(raw string) sample {
	s := sample{raw: raw}
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return s
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return s
	}
	said := map[string]any{}
	if json.Unmarshal(payload, &said) != nil {
		return s
	}
	s.issuer, _ = said["iss"].(string)
	s.issued, s.expires = instant(said["iat"]), instant(said["exp"])
	for _, value := range append([]any{said["azp"], said["aud"]}, list(said["aud"])...) {
		if client, ok := value.(string); ok {
			s.audience = append(s.audience, client)
		}
	}
	return s
}

func list(value any) []any {
	values, _ := value.([]any)
	return values
}

// instant reads a NumericDate (RFC 7519 §2) that is not beyond all reason.
func instant(value any) time.Time {
	if seconds, ok := value.(float64); ok && seconds > 0 && seconds < 1<<40 {
		return time.Unix(int64(seconds), 0)
	}
	return time.Time{}
}

// A rehearsal tries a sample against the configuration. It issues nothing and stores nothing.
type rehearsal struct {
	plans
	sample  sample
	gate    *oidc.Gate
	offline bool
	notes   []string
}

// rehearse tries the sample for the client of that name, or else in every app that trusts its issuer.
func (p plans) rehearse(ctx context.Context, s sample, client string, offline bool) (report, error) {
	r := &rehearsal{plans: p, sample: s, offline: offline}
	clock := r.clock(time.Now())
	issuers := slices.Clone(p.issuers)
	for i := range issuers {
		issuers[i].Now = clock
	}
	var err error
	if r.gate, err = oidc.New(issuers); err != nil {
		return report{}, err
	}
	clients, err := r.candidates(client)
	if err != nil {
		return report{}, err
	}
	var trials []trial
	for _, c := range clients {
		trials = append(trials, r.try(ctx, c))
	}
	return report{Issuer: decision.Clip(s.issuer), Notes: r.notes, Trials: trials}, nil
}

// clock is the time at which the sample is tried: now, or the time of its issue if it has become too old
// to be exchanged, as samples do.
func (r *rehearsal) clock(now time.Time) func() time.Time {
	s := r.sample
	age, limit := now.Sub(s.issued), 24*time.Hour
	for _, issuer := range r.issuers {
		limit = min(limit, cmp.Or(issuer.MaxTokenAge, time.Hour))
	}
	expired := !s.expires.IsZero() && now.After(s.expires)
	if s.issued.IsZero() || age <= 0 || !expired && age <= limit {
		return time.Now
	}
	if expired {
		r.note("The token expired %s ago, which is normal for a sample: it is tried as if it had just been issued.", ago(now.Sub(s.expires)))
	} else {
		r.note("The token was issued %s ago, too long for an exchange, which is normal for a sample: it is tried as if it had just been issued.", ago(age))
	}
	return func() time.Time { return s.issued }
}

func ago(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= 2*day {
		return fmt.Sprintf("%d days", d/day)
	}
	return d.Round(time.Second).String()
}

func (r *rehearsal) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// candidates are the clients to try the sample for. A client that belongs to no app stands for nobody.
func (r *rehearsal) candidates(only string) ([]exchange.Client, error) {
	var found []exchange.Client
	var names []string
	for i := range r.apps {
		app := &r.apps[i]
		var clients []exchange.Client
		for _, c := range app.Clients {
			if c.Type != exchange.Inspector {
				c.App = app
				clients, names = append(clients, c), append(names, c.ID)
			}
		}
		if at := slices.IndexFunc(clients, func(c exchange.Client) bool { return c.ID == only }); at >= 0 {
			return clients[at : at+1], nil
		}
		if len(clients) > 0 && slices.ContainsFunc(app.Issuers, r.isFrom) {
			found = append(found, r.fitting(clients))
		}
	}
	if only != "" {
		return nil, fmt.Errorf("no app has a client %q: the clients are %s", only, strings.Join(names, ", "))
	}
	if len(found) == 0 {
		r.nobody()
		return []exchange.Client{{App: &exchange.App{}}}, nil
	}
	return found, nil
}

// nobody says why there is no app for the sample.
func (r *rehearsal) nobody() {
	var urls []string
	for _, issuer := range r.issuers {
		if r.isFrom(issuer.Name) {
			r.note("Issuer %s is in the file, and no app lists it in its issuers.", issuer.Name)
			return
		}
		urls = append(urls, issuer.Issuer)
	}
	r.note("Issuers of the file are %s; they are compared byte for byte.", strings.Join(urls, ", "))
}

func (r *rehearsal) isFrom(idp string) bool { return r.gate.Knows(idp, r.sample.issuer) }

// fitting is the first client that accepts the sample, else the first.
func (r *rehearsal) fitting(clients []exchange.Client) exchange.Client {
	for _, c := range clients {
		for _, accepted := range r.accepted(c) {
			if slices.ContainsFunc(accepted, func(id string) bool { return slices.Contains(r.sample.audience, id) }) {
				return c
			}
		}
	}
	return clients[0]
}

// accepted lists by issuer whose ID tokens a client may come with: those that it may exchange, and for
// a browser our own, with which people sign in.
func (r *rehearsal) accepted(c exchange.Client) map[string][]string {
	all := map[string][]string{}
	for _, issuer := range r.issuers {
		if !slices.Contains(c.App.Issuers, issuer.Name) {
			continue
		}
		all[issuer.Name] = slices.Clone(c.Accepts[issuer.Name])
		if c.Type == exchange.Browser && issuer.ClientID != "" {
			all[issuer.Name] = append(all[issuer.Name], issuer.ClientID)
		}
	}
	return all
}

// try makes the checks that an exchange would, up to the first that is not passed.
func (r *rehearsal) try(ctx context.Context, c exchange.Client) trial {
	t := trial{Decision: decision.Decision{Verb: "exchange", Outcome: decision.Issued, App: c.App.Name, Client: c.ID, ClientType: string(c.Type)}}
	if err := r.evaluate(ctx, c, &t); err != nil {
		t.end(err)
	}
	return t
}

func (r *rehearsal) evaluate(ctx context.Context, c exchange.Client, t *trial) error {
	accepted := r.accepted(c)
	for idp, clients := range accepted {
		if len(clients) == 0 && r.isFrom(idp) {
			return identity.Reject(identity.ClientMayNotExchange, "no accepts for issuer "+idp, "upstream clients in the accepts of client "+c.ID)
		}
	}
	who, err := r.verify(ctx, identity.Terms{App: c.App.Name, Accepts: accepted, Passed: t.Pass})
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
	t.claims = claims
	return nil
}

// verify believes the sample; offline, where its issuer's keys are not in a file, without a look at the
// signature.
func (r *rehearsal) verify(ctx context.Context, terms identity.Terms) (identity.Identity, error) {
	for _, issuer := range r.issuers {
		if r.offline && len(issuer.JWKS) == 0 && r.isFrom(issuer.Name) {
			r.noteOnce("The issuer was not asked for its keys (--offline): the signature was not checked.")
			return r.gate.Rehearse(r.sample.raw, terms)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	return r.gate.Verify(ctx, r.sample.raw, terms)
}

func (r *rehearsal) noteOnce(text string) {
	if !slices.Contains(r.notes, text) {
		r.note("%s", text)
	}
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

// A trial is what would become of the sample for one client.
type trial struct {
	decision.Decision
	customer string // its id, if that follows from the token alone
	claims   map[string]any
	cause    error // why it came to no end
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

// end writes down what an exchange would answer in place of a context.
func (t *trial) end(err error) {
	if rejection, ok := errors.AsType[*identity.Rejection](err); ok {
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
