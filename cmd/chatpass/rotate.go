package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"chatpass/seal"
)

func secretListCommand(to streams) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list FILE", Short: "List the keys of a master key, and which of them seals", Args: oneFile("list"),
		RunE: func(cmd *cobra.Command, args []string) error {
			m := master{path: args[0], in: cmd.InOrStdin()}
			sealer, err := m.read()
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(to.out, sealer.Keys())
			}
			return printSealKeys(to.out, sealer.Keys())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "answer in JSON")
	return cmd
}

func printSealKeys(w io.Writer, all []seal.Key) error {
	meaning := map[seal.Use]string{
		seal.Old: "opens what it sealed before", seal.Current: "seals", seal.Staged: "opens what other replicas may seal with it",
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "KEY\tUSE\tMEANING")
	for _, k := range all {
		fmt.Fprintf(table, "%s\t%s\t%s\n", k.ID, k.Use, meaning[k.Use])
	}
	return table.Flush()
}

func secretRotateCommand(to streams) *cobra.Command {
	var stage, asJSON bool
	cmd := &cobra.Command{
		Use: "rotate [--stage] FILE", Short: "Let another key of the master key seal; those before it still open", Args: oneFile("rotate"),
		Long: "Let another key of the master key seal, after the next start of the service: the staged key if there is one,\n" +
			"else a new one. What the keys before it sealed stays readable, and is sealed anew in the background.\n\n" +
			"With several replicas go in two steps, so that each can read what the others seal: `rotate --stage`, restart all;\n" +
			"`rotate`, restart all. FILE is replaced at once or not at all; with - it goes from standard input to standard output.",
		RunE: func(cmd *cobra.Command, args []string) error {
			m := master{path: args[0], in: cmd.InOrStdin()}
			do := seal.Rotate
			if stage {
				do = seal.Stage
			}
			was, now, err := m.change(to, do)
			if errors.Is(err, seal.ErrStaged) {
				return fmt.Errorf("%w: when every replica has been restarted with it, `chatpass secret rotate %s` lets it seal", err, m.path)
			}
			if err != nil {
				return err
			}
			return m.tell(to, now, asJSON, m.nextSteps(was.Keys(), now.Keys()))
		},
	}
	cmd.Flags().BoolVar(&stage, "stage", false, "add a key that only opens, the first of two steps for several replicas")
	cmd.Flags().BoolVar(&asJSON, "json", false, "answer in JSON")
	return cmd
}

// oneFile wants one argument.
func oneFile(verb string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usageError{fmt.Errorf("write: chatpass secret %s FILE (the master key; - for standard input)", verb)}
		}
		return nil
	}
}

// A master is the file of a master key, or the standard streams in its place.
type master struct {
	path string
	in   io.Reader
}

func (m master) streamed() bool { return m.path == "-" }

// read returns the sealer of the master key.
func (m master) read() (sealer *seal.Sealer, err error) {
	look := func(content []byte) ([]byte, error) {
		sealer, err = seal.New(content)
		return nil, err
	}
	if m.streamed() {
		_, err = changeStream(m.in, look)
	} else {
		_, err = changed(m.path, look)
	}
	return sealer, err
}

// change changes the master key, and returns the sealers of before and after.
func (m master) change(to streams, do change) (was, now *seal.Sealer, err error) {
	both := func(old []byte) (fresh []byte, err error) {
		if was, err = seal.New(old); err != nil {
			return nil, err
		}
		if fresh, err = do(old); err != nil {
			return nil, err
		}
		now, err = seal.New(fresh)
		return fresh, err
	}
	if !m.streamed() {
		err = changeFile(m.path, both)
		return was, now, err
	}
	fresh, err := changeStream(m.in, both)
	if err == nil {
		_, err = to.out.Write(fresh)
	}
	return was, now, err
}

// tell says what became of the master key, where it does not mix with the key itself.
func (m master) tell(to streams, now *seal.Sealer, asJSON bool, text string) error {
	out := to.out
	if m.streamed() {
		out = to.err
	}
	if !asJSON {
		_, err := fmt.Fprint(out, text)
		return err
	}
	answer := map[string]any{"keys": now.Keys()}
	if path, err := filepath.Abs(m.path); err == nil && !m.streamed() {
		answer["master_key"] = "file:" + path
	}
	return printJSON(out, answer)
}

// nextSteps says what has changed, and what to do now.
func (m master) nextSteps(was, now []seal.Key) string {
	last, before := now[len(now)-1], was[len(was)-1]
	if last.Use == seal.Staged {
		return fmt.Sprintf("staged key %s: it opens, and seals nothing yet\n"+
			"next: restart every replica with this master key, then `chatpass secret rotate %s`\n", last.ID, m.path)
	}
	text := fmt.Sprintf("key %s seals from the next start on; what was sealed before stays readable\n", last.ID)
	if before.Use != seal.Staged {
		text += "several replicas: one that has not been restarted yet cannot read what the others seal, and answers 503;\n" +
			"  restart all at the same time, or take the file of before and begin with `chatpass secret rotate --stage`\n"
	}
	return text + fmt.Sprintf("next: restart the service, every replica of it. It seals everything anew in the background; `chatpass check` counts\n"+
		"  what is left. When nothing is, `chatpass secret retire %s` removes the old key. Keep a copy of the file of now, and that\n"+
		"  of before as long as you keep backups of before\n", m.path)
}
