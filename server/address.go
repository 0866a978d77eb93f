package server

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// proxies are the networks whose X-Forwarded-For we believe.
type proxies []netip.Prefix

// sender is the address that r came from: its peer's, or what trusted proxies say of it. Distrusted is
// true if there was an X-Forwarded-For of a peer that is none: anybody can write one.
func (p proxies) sender(r *http.Request) (from netip.Addr, distrusted bool) {
	from, _ = readAddress(r.RemoteAddr)
	forwarded := r.Header["X-Forwarded-For"]
	if len(forwarded) == 0 {
		return from, false
	}
	if !p.hold(from) {
		return from, true
	}
	return p.follow(from, strings.Join(forwarded, ",")), false
}

// follow walks back along the hops that proxies wrote down, the nearest last, to the first that is not
// a trusted proxy: what stands before it is the stranger's own word. What cannot be read ends the way.
func (p proxies) follow(from netip.Addr, hops string) netip.Addr {
	for hops != "" && p.hold(from) {
		last := strings.LastIndexByte(hops, ',')
		hop := strings.Trim(hops[last+1:], " \t")
		hops = hops[:max(last, 0)]
		if hop == "" { // an empty element counts for nothing (RFC 9110 §5.6.1.2)
			continue
		}
		before, ok := readAddress(hop)
		if !ok {
			return from
		}
		from = before
	}
	return from
}

func (p proxies) hold(a netip.Addr) bool {
	return slices.ContainsFunc(p, func(network netip.Prefix) bool { return network.Contains(a) })
}

// readAddress reads an address as proxies write it: with or without a port, IPv6 with or without
// brackets. One of IPv4 that comes in IPv6's clothes is one of IPv4; a zone says nothing to us.
func readAddress(text string) (netip.Addr, bool) {
	if inner, ok := strings.CutPrefix(text, "["); ok && strings.HasSuffix(inner, "]") {
		a, _ := netip.ParseAddr(strings.TrimSuffix(inner, "]")) // no address at all is none of IPv6
		return a.Unmap().WithZone(""), a.Is6()
	}
	if withPort, err := netip.ParseAddrPort(text); err == nil { // as every connection's
		return withPort.Addr().Unmap().WithZone(""), true
	}
	a, err := netip.ParseAddr(text)
	return a.Unmap().WithZone(""), err == nil
}

// Household is what the request of ctx came from: an IPv4 address, or an IPv6 one's /64. It is not valid if
// the request does not say, or ctx is that of none.
func Household(ctx context.Context) netip.Prefix {
	v, ok := ctx.Value(visitKey{}).(*visit)
	if !ok {
		return netip.Prefix{}
	}
	return v.household
}

// household is what a limit counts as one: an IPv4 address, or the /64 that one connection to the
// IPv6 internet has to itself.
func household(a netip.Addr) netip.Prefix {
	bits := 64
	if a.Is4() {
		bits = 32
	}
	whole, _ := a.Prefix(bits) // fails for no address at all, which is one household too
	return whole
}
