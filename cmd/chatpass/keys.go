package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"chatpass/keys"
)

func keysCommand(to streams) *cobra.Command {
	cmd := &cobra.Command{
		Use: "keys", Short: "List the signing keys, rotate, hold or give up one",
		RunE: func(*cobra.Command, []string) error {
			return usageError{errors.New("say what to do: chatpass keys list|rotate|hold KID|unhold KID|compromise KID|accept")}
		},
	}
	cmd.AddCommand(
		keysListCommand(to),
		orderCommand(to, "rotate", "Let other keys sign as soon as they are ripe", (*vault).rotate),
		orderCommand(to, "hold KID", "Keep a key in the key set whatever its age", (*vault).hold),
		orderCommand(to, "unhold KID", "Let a held key go when its time has come", (*vault).unhold),
		compromiseCommand(to),
		acceptCommand(to))
	return cmd
}

// An order is a change of the ring that an operator asks for.
type order func(v *vault, ctx context.Context, kid string, o keys.Order) ([]keys.Event, error)

func (v *vault) rotate(ctx context.Context, _ string, o keys.Order) ([]keys.Event, error) {
	return v.Rotate(ctx, o)
}

func (v *vault) hold(ctx context.Context, kid string, o keys.Order) ([]keys.Event, error) {
	return v.Hold(ctx, kid, o)
}

func (v *vault) unhold(ctx context.Context, kid string, o keys.Order) ([]keys.Event, error) {
	return v.Unhold(ctx, kid, o)
}

func (v *vault) compromise(ctx context.Context, kid string, o keys.Order) ([]keys.Event, error) {
	return v.Compromise(ctx, kid, o)
}

// orderCommand is a verb that says what it will do, and does it.
func orderCommand(to streams, use, short string, do order) *cobra.Command {
	var path, why string
	var asJSON bool
	cmd := &cobra.Command{
		Use: use + " -c FILE", Short: short, Args: oneKey(use),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withVault(cmd.Context(), path, to.err, func(v *vault) error {
				kid, o := slices.Concat(args, []string{""})[0], keys.Order{By: operator(), Why: why}
				if err := v.foretell(cmd.Context(), to.err, kid, o, do); err != nil {
					return err
				}
				events, err := do(v, cmd.Context(), kid, o)
				if err != nil {
					return explainOrder(err)
				}
				return printEvents(to.out, events, asJSON)
			})
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&why, "why", "", "the reason, kept with the key events")
	cmd.Flags().BoolVar(&asJSON, "json", false, "answer in JSON")
	return cmd
}

func compromiseCommand(to streams) *cobra.Command {
	var yes string
	cmd := orderCommand(to, "compromise KID", "Take a key out of the key set for ever, at once", (*vault).compromise)
	obey := cmd.RunE
	cmd.Flags().StringVar(&yes, "yes", "", "the kid once more: without it nothing is done")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if yes == args[0] {
			return obey(cmd, args)
		}
		if yes != "" {
			return usageError{fmt.Errorf("--yes names %q and not %q", yes, args[0])}
		}
		path := cmd.Flag("config").Value.String()
		return withVault(cmd.Context(), path, to.err, func(v *vault) error {
			o := keys.Order{By: operator()}
			if err := v.foretell(cmd.Context(), to.out, args[0], o, (*vault).compromise); err != nil {
				return err
			}
			again := "chatpass keys compromise " + args[0] + " --yes " + args[0]
			if path != "" {
				again += " -c " + path
			}
			fmt.Fprintf(to.out, "\nNothing was done. To do it:\n  %s\n", again)
			return errSaid
		})
	}
	return cmd
}

// kidLast moves the kid that a verb of keys is about behind the flags if it looks like some: one of 64
// begins with a dash.
func kidLast(args []string) []string {
	for i := 2; i < len(args) && args[0] == "keys" && args[i] != "--"; i++ {
		raw, err := base64.RawURLEncoding.DecodeString(args[i])
		if err == nil && len(raw) == sha256.Size && args[i][0] == '-' && args[i-1] != "--yes" {
			return slices.Concat(args[:i], args[i+1:], []string{"--", args[i]})
		}
	}
	return args
}

// oneKey wants as many arguments as the verb's usage names.
func oneKey(use string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if want := len(use) > len(cmd.Name()); want != (len(args) == 1) || len(args) > 1 {
			return usageError{fmt.Errorf("write: chatpass keys %s", use)}
		}
		return nil
	}
}

// foretell says what an order will do, before it is done.
func (v *vault) foretell(ctx context.Context, w io.Writer, kid string, o keys.Order, do order) error {
	o.DryRun = true
	events, err := do(v, ctx, kid, o)
	if err != nil {
		return explainOrder(err)
	}
	givenUp := func(e keys.Event) bool { return e.What == keys.KeyCompromised && e.KID == kid }
	for _, e := range events {
		if e.KID == kid && e.What == keys.KeyDemoted && slices.ContainsFunc(events, givenUp) {
			continue // it does not stay in the key set
		}
		if text := v.outlook(e); text != "" {
			fmt.Fprintf(w, "%s %s\n", e.KID, text)
		}
	}
	return nil
}

// outlook says what an event means for those who verify.
func (v *vault) outlook(e keys.Event) string {
	stays := v.config.Retiring.String()
	switch e.What {
	case keys.KeyActivated:
		return "signs from now on; " + v.known(e.KID)
	case keys.KeyReplacement:
		return "will be replaced as soon as another key is ripe: " + v.ripens(e.Class)
	case keys.KeyDemoted:
		return "signs no more; it stays in the key set for " + stays + ", until everything it signed has expired"
	case keys.KeyDropped:
		return "leaves the key set"
	case keys.KeyCompromised:
		return "leaves the key set at once and for ever; replicas obey within 2 s. Contexts that it signed are refused by\n" +
			"  verifiers of package verify within 60 s, by those that obey max-age within " + v.config.JWKSMaxAge.String() + ", by those that cache for a day within 24 h"
	case keys.KeyHeld:
		return "stays in the key set until `chatpass keys unhold`"
	case keys.KeyUnheld:
		return "leaves the key set when its time has come"
	}
	return ""
}

// known says whether verifiers have had the time to learn of a key.
func (v *vault) known(kid string) string {
	for _, k := range v.List() {
		if k.KID == kid && k.BlockedBy != "" {
			return "it is not ripe (" + string(k.BlockedBy) + "): verifiers that cache the key set may meet an unknown kid"
		}
	}
	return "every verifier that fetched the key set within the last " + v.config.PublishAhead.String() + " knows it"
}

// ripens says when the next key of a class can take over.
func (v *vault) ripens(class string) string {
	for _, k := range v.List() {
		if k.Class == class && k.State == keys.Pending && !k.Next.IsZero() {
			return "not before " + shown(k.Since.Add(v.config.Ripening()))
		}
	}
	return "there is none yet"
}

func printEvents(w io.Writer, events []keys.Event, asJSON bool) error {
	if asJSON {
		return printJSON(w, events)
	}
	for _, e := range events {
		if _, err := fmt.Fprintf(w, "%s  %-17s %s %s %s\n", shown(e.Time), e.What, e.KID, e.Class, e.Algorithm); err != nil {
			return err
		}
	}
	return nil
}

// operator names whoever types, for the key events.
func operator() string {
	name := "somebody"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}

func shown(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "-"
}
