package main

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"chatpass/keys"
)

func keysListCommand(to streams) *cobra.Command {
	var path string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list -c FILE", Short: "List the signing keys, what comes next, and what stands against it", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withKeys(cmd.Context(), path, to.err, func(cfg keys.Config) error {
				seen, err := keys.Look(cmd.Context(), cfg)
				if err != nil {
					return err
				}
				if asJSON {
					err = printJSON(to.out, seen.Keys)
				} else {
					err = printKeys(to.out, seen)
				}
				if err != nil || seen.Wrong != nil {
					return cmp.Or(err, explainRing(seen.Wrong))
				}
				return seen.Broken
			})
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().BoolVar(&asJSON, "json", false, "answer in JSON")
	return cmd
}

func printKeys(w io.Writer, seen keys.Sight) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "KID\tCLASS\tALG\tSTATE\tSINCE\tNEXT CHANGE\tHELD\tBLOCKED BY")
	for _, k := range seen.Keys {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
			k.KID, k.Class, k.Algorithm, k.State, shown(k.Since), shown(k.Next), yes(k.Held), k.BlockedBy)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if err := printGivenUp(w, seen); err != nil || seen.Wrong != nil || seen.Broken != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%d key events, the chain is whole\n", seen.Events)
	return err
}

// printGivenUp names the keys that the ring in the store counts on and nobody should.
func printGivenUp(w io.Writer, seen keys.Sight) error {
	if len(seen.GivenUp) == 0 {
		return nil
	}
	_, err := fmt.Fprintf(w, "given up, though the ring in the store does not say so: %s\n", strings.Join(seen.GivenUp, " "))
	return err
}

func acceptCommand(to streams) *cobra.Command {
	var path, why, yes string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "accept -c FILE", Short: "Take the key ring as it is in the store, after a restore", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withKeys(cmd.Context(), path, to.err, func(cfg keys.Config) error {
				seen, err := keys.Look(cmd.Context(), cfg)
				if err != nil {
					return err
				}
				version := strconv.FormatInt(seen.Version, 10)
				switch yes {
				case version:
				case "":
					return offerAccept(to.out, seen, path)
				default:
					return usageError{fmt.Errorf("--yes names version %s, and the ring is at %s", yes, version)}
				}
				events, err := keys.Accept(cmd.Context(), cfg, seen.Version, keys.Order{By: operator(), Why: why})
				if err != nil {
					return err
				}
				return printEvents(to.out, events, asJSON)
			})
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&yes, "yes", "", "the version of the ring, as said without it: without it nothing is done")
	cmd.Flags().StringVar(&why, "why", "", "the reason, kept with the key events")
	cmd.Flags().BoolVar(&asJSON, "json", false, "answer in JSON")
	return cmd
}

// offerAccept says what taking the ring as it is would mean.
func offerAccept(w io.Writer, seen keys.Sight, path string) error {
	state := "Nothing is wrong with it that can be seen from here."
	if seen.Wrong != nil {
		state = "It is refused: " + seen.Wrong.Error() + "."
	}
	fmt.Fprintf(w, "The key ring is at version %d, with %d keys. %s\n", seen.Version, len(seen.Keys), state)
	if err := printGivenUp(w, seen); err != nil {
		return err
	}
	if seen.Version == 0 {
		fmt.Fprintln(w, "A new ring is made, and its first keys sign at once: what was signed so far is refused, and verifiers meet unknown kids until they ask again.")
	} else {
		fmt.Fprintln(w, "Every replica takes it, whatever it remembers. Contexts signed by keys that are not in it are refused.\n"+
			"A key that was given up, and that neither this list nor a replica remembers, signs again: name it in keys.denied first.")
	}
	again := "chatpass keys accept --yes " + strconv.FormatInt(seen.Version, 10)
	if path != "" {
		again += " -c " + path
	}
	fmt.Fprintf(w, "\nNothing was done. To do it:\n  %s\n", again)
	return errSaid
}
