package wire

import "encoding/binary"

// OptionLen returns the bytes of options o will take, padding included.
func OptionLen(o *Options) int { return (o.Used() + 3) &^ 3 }

// Used returns the bytes the options take, without padding.
func (o *Options) Used() int {
	n := int(o.nOther)
	if o.MSS != 0 {
		n += 4
	}
	if o.WindowScale >= 0 {
		n += 3
	}
	if o.SACKPermitted {
		n += 2
	}
	if o.Timestamps {
		n += 10
	}
	if o.NSACK > 0 {
		n += 2 + 8*int(o.NSACK)
	}
	return n
}

// aligned returns the bytes the options take when NOPs put each on a boundary of
// four bytes, as common stacks have them.
func (o *Options) aligned() int {
	n := (int(o.nOther) + 3) &^ 3
	if o.MSS != 0 {
		n += 4
	}
	if o.WindowScale >= 0 {
		n += 4
	}
	if o.Timestamps {
		n += 12
	} else if o.SACKPermitted {
		n += 4 // with timestamps it takes the place of their NOPs
	}
	if o.NSACK > 0 {
		n += 4 + 8*int(o.NSACK)
	}
	return n
}

// layout returns how many bytes the options of s take and whether they are
// aligned by NOPs: so they are where this takes nothing from the payload, whose
// size was chosen for the shortest form. Data on a SYN is chosen for the header
// as it will be.
func (s *Segment) layout() (n int, align bool) {
	n = OptionLen(&s.Options)
	a := s.aligned()
	if a <= MaxOptions && (a == n || len(s.Payload) == 0 || s.Flags.Has(SYN)) {
		return a, true
	}
	return n, false
}

// HeaderLen returns the bytes AppendHeader will append.
func (s *Segment) HeaderLen() int {
	n, _ := s.layout()
	return MinHeader + n
}

// AppendHeader appends the TCP header of s to b, with a checksum field of
// zero. It panics when the options exceed MaxOptions: the caller has to leave
// out what does not fit.
func (s *Segment) AppendHeader(b []byte) []byte {
	n, align := s.layout()
	if n > MaxOptions {
		panic("wire: options exceed 40 bytes")
	}
	n += MinHeader
	start := len(b)
	b = binary.BigEndian.AppendUint16(b, s.SrcPort)
	b = binary.BigEndian.AppendUint16(b, s.DstPort)
	b = binary.BigEndian.AppendUint32(b, uint32(s.Seq))
	b = binary.BigEndian.AppendUint32(b, uint32(s.Ack))
	b = append(b, byte(n/4)<<4|byte(s.Flags>>8)&1, byte(s.Flags))
	b = binary.BigEndian.AppendUint16(b, s.Window)
	b = append(b, 0, 0)
	b = binary.BigEndian.AppendUint16(b, s.Urgent)
	b = appendOptions(b, &s.Options, align)
	// RFC 9293 §3.1: the header ends on a 32-bit boundary. NOPs fill it, so there
	// is no end of the list for MUST-69 to speak of.
	for len(b) < start+n {
		b = append(b, kindNOP)
	}
	return b
}

// appendOptions appends the options of o in the order of common stacks, so that
// no path sees a SYN from us unlike those it knows.
func appendOptions(b []byte, o *Options, align bool) []byte {
	nops := func(n int) {
		for ; align && n > 0; n-- {
			b = append(b, kindNOP)
		}
	}
	if o.MSS != 0 {
		b = append(b, kindMSS, 4)
		b = binary.BigEndian.AppendUint16(b, o.MSS)
	}
	if o.SACKPermitted {
		if !o.Timestamps {
			nops(2)
		}
		b = append(b, kindPermitted, 2)
	}
	if o.Timestamps {
		// RFC 7323 appendix A: two NOPs in front align the values.
		if !o.SACKPermitted {
			nops(2)
		}
		b = append(b, kindTime, 10)
		b = binary.BigEndian.AppendUint32(b, o.TSVal)
		b = binary.BigEndian.AppendUint32(b, o.TSEcr)
	}
	if o.WindowScale >= 0 {
		nops(1)
		b = append(b, kindScale, 3, byte(o.WindowScale))
	}
	if o.NSACK > 0 {
		nops(2)
		b = append(b, kindSACK, 2+8*o.NSACK)
		for _, r := range o.SACK[:o.NSACK] {
			b = binary.BigEndian.AppendUint32(b, uint32(r.Left))
			b = binary.BigEndian.AppendUint32(b, uint32(r.Right))
		}
	}
	return append(b, o.Other()...)
}
