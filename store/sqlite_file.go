package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"chatpass/identity"
)

// ownerOnly is the mode of the store's files.
const ownerOnly = 0o600

// prepareFile makes the file if it is not there, for its owner alone. An existing one is never opened
// here: closing it would drop the locks that this process holds on it (POSIX advisory locking).
func prepareFile(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return createFile(path)
	case err != nil:
		return fmt.Errorf("%w: choose a path that this user may reach", err)
	case info.IsDir():
		return fmt.Errorf("this is a directory: name a file in it, such as %s", filepath.Join(path, "chatpass.db"))
	case !info.Mode().IsRegular():
		return errors.New("this is not a regular file: choose another path")
	}
	return refuseNetwork(path)
}

func createFile(path string) error {
	dir := filepath.Dir(path)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return fmt.Errorf("there is no directory %s: make it, and give it to the user that chatpass runs as", dir)
	}
	if err := refuseNetwork(dir); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, ownerOnly)
	if errors.Is(err, fs.ErrExist) {
		return nil // another process was faster
	}
	if err != nil {
		return fmt.Errorf("%w: let the user that chatpass runs as write to %s, or choose another path", err, dir)
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("create file: %w", err)
	}
	return nil
}

// tighten takes the files from everybody but their owner, as after restoring a backup.
func tighten(path string) error {
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode().Perm()&^ownerOnly == 0 {
			continue
		}
		if err != nil {
			return fmt.Errorf("read file mode: %w", err)
		}
		if err := os.Chmod(name, ownerOnly); err != nil {
			return fmt.Errorf("%w: the file is readable by others, run chmod 600 on it", err)
		}
	}
	return nil
}

func refuseNetwork(path string) error {
	kind, err := networkFS(path)
	if err != nil {
		return fmt.Errorf("look at file system: %w", err)
	}
	if kind != "" {
		return fmt.Errorf("this lies on a network file system (%s), where locks do not hold: choose a local disk", kind)
	}
	return nil
}

// remedy says what to do about an error of SQLite while opening.
func remedy(err error) error {
	fault, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return err
	}
	switch fault.Code() & 0xff {
	case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT:
		return fmt.Errorf("%w: the file is damaged or not a store, restore it from a backup", err)
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return fmt.Errorf("%w: let the user that chatpass runs as write to the file and its directory", err)
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("%w: free space on the disk", err)
	}
	return &identity.Outage{Code: identity.StoreUnavailable, Err: err}
}
