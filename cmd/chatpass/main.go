// Command chatpass turns an enterprise sign-in into short-lived, signed chat contexts.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"chatpass/sdk"
)

// Exit codes of every verb.
const (
	exitFailed = 1 // refused or failed
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], streams{os.Stdout, os.Stderr}))
}

// streams is where a verb writes: what was asked for, and everything else.
type streams struct{ out, err io.Writer }

// run carries one command line out and returns the exit code.
func run(ctx context.Context, args []string, to streams) int {
	root := commands(to)
	root.SetArgs(kidLast(args))
	root.SetOut(to.out)
	root.SetErr(to.err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if _, usage := errors.AsType[usageError](err); usage {
		fmt.Fprintf(to.err, "chatpass: %v\nRun 'chatpass --help' for usage.\n", err)
		return exitUsage
	}
	if !errors.Is(err, errSaid) {
		fmt.Fprintln(to.err, "chatpass:", err)
	}
	return exitFailed
}

// errSaid is the error of a verb that has said itself what is wrong.
var errSaid = errors.New("said already")

// A usageError is a command line that says nothing we can do.
type usageError struct{ error }

// commands are all verbs.
func commands(to streams) *cobra.Command {
	root := &cobra.Command{
		Use:           "chatpass",
		Short:         "Turn an enterprise sign-in into short-lived, signed chat contexts",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("there is no verb %q", args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(
		demoCommand(to), serveCommand(to), healthCommand(to), checkCommand(to), explainCommand(to), keysCommand(to), sessionsCommand(to),
		secretCommand(to), tokenCommand(to), versionCommand(to))
	return root
}

// noArguments is for verbs that take flags alone.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("%s takes no argument, got %q", cmd.Name(), args[0])}
	}
	return nil
}

func versionCommand(to streams) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "version", Short: "Say which version this is, and the integrity of the browser's scripts that it serves", Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			v := version()
			if asJSON {
				return printJSON(to.out, v)
			}
			if _, err := fmt.Fprintf(to.out, "chatpass %s %s %s\n", v.Version, v.Revision, v.Go); err != nil {
				return err
			}
			for _, script := range v.SDK {
				if _, err := fmt.Fprintf(to.out, "/sdk/%s/%s integrity=%q\n", sdk.Version, script.Name, script.Integrity); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "answer in JSON")
	return cmd
}

// build says what this binary was made from.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Go       string `json:"go"`
	// SDK are the browser's scripts that it serves, under a path that holds their version.
	SDK []sdk.Script `json:"sdk"`
}

func version() build {
	b := build{Version: "0.1.0", Revision: "unknown", SDK: sdk.Scripts()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Go = info.GoVersion
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			b.Revision = s.Value
		}
	}
	return b
}
