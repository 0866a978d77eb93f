package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"chatpass/seal"
)

func secretCommand(to streams) *cobra.Command {
	cmd := &cobra.Command{
		Use: "secret", Short: "Make and renew the master key that seals what is secret at rest",
		RunE: func(*cobra.Command, []string) error {
			return usageError{errors.New("say what to do: chatpass secret new -o FILE, or chatpass secret list|rotate|retire FILE")}
		},
	}
	cmd.AddCommand(secretNewCommand(to), secretListCommand(to), secretRotateCommand(to), secretRetireCommand(to))
	return cmd
}

func secretNewCommand(to streams) *cobra.Command {
	var path string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "new [-o FILE]", Short: "Make a new master key", Args: noArguments,
		Long: "Make a new master key, on standard output or in a file that only you can read.\n" +
			"Keep a copy in a safe place: without it the signing keys and sessions in the store are lost.",
		RunE: func(*cobra.Command, []string) error {
			master, err := seal.NewMasterKey()
			if err != nil {
				return err
			}
			if path == "" {
				_, err := to.out.Write(append(master, '\n'))
				return err
			}
			if path, err = filepath.Abs(path); err != nil {
				return fmt.Errorf("find master key file: %w", err)
			}
			if err := writeNew(path, append(master, '\n')); err != nil {
				return err
			}
			if asJSON {
				return printJSON(to.out, map[string]string{"master_key": "file:" + path})
			}
			_, err = fmt.Fprintf(to.out, "made %s; write into the configuration:\n  master_key: file:%s\n", path, path)
			return err
		},
	}
	cmd.Flags().StringVarP(&path, "output", "o", "", "write to this new file instead of standard output")
	cmd.Flags().BoolVar(&asJSON, "json", false, "answer in JSON")
	return cmd
}

// writeNew writes a file that must not exist yet: a master key must never replace another.
func writeNew(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already: it was left as it is, choose another name", path)
	}
	if err != nil {
		return fmt.Errorf("make master key file: %w", err)
	}
	if _, err := file.Write(content); err != nil {
		return errors.Join(fmt.Errorf("write master key file: %w", err), file.Close(), os.Remove(path))
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("write master key file: %w", err)
	}
	return nil
}

func printJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}
