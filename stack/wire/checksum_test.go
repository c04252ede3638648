package wire

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/sennit-net/sennit/stack/chunk"
)

// naive is the checksum as RFC 1071 §1 words it: 16-bit words, end-around
// carry at every step.
func naive(p []byte) uint16 {
	if len(p)%2 == 1 {
		p = append(p[:len(p):len(p)], 0)
	}
	var sum uint32
	for i := 0; i < len(p); i += 2 {
		sum += uint32(p[i])<<8 + uint32(p[i+1])
		if sum > 0xffff {
			sum -= 0xffff
		}
	}
	return uint16(sum)
}

// congruent: zero has two names in one's complement.
func congruent(a, b uint16) bool { return a%0xffff == b%0xffff }

// RFC 1071 §3: the example of the memo.
func TestSumExample(t *testing.T) {
	p := []byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}
	if s := Sum(p, 0, false); s != 0xddf2 {
		t.Errorf("sum %04x, want ddf2", s)
	}
}

func TestSumAgainstNaive(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	p := make([]byte, 300)
	for _, fill := range []func() byte{
		func() byte { return byte(r.Uint32()) }, func() byte { return 0xff }, func() byte { return 0 },
	} {
		for i := range p {
			p[i] = fill()
		}
		for from := range 9 {
			for to := from; to <= len(p); to++ {
				got, want := Sum(p[from:to], 0, false), naive(p[from:to])
				if !congruent(got, want) || (got == 0) != (want == 0) {
					t.Fatalf("sum of [%d:%d] is %04x, want %04x", from, to, got, want)
				}
			}
		}
	}
}

// A sum over pieces is the sum over the whole, wherever the cuts are.
func TestSumInPieces(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		p := make([]byte, r.IntN(200))
		for i := range p {
			p[i] = byte(r.Uint32())
		}
		sum, at := uint16(0), 0
		for at < len(p) {
			n := 1 + r.IntN(len(p)-at)
			sum = Sum(p[at:at+n], sum, at%2 == 1)
			at += n
		}
		if !congruent(sum, naive(p)) {
			t.Fatalf("sum in pieces %04x, want %04x of % x", sum, naive(p), p)
		}
	}
}

// pseudo is the pseudo-header written out: RFC 9293 §3.1 and RFC 8200 §8.1.
func pseudo(src, dst netip.Addr, n int) []byte {
	b := append(src.AsSlice(), dst.AsSlice()...)
	if src.Is4() {
		b = append(b, 0, 6)
		return binary.BigEndian.AppendUint16(b, uint16(n))
	}
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	return append(b, 0, 0, 0, 6)
}

func TestPseudoSum(t *testing.T) {
	for _, a := range [][2]string{{"192.0.2.1", "198.51.100.255"}, {"2001:db8::1", "fe80::ffff:1"}, {"::", "::1"}} {
		src, dst := netip.MustParseAddr(a[0]), netip.MustParseAddr(a[1])
		for _, n := range []int{20, 1500, 65535} {
			if got, want := PseudoSum(src, dst, n), naive(pseudo(src, dst, n)); !congruent(got, want) {
				t.Errorf("%s to %s, %d bytes: %04x, want %04x", src, dst, n, got, want)
			}
		}
	}
}

// RFC 9293 §3.1 (MUST-2, MUST-3): what SetChecksum writes, ChecksumOK and an
// independent sum accept, and neither accepts any flipped bit.
func TestChecksum(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, a := range [][2]string{{"192.0.2.1", "198.51.100.2"}, {"2001:db8::1", "2001:db8::2"}} {
		src, dst := netip.MustParseAddr(a[0]), netip.MustParseAddr(a[1])
		for range 50 {
			s := headerSegment()
			var whole []byte
			for range r.IntN(4) {
				p := make([]byte, r.IntN(50))
				for i := range p {
					p[i] = byte(r.Uint32())
				}
				s.Payload = append(s.Payload, chunk.Borrowed(p))
				whole = append(whole, p...)
			}
			hdr := s.AppendHeader(nil)
			s.SetChecksum(hdr, src, dst)
			whole = append(hdr[:len(hdr):len(hdr)], whole...)
			if got := naive(append(pseudo(src, dst, len(whole)), whole...)); got != 0xffff {
				t.Fatalf("the segment sums up to %04x", got)
			}
			if !s.ChecksumOK(hdr, src, dst) {
				t.Fatal("own checksum refused")
			}
			bit := r.IntN(len(hdr) * 8)
			hdr[bit/8] ^= 1 << (bit % 8)
			if s.ChecksumOK(hdr, src, dst) {
				t.Fatalf("checksum accepted with bit %d flipped", bit)
			}
		}
	}
}
