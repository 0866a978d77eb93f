package config

import (
	"fmt"
	"io"
	"log/slog"
	"unique"
)

const redacted = "[redacted]"

// A Secret is a value that the file refers to by env:NAME or file:/path and never holds itself. A
// newline at its end is dropped. However it is printed, logged or encoded, it shows nothing; two are
// equal (==) if their values are. The zero value is a secret that was not given.
type Secret struct {
	// A handle, since fmt prints unexported fields without asking their methods: of this one it
	// prints an address.
	value unique.Handle[string]
}

func newSecret(value string) Secret { return Secret{unique.Make(value)} }

// Reveal returns the value; empty if none was given.
func (s Secret) Reveal() string {
	if s == (Secret{}) {
		return ""
	}
	return s.value.Value()
}

// String returns "[redacted]", or nothing for a secret that was not given.
func (s Secret) String() string {
	if s == (Secret{}) {
		return ""
	}
	return redacted
}

// GoString is [Secret.String], for %#v.
func (s Secret) GoString() string { return s.String() }

// Format writes [Secret.String] whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue is [Secret.String], for log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalJSON encodes [Secret.String].
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + s.String() + `"`), nil }

// MarshalText is [Secret.String], for other encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// A SecretURL is a URL that may hold a password: without one it may stand in the file, with one it is
// referred to by env:NAME or file:/path.
type SecretURL struct{ Secret }

// A Document is what a file holds that is not secret: certificates, key sets. It is referred to by
// file:/path or env:NAME.
type Document []byte
