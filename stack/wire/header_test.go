package wire

import (
	"bytes"
	"errors"
	"testing"
)

// RFC 9293 §3.1, figure 1: the header, field by field.
var headerFields = []field{
	{"source port", []byte{0x12, 0x34}},
	{"destination port", []byte{0x01, 0xbb}},
	{"sequence number", []byte{0xff, 0xee, 0xdd, 0xcc}},
	{"acknowledgment number", []byte{0x01, 0x02, 0x03, 0x04}},
	{"data offset 7, reserved 0, AE", []byte{0x71}},
	{"CWR and ACK", []byte{0x90}},
	{"window", []byte{0xfa, 0xf0}},
	{"checksum", []byte{0, 0}},
	{"urgent pointer", []byte{0x00, 0x07}},
	{"MSS", []byte{2, 4, 0x05, 0xb4}},
	{"a NOP that aligns", []byte{1}},
	{"window scale", []byte{3, 3, 7}},
}

func headerSegment() Segment {
	return Segment{SrcPort: 0x1234, DstPort: 443, Seq: 0xffeeddcc, Ack: 0x01020304, Flags: AE | CWR | ACK,
		Window: 64240, Urgent: 7, Options: Options{MSS: 1460, WindowScale: 7}}
}

func TestHeader(t *testing.T) {
	b, want := join(headerFields), headerSegment()
	var got Segment
	n, err := Parse(append(b, 1, 2, 3), &got)
	if err != nil || n != len(b) || !same(&got, &want) {
		t.Fatalf("parsed %d bytes: %+v, %v; want %+v", n, got, err, want)
	}
	if want.HeaderLen() != len(b) {
		t.Errorf("HeaderLen %d, want %d", want.HeaderLen(), len(b))
	}
	if out := want.AppendHeader([]byte{9}); !bytes.Equal(out[1:], b) || out[0] != 9 {
		t.Errorf("appended\n% x, want\n% x", out, b)
	}
}

// same compares what is on the wire.
func same(a, b *Segment) bool {
	return a.SrcPort == b.SrcPort && a.DstPort == b.DstPort && a.Seq == b.Seq && a.Ack == b.Ack &&
		a.Flags == b.Flags && a.Window == b.Window && a.Urgent == b.Urgent && a.Options == b.Options
}

func TestHeaderTruncations(t *testing.T) {
	b := join(headerFields)
	for k := range b {
		var s Segment
		if _, err := Parse(b[:k], &s); !errors.Is(err, ErrTruncated) {
			t.Errorf("%d of %d bytes: %v", k, len(b), err)
		}
	}
	for offset := range byte(5) {
		b[12] = offset << 4
		var s Segment
		if _, err := Parse(b, &s); !errors.Is(err, ErrOffset) {
			t.Errorf("data offset %d: %v", offset, err)
		}
	}
}

// RFC 9293 §3.1: reserved bits are ignored when received and zero when sent.
func TestHeaderReservedBits(t *testing.T) {
	b, want := join(headerFields), headerSegment()
	b[12] |= 0x0e
	var got Segment
	if _, err := Parse(b, &got); err != nil || !same(&got, &want) {
		t.Errorf("%+v, %v", got, err)
	}
}

// Each of the nine flags has its place.
func TestHeaderFlags(t *testing.T) {
	for f := Flags(0); f < 512; f++ {
		s := Segment{Flags: f, Options: Options{WindowScale: -1}}
		b := s.AppendHeader(nil)
		if b[13] != byte(f) || b[12] != 0x50|byte(f>>8) {
			t.Errorf("flags %s: % x", f, b[12:14])
		}
		var got Segment
		if _, err := Parse(b, &got); err != nil || got.Flags != f {
			t.Errorf("flags %s came back as %s, %v", f, got.Flags, err)
		}
	}
}

// RFC 7323 appendix A: with two bytes of padding they stand in front of the
// timestamps.
func TestTimestampsAligned(t *testing.T) {
	s := Segment{Options: Options{WindowScale: -1, Timestamps: true, TSVal: 1, TSEcr: 2}}
	s.SetOther([]byte{30, 4, 9, 9})
	b := s.AppendHeader(nil)
	if want := []byte{kindNOP, kindNOP, kindTime, 10}; !bytes.Equal(b[20:24], want) || len(b) != 36 {
		t.Errorf("% x", b[20:])
	}
	var got Segment
	if _, err := Parse(b, &got); err != nil || got.Options != s.Options {
		t.Errorf("%+v, %v", got.Options, err)
	}
}

func TestAppendHeaderRefusesTooMuch(t *testing.T) {
	s := Segment{Options: Options{WindowScale: -1, Timestamps: true, NSACK: 4}}
	defer func() {
		if recover() == nil {
			t.Error("44 bytes of options were appended")
		}
	}()
	s.AppendHeader(nil)
}
