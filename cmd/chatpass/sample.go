package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// maxSample bounds the file of a sample token, in bytes: more than any token that is accepted.
const maxSample = 64 << 10

// A sample is an ID token to try the configuration on, and what it says of itself. Nothing of that is
// believed; it only helps to find out what to try.
type sample struct {
	raw, issuer     string
	audience        []string
	issued, expires time.Time // zero if it does not say
}

// readSample reads the token in a file; "-" is in.
func readSample(path string, in io.Reader) (sample, error) {
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return sample{}, fmt.Errorf("read token: %w; name a file that holds an ID token, or - for standard input", err)
		}
		defer file.Close() //nolint:errcheck // only read
		in = file
	}
	text, err := io.ReadAll(io.LimitReader(in, maxSample+1))
	if err != nil {
		return sample{}, fmt.Errorf("read token: %w", err)
	}
	if len(text) > maxSample {
		return sample{}, fmt.Errorf("read token: more than %d bytes: name a file that holds one ID token and nothing else", maxSample)
	}
	return peek(strings.TrimSpace(string(text))), nil
}

func peek(raw string) sample {
	s := sample{raw: raw}
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return s
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return s
	}
	said := map[string]any{}
	if json.Unmarshal(payload, &said) != nil {
		return s
	}
	s.issuer, _ = said["iss"].(string)
	s.issued, s.expires = instant(said["iat"]), instant(said["exp"])
	for _, value := range append([]any{said["azp"], said["aud"]}, list(said["aud"])...) {
		if client, ok := value.(string); ok {
			s.audience = append(s.audience, client)
		}
	}
	return s
}

func list(value any) []any {
	values, _ := value.([]any)
	return values
}

// instant reads a NumericDate (RFC 7519 §2) that is not beyond all reason.
func instant(value any) time.Time {
	if seconds, ok := value.(float64); ok && seconds > 0 && seconds < 1<<40 {
		return time.Unix(int64(seconds), 0)
	}
	return time.Time{}
}

// isFor reports whether the token says that it is for one of these clients.
func (s sample) isFor(clients []string) bool {
	return slices.ContainsFunc(clients, func(id string) bool { return slices.Contains(s.audience, id) })
}
