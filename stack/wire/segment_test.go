package wire

import (
	"bytes"
	"testing"

	"github.com/sennit-net/sennit/stack/chunk"
)

func TestFlags(t *testing.T) {
	for f, want := range map[Flags]string{0: "-", SYN: "S", SYN | ACK: "SA", FIN | PSH | ACK: "FPA",
		FIN | SYN | RST | PSH | ACK | URG | ECE | CWR | AE: "FSRPAUEWN"} {
		if f.String() != want {
			t.Errorf("%#x prints as %s, want %s", uint16(f), f, want)
		}
	}
	if f := SYN | ACK; !f.Has(SYN|ACK) || f.Has(SYN|FIN) || !f.Any(SYN|FIN) || f.Any(FIN|RST) {
		t.Error("Has or Any is wrong")
	}
}

// RFC 9293 §3.4: SYN and FIN take a sequence number each.
func TestSegmentLengths(t *testing.T) {
	s := Segment{Payload: []chunk.Slice{chunk.Borrowed(make([]byte, 1000)), chunk.Borrowed(make([]byte, 1001))}}
	if s.Len() != 2001 || s.SeqLen() != 2001 {
		t.Errorf("length %d, sequence length %d", s.Len(), s.SeqLen())
	}
	s.Flags = SYN | FIN
	if s.SeqLen() != 2003 {
		t.Errorf("sequence length %d with SYN and FIN", s.SeqLen())
	}
	for mss, want := range map[uint16]int{0: 1, 1000: 3, 2000: 2, 2001: 1, 3000: 1, 1: 2001} {
		s.MSS = mss
		if s.Segments() != want {
			t.Errorf("%d segments of %d, want %d", s.Segments(), mss, want)
		}
	}
}

func TestReset(t *testing.T) {
	s := Segment{Seq: 1, Flags: SYN, Payload: make([]chunk.Slice, 1, 8)}
	s.SetOther([]byte{30, 2})
	s.Reset()
	if s.Seq != 0 || s.Flags != 0 || s.WindowScale != -1 || len(s.Other()) != 0 || len(s.Payload) != 0 || cap(s.Payload) != 8 {
		t.Errorf("after Reset: %+v", s)
	}
}

func TestNextOption(t *testing.T) {
	b := []byte{30, 4, 1, 2, 254, 2, 69, 3, 9}
	var kinds []byte
	for {
		kind, value, rest, ok := NextOption(b)
		if !ok {
			break
		}
		kinds = append(append(kinds, kind), value...)
		b = rest
	}
	if !bytes.Equal(kinds, []byte{30, 1, 2, 254, 69, 9}) || len(b) != 0 {
		t.Errorf("options %v, rest %v", kinds, b)
	}
	for _, bad := range [][]byte{nil, {30}, {30, 0}, {30, 1}, {30, 3}, {30, 255, 1}} {
		if _, _, _, ok := NextOption(bad); ok {
			t.Errorf("%v is an option", bad)
		}
	}
}
