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

// HeaderLen returns the bytes AppendHeader will append.
func (s *Segment) HeaderLen() int { return MinHeader + OptionLen(&s.Options) }

// AppendHeader appends the TCP header of s to b, with a checksum field of
// zero. It panics when the options exceed MaxOptions: the caller has to leave
// out what does not fit.
func (s *Segment) AppendHeader(b []byte) []byte {
	n := s.HeaderLen()
	if n > MinHeader+MaxOptions {
		panic("wire: options exceed 40 bytes")
	}
	start := len(b)
	b = binary.BigEndian.AppendUint16(b, s.SrcPort)
	b = binary.BigEndian.AppendUint16(b, s.DstPort)
	b = binary.BigEndian.AppendUint32(b, uint32(s.Seq))
	b = binary.BigEndian.AppendUint32(b, uint32(s.Ack))
	b = append(b, byte(n/4)<<4|byte(s.Flags>>8)&1, byte(s.Flags))
	b = binary.BigEndian.AppendUint16(b, s.Window)
	b = append(b, 0, 0)
	b = binary.BigEndian.AppendUint16(b, s.Urgent)
	b = appendOptions(b, &s.Options, n-MinHeader)
	// RFC 9293 §3.1 (MUST-69): what follows the end of the list is zero.
	for len(b) < start+n {
		b = append(b, kindEOL)
	}
	return b
}

// appendOptions appends the options of o, which with padding take n bytes.
func appendOptions(b []byte, o *Options, n int) []byte {
	if o.MSS != 0 {
		b = append(b, kindMSS, 4)
		b = binary.BigEndian.AppendUint16(b, o.MSS)
	}
	if o.SACKPermitted {
		b = append(b, kindPermitted, 2)
	}
	if o.Timestamps {
		// RFC 7323 appendix A: two NOPs in front align the values, where there
		// are two bytes of padding to use.
		if o.MSS == 0 && !o.SACKPermitted && n-o.Used() == 2 {
			b = append(b, kindNOP, kindNOP)
		}
		b = append(b, kindTime, 10)
		b = binary.BigEndian.AppendUint32(b, o.TSVal)
		b = binary.BigEndian.AppendUint32(b, o.TSEcr)
	}
	if o.WindowScale >= 0 {
		b = append(b, kindScale, 3, byte(o.WindowScale))
	}
	b = append(b, o.Other()...)
	if o.NSACK > 0 {
		b = append(b, kindSACK, 2+8*o.NSACK)
		for _, r := range o.SACK[:o.NSACK] {
			b = binary.BigEndian.AppendUint32(b, uint32(r.Left))
			b = binary.BigEndian.AppendUint32(b, uint32(r.Right))
		}
	}
	return b
}
