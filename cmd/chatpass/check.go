package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"chatpass/config"
	"chatpass/oidc"
	"chatpass/seal"
	"chatpass/store"
)

// checkTime bounds the questions to one issuer.
const checkTime = 10 * time.Second

func checkCommand(to streams) *cobra.Command {
	var path string
	var offline, asJSON bool
	cmd := &cobra.Command{
		Use: "check -c FILE", Short: "Check configuration, master key, store and issuers, and say how to mend them", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			findings := check(cmd.Context(), path, offline)
			if err := printFindings(to.out, findings, asJSON); err != nil {
				return err
			}
			for _, f := range findings {
				if f.Status == statusFault {
					return errSaid
				}
			}
			return nil
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().BoolVar(&offline, "offline", false, "do not ask the issuers")
	cmd.Flags().BoolVar(&asJSON, "json", false, "answer in JSON")
	return cmd
}

// A finding is one thing that was checked.
type finding struct {
	Part   string        `json:"part"` // "configuration", "master key", "store", "issuer corp"
	Status findingStatus `json:"status"`
	Text   string        `json:"text"`
}

type findingStatus string

const (
	statusOK     findingStatus = "ok"
	statusAdvice findingStatus = "advice"
	statusFault  findingStatus = "fault"
)

// check goes as far as it makes sense: without a configuration there is nothing else to look at.
func check(ctx context.Context, path string, offline bool) []finding {
	p, err := readPlans(path)
	if err != nil {
		return configurationFaults(err)
	}
	cfg := p.cfg
	findings := []finding{{"configuration", statusOK, fmt.Sprintf("%d issuers, %d apps", len(cfg.Issuers), len(cfg.Apps))}}
	for _, a := range cfg.Advice() {
		findings = append(findings, finding{"configuration", statusAdvice, a.String()})
	}
	findings = append(findings, checkStore(ctx, cfg)...)
	if offline {
		return findings
	}
	return append(findings, checkIssuers(ctx, p.issuers)...)
}

func configurationFaults(err error) []finding {
	faults, ok := errors.AsType[config.Faults](err)
	if !ok {
		return []finding{{"configuration", statusFault, err.Error()}}
	}
	var findings []finding
	for _, f := range faults {
		findings = append(findings, finding{"configuration", statusFault, f.String()})
	}
	return findings
}

func checkStore(ctx context.Context, cfg *config.Config) []finding {
	sealer, err := seal.New([]byte(cfg.MasterKey.Reveal()))
	if err != nil {
		return []finding{{"master key", statusFault, err.Error() + "; make one with `chatpass secret new -o FILE`"}}
	}
	if path, ok := strings.CutPrefix(cfg.Store.Reveal(), "sqlite:"); ok {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return []finding{{"store", statusOK, "there is none yet: the service makes it"}} // and it alone, as the user it runs as
		}
	}
	begun := time.Now()
	st, err := store.Open(ctx, store.Config{URL: cfg.Store.Reveal(), Sealer: sealer, Now: time.Now})
	if errors.Is(err, store.ErrWrongMasterKey) {
		return []finding{{"master key", statusFault, err.Error()}}
	}
	if err != nil {
		return []finding{{"store", statusFault, err.Error()}}
	}
	findings := []finding{{"master key", statusOK, "opens the store"}, {"store", statusOK, "answers, opened in " + time.Since(begun).Round(time.Millisecond).String()}}
	if err := errors.Join(st.Ping(ctx), st.Close()); err != nil {
		findings[1] = finding{"store", statusFault, err.Error()}
	}
	return findings
}

func checkIssuers(ctx context.Context, issuers []oidc.Config) []finding {
	gate, err := oidc.New(issuers)
	if err != nil {
		return []finding{{"issuers", statusFault, err.Error()}}
	}
	var findings []finding
	for _, c := range issuers {
		ctx, cancel := context.WithTimeout(ctx, checkTime)
		err := gate.Check(ctx, c.Name)
		cancel()
		f := finding{"issuer " + c.Name, statusOK, "discovery and keys are good; redirect URI to register there: " + c.RedirectURL}
		if err != nil {
			f.Status, f.Text = statusFault, err.Error()
		}
		findings = append(findings, f)
	}
	return findings
}

func printFindings(w io.Writer, findings []finding, asJSON bool) error {
	if asJSON {
		return printJSON(w, findings)
	}
	for _, f := range findings {
		if _, err := fmt.Fprintf(w, "%-7s %-14s %s\n", f.Status, f.Part, f.Text); err != nil {
			return err
		}
	}
	return nil
}
