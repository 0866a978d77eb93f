package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"chatpass/decision"
)

// A report is what became of a sample token.
type report struct {
	Issuer string // as the token says
	Notes  []string
	Trials []trial
}

// issued says whether the sample is good for anything.
func (r report) issued() bool {
	return slices.ContainsFunc(r.Trials, func(t trial) bool { return t.Outcome == decision.Issued })
}

// print writes the report for a person to read. Values of claims are personal, and only shown if asked for.
func (r report) print(w io.Writer, show bool) error {
	var text strings.Builder
	fmt.Fprintf(&text, "Sample token of issuer %s. Nothing is issued and nothing is stored.\n", quoted(r.Issuer))
	for _, note := range r.Notes {
		fmt.Fprintln(&text, note)
	}
	for _, t := range r.Trials {
		text.WriteString("\n" + t.verdict() + "\n")
		if err := (explanation{Decision: t.Decision}).printLadder(&text); err != nil {
			return err
		}
		if err := t.printOutcome(&text, show); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, text.String())
	return err
}

func quoted(issuer string) string {
	if issuer == "" {
		return "unknown"
	}
	return issuer
}

func (t trial) printOutcome(w io.Writer, show bool) error {
	if t.Outcome != decision.Issued {
		about := t.about()
		_, err := fmt.Fprintf(w, "Meaning       %s\nLikely cause  %s\nWhat to do    %s\n", about.Meaning, about.Cause, about.Remedy)
		return err
	}
	if t.use == acting {
		_, err := fmt.Fprintf(w, "A context that is issued so lives %s at most, and is granted of the scopes asked for: %s.\n",
			t.rule.Lifetime, cmp.Or(strings.Join(t.rule.Scopes, " "), "none"))
		return err
	}
	if show && t.customer != "" {
		fmt.Fprintf(w, "Customer id: %s\n", strings.Trim(strconv.QuoteToGraphic(t.customer), `"`))
	}
	claims := t.shown(show)
	if len(claims) == 0 {
		_, err := fmt.Fprintln(w, "The app's rules add no claims.")
		return err
	}
	fmt.Fprintln(w, "Claims that the app's rules add:")
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range claims {
		fmt.Fprintf(table, "  %s\t%s\t%s\n", c.Name, c.Type, c.Value)
	}
	return table.Flush()
}

// about explains why there is no context.
func (t trial) about() explanation {
	about := explain(t.Decision)
	if t.cause != nil {
		about.Cause = t.cause.Error()
		about.Remedy += " With --offline the rules are tried without the issuer."
	}
	return about
}

// A shownClaim is a claim of the context, by the type that JSON has for it.
type shownClaim struct {
	Name  string          `json:"name"`
	Type  string          `json:"type"`
	Value json.RawMessage `json:"value,omitempty"` // only if asked for
}

func (t trial) shown(values bool) []shownClaim {
	all := []shownClaim{}
	for _, name := range slices.Sorted(maps.Keys(t.claims)) {
		c := shownClaim{Name: name, Type: jsonType(t.claims[name])}
		if values {
			c.Value, _ = json.Marshal(t.claims[name]) // it is made for that: see [policy.Rules.Claims]
		}
		all = append(all, c)
	}
	return all
}

func jsonType(value any) string {
	switch value := value.(type) {
	case string:
		return "string"
	case bool:
		return "boolean"
	case []any:
		return fmt.Sprintf("list of %d", len(value))
	case map[string]any:
		return fmt.Sprintf("object of %d", len(value))
	}
	return "number"
}

// printJSON writes the report for a program to read.
func (r report) printJSON(w io.Writer, show bool) error {
	type jsonTrial struct {
		App      string           `json:"app,omitempty"`
		Client   string           `json:"client,omitempty"`
		Use      use              `json:"use"`
		IDP      string           `json:"idp,omitempty"`
		Outcome  decision.Outcome `json:"outcome"`
		Code     string           `json:"code,omitempty"`
		Reason   string           `json:"reason,omitempty"`
		Ladder   []decision.Rung  `json:"ladder"`
		Meaning  string           `json:"meaning,omitempty"`
		Cause    string           `json:"likely_cause,omitempty"`
		Remedy   string           `json:"remedy,omitempty"`
		Customer string           `json:"customer_id,omitempty"`
		Claims   []shownClaim     `json:"claims"`
	}
	out := struct {
		Issuer string      `json:"issuer"`
		Notes  []string    `json:"notes"`
		Trials []jsonTrial `json:"trials"`
	}{r.Issuer, append([]string{}, r.Notes...), []jsonTrial{}}
	for _, t := range r.Trials {
		one := jsonTrial{App: t.App, Client: t.Client, Use: t.use, IDP: t.IDP, Outcome: t.Outcome, Ladder: t.Ladder, Claims: t.shown(show)}
		if t.Outcome != decision.Issued {
			about := t.about()
			one.Code, one.Reason, one.Meaning, one.Cause, one.Remedy = string(t.Code), about.Reason, about.Meaning, about.Cause, about.Remedy
		}
		if show {
			one.Customer = t.customer
		}
		out.Trials = append(out.Trials, one)
	}
	return printJSON(w, out)
}
