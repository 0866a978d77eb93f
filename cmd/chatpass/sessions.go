package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"chatpass/config"
	"chatpass/decision"
	"chatpass/exchange"
	"chatpass/identity"
	"chatpass/oidc"
	"chatpass/session"
)

func sessionsCommand(to streams) *cobra.Command {
	cmd := &cobra.Command{
		Use: "sessions", Short: "List the sessions of a customer, end some",
		RunE: func(*cobra.Command, []string) error {
			return usageError{errors.New("say what to do: chatpass sessions list --customer ID, or revoke SID | --customer ID | --app APP")}
		},
	}
	cmd.AddCommand(sessionsListCommand(to), sessionsRevokeCommand(to))
	return cmd
}

// A register is the sessions of a running service, opened as another replica of it.
type register struct {
	*session.Sessions
	store session.Store
	apps  []string
}

// withRegister opens the store that the configuration names, and closes it after use.
func withRegister(ctx context.Context, to streams, flag string, use func(*register) error) error {
	cfg, err := readConfig(flag)
	if cfg == nil {
		return err
	}
	st, err := joinStore(ctx, flag)
	if err != nil {
		return err
	}
	defer st.Close() //nolint:errcheck // everything was written before
	r := &register{store: st.Sessions(), apps: appNames(cfg)}
	r.Sessions, err = session.New(session.Config{
		Store: r.store, Now: time.Now, NewID: rand.Text, Revoke: givingBack(cfg),
		Heard: func(q session.Inquiry) {
			_, _ = fmt.Fprintf(to.err, "session %s has ended, but its refresh token was not given back: %v\n", q.SID, q.Err)
		},
	})
	if err != nil {
		return err
	}
	defer r.Wait()
	return use(r)
}

// givingBack is how refresh tokens of ended sessions go back to the issuers of a configuration.
func givingBack(cfg *config.Config) func(ctx context.Context, idp, refreshToken string) error {
	p, _ := plan(cfg) // what is wrong elsewhere in the file does not matter here
	gate, err := oidc.New(p.issuers)
	if err != nil {
		return func(context.Context, string, string) error { return err }
	}
	return gate.Revoke
}

func appNames(cfg *config.Config) []string {
	var names []string
	for _, app := range cfg.Apps {
		names = append(names, app.Name)
	}
	return names
}

func sessionsListCommand(to streams) *cobra.Command {
	var path, customer string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list --customer ID -c FILE", Short: "List a customer's sessions, those that have ended too as long as they are remembered", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if customer == "" {
				return usageError{errors.New("whose sessions? write: chatpass sessions list --customer ID, the `sub` of a context")}
			}
			return withRegister(cmd.Context(), to, path, func(r *register) error {
				all, unread, err := collect(r.ofCustomer(cmd.Context(), customer))
				if err != nil {
					return err
				}
				return errors.Join(printSessions(to.out, all, asJSON), tellUnread(unread))
			})
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&customer, "customer", "", "the customer's id: the `sub` of their contexts")
	cmd.Flags().BoolVar(&asJSON, "json", false, "answer in JSON")
	return cmd
}

