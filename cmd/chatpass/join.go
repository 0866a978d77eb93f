package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"chatpass/config"
	"chatpass/seal"
	"chatpass/store"
)

// joinStore opens the store of the configuration beside the running service, as another replica would. It
// makes none, and what is wrong elsewhere in the file does not matter to it.
func joinStore(ctx context.Context, flag string) (*store.Store, error) {
	cfg, err := readStoreConfig(flag, "store", "master_key")
	if err != nil {
		return nil, err
	}
	sealer, err := seal.New([]byte(cfg.MasterKey.Reveal()))
	if err != nil {
		return nil, fmt.Errorf("read master key: %w", err)
	}
	return joinWith(ctx, cfg, sealer)
}

// readStoreConfig reads the configuration for the sake of some settings: what is wrong with others does
// not matter.
func readStoreConfig(flag string, needed ...string) (*config.Config, error) {
	cfg, err := readConfig(flag)
	faults, _ := errors.AsType[config.Faults](err)
	for _, f := range faults {
		if cfg == nil || f.Path == "" || slices.Contains(needed, f.Path) {
			return nil, err
		}
	}
	if cfg == nil {
		return nil, err
	}
	return cfg, nil
}

func joinWith(ctx context.Context, cfg *config.Config, sealer *seal.Sealer) (*store.Store, error) {
	if file, ok := strings.CutPrefix(cfg.Store.Reveal(), "sqlite:"); ok {
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("there is no store at %s: the service makes it when it runs first", file)
		}
	}
	st, err := store.Open(ctx, store.Config{URL: cfg.Store.Reveal(), Sealer: sealer, Join: true})
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return st, nil
}
