package config

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A checker checks what was read: each leaf by its field's tags, then how values fit together.
// Values that are faulty already are left alone.
type checker struct {
	*report
	cfg *Config
}

// leaf checks one value by the tags of its field.
func (k *checker) leaf(l leaf) {
	if k.faulty[l.path] {
		return
	}
	p := problem{}
	switch v := l.value.Interface().(type) {
	case string:
		p = k.text(v, l.field)
	case SecretURL:
		p = k.text(v.Reveal(), l.field)
	case []string:
		p = twice(v)
	case int:
		p = within(int64(v), l.field, plainNumber)
	case time.Duration:
		p = k.duration(v, l.field)
	case SiteAbsolute:
		if !v.Subject {
			p = k.duration(v.Limit, l.field)
		}
	}
	k.fault(l.path, p)
}

func (k *checker) text(text string, f field) problem {
	if len(f.enum) == 0 {
		return formOf(f.form).check(text, k.cfg.DangerouslyAllowHTTP)
	}
	if slices.Contains(f.enum, text) {
		return problem{}
	}
	p := problem{quoted(text) + " is not known here", "write one of " + strings.Join(f.enum, ", ")}
	if near := nearest(text, f.enum); near != "" {
		p.remedy += "; perhaps " + near + " is meant"
	}
	return p
}

func twice(texts []string) problem {
	seen := map[string]bool{}
	for _, text := range texts {
		if seen[text] && text != "" { // empty: it was faulty
			return problem{quoted(text) + " is listed twice", "remove one of them"}
		}
		seen[text] = true
	}
	return problem{}
}

func plainNumber(text string) int64 {
	var n int
	assignInt(&n, text)
	return int64(n)
}

func nanoseconds(text string) int64 {
	var d time.Duration
	assignDuration(&d, text)
	return int64(d)
}

// duration checks a duration's range; dangerously_short_lifetimes lifts the minima to anything above 0.
func (k *checker) duration(d time.Duration, f field) problem {
	if k.cfg.DangerouslyShortLifetimes && d > 0 {
		f.least = "0s"
	}
	return within(int64(d), f, nanoseconds)
}

func within(n int64, f field, parse func(string) int64) problem {
	if f.least == "" || n >= parse(f.least) && n <= parse(f.greatest) {
		return problem{}
	}
	message := "is more than " + f.greatest
	if n < parse(f.least) {
		message = "is less than " + f.least
	}
	return problem{message, fmt.Sprintf("write %s to %s", f.least, f.greatest)}
}

// check checks everything that takes more than one value to judge.
func (k *checker) check() {
	k.checkService()
	for i := range k.cfg.Issuers {
		k.checkIssuer(&k.cfg.Issuers[i])
	}
	names := map[string]string{}
	for i := range k.cfg.Apps {
		k.checkApp(&k.cfg.Apps[i], names)
	}
	k.checkSalts()
	if len(k.faults) == 0 {
		k.adviseAll()
	}
}
