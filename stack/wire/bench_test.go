package wire

import (
	"net/netip"
	"testing"

	"github.com/sennit-net/sennit/stack/chunk"
)

func dataSegment() Segment {
	s := Segment{SrcPort: 443, DstPort: 50000, Seq: 1, Ack: 2, Flags: ACK, Window: 1000,
		Options: Options{WindowScale: -1, Timestamps: true, TSVal: 1, TSEcr: 2}}
	s.SetOther(append([]byte{30, 20}, make([]byte, 18)...))
	return s
}

// TestNoAllocation: neither direction allocates.
func TestNoAllocation(t *testing.T) {
	s := dataSegment()
	b := s.AppendHeader(nil)
	var in Segment
	if n := testing.AllocsPerRun(100, func() { b = s.AppendHeader(b[:0]); Parse(b, &in) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkParse(b *testing.B) {
	s := dataSegment()
	p := s.AppendHeader(nil)
	b.ReportAllocs()
	for b.Loop() {
		Parse(p, &s)
	}
}

func BenchmarkAppend(b *testing.B) {
	s := dataSegment()
	p := s.AppendHeader(nil)
	b.ReportAllocs()
	for b.Loop() {
		p = s.AppendHeader(p[:0])
	}
}

func BenchmarkChecksum(b *testing.B) {
	s := dataSegment()
	s.Payload = []chunk.Slice{chunk.Borrowed(make([]byte, 1400))}
	p := s.AppendHeader(nil)
	src, dst := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	b.SetBytes(1400)
	b.ReportAllocs()
	for b.Loop() {
		s.ChecksumOK(p, src, dst)
	}
}
