package decision

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// foreignLimit is the greatest length in bytes of a string that came from outside.
	foreignLimit = 64
	// rungLimit is that of what a rung says, which may be a whole rule.
	rungLimit = 256
	// nameLimit is the greatest length in bytes of a name that is shown though nobody has registered it,
	// and nameChanges how often it may change between small letters, capitals and digits.
	nameLimit, nameChanges = 32, 4
)

// Clip makes a string from outside safe to keep and to show: printable, cut to 64 bytes, and of a JWT
// that somebody put into the wrong place, or of somebody's e-mail address, no more than its size.
func Clip(s string) string { return tame(Discreet(s), foreignLimit) }

// Name is [Clip] for a name that is none of ours. It may be a secret in the wrong place: what does not
// look like something that people call a program is told by its size.
func Name(s string) string {
	if s == "" || isName(s) {
		return s
	}
	return fmt.Sprintf("(%d bytes that are no name)", len(s))
}

func isName(s string) bool {
	changes, kind := 0, 0
	for _, c := range []byte(s) {
		was := kind
		switch {
		case c >= 'a' && c <= 'z':
			kind = 1
		case c >= 'A' && c <= 'Z':
			kind = 2
		case c >= '0' && c <= '9':
			kind = 3
		case c != '-' && c != '_' && c != '.':
			return false
		}
		if was != kind {
			changes++
		}
	}
	return len(s) <= nameLimit && changes <= nameChanges && !strings.Contains(s, tokenStart)
}

// tokenStart is what every JWT begins with: the base64url of {" (RFC 7515 §3.1).
const tokenStart = "eyJ"

// email is what looks like an e-mail address, wherever it begins and ends, or the first part of one that was
// cut. Some issuers name people, and some people name keys, by theirs.
var email = regexp.MustCompile(`[^\s"'<>(),;:@/=…]+@[^\s"'<>(),;:@/=…]*(?:\.[A-Za-z]{2,}|…)`)

// Discreet puts the size in the place of every JWT, or piece of one, that a text holds, and of every
// e-mail address.
func Discreet(s string) string {
	s = withoutTokens(s)
	if !strings.Contains(s, "@") {
		return s
	}
	return email.ReplaceAllStringFunc(s, func(found string) string { return fmt.Sprintf("(%d bytes of an e-mail address)", len(found)) })
}

func withoutTokens(s string) string {
	if !strings.Contains(s, tokenStart) {
		return s
	}
	var safe strings.Builder
	for {
		begin := strings.Index(s, tokenStart)
		if begin < 0 {
			return safe.String() + s
		}
		rest := strings.TrimLeftFunc(s[begin:], isTokenRune)
		fmt.Fprintf(&safe, "%s(%d bytes of a token)", s[:begin], len(s)-begin-len(rest))
		s = rest
	}
}

func isTokenRune(r rune) bool {
	return r == '.' || r == '-' || r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

func tame(s string, limit int) string {
	if len(s) <= limit && isPlain(s) {
		return s
	}
	if len(s) > limit {
		s = s[:limit]
		for !utf8.ValidString(s) && len(s) > limit-utf8.UTFMax {
			s = s[:len(s)-1]
		}
		s += "…"
	}
	if isPlain(s) {
		return s
	}
	quoted := strconv.QuoteToGraphic(s)
	return quoted[1 : len(quoted)-1]
}

func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' { // not ASCII: look closer
			return !strings.ContainsFunc(s[i:], func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) })
		}
	}
	return true
}
