package jwks

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
)

// A guard decides which addresses may be dialled. It looks at the address that is really dialled, after
// name resolution, so that a name cannot be pointed at the inside later.
type guard struct{ allowPrivate, allowHTTP bool }

// control is the ControlContext of a [net.Dialer].
func (g guard) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	addrPort, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("refused address %q", address)
	}
	return g.check(addrPort.Addr())
}

func (g guard) check(addr netip.Addr) error {
	plain := addr.Unmap().WithZone("")
	if reserved(plain) {
		return fmt.Errorf("refused reserved address %s", addr)
	}
	for _, a := range append(embedded(plain), plain) {
		if a.IsLinkLocalUnicast() || metadata(a) {
			return fmt.Errorf("refused link-local or metadata address %s", addr)
		}
		if !g.allowPrivate && private(a) {
			return fmt.Errorf("refused private address %s", addr)
		}
	}
	return nil
}

func reserved(a netip.Addr) bool {
	return a.IsUnspecified() || a.IsMulticast() ||
		within(a, "0.0.0.0/8", "240.0.0.0/4") // this network; reserved and broadcast (RFC 6890)
}

// metadata holds the addresses beyond link-local at which clouds answer with credentials.
func metadata(a netip.Addr) bool {
	return within(a,
		"100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32", // Alibaba, Azure, Oracle
		"fd00:ec2::254/128", "fd20:ce::254/128") // AWS, Google
}

func private(a netip.Addr) bool {
	return a.IsPrivate() || a.IsLoopback() || within(a,
		"100.64.0.0/10", "192.0.0.0/24", "198.18.0.0/15", // carrier NAT, protocol assignments, benchmarks (RFC 6890)
		"64:ff9b:1::/48", "fec0::/10") // local NAT64 (RFC 8215), old site-local
}

// embedded returns the IPv4 addresses that a relay would send traffic for a to.
func embedded(a netip.Addr) []netip.Addr {
	if a.Is4() || a.IsLoopback() {
		return nil
	}
	b := a.As16()
	last := netip.AddrFrom4([4]byte(b[12:]))
	switch {
	case within(a, "::/96", "64:ff9b::/96"): // IPv4-compatible; NAT64 (RFC 6052)
		return []netip.Addr{last}
	case within(a, "64:ff9b:1::/48"): // local NAT64 (RFC 8215), as /48 and as /96 (RFC 6052 §2.2)
		return []netip.Addr{last, netip.AddrFrom4([4]byte{b[6], b[7], b[9], b[10]})}
	case within(a, "2002::/16"): // 6to4 (RFC 3056)
		return []netip.Addr{netip.AddrFrom4([4]byte(b[2:6]))}
	case within(a, "2001::/32"): // Teredo (RFC 4380): server, and client with its bits flipped
		return []netip.Addr{netip.AddrFrom4([4]byte(b[4:8])), netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]})}
	}
	return nil
}

func within(a netip.Addr, prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return netip.MustParsePrefix(p).Contains(a) })
}
