package stack

import (
	"encoding/binary"
	"net/netip"
)

// broadcasts reports whether a is the broadcast address of one of n's networks.
func (n *nic) broadcasts(a netip.Addr) bool {
	if !a.Is4() {
		return false
	}
	for _, p := range n.prefixes() {
		if !p.Addr().Is4() || p.Bits() > 30 || !p.Contains(a) {
			continue
		}
		x := a.As4()
		if host := ^uint32(0) >> p.Bits(); binary.BigEndian.Uint32(x[:])&host == host {
			return true
		}
	}
	return false
}

// martian reports whether a packet from src to dst may have nothing to do with
// a connection on n: from or to an address that cannot be an end of one
// (RFC 9293 §3.9.2.3, MUST-57 and MUST-63; RFC 1122 §3.2.1.3), or to an address
// that n does not have (the strong host model, RFC 1122 §3.3.4.2).
func (s *Stack) martian(n *nic, src, dst netip.Addr) bool {
	switch {
	case !unicast(src), src.IsLoopback(), src.Is4In6(), n.broadcasts(src),
		!unicast(dst), dst.IsLoopback(), n.broadcasts(dst):
		return true
	case s.opts.AnyAddress:
		return false
	}
	return !n.has(dst) || n.has(src)
}

// unusable reports whether no connection may be opened to a
// (RFC 9293 §3.9.1.1, MUST-46).
func (s *Stack) unusable(a netip.Addr) bool {
	if !unicast(a) || a.IsLoopback() {
		return true
	}
	for _, n := range s.links.Load().all {
		if n.broadcasts(a) {
			return true
		}
	}
	return false
}

// Options of IPv4 that choose the way of a packet (RFC 791 §3.1).
const (
	looseSourceRoute  = 131
	strictSourceRoute = 137
)

// sourceRouted reports whether an IPv4 header asks for a way of its own.
func sourceRouted(b []byte) bool {
	if len(b) < 20 || b[0]>>4 != 4 {
		return false
	}
	o := b[20:max(20, min(len(b), int(b[0]&15)*4))]
	for len(o) > 0 && o[0] != 0 {
		switch {
		case o[0] == looseSourceRoute, o[0] == strictSourceRoute:
			return true
		case o[0] == 1:
			o = o[1:]
		case len(o) < 2 || o[1] < 2 || int(o[1]) > len(o):
			return false // malformed: gVisor refuses it
		default:
			o = o[o[1]:]
		}
	}
	return false
}
