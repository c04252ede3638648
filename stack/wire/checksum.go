package wire

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// ChecksumOffset is where the checksum field lies in the header.
const ChecksumOffset = 16

// Sum adds p to a running one's complement sum (RFC 1071). odd tells that an
// odd number of bytes came before p.
func Sum(p []byte, sum uint16, odd bool) uint16 {
	acc := uint64(sum)
	if odd && len(p) > 0 {
		acc += uint64(p[0])
		p = p[1:]
	}
	var carry uint64
	for len(p) >= 32 {
		acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(p), carry)
		acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(p[8:]), carry)
		acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(p[16:]), carry)
		acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(p[24:]), carry)
		p = p[32:]
	}
	// The carry of a 64-bit addition is worth one, like that of a 16-bit one.
	acc = acc>>32 + acc&0xffffffff + carry
	for len(p) >= 2 {
		acc += uint64(binary.BigEndian.Uint16(p))
		p = p[2:]
	}
	if len(p) == 1 {
		acc += uint64(p[0]) << 8
	}
	for acc>>16 != 0 {
		acc = acc>>16 + acc&0xffff
	}
	return uint16(acc)
}

// PseudoSum returns the sum of the TCP pseudo-header for a segment of n bytes,
// header included (RFC 9293 §3.1, RFC 8200 §8.1).
func PseudoSum(src, dst netip.Addr, n int) uint16 {
	var t [4]byte
	binary.BigEndian.PutUint16(t[2:], uint16(n))
	t[1] = 6
	sum := Sum(t[:], 0, false)
	if src.Is4() {
		s, d := src.As4(), dst.As4()
		return Sum(d[:], Sum(s[:], sum, false), false)
	}
	s, d := src.As16(), dst.As16()
	return Sum(d[:], Sum(s[:], sum, false), false)
}

// SetChecksum fills the checksum of the header at the start of hdr, which must
// hold zero, for the payload of s.
func (s *Segment) SetChecksum(hdr []byte, src, dst netip.Addr) {
	sum := s.sum(hdr, src, dst)
	binary.BigEndian.PutUint16(hdr[ChecksumOffset:], ^sum)
}

// ChecksumOK reports whether header bytes as received and the payload of s sum
// up (RFC 9293 §3.1, MUST-3).
func (s *Segment) ChecksumOK(hdr []byte, src, dst netip.Addr) bool {
	return s.sum(hdr, src, dst) == 0xffff
}

func (s *Segment) sum(hdr []byte, src, dst netip.Addr) uint16 {
	sum := PseudoSum(src, dst, len(hdr)+s.Len())
	sum = Sum(hdr, sum, false)
	odd := len(hdr)%2 == 1
	for _, r := range s.Payload {
		sum = Sum(r.B, sum, odd)
		odd = odd != (len(r.B)%2 == 1)
	}
	return sum
}
