package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
)

// migrationFiles holds the steps of the schema, for each engine numbered from 1. A step that was
// released never changes, and none destroys what it finds.
//
//go:embed migrations/*/*.sql
var migrationFiles embed.FS

// ErrNewerSchema is returned by [Open] when a newer version of the program has changed the store.
var ErrNewerSchema = errors.New("store was changed by a newer version of chatpass: run that version, or restore the backup made before the upgrade")

// What [Open] returns for a store that it may only join.
var (
	// ErrNoStore: nobody has made it.
	ErrNoStore = errors.New("there is no store yet: the service makes it when it runs first")
	// ErrOlderSchema: an earlier version of the program has made it.
	ErrOlderSchema = errors.New("store is of an earlier version of chatpass: the service of this version brings it up to date when it starts")
)

// A schema is the shape of a store, with the engine's way to read and to change it.
type schema struct {
	steps []string // scripts
	// join says that the store must be there, as this version makes it.
	join bool
	// version returns the number of the last step done, 0 for a new store.
	version func(context.Context) (int, error)
	// canary returns the canary's value, nil if there is none yet.
	canary func(context.Context) ([]byte, error)
	// step does the script that leads on from a version, unless another process does or has done it.
	step func(ctx context.Context, script string, from int) error
}

// readSteps returns the scripts of a folder, in their order.
func readSteps(folder string) ([]string, error) {
	names, err := fs.Glob(migrationFiles, "migrations/"+folder+"/*.sql")
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	var steps []string
	for _, name := range names {
		script, err := migrationFiles.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read migration: %w", err)
		}
		steps = append(steps, string(script))
	}
	return steps, nil
}

// inspect looks at a store without changing it: is it ours, do we know its schema, is the master key
// the one it was made with?
func (s schema) inspect(ctx context.Context, check func(canary []byte) error) error {
	version, err := s.known(ctx)
	switch {
	case err != nil:
		return err
	case s.join && version == 0:
		return ErrNoStore
	case version == 0:
		return nil
	case s.join && version < len(s.steps):
		return fmt.Errorf("%w (schema %d, this version has %d)", ErrOlderSchema, version, len(s.steps))
	}
	canary, err := s.canary(ctx)
	if err != nil {
		return fmt.Errorf("read canary: %w", err)
	}
	if canary == nil {
		return nil // somebody is just making it
	}
	return check(canary)
}

// migrate does the steps that are missing.
func (s schema) migrate(ctx context.Context) error {
	for {
		version, err := s.known(ctx)
		if err != nil || version == len(s.steps) {
			return err
		}
		if err := s.step(ctx, s.steps[version], version); err != nil {
			return fmt.Errorf("migrate schema from %d: %w", version, err)
		}
	}
}

// known is the version, if it is one that we know.
func (s schema) known(ctx context.Context) (int, error) {
	version, err := s.version(ctx)
	if err != nil {
		return 0, fmt.Errorf("read schema version: %w", err)
	}
	if version > len(s.steps) {
		return 0, fmt.Errorf("%w (schema %d, this version knows %d)", ErrNewerSchema, version, len(s.steps))
	}
	return version, nil
}
