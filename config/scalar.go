package config

import (
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// assign parses text as the type of target and sets it. Text of any kind is taken as it is.
func assign(target reflect.Value, text string) problem {
	switch v := target.Addr().Interface().(type) {
	case *string:
		*v = text
	case *bool:
		return assignBool(v, text)
	case *int:
		return assignInt(v, text)
	case *time.Duration:
		return assignDuration(v, text)
	case *SiteAbsolute:
		return assignSiteAbsolute(v, text)
	case *netip.Prefix:
		return assignPrefix(v, text)
	}
	return problem{}
}

func assignBool(v *bool, text string) problem {
	if text != "true" && text != "false" {
		return problem{fmt.Sprintf("%s is neither true nor false", quoted(text)), "write true or false"}
	}
	*v = text == "true"
	return problem{}
}

func assignInt(v *int, text string) problem {
	n, err := strconv.Atoi(text)
	if err != nil || strconv.Itoa(n) != text { // no octal, no 1_000, no sign
		return problem{fmt.Sprintf("%s is not a plain whole number", quoted(text)), "write digits only, such as 600"}
	}
	*v = n
	return problem{}
}

const writeDuration = "write a number with a unit, such as 90s, 15m or 48h"

func assignDuration(v *time.Duration, text string) problem {
	d, err := time.ParseDuration(text)
	switch {
	case err == nil && d < 0:
		return problem{fmt.Sprintf("%s is negative", quoted(text)), writeDuration}
	case err == nil:
		*v = d
		return problem{}
	}
	const sensible = 100_000
	if n, convErr := strconv.Atoi(text); convErr == nil && n < sensible {
		return problem{fmt.Sprintf("%d has no unit", n), fmt.Sprintf("write %ds, %dm or %dh", n, n, n)}
	}
	if days, convErr := strconv.Atoi(strings.TrimSuffix(text, "d")); convErr == nil && days < sensible {
		return problem{fmt.Sprintf("%s is in days, which have no fixed length", quoted(text)), fmt.Sprintf("write %dh", 24*days)}
	}
	return problem{fmt.Sprintf("%s is not a duration", quoted(text)), writeDuration}
}

func assignSiteAbsolute(v *SiteAbsolute, text string) problem {
	if text == "subject" {
		*v = SiteAbsolute{Subject: true}
		return problem{}
	}
	*v = SiteAbsolute{}
	p := assignDuration(&v.Limit, text)
	if !p.none() {
		p.remedy += ", or subject"
	}
	return p
}

func assignPrefix(v *netip.Prefix, text string) problem {
	prefix, err := netip.ParsePrefix(text)
	switch addr, addrErr := netip.ParseAddr(text); {
	case addrErr == nil:
		return problem{fmt.Sprintf("%s is an address, not a network", quoted(text)), fmt.Sprintf("write %s/%d", addr, addr.BitLen())}
	case err != nil:
		return problem{fmt.Sprintf("%s is not a network", quoted(text)), "write an address and a length, such as 10.0.0.0/8"}
	case prefix != prefix.Masked():
		return problem{fmt.Sprintf("%s has bits beyond its length", quoted(text)), "write " + prefix.Masked().String()}
	}
	*v = prefix
	return problem{}
}

// label returns foreign text that is safe to show: printable, at most 64 bytes, bare if it can be.
func label(text string) string {
	q := quoted(text)
	if q == `"`+text+`"` && !strings.Contains(text, " ") && text != "" {
		return text
	}
	return q
}

// quoted returns foreign text in quotes, safe to show, cut after 64 bytes; an absolute path, which
// helps only as a whole, after 255.
func quoted(text string) string {
	most := 64
	if strings.HasPrefix(text, "/") {
		most = 255
	}
	if len(text) > most {
		return strconv.QuoteToGraphic(strings.ToValidUTF8(text[:most], "")) + "…"
	}
	return strconv.QuoteToGraphic(text)
}
