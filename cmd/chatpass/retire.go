package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"chatpass/seal"
	"chatpass/session"
)

func secretRetireCommand(to streams) *cobra.Command {
	var path, yes string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "retire FILE -c CONFIG", Short: "Remove the oldest key of the master key, once nothing in the store is sealed under it", Args: oneFile("retire"),
		RunE: func(cmd *cobra.Command, args []string) error {
			m := master{path: args[0], in: cmd.InOrStdin()}
			var gone seal.Key
			_, now, err := m.change(to, func(old []byte) (rest []byte, err error) {
				if rest, gone, err = seal.Retire(old); err != nil {
					return nil, err
				}
				if err := m.rested(time.Now()); err != nil {
					return nil, err
				}
				if err := unused(cmd.Context(), path, old, gone); err != nil {
					return nil, err
				}
				return rest, confirm(m, gone, yes)
			})
			if errors.Is(err, seal.ErrNoOld) {
				return fmt.Errorf("%w: the key that seals stays", seal.ErrNoOld)
			}
			if err != nil {
				return err
			}
			return m.tell(to, now, asJSON, fmt.Sprintf("removed key %s\nnext: restart the service when it suits you; backups of before need the file of before\n", gone.ID))
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&yes, "yes", "", "the key that is to go: without it nothing is done")
	cmd.Flags().BoolVar(&asJSON, "json", false, "answer in JSON")
	return cmd
}

// rested refuses as long as a browser may hold a cookie under the key that sealed before: it would have to
// sign in anew. The file tells when that was, unless it is elsewhere.
func (m master) rested(now time.Time) error {
	if m.streamed() {
		return nil
	}
	info, err := os.Stat(m.path)
	if err != nil {
		return fmt.Errorf("find file: %w", err)
	}
	if from := info.ModTime().Add(session.TransactionLifetime); now.Before(from) {
		return fmt.Errorf("%s was changed less than %s ago: who is signing in may hold a cookie under the old key; try again after %s, and not before every replica has run with the new one for as long",
			m.path, session.TransactionLifetime, shown(from))
	}
	return nil
}

// unused refuses if anything in the store is sealed under a key of the master key.
func unused(ctx context.Context, flag string, master []byte, k seal.Key) error {
	cfg, err := readStoreConfig(flag, "store")
	if err != nil {
		return err
	}
	sealer, err := seal.New(master)
	if err != nil {
		return err
	}
	st, err := joinWith(ctx, cfg, sealer)
	if err != nil {
		return err
	}
	counts, err := st.Census(ctx)
	if err = errors.Join(err, st.Close()); err != nil {
		return fmt.Errorf("count what is sealed under key %s: %w", k.ID, err)
	}
	if n := counts[k]; n > 0 {
		return fmt.Errorf("values in the store sealed under key %s: %d; without it they would be lost. The service seals them anew once it runs with this master key: restart every replica, and see `chatpass check`", k.ID, n)
	}
	return nil
}

// confirm refuses unless yes names the key.
func confirm(m master, k seal.Key, yes string) error {
	if yes == k.ID {
		return nil
	}
	if yes != "" {
		return usageError{fmt.Errorf("--yes names %q and not %s, the oldest key", yes, k.ID)}
	}
	return fmt.Errorf("nothing in the store is sealed under key %s. Nothing was done; to remove it for ever: chatpass secret retire %s --yes %s", k.ID, m.path, k.ID)
}
