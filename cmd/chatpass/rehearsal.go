package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"chatpass/decision"
	"chatpass/exchange"
	"chatpass/oidc"
)

// sampleAge is the greatest age at which every client may exchange an ID token, if its issuer's
// `max_token_age` is no less.
const sampleAge = time.Hour

// A rehearsal tries a sample against the configuration. It issues nothing and stores nothing.
type rehearsal struct {
	plans
	sample    sample
	gate      *oidc.Gate
	exchanger *exchange.Exchanger // without sessions, store and keys
	offline   bool
	notes     []string
}

// A use is what an ID token may be good for.
type use string

const (
	signingIn  use = "sign-in"    // it is for us: its person signs in by a browser
	exchanging use = "exchange"   // a client trades it for a context
	acting     use = "delegation" // it is shown as actor_token, beside somebody else's
)

// An attempt is one use of the sample by one client. A client that belongs to no app stands for nobody.
type attempt struct {
	use
	exchange.Client
}

// rehearse tries the sample for the client of that name, or else in every app that it may be of use to.
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
	r.exchanger, err = exchange.New(exchange.Config{
		Issuer: p.cfg.Issuer, Apps: p.apps, Signer: paper(p.keys.Algorithm), Now: time.Now, NewID: rand.Text,
		Random: func() float64 { return 0 },
	})
	if err != nil {
		return report{}, err
	}
	attempts, err := r.attempts(client)
	if err != nil {
		return report{}, err
	}
	var trials []trial
	for _, a := range attempts {
		trials = append(trials, r.try(ctx, a))
	}
	return report{Issuer: decision.Clip(s.issuer), Notes: r.notes, Trials: trials}, nil
}

// clock is the time at which the sample is tried: now, or the time of its issue if it has become too old
// to be exchanged, as samples do.
func (r *rehearsal) clock(now time.Time) func() time.Time {
	s := r.sample
	age, limit := now.Sub(s.issued), sampleAge
	for _, issuer := range r.issuers {
		if issuer.MaxTokenAge > 0 {
			limit = min(limit, issuer.MaxTokenAge)
		}
	}
	expired := !s.expires.IsZero() && now.After(s.expires)
	if s.issued.IsZero() || age <= 0 || !expired && age <= limit {
		return time.Now
	}
	if expired {
		r.note("The token expired %s ago, which is normal for a sample: it is tried as if it had just been issued.", ago(now.Sub(s.expires)))
	} else {
		r.note("The token was issued %s ago, too long for most exchanges, which is normal for a sample: it is tried as if it had just been issued.", ago(age))
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
	if text := fmt.Sprintf(format, args...); !slices.Contains(r.notes, text) {
		r.notes = append(r.notes, text)
	}
}

// attempts are the uses to try the sample for: those of one client, if it is named.
func (r *rehearsal) attempts(only string) ([]attempt, error) {
	var all []attempt
	var names []string
	for i := range r.apps {
		clients := clientsOfApp(&r.apps[i])
		for _, c := range clients {
			names = append(names, c.ID)
			if c.ID == only {
				return r.named(c), nil
			}
		}
		all = append(all, r.inApp(&r.apps[i], clients)...)
	}
	if only != "" {
		return nil, fmt.Errorf("no app has a client %q: the clients are %s", only, strings.Join(names, ", "))
	}
	if len(all) == 0 {
		r.nobody()
		all = []attempt{{exchanging, exchange.Client{App: &exchange.App{}}}}
	}
	return all, nil
}

// clientsOfApp are the app's clients without its verifiers, which get no context.
func clientsOfApp(app *exchange.App) []exchange.Client {
	var clients []exchange.Client
	for _, c := range app.Clients {
		if c.Type != exchange.Inspector {
			c.App = app
			clients = append(clients, c)
		}
	}
	return clients
}

// named are the uses of one client; to exchange the sample is tried in any case.
func (r *rehearsal) named(c exchange.Client) []attempt {
	if found := r.inApp(c.App, []exchange.Client{c}); len(found) > 0 {
		return found
	}
	return []attempt{{exchanging, c}}
}

// inApp are the uses that one app may have for the sample, by the client that fits best.
func (r *rehearsal) inApp(app *exchange.App, clients []exchange.Client) []attempt {
	var found []attempt
	if len(clients) > 0 && slices.ContainsFunc(app.Issuers, r.isFrom) {
		at := slices.IndexFunc(clients, func(c exchange.Client) bool { return c.Type == exchange.Browser })
		if at >= 0 && r.isFor(r.ourselves(app)) {
			found = append(found, attempt{signingIn, clients[at]})
		}
		found = append(found, attempt{exchanging, r.fitting(clients)})
	}
	at := slices.IndexFunc(clients, func(c exchange.Client) bool { return c.Type == exchange.Backend })
	if at >= 0 && r.isFor(actorsOfApp(app)) {
		found = append(found, attempt{acting, clients[at]})
	}
	return found
}

// fitting is the first client that accepts the sample, else the first.
func (r *rehearsal) fitting(clients []exchange.Client) exchange.Client {
	var names []string
	first := clients[0]
	for _, c := range clients {
		if !r.isFor(c.Accepts) {
			continue
		}
		if len(names) == 0 {
			first = c
		}
		names = append(names, c.ID)
	}
	if len(names) > 1 {
		r.note("App %s: the clients %s accept it; it is tried by the first (--client names another).", first.App.Name, strings.Join(names, ", "))
	}
	return first
}

// isFor reports whether the sample is of an issuer and for a client of it that are listed together: two
// issuers may call two clients the same.
func (r *rehearsal) isFor(accepted map[string][]string) bool {
	for idp, clients := range accepted {
		if r.isFrom(idp) && r.sample.isFor(clients) {
			return true
		}
	}
	return false
}

// ourselves is what we are called at the issuers that sign people in to the app.
func (r *rehearsal) ourselves(app *exchange.App) map[string][]string {
	ours := map[string][]string{}
	for _, issuer := range r.issuers {
		if slices.Contains(app.Issuers, issuer.Name) && issuer.ClientID != "" && len(issuer.JWKS) == 0 {
			ours[issuer.Name] = []string{issuer.ClientID}
		}
	}
	return ours
}

// actorsOfApp lists by issuer the clients whose ID tokens are actor tokens.
func actorsOfApp(app *exchange.App) map[string][]string {
	accepted := map[string][]string{}
	for _, rule := range app.Actors {
		accepted[rule.Issuer] = append(accepted[rule.Issuer], rule.Accepts...)
	}
	return accepted
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
