package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"chatpass/keys"
	"chatpass/seal"
)

// A vault is the key ring of a running service, opened as another replica of it.
type vault struct {
	*keys.Ring
	config keys.Config
}

// withVault opens the ring in the store that the configuration names, and closes it after use.
func withVault(ctx context.Context, flag string, warn io.Writer, use func(*vault) error) error {
	return withKeys(ctx, flag, warn, func(cfg keys.Config) error {
		ring, err := keys.Open(ctx, cfg)
		if err != nil {
			return fmt.Errorf("open key ring: %w", explainRing(err))
		}
		return errors.Join(use(&vault{ring, cfg}), ring.Close())
	})
}

// withKeys joins the store that the configuration names. What is to be used is all that a ring is opened
// with; nothing has been read of it yet.
func withKeys(ctx context.Context, flag string, warn io.Writer, use func(keys.Config) error) error {
	p, err := readPlans(flag)
	if err != nil {
		return err
	}
	sealer, err := seal.New([]byte(p.cfg.MasterKey.Reveal()))
	if err != nil {
		return fmt.Errorf("read master key: %w", err)
	}
	st, err := joinWith(ctx, p.cfg, sealer)
	if err != nil {
		return err
	}
	defer st.Close() //nolint:errcheck // everything was written before
	m, err := openModule(p.cfg.Keys.PKCS11)
	if err != nil {
		return fmt.Errorf("keys.pkcs11: %w", err)
	}
	defer m.close() //nolint:errcheck // as above
	p.keys.Store, p.keys.Module = st.Keys(), m.Module
	p.keys.Memory, err = snapshotOf(p.cfg, sealer).memory()
	if err != nil {
		fmt.Fprintln(warn, "the key set snapshot is not used:", err)
	}
	return use(p.keys)
}

// explainRing says what to do about a ring that is refused.
func explainRing(err error) error {
	switch {
	case errors.Is(err, keys.ErrNoRing):
		return fmt.Errorf("%w: restore it from a backup, or let `chatpass keys accept` make a new one", err)
	case errors.Is(err, keys.ErrOlderRing), errors.Is(err, keys.ErrBrokenChain):
		return fmt.Errorf("%w: if a backup was restored, name keys that were given up since in keys.denied, then run `chatpass keys accept`; if not, somebody has written to the store", err)
	}
	return err
}

func explainOrder(err error) error {
	switch {
	case errors.Is(err, keys.ErrUnknownKey):
		return fmt.Errorf("%w: `chatpass keys list` shows those there are", err)
	case errors.Is(err, keys.ErrHeld):
		return fmt.Errorf("%w: `chatpass keys unhold` it first; or name it in keys.denied of the configuration, which beats everything", err)
	}
	return explainRing(err)
}
