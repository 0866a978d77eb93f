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
		Use: "explain ID -c FILE", Short: "Say why a request was refused: the ladder of its checks, the likely cause, what to do",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{errors.New("explain takes one argument: the decision, or the request, that an answer, the audit log or the browser's console names")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			told, err := findDecision(cmd.Context(), path, args[0])
			if err != nil {
				return err
			}
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

func findDecision(ctx context.Context, path, id string) (explanation, error) {
	st, err := joinStore(ctx, path)
	if err != nil {
		return explanation{}, err
	}
	told, err := lookUp(ctx, st.Exchange(), id)
	if errors.Is(err, session.ErrNotFound) {
		err = fmt.Errorf(`neither a decision nor a request %[1]s is in the store.
A refusal of just now is written within a second or two: ask again. Only refusals are kept, for %.0[2]f hours. Of each kind (verb, code, client)
a minute keeps eight whole and 64 without their ladders, a replica 50 of each a second, and one address has at most half of that: the rest is counted.
The audit log has a line of every decision, with %[1]s as metadata.uid (the decision) or metadata.correlation_uid (the request):
its status_code is explained in docs/refusals.md, and unmapped.failed_check names the check that failed`,
			decision.Clip(id), decision.KeptFor.Hours())
	}
	return told, errors.Join(err, st.Close())
}

// lookUp finds a refusal, and to one that was counted with another what that one says.
func lookUp(ctx context.Context, kept exchange.Store, id string) (explanation, error) {
	found, err := kept.Decision(ctx, id)
	if err != nil || found.Like == "" {
		return explain(found), err
	}
	first, err := kept.Decision(ctx, found.Like)
	if err != nil && !errors.Is(err, session.ErrNotFound) {
		return explanation{}, err
	}
	note := "of its checks only the one that failed was kept: it was counted with decision " + found.Like + ", and differs"
	switch {
	case err != nil:
		note = "of its checks only the one that failed was kept: decision " + found.Like + ", which it was counted with, was lost"
	case found.Borrow(first):
		note = fmt.Sprintf("the checks are those of decision %s, the first of at least %d alike in that minute", first.ID, max(first.More+1, 2))
	}
	told := explain(found)
	told.Note = note
	return told, nil
}

// An explanation is all there is to say of a decision.
type explanation struct {
	decision.Decision
	Note    string `json:"note,omitempty"` // how much of it was kept, if not all
	Reason  string `json:"reason"`         // the code's snake_case name
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
		fmt.Fprintf(&text, "  and %d more of its kind in the same minute\n", e.More)
	}
	if e.Note != "" {
		fmt.Fprintf(&text, "  %s\n", e.Note)
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