func sessionsRevokeCommand(to streams) *cobra.Command {
	var path, customer, app string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "revoke SID | --customer ID | --app APP", Short: "End sessions: on every replica within 2 s, for verifiers that are offline within status.ttl",
		Args: func(_ *cobra.Command, args []string) error {
			given := len(args)
			for _, flag := range []string{customer, app} {
				if flag != "" {
					given++
				}
			}
			if given != 1 {
				return usageError{errors.New("which sessions? write one of: chatpass sessions revoke SID, --customer ID, --app APP")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return withRegister(cmd.Context(), to, path, func(r *register) error {
				chosen, unread, err := r.choose(cmd.Context(), slices.Concat(args, []string{""})[0], customer, app)
				if err != nil {
					return err
				}
				ended, err := r.revoke(cmd.Context(), chosen)
				return errors.Join(printSessions(to.out, ended, asJSON), err, tellUnread(unread))
			})
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&customer, "customer", "", "all sessions of the customer with this id: the `sub` of their contexts")
	cmd.Flags().StringVar(&app, "app", "", "all sessions of this app")
	cmd.Flags().BoolVar(&asJSON, "json", false, "answer in JSON")
	return cmd
}

// choose returns the sessions that are meant, and the number of those that cannot be read.
func (r *register) choose(ctx context.Context, sid, customer, app string) ([]session.Session, int, error) {
	switch {
	case customer != "":
		return collect(r.ofCustomer(ctx, customer))
	case app != "" && !slices.Contains(r.apps, app):
		return nil, 0, fmt.Errorf("there is no app %q in the configuration: its apps are %s", app, strings.Join(r.apps, ", "))
	case app != "":
		return collect(r.store.ByApp(ctx, app))
	}
	one, err := r.store.Session(ctx, sid)
	if errors.Is(err, session.ErrNotFound) {
		return nil, 0, fmt.Errorf("there is no session %s: it is the `sid` of its contexts, and remembered for a while after its end", decision.Clip(sid))
	}
	return []session.Session{one}, 0, err
}

// ofCustomer iterates over a customer's sessions at every app.
func (r *register) ofCustomer(ctx context.Context, customer string) iter.Seq2[session.Session, error] {
	return func(yield func(session.Session, error) bool) {
		for _, app := range r.apps {
			for one, err := range r.store.ByCustomer(ctx, app, customer) {
				if !yield(one, err) {
					return
				}
			}
		}
	}
}

// collect returns the sessions, oldest first, and how many more cannot be read.
func collect(found iter.Seq2[session.Session, error]) (all []session.Session, unread int, err error) {
	all = []session.Session{}
	for one, err := range found {
		if errors.Is(err, session.ErrUnreadable) {
			unread++
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b session.Session) int {
		return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.SID, b.SID))
	})
	return all, unread, nil
}

func tellUnread(n int) error {
	const why = "damaged, or sealed under a key that the master key does not hold; `chatpass check` tells more"
	switch n {
	case 0:
		return nil
	case 1:
		return errors.New("1 session could not be read: " + why)
	}
	return fmt.Errorf("%d sessions could not be read: %s", n, why)
}

// revoke ends what has not ended yet, and returns that as it is then.
func (r *register) revoke(ctx context.Context, chosen []session.Session) ([]session.Session, error) {
	ended := []session.Session{}
	for _, one := range chosen {
		if one.Alive(time.Now()) != nil {
			continue
		}
		gone, err := r.Revoke(ctx, one)
		if err != nil {
			return ended, fmt.Errorf("end session %s: %w; those named above have ended, run it again for the rest", one.SID, err)
		}
		ended = append(ended, gone)
	}
	return ended, nil
}

// A shownSession is what is shown of a session: nothing that says who the person is.
type shownSession struct {
	SID     string       `json:"sid"`
	App     string       `json:"app"`
	Kind    session.Kind `json:"kind"`
	IDP     string       `json:"idp"`
	State   string       `json:"state"` // "alive", or the code by which it ended
	Started time.Time    `json:"started"`
	Active  time.Time    `json:"active"`
	Ends    time.Time    `json:"ends"`
}

func show(s session.Session) shownSession {
	shown := shownSession{SID: s.SID, App: s.App, Kind: s.Kind, IDP: s.Identity.IDP, State: "alive", Started: s.Started, Active: s.Active, Ends: s.Until()}
	if rejection, ok := errors.AsType[*identity.Rejection](s.Alive(time.Now())); ok {
		shown.State = string(rejection.Code) + " " + exchange.Lookup(rejection.Code).Reason
	}
	if !s.Ended.IsZero() {
		shown.Ends = s.Ended
	}
	return shown
}

func printSessions(w io.Writer, all []session.Session, asJSON bool) error {
	rows := []shownSession{}
	for _, one := range all {
		rows = append(rows, show(one))
	}
	if asJSON {
		return printJSON(w, rows)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SID\tAPP\tKIND\tISSUER\tSTATE\tSTARTED\tACTIVE\tENDS")
	for _, r := range rows {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.SID, r.App, r.Kind, r.IDP, r.State, shown(r.Started), shown(r.Active), shown(r.Ends))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%d sessions\n", len(rows))
	return err
}
