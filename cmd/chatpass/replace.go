package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// maxChanged bounds a file that is changed, in bytes.
const maxChanged = 1 << 20

// A change makes new content of the old one, or says why not.
type change func(old []byte) (fresh []byte, err error)

// changeFile replaces the content of a file. At every moment, also after a crash, the file is the old one
// or the new one, whole. Its mode and owner stay.
func changeFile(path string, do change) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("find file: %w", err)
	}
	fresh := path + ".new"
	if err := writeBeside(path, fresh, do); err != nil {
		return err
	}
	if err := os.Rename(fresh, path); err != nil {
		return fmt.Errorf("replace file: %w", errors.Join(err, os.Remove(fresh)))
	}
	if err := syncDirectory(filepath.Dir(path)); err != nil {
		return fmt.Errorf("replace file: %w", err)
	}
	return nil
}

// writeBeside writes the new content durably into a file of its own, or leaves none. That file is also the
// lock: two who change the file at once would lose what one of them made.
func writeBeside(path, fresh string, do change) (err error) {
	out, err := os.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there: somebody is changing %s at this moment, or was cut off; if nobody is, delete it and try again", fresh, path)
	}
	if err != nil {
		return fmt.Errorf("make a file beside the old one: %w", err)
	}
	defer func() {
		if err = errors.Join(err, out.Close()); err != nil {
			err = errors.Join(err, os.Remove(fresh))
		}
	}()
	content, err := changed(path, do)
	if err != nil {
		return err
	}
	if _, err := out.Write(content); err != nil {
		return fmt.Errorf("write new file: %w", err)
	}
	if err := out.Sync(); err != nil {
		return fmt.Errorf("write new file: %w", err)
	}
	if err := likeBefore(fresh, path); err != nil {
		return fmt.Errorf("give the new file the owner and the mode of the old one: %w; do this as its owner", err)
	}
	return nil
}

func changed(path string, do change) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read file: %w", err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	return changeStream(file, do)
}

func changeStream(in io.Reader, do change) ([]byte, error) {
	old, err := io.ReadAll(io.LimitReader(in, maxChanged))
	if err != nil {
		return nil, fmt.Errorf("read file: %w", err)
	}
	return do(old)
}
