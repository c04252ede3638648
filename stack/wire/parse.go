package wire

import (
	"encoding/binary"
	"errors"

	"github.com/sennit-net/sennit/stack/seq"
)

// Errors of Parse. A segment that fails is dropped whole.
var (
	ErrTruncated = errors.New("wire: segment shorter than its header")
	ErrOffset    = errors.New("wire: data offset below 5 words")
	ErrOption    = errors.New("wire: option with an illegal length")
)

// Option kinds known here.
const (
	kindEOL       = 0
	kindNOP       = 1
	kindMSS       = 2
	kindScale     = 3
	kindPermitted = 4
	kindSACK      = 5
	kindTime      = 8
)

// Parse reads the TCP header at the start of b into s and returns its length,
// so that b[n:] is payload. It neither verifies the checksum nor touches
// s.Payload, s.ECN and s.MSS. b may be as short as the header itself.
//
// An option with an illegal length makes the whole segment an error: nothing
// behind it can be located (RFC 9293 §3.1, MUST-7).
func Parse(b []byte, s *Segment) (n int, err error) {
	if len(b) < MinHeader {
		return 0, ErrTruncated
	}
	n = int(b[12]>>4) * 4
	if n < MinHeader {
		return 0, ErrOffset
	}
	if n > len(b) {
		return 0, ErrTruncated
	}
	s.SrcPort = binary.BigEndian.Uint16(b[0:])
	s.DstPort = binary.BigEndian.Uint16(b[2:])
	s.Seq = seq.Num(binary.BigEndian.Uint32(b[4:]))
	s.Ack = seq.Num(binary.BigEndian.Uint32(b[8:]))
	s.Flags = Flags(b[13]) | Flags(b[12]&1)<<8
	s.Window = binary.BigEndian.Uint16(b[14:])
	s.Urgent = binary.BigEndian.Uint16(b[18:])
	s.Options = Options{WindowScale: -1}
	return n, parseOptions(b[MinHeader:n], &s.Options)
}

func parseOptions(b []byte, o *Options) error {
	for len(b) > 0 {
		kind := b[0]
		if kind == kindEOL {
			return nil
		}
		if kind == kindNOP {
			b = b[1:]
			continue
		}
		// RFC 9293 §3.1 (MUST-68): every other kind has a length octet.
		if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) {
			return ErrOption
		}
		parseOption(kind, b[:b[1]], o)
		b = b[b[1]:]
	}
	return nil
}

// parseOption reads one option. A known kind of a length that is not its own is
// ignored; an unknown kind is kept (RFC 9293 §3.1, MUST-6).
func parseOption(kind byte, b []byte, o *Options) {
	v := b[2:]
	switch kind {
	case kindMSS:
		if len(v) == 2 {
			o.MSS = binary.BigEndian.Uint16(v)
		}
	case kindScale:
		if len(v) == 1 {
			o.WindowScale = int8(min(v[0], 127))
		}
	case kindPermitted:
		o.SACKPermitted = o.SACKPermitted || len(v) == 0
	case kindTime:
		if len(v) == 8 {
			o.Timestamps = true
			o.TSVal = binary.BigEndian.Uint32(v)
			o.TSEcr = binary.BigEndian.Uint32(v[4:])
		}
	case kindSACK:
		if len(v) == 0 || len(v)%8 != 0 {
			return
		}
		o.NSACK = 0
		for ; len(v) > 0 && o.NSACK < MaxSACK; v = v[8:] {
			o.SACK[o.NSACK] = SACKBlock{
				seq.Num(binary.BigEndian.Uint32(v)), seq.Num(binary.BigEndian.Uint32(v[4:]))}
			o.NSACK++
		}
	default:
		o.nOther += uint8(copy(o.other[o.nOther:], b))
	}
}

// NextOption splits the first option off a list as Options.Other holds it:
// its kind, its value, and the rest. It reports false at the end, or where the
// list is malformed.
func NextOption(b []byte) (kind byte, value, rest []byte, ok bool) {
	if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) {
		return 0, nil, nil, false
	}
	return b[0], b[2:b[1]], b[b[1]:], true
}
