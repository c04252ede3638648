package uplink

import (
	"crypto/rand"
	"errors"
	"net/netip"
)

// pools are where IPv4 pairs come from (RFC 1918 §3), most out of the way
// first.
var pools = []netip.Prefix{
	netip.MustParsePrefix("10.213.0.0/16"),
	netip.MustParsePrefix("172.29.213.0/24"),
	netip.MustParsePrefix("192.168.213.0/24"),
	netip.MustParsePrefix("10.0.0.0/8"),
}

var errNoAddresses = errors.New("no free private IPv4 network: the host's routes cover them all")

// pick4 returns the first pair of a /30 that overlaps nothing used.
func pick4(used []netip.Prefix) (Pair, error) {
	const tries = 1 << 14
	for _, pool := range pools {
		net := netip.PrefixFrom(pool.Addr(), 30)
		for i := 0; i < tries && pool.Contains(net.Addr()); i++ {
			if blocker, ok := overlap(net, used); ok {
				net = netip.PrefixFrom(after(blocker, net), 30).Masked()
				continue
			}
			host := net.Addr().Next()
			return Pair{Host: host, Peer: host.Next(), Bits: 30}, nil
		}
	}
	return Pair{}, errNoAddresses
}

// overlap returns the widest of used that overlaps p.
func overlap(p netip.Prefix, used []netip.Prefix) (widest netip.Prefix, ok bool) {
	for _, u := range used {
		if u.Overlaps(p) && (!ok || u.Bits() < widest.Bits()) {
			widest, ok = u, true
		}
	}
	return widest, ok
}

// after returns the first address that belongs neither to a nor to b, which
// overlap.
func after(a, b netip.Prefix) netip.Addr {
	if b.Bits() < a.Bits() {
		a = b
	}
	bytes := a.Masked().Addr().As4()
	for bit := a.Bits(); bit < 32; bit++ {
		bytes[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(bytes).Next()
}

// pick6 returns a pair out of a random unique local network (RFC 4193 §3.1):
// with 40 random bits nothing collides.
func pick6() Pair {
	var b [16]byte
	b[0] = 0xfd
	rand.Read(b[1:6]) // never fails: crypto/rand
	b[15] = 1
	host := netip.AddrFrom16(b)
	return Pair{Host: host, Peer: host.Next(), Bits: 64}
}
