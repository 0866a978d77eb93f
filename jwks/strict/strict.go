// Package strict reads JSON as tokens must have it: an object in UTF-8 whose member names are distinct at
// every level (RFC 7515 §4, RFC 7519 §4), compared exactly, and no deeper than the reader can bear.
package strict

import (
	"cmp"
	"encoding/json"
	"errors"
	"strconv"
	"unicode/utf8"
)

// What a text can be refused for. It may have other faults besides the one that is told.
var (
	ErrSyntax   = errors.New("not a JSON object in UTF-8 with numbers in range")
	ErrRepeated = errors.New("a member name twice")
	ErrDepth    = errors.New("nested too deep")
)

// Object reads a JSON object (RFC 8259) in which arrays and objects, itself among them, are nested at most
// depth levels. It holds what encoding/json would decode into an any. Its error is [ErrSyntax], [ErrRepeated]
// or [ErrDepth]. Strings without escapes share the memory of raw's one copy, which is most of why this is
// faster than a decoder for all of Go's types.
func Object(raw []byte, depth int) (map[string]any, error) {
	d := decoder{text: string(raw), left: depth, expected: min(len(raw)/usualMember, mostExpected)}
	if !utf8.ValidString(d.text) || d.text == "" || d.text[0] != '{' {
		return nil, ErrSyntax
	}
	object, ok := d.value()
	if d.space(); !ok || d.at != len(d.text) {
		return nil, cmp.Or(d.fault, ErrSyntax)
	}
	return object.(map[string]any), nil
}

// A decoder stands at a place in a text. Its methods read what is there, or return false.
type decoder struct {
	text  string
	at    int
	left  int   // levels of nesting
	fault error // what is at fault, if it is not the syntax
	// expected is how many members the next object has, more or less: a map that has to grow is paid twice.
	expected int
}

const (
	// usualMember is the size in bytes of a claim with its name, more or less.
	usualMember = 24
	// mostExpected is how many members are set aside for before any was seen: two groups of a map's slots.
	mostExpected = 14
)

func (d *decoder) value() (any, bool) {
	switch c := d.peek(); c {
	case '{', '[':
		return d.nested(c)
	case '"':
		return d.quoted()
	case 't':
		return true, d.word("true")
	case 'f':
		return false, d.word("false")
	case 'n':
		return nil, d.word("null")
	}
	return d.number()
}

func (d *decoder) nested(bracket byte) (value any, ok bool) {
	if d.left == 0 {
		d.fault = ErrDepth
		return nil, false
	}
	d.left--
	if bracket == '{' {
		value, ok = d.object()
	} else {
		value, ok = d.array()
	}
	d.left++
	return value, ok
}

// peek returns the next byte that is no white space; 0 at the end.
func (d *decoder) peek() byte {
	d.space()
	if d.at == len(d.text) {
		return 0
	}
	return d.text[d.at]
}

func (d *decoder) space() {
	for d.at < len(d.text) {
		switch d.text[d.at] {
		case ' ', '\t', '\r', '\n':
			d.at++
		default:
			return
		}
	}
}

// take reads one byte of punctuation, if it comes next.
func (d *decoder) take(c byte) bool {
	if d.peek() != c {
		return false
	}
	d.at++
	return true
}

func (d *decoder) word(word string) bool {
	if len(d.text)-d.at < len(word) || d.text[d.at:d.at+len(word)] != word {
		return false
	}
	d.at += len(word)
	return true
}

func (d *decoder) object() (any, bool) {
	d.at++
	members := make(map[string]any, d.expected)
	d.expected = 0 // of what is inside, nothing is
	if d.take('}') {
		return members, true
	}
	for {
		if d.peek() != '"' {
			return nil, false
		}
		name, ok := d.quoted()
		if !ok || !d.take(':') {
			return nil, false
		}
		if _, twice := members[name]; twice {
			d.fault = ErrRepeated
			return nil, false
		}
		if members[name], ok = d.value(); !ok {
			return nil, false
		}
		if !d.take(',') {
			return members, d.take('}')
		}
	}
}

func (d *decoder) array() (any, bool) {
	d.at++
	elements := []any{}
	if d.take(']') {
		return elements, true
	}
	for {
		element, ok := d.value()
		if !ok {
			return nil, false
		}
		elements = append(elements, element)
		if !d.take(',') {
			return elements, d.take(']')
		}
	}
}

func (d *decoder) quoted() (string, bool) {
	start := d.at
	d.at++
	escaped := false
	for d.at < len(d.text) {
		switch c := d.text[d.at]; {
		case c == '"':
			d.at++
			return unquote(d.text[start:d.at], escaped)
		case c < ' ':
			return "", false
		case c == '\\':
			escaped = true
			d.at++
		}
		d.at++
	}
	return "", false
}

func unquote(quoted string, escaped bool) (string, bool) {
	if !escaped {
		return quoted[1 : len(quoted)-1], true
	}
	var s string
	err := json.Unmarshal([]byte(quoted), &s)
	return s, err == nil
}

// number reads what encoding/json does: no number beyond all float64.
func (d *decoder) number() (any, bool) {
	start := d.at
	d.sign("-")
	if d.at < len(d.text) && d.text[d.at] == '0' {
		d.at++
	} else if !d.digits() {
		return nil, false
	}
	if d.sign(".") && !d.digits() {
		return nil, false
	}
	if d.sign("eE") {
		d.sign("+-")
		if !d.digits() {
			return nil, false
		}
	}
	n, err := strconv.ParseFloat(d.text[start:d.at], 64)
	return n, err == nil
}

// sign reads one byte, if it is one of those.
func (d *decoder) sign(those string) bool {
	for i := range len(those) {
		if d.at < len(d.text) && d.text[d.at] == those[i] {
			d.at++
			return true
		}
	}
	return false
}

// digits reads at least one digit.
func (d *decoder) digits() bool {
	start := d.at
	for d.at < len(d.text) && d.text[d.at] >= '0' && d.text[d.at] <= '9' {
		d.at++
	}
	return d.at > start
}
