package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"chatpass/decision"
	"chatpass/exchange"
	"chatpass/session"
)

func explainCommand(to streams) *cobra.Command {
	var path string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "explain DECISION -c FILE", Short: "Say why a request was refused: the ladder of its checks, the likely cause, what to do",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{errors.New("explain takes one argument: the decision that a refusal or the audit log names")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			found, err := findDecision(cmd.Context(), path, args[0])
			if err != nil {
				return err
			}
			told := explain(found)
			if asJSON {
				return printJSON(to.out, told)
			}
			return told.print(to.out, time.Now())
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().BoolVar(&asJSON, "json", false, "answer in JSON")
	return cmd
}

func findDecision(ctx context.Context, path, id string) (decision.Decision, error) {
	st, err := joinStore(ctx, path)
	if err != nil {
		return decision.Decision{}, err
	}
	found, err := st.Exchange().Decision(ctx, id)
	if errors.Is(err, session.ErrNotFound) {
		err = fmt.Errorf(`there is no decision %s in the store.
A refusal of just now is written within a second or two: ask again. Only refusals are kept, for %.0f hours: of each code and client eight a minute that tell different stories, and at most 50 a second.
The audit log has a line of every decision, with metadata.uid %s: its status_code is explained in
docs/refusals.md, unmapped.failed_check names the check that failed, and metadata.correlation_uid is the request id`,
			decision.Clip(id), decision.KeptFor.Hours(), decision.Clip(id))
	}
	return found, errors.Join(err, st.Close())
}

// An explanation is all there is to say of a decision.
type explanation struct {
	decision.Decision
	Reason  string `json:"reason"` // the code's snake_case name
	Meaning string `json:"meaning"`
	Cause   string `json:"likely_cause"`
	Remedy  string `json:"remedy"`
}

func explain(d decision.Decision) explanation {
	about := decision.About(d.Code)
	told := explanation{Decision: d, Meaning: about.Meaning, Cause: d.Cause(), Remedy: about.Remedy}
	if d.Code != "" {
		told.Reason = exchange.Lookup(d.Code).Reason
	}
	return told
}

// print writes what an operator reads: who asked and what became of it, the ladder, and what follows.
func (e explanation) print(w io.Writer, now time.Time) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s %s, %s ago (%s)\n", e.Verb, e.Outcome, strings.TrimSpace(string(e.Code)+" "+e.Reason),
		now.Sub(e.Time).Round(time.Second), e.Time.UTC().Format(time.RFC3339))
	for _, line := range []struct{ name, value string }{
		{"decision", e.ID},
		{"request", e.RequestID},
		{"app", e.App},
		{"client", strings.TrimSpace(e.Client + " " + e.ClientType)},
		{"issuer", e.IDP},
		{"actor", e.Actor},
		{"customer", e.Customer},
		{"session", e.SID},
	} {
		if line.value != "" {
			fmt.Fprintf(&text, "  %-9s %s\n", line.name, line.value)
		}
	}
	if e.More > 0 {
		fmt.Fprintf(&text, "  and %d more like it in the same minute\n", e.More)
	}
	text.WriteString("\n")
	if err := e.printLadder(&text); err != nil {
		return err
	}
	fmt.Fprintf(&text, "\nMeaning       %s\nLikely cause  %s\nWhat to do    %s\n", e.Meaning, e.Cause, e.Remedy)
	_, err := io.WriteString(w, text.String())
	return err
}

func (e explanation) printLadder(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\tCHECK\tMEASURED\tREQUIRED")
	for _, r := range e.Ladder {
		mark := "ok"
		if !r.Passed {
			mark = "FAILED"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", mark, r.Check, r.Measured, r.Required)
	}
	return table.Flush()
}
