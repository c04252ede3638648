package tun

import (
	"encoding/binary"
	"math/bits"
)

// Protocol numbers that carry a checksum over a pseudo-header.
const protoTCP = 6

// sum adds p to acc in one's complement, without folding to 16 bits (RFC 1071
// §2(B)). An odd last byte counts as the high half of a word.
func sum(p []byte, acc uint64) uint64 {
	var carry uint64
	for len(p) >= 64 {
		acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(p), 0)
		acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(p[8:]), carry)
		acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(p[16:]), carry)
		acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(p[24:]), carry)
		acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(p[32:]), carry)
		acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(p[40:]), carry)
		acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(p[48:]), carry)
		acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(p[56:]), carry)
		acc, carry = bits.Add64(acc, 0, carry)
		acc += carry // a sum of all ones wraps once more
		p = p[64:]
	}
	acc = uint64(fold(acc))
	for len(p) >= 2 {
		acc += uint64(binary.BigEndian.Uint16(p))
		p = p[2:]
	}
	if len(p) == 1 {
		acc += uint64(p[0]) << 8
	}
	return acc
}

// sumAll adds the bytes of bufs, wherever they are cut.
func sumAll(bufs [][]byte, acc uint64) uint64 {
	odd := false
	for _, b := range bufs {
		if odd && len(b) > 0 {
			acc += uint64(b[0])
			b = b[1:]
			odd = false
		}
		acc = sum(b, acc)
		odd = odd != (len(b)%2 == 1)
	}
	return acc
}

// fold reduces a sum to 16 bits.
func fold(acc uint64) uint16 {
	for acc>>16 != 0 {
		acc = acc>>16 + acc&0xffff
	}
	return uint16(acc)
}

// pseudo returns the sum of the pseudo-header for n bytes of upper-layer packet
// (RFC 9293 §3.1, RFC 8200 §8.1), the addresses read from the IP header ip.
func pseudo(ip []byte, proto byte, n int) uint64 {
	acc := uint64(proto) + uint64(n)
	if ip[0]>>4 == 4 {
		return sum(ip[12:20], acc)
	}
	return sum(ip[8:40], acc)
}
