package stack

import (
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
)

// toGV converts an address; an invalid one becomes the empty address.
func toGV(a netip.Addr) tcpip.Address {
	switch {
	case a.Is4() || a.Is4In6():
		return tcpip.AddrFrom4(a.As4())
	case a.Is6():
		return tcpip.AddrFrom16(a.As16())
	}
	return tcpip.Address{}
}

// fromGV converts an address, IPv4-mapped ones to IPv4.
func fromGV(a tcpip.Address) netip.Addr {
	switch a.BitLen() {
	case 32:
		return netip.AddrFrom4(a.As4())
	case 128:
		return netip.AddrFrom16(a.As16()).Unmap()
	}
	return netip.Addr{}
}

// netProto returns gVisor's number of the family of a.
func netProto(a netip.Addr) tcpip.NetworkProtocolNumber {
	if a.Is4() || a.Is4In6() {
		return ipv4.ProtocolNumber
	}
	return ipv6.ProtocolNumber
}

// ipHeaderLen is the length of the IP header without options or extension
// headers, in bytes.
func ipHeaderLen(a netip.Addr) int {
	if a.Is4() {
		return 20
	}
	return 40
}

// unicast reports whether a connection may use a (RFC 9293 §3.9.2.3, MUST-63;
// RFC 1122 §3.2.1.3).
func unicast(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() &&
		a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}
