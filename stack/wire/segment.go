// Package wire is the TCP segment as bytes and as a value.
//
// Parse turns bytes into a Segment, which can only hold what makes sense;
// AppendHeader turns a Segment back into bytes. Options this package does not
// know are kept verbatim, so that MPTCP (kind 30) and others can be read and
// written by their owners. Read RFC 9293 §3.1, RFC 7323 and RFC 2018 first.
package wire

import (
	"fmt"
	"strings"

	"github.com/sennit-net/sennit/ecn"
	"github.com/sennit-net/sennit/stack/chunk"
	"github.com/sennit-net/sennit/stack/seq"
)

// Flags are the nine control bits of a TCP header: the low byte as on the
// wire, AE (RFC 9768 §3.1) above it.
type Flags uint16

// The control bits (RFC 9293 §3.1, RFC 3168 §6.1, RFC 9768 §3.1).
const (
	FIN Flags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
	AE
)

// Has reports whether every bit of g is set in f.
func (f Flags) Has(g Flags) bool { return f&g == g }

// Any reports whether some bit of g is set in f.
func (f Flags) Any(g Flags) bool { return f&g != 0 }

func (f Flags) String() string {
	const letters = "FSRPAUEWN"
	var b strings.Builder
	for i := range letters {
		if f&(1<<i) != 0 {
			b.WriteByte(letters[i])
		}
	}
	if b.Len() == 0 {
		return "-"
	}
	return b.String()
}

// Sizes in bytes.
const (
	MinHeader  = 20 // a header without options
	MaxOptions = 40 // what the data offset leaves for options (RFC 9293 §3.1)
	MaxSACK    = 4  // SACK blocks that fit into the options (RFC 2018 §3)
)

// SACKBlock is one range [Left,Right) of received sequence space (RFC 2018 §3).
type SACKBlock struct{ Left, Right seq.Num }

// Options are the TCP options every connection understands, as values.
type Options struct {
	MSS           uint16 // maximum segment size; 0: absent
	WindowScale   int8   // shift count as received, at most 127; -1: absent
	SACKPermitted bool
	Timestamps    bool // TSVal and TSEcr are meaningful
	TSVal, TSEcr  uint32
	NSACK         uint8 // blocks in SACK that are meaningful
	SACK          [MaxSACK]SACKBlock

	nOther uint8
	other  [MaxOptions]byte
}

// Other returns the options this package does not know, each as kind, length
// and value, one after the other without padding.
func (o *Options) Other() []byte { return o.other[:o.nOther] }

// OtherBuffer returns the memory behind Other, empty: appending up to
// MaxOptions bytes to it and handing the result to SetOther copies nothing
// anew.
func (o *Options) OtherBuffer() []byte { return o.other[:0] }

// SetOther replaces those options. It panics beyond MaxOptions bytes.
func (o *Options) SetOther(b []byte) { o.nOther = uint8(copy(o.other[:len(b)], b)) }

// Segment is one TCP segment, or a super-segment: up to 64 KiB of payload
// under one header, which the device cuts, or has joined, at MSS boundaries.
type Segment struct {
	SrcPort, DstPort uint16
	Seq, Ack         seq.Num
	Flags            Flags
	Window           uint16 // as on the wire, unscaled
	Urgent           uint16
	Options

	ECN     ecn.Codepoint // of the IP header
	MSS     uint16        // payload bytes per segment of a super-segment; 0: one segment
	Payload []chunk.Slice // one reference each, owned by whoever owns the Segment
}

// Reset clears s for reuse and keeps the memory of its payload list. It does
// not release the payload.
func (s *Segment) Reset() {
	p := s.Payload[:0]
	*s = Segment{Payload: p}
	s.WindowScale = -1
}

// Len returns the payload length in bytes.
func (s *Segment) Len() int { return chunk.Total(s.Payload) }

// SeqLen returns SEG.LEN: payload plus one each for SYN and FIN
// (RFC 9293 §3.4).
func (s *Segment) SeqLen() int {
	n := s.Len()
	if s.Flags.Has(SYN) {
		n++
	}
	if s.Flags.Has(FIN) {
		n++
	}
	return n
}

// Segments returns how many segments a receiver counts in a super-segment of
// n payload bytes.
func (s *Segment) Segments() int {
	n := s.Len()
	if s.MSS == 0 || n <= int(s.MSS) {
		return 1
	}
	return (n + int(s.MSS) - 1) / int(s.MSS)
}

func (s *Segment) String() string {
	return fmt.Sprintf("%d>%d %s seq %d ack %d win %d len %d", s.SrcPort, s.DstPort,
		s.Flags, s.Seq, s.Ack, s.Window, s.Len())
}
