package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxFile is the greatest size in bytes of the configuration and of each file it refers to.
const maxFile = 1 << 20

const writeReference = "write env:NAME or file:/path"

// isReference says whether text refers to a value instead of being one.
func isReference(text string) bool {
	return strings.HasPrefix(text, "env:") || strings.HasPrefix(text, "file:")
}

// resolve returns what a reference leads to, without a newline at its end. No problem it reports
// holds a value.
func resolve(text string, env func(string) (string, bool)) (string, problem) {
	if name, ok := strings.CutPrefix(text, "env:"); ok {
		return fromEnvironment(name, env)
	}
	if path, ok := strings.CutPrefix(text, "file:"); ok {
		return fromFile(path)
	}
	return "", problem{"is a literal value, which anybody who reads this file would see", writeReference}
}

func fromEnvironment(name string, env func(string) (string, bool)) (string, problem) {
	if name == "" {
		return "", problem{"names no environment variable", "write env:NAME"}
	}
	var value string
	ok := false
	if env != nil {
		value, ok = env(name)
	}
	if !ok {
		return "", problem{fmt.Sprintf("environment variable %s is not set", label(name)), "set it, or " + writeReference}
	}
	return chomp(value, "environment variable "+label(name))
}

func fromFile(path string) (string, problem) {
	if !filepath.IsAbs(path) {
		return "", problem{fmt.Sprintf("file %s is not an absolute path", label(path)), "write file:/path"}
	}
	value, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", problem{fmt.Sprintf("file %s does not exist", label(path)), "make it (a master key with `chatpass secret new -o FILE`), or name another file"}
	}
	if err != nil {
		return "", problem{fmt.Sprintf("file %s cannot be read: %v", label(path), err), "make it readable for the service, or name another file"}
	}
	return chomp(string(value), "file "+label(path))
}

// chomp drops the newline that editors and shells put at the end.
func chomp(value, what string) (string, problem) {
	value = strings.TrimSuffix(strings.TrimSuffix(value, "\n"), "\r")
	if value == "" {
		return "", problem{what + " is empty", "put a value into it"}
	}
	return value, problem{}
}

// readFile reads a regular file of at most maxFile bytes. Its errors do not repeat the path.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, cause(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file") // a pipe could block for ever
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, cause(err)
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, cause(err)
	}
	if len(content) > maxFile {
		return nil, fmt.Errorf("larger than %d bytes", maxFile)
	}
	return content, nil
}

func cause(err error) error {
	if err, ok := errors.AsType[*fs.PathError](err); ok {
		return err.Err
	}
	return err
}

// exposed says whether everybody on the machine may read the file.
func exposed(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().Perm()&0o004 != 0
}
