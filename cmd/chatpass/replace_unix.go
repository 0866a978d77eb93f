//go:build unix

package main

import (
	"errors"
	"os"
	"syscall"
)

// likeBefore gives a file the owner and the mode of the one that it will replace: the service must be able
// to read it, whoever types the command.
func likeBefore(fresh, path string) error {
	was, err := os.Stat(path)
	if err != nil {
		return err
	}
	is, err := os.Stat(fresh)
	if err != nil {
		return err
	}
	old, ok := was.Sys().(*syscall.Stat_t)
	made, known := is.Sys().(*syscall.Stat_t)
	if ok && known && (made.Uid != old.Uid || made.Gid != old.Gid) {
		if err := os.Chown(fresh, int(old.Uid), int(old.Gid)); err != nil {
			return err
		}
	}
	return os.Chmod(fresh, was.Mode().Perm())
}

// syncDirectory makes a rename in it durable.
func syncDirectory(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
