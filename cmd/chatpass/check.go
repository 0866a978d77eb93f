package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
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
	var how checkFlags
	cmd := &cobra.Command{
		Use: "check -c FILE", Short: "Check configuration, master key, store and issuers, or the rules on a sample ID token, and say how to mend them", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if how.token != "" {
				return checkToken(cmd, to, path, how)
			}
			if how.client != "" || how.show {
				return usageError{errors.New("--client and --show belong to --token")}
			}
			return tell(to, check(cmd.Context(), path, how.offline), how.json)
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().BoolVar(&how.offline, "offline", false, "do not ask the issuers, nor the clients for their keys")
	cmd.Flags().BoolVar(&how.json, "json", false, "answer in JSON")
	cmd.Flags().StringVar(&how.token, "token", "", "try the rules on the ID token in this file (- for standard input); nothing is issued")
	cmd.Flags().StringVar(&how.client, "client", "", "with --token: the client that would exchange it (default one of every app that trusts its issuer)")
	cmd.Flags().BoolVar(&how.show, "show", false, "with --token: show the values of claims, which are personal")
	return cmd
}

type checkFlags struct {
	token, client       string
	offline, show, json bool
}

// checkToken tries the rules on a sample token.
func checkToken(cmd *cobra.Command, to streams, path string, how checkFlags) error {
	p, err := readPlans(path)
	if err != nil {
		return tell(to, configurationFaults(err), how.json)
	}
	s, err := readSample(how.token, cmd.InOrStdin())
	if err != nil {
		return err
	}
	found, err := p.rehearse(cmd.Context(), s, how.client, how.offline)
	if err != nil {
		return err
	}
	print := found.print
	if how.json {
		print = found.printJSON
	}
	if err := print(to.out, how.show); err != nil {
		return err
	}
	if !found.issued() {
		return errSaid
	}
	return nil
}

// tell prints findings; its error is errSaid if one of them is a fault.
func tell(to streams, findings []finding, asJSON bool) error {
	if err := printFindings(to.out, findings, asJSON); err != nil {
		return err
	}
	if slices.ContainsFunc(findings, func(f finding) bool { return f.Status == statusFault }) {
		return errSaid
	}
	return nil
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
	findings = append(findings, checkModule(cfg.Keys)...)
	if offline {
		return findings
	}
	return append(append(findings, checkIssuers(ctx, p.issuers)...), checkClientKeys(ctx, p.apps)...)
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
		if folder := filepath.Dir(path); !isFolder(folder) {
			return []finding{{"store", statusFault, folder + " is no folder: make it, for the user that the service runs as"}}
		}
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return []finding{{"store", statusOK, "there is none yet: the service makes it"}} // and it alone, as the user it runs as
		}
	}
	st, err := store.Open(ctx, store.Config{URL: cfg.Store.Reveal(), Sealer: sealer, Join: true})
	switch {
	case errors.Is(err, store.ErrWrongMasterKey):
		return []finding{{"master key", statusFault, err.Error()}}
	case errors.Is(err, store.ErrNoStore):
		return []finding{{"store", statusOK, "there is none yet: the service makes it"}}
	case errors.Is(err, store.ErrOlderSchema):
		return []finding{{"store", statusAdvice, err.Error() + "; back it up first"}}
	case err != nil:
		return []finding{{"store", statusFault, err.Error()}}
	}
	about, err := st.About(ctx)
	findings := checkSeals(ctx, st, sealer.Keys())
	if err = errors.Join(err, st.Close()); err != nil {
		return []finding{{"store", statusFault, err.Error()}}
	}
	return append(findings, judgeStore(about)...)
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// judgeStore says what a store's answers mean. Replicas agree by its clock, so ours may not be far off.
func judgeStore(about store.About) []finding {
	const noticeable, harmful = time.Second, 30 * time.Second
	difference := "no difference to its clock could be told"
	if about.Skew != 0 {
		difference = "this machine's clock is " + apart(about.Skew)
	}
	findings := []finding{{"store", statusOK, fmt.Sprintf("%s, schema %d, answers in %s, %s",
		about.Engine, about.Schema, about.Latency.Round(10*time.Microsecond), difference)}}
	switch off := about.Skew.Abs(); {
	case off > harmful:
		findings = append(findings, finding{"store", statusFault, "this machine's clock is " + apart(about.Skew) + ": tokens and keys would be judged by a wrong time; set the clocks of both by NTP"})
	case off > noticeable:
		findings = append(findings, finding{"store", statusAdvice, "this machine's clock is " + apart(about.Skew) + "; set the clocks of both by NTP"})
	}
	if strings.HasPrefix(about.Engine, "PostgreSQL") && !about.Synchronous {
		findings = append(findings, finding{"store", statusAdvice, "PostgreSQL has no synchronous standby: a failover may lose acknowledged sign-outs; set synchronous_standby_names"})
	}
	return findings
}

func apart(skew time.Duration) string {
	direction := " behind the store's"
	if skew > 0 {
		direction = " ahead of the store's"
	}
	return skew.Abs().Round(time.Millisecond).String() + direction
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
		f := finding{"issuer " + c.Name, statusOK, issuerText(c)}
		if err != nil {
			f.Status, f.Text = statusFault, err.Error()
		}
		findings = append(findings, f)
	}
	return findings
}

// issuerText says of an issuer without fault what its operator has to know of us.
func issuerText(c oidc.Config) string {
	switch {
	case len(c.JWKS) > 0:
		return "its keys in the file are good; it is not asked for anything, so nobody signs in with it"
	case c.ClientID == "":
		return "discovery and keys are good; without client_id nobody signs in with it"
	}
	us := strings.TrimSuffix(c.RedirectURL, "/v1/login/callback/"+c.Name)
	text := "discovery and keys are good; to register there: redirect URI " + c.RedirectURL + ", post-logout redirect URI " + us + "/v1/logout/callback" +
		", back-channel logout URI " + us + "/v1/backchannel-logout/" + c.Name
	if c.FrontchannelLogout {
		text += ", front-channel logout URI " + us + "/v1/frontchannel-logout/" + c.Name
	}
	if key, err := oidc.ReadClientKey(c.PrivateKey); err == nil {
		text += ", public key " + key.Public()
	}
	return text
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
