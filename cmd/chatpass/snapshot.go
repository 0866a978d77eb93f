package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"chatpass/config"
	"chatpass/keys"
	"chatpass/seal"
)

const (
	// maxSnapshot bounds a snapshot in bytes. A key takes about 300, of RSA 600; only held keys are many.
	maxSnapshot = 256 << 10
	// snapshotEvery is the pause between two looks at the key set.
	snapshotEvery = time.Second
)

var (
	errNoFile  = errors.New("it is not a regular file")
	errTooLong = fmt.Errorf("it is longer than %d bytes", maxSnapshot)
	errForeign = errors.New("it was altered, or written under another master key or issuer URL")
)

// A snapshot is a local file with a copy of the key set, for a start while the store cannot be reached, and
// with what is known of the ring's past, to notice at a start that the ring was put back. It is sealed, so
// that nobody but us can say which keys are ours.
type snapshot struct {
	path   string
	issuer string
	sealer *seal.Sealer
}

func snapshotOf(cfg *config.Config, sealer *seal.Sealer) snapshot {
	return snapshot{path: cfg.Keys.Snapshot, issuer: cfg.Issuer, sealer: sealer}
}

// place is the associated data: what the file is, and whose.
func (s snapshot) place() []byte { return []byte("key set snapshot\x00" + s.issuer) }

// read returns the key set of the file without the denied keys. It is an error too if no key of it is of
// use at now.
func (s snapshot) read(denied []string, now time.Time) (*keys.Remembered, error) {
	set, err := s.remember(denied)
	if err != nil {
		return nil, err
	}
	if _, ok := set.KeySet(now); !ok {
		return nil, fmt.Errorf("open key set snapshot %s: every key in it is denied, given up or past its end", s.path)
	}
	return set, nil
}

// memory returns what the file knows of the ring's past: nothing, if there is none.
func (s snapshot) memory() (keys.Memory, error) {
	if s.path == "" {
		return keys.Memory{}, nil
	}
	set, err := s.remember(nil)
	if missing(err) {
		return keys.Memory{}, nil
	}
	if err != nil {
		return keys.Memory{}, err
	}
	return set.Memory(), nil
}

func (s snapshot) remember(denied []string) (*keys.Remembered, error) {
	sealed, err := readBounded(s.path)
	if err != nil {
		return nil, fmt.Errorf("read key set snapshot %s: %w", s.path, err)
	}
	memento, err := s.sealer.Open(sealed, s.place())
	if err != nil {
		return nil, fmt.Errorf("open key set snapshot %s: %w", s.path, errForeign)
	}
	set, err := keys.Remember(memento, denied)
	if err != nil {
		return nil, fmt.Errorf("open key set snapshot %s: %w", s.path, err)
	}
	return set, nil
}

func readBounded(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // to open a pipe would wait for somebody to write
		return nil, errNoFile
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // only read
	data, err := io.ReadAll(io.LimitReader(file, maxSnapshot+1))
	if err == nil && len(data) > maxSnapshot {
		return nil, errTooLong
	}
	return data, err
}

// write replaces the file: whoever reads it, even after a loss of power, finds the old set or the new one.
func (s snapshot) write(memento []byte) error {
	sealed, err := s.sealer.Seal(memento, s.place())
	if err == nil {
		err = replaceFile(s.path, sealed)
	}
	if err != nil {
		return fmt.Errorf("write key set snapshot: %w", err)
	}
	return nil
}

func replaceFile(path string, data []byte) error {
	dir := filepath.Dir(path)
	fresh, err := os.CreateTemp(dir, filepath.Base(path)+".*") // for its owner alone
	if err != nil {
		return err
	}
	_, err = fresh.Write(data)
	if err == nil {
		err = fresh.Sync()
	}
	if err = errors.Join(err, fresh.Close()); err == nil {
		err = os.Rename(fresh.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(fresh.Name()))
	}
	return syncFolder(dir)
}

func syncFolder(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// keep writes the memento now and after each change, until ctx ends. No request waits for it, and a key set
// that cannot be written is served all the same.
func (s snapshot) keep(ctx context.Context, memento func() ([]byte, error), log *slog.Logger) {
	var written []byte
	failing := false
	for ; ctx.Err() == nil; pause(ctx, snapshotEvery) {
		now, err := memento()
		if err == nil && bytes.Equal(now, written) {
			continue
		}
		if err == nil {
			err = s.write(now)
		}
		if err == nil {
			written = now
		} else if !failing {
			log.Error("key set snapshot is not up to date: let the user that chatpass runs as write to its directory", "err", err)
		}
		failing = err != nil
	}
}

// pause waits for d, or for the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// missing says that there is no file: then there never was a snapshot.
func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
