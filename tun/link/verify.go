package link

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"

	"github.com/sennit-net/sennit/tun"
)

// IP protocol numbers.
const (
	protoICMP        = 1
	protoTCP         = 6
	protoUDP         = 17
	protoICMPv6      = 58
	extHopByHop      = 0
	extRouting       = 43
	extFragment      = 44
	extDestination   = 60
	ipv4MinHeader    = 20
	ipv6Header       = 40
	maxExtensions    = 8 // more of them in one packet is an attack, not traffic
	fragmentMask     = 0x3fff
	fragmentMaskIPv6 = 0xfff9
)

// verdict is the result of verify.
type verdict uint8

const (
	accept    verdict = iota // somebody vouched for the checksum, or none is due
	computed                 // the checksum was computed here and is right
	fragment                 // an IP fragment: its checksum covers other packets too
	malformed                // not an IP packet, or one shorter than it says
	badSum                   // a checksum is wrong
)

// verify checks one received packet of n bytes, in pieces of which the first
// holds the IP header. The header's own checksum is always verified; that of
// the transport where the device vouched for nothing.
func verify(packet [][]byte, n int, m tun.Meta) verdict {
	if n < ipv4MinHeader {
		return malformed
	}
	if h := packet[0]; h[0]>>4 == 4 {
		return verify4(packet, h, n, m)
	}
	return verify6(packet, n, m)
}

// verify4 follows RFC 791 §3.1.
func verify4(packet [][]byte, h []byte, n int, m tun.Meta) verdict {
	l3 := int(h[0]&0xf) * 4
	total := int(binary.BigEndian.Uint16(h[2:]))
	if l3 < ipv4MinHeader || total < l3 || total > n || l3 > len(h) {
		return malformed
	}
	if checksum.Checksum(h[:l3], 0) != 0xffff {
		return badSum // RFC 1122 §3.2.1.2
	}
	if binary.BigEndian.Uint16(h[6:])&fragmentMask != 0 {
		return fragment
	}
	if m.NeedsCsum || m.DataValid {
		return accept
	}
	pseudo := checksum.Checksum(h[12:20], 0)
	return verifyTransport(packet, h[9], l3, total-l3, pseudo)
}

// verify6 follows RFC 8200 §3 and §4.
func verify6(packet [][]byte, n int, m tun.Meta) verdict {
	h := packet[0]
	if n < ipv6Header || len(h) < ipv6Header || h[0]>>4 != 6 {
		return malformed
	}
	total := ipv6Header + int(binary.BigEndian.Uint16(h[4:]))
	if total > n {
		return malformed
	}
	next, at, v := extensions(packet, h[6], total)
	if v != accept || m.NeedsCsum {
		return v
	}
	if next == protoUDP && at+8 <= total && noUDPSum(packet, at) {
		return badSum // RFC 8200 §8.1: no UDP without a checksum
	}
	if m.DataValid {
		return accept
	}
	pseudo := checksum.Checksum(h[8:40], 0)
	return verifyTransport(packet, next, at, total-at, pseudo)
}

// extensions walks the extension headers and returns the upper-layer protocol
// and where it starts.
func extensions(packet [][]byte, next byte, total int) (proto byte, at int, v verdict) {
	at = ipv6Header
	for range maxExtensions {
		switch next {
		case extHopByHop, extRouting, extDestination:
		case extFragment:
			if at+8 > total {
				return 0, 0, malformed
			}
			if uint16(byteAt(packet, at+2))<<8|uint16(byteAt(packet, at+3))&fragmentMaskIPv6 != 0 {
				return 0, 0, fragment
			}
			next = byteAt(packet, at)
			at += 8
			continue
		default:
			return next, at, accept
		}
		if at+8 > total {
			return 0, 0, malformed
		}
		next, at = byteAt(packet, at), at+8+int(byteAt(packet, at+1))*8
		if at > total {
			return 0, 0, malformed
		}
	}
	return 0, 0, malformed
}

// verifyTransport verifies the checksum of the upper-layer packet of n bytes
// at offset at, where the pseudo-header's addresses sum to pseudo.
func verifyTransport(packet [][]byte, proto byte, at, n int, pseudo uint16) verdict {
	var least int
	switch proto {
	case protoTCP:
		least = 20
	case protoUDP:
		least = 8
	case protoICMP, protoICMPv6:
		least = 8
	default:
		return accept // not ours to judge
	}
	if n < least {
		return malformed
	}
	switch proto {
	case protoUDP:
		if noUDPSum(packet, at) {
			return accept
		}
		// What follows the UDP length is not covered.
		l := int(byteAt(packet, at+4))<<8 | int(byteAt(packet, at+5))
		if l < least || l > n {
			return malformed
		}
		n = l
	case protoICMP: // RFC 792: no pseudo-header
		if sumRange(packet, at, n, 0) != 0xffff {
			return badSum
		}
		return computed
	}
	pseudo = checksum.Combine(pseudo, uint16(proto))
	pseudo = checksum.Combine(pseudo, uint16(n))
	if sumRange(packet, at, n, pseudo) != 0xffff {
		return badSum
	}
	return computed
}

// noUDPSum reports whether the UDP header at offset at says that there is no
// checksum (RFC 768).
func noUDPSum(packet [][]byte, at int) bool {
	return byteAt(packet, at+6) == 0 && byteAt(packet, at+7) == 0
}

// sumRange adds bytes [at,at+n) of packet to initial.
func sumRange(packet [][]byte, at, n int, initial uint16) uint16 {
	var c checksum.Checksumer
	for _, b := range packet {
		if at >= len(b) {
			at -= len(b)
			continue
		}
		b = b[at:]
		at = 0
		b = b[:min(n, len(b))]
		c.Add(b)
		if n -= len(b); n == 0 {
			break
		}
	}
	return checksum.Combine(initial, c.Checksum())
}

// byteAt returns byte i of packet, which must be there.
func byteAt(packet [][]byte, i int) byte {
	for _, b := range packet {
		if i < len(b) {
			return b[i]
		}
		i -= len(b)
	}
	return 0
}
