package simnet

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/sennit-net/sennit/stack/chunk"
	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/wire"
)

// Packet is an IP packet with the bytes of a TCP segment.
type Packet struct {
	Src, Dst netip.Addr
	TOS      uint8  // TOS or traffic class, ECN field included
	TCP      []byte // header and payload

	// Error makes the packet an ICMP error, about the segment quoted in TCP.
	Error *tcp.PathError
}

// Size returns the packet's size in bytes with its IP header.
func (p *Packet) Size() int {
	if p.Dst.Is4() {
		return 20 + len(p.TCP)
	}
	return 40 + len(p.TCP)
}

// Clone returns a packet of its own.
func (p *Packet) Clone() *Packet {
	c := *p
	c.TCP = bytes.Clone(p.TCP)
	return &c
}

func (p *Packet) String() string {
	if p.Error != nil {
		return fmt.Sprintf("%s > %s ICMP error %d", p.Src, p.Dst, p.Error.Kind)
	}
	var s wire.Segment
	k, err := wire.Parse(p.TCP, &s)
	if err != nil {
		return fmt.Sprintf("%s > %s %v", p.Src, p.Dst, err)
	}
	b := fmt.Appendf(nil, "%s:%d > %s:%d %s seq %d ack %d win %d len %d", p.Src, s.SrcPort, p.Dst, s.DstPort,
		s.Flags, s.Seq, s.Ack, s.Window, len(p.TCP)-k)
	if s.Options.MSS != 0 {
		b = fmt.Appendf(b, " mss %d", s.Options.MSS)
	}
	if s.Timestamps {
		b = fmt.Appendf(b, " ts %d/%d", s.TSVal, s.TSEcr)
	}
	for _, r := range s.SACK[:s.NSACK] {
		b = fmt.Appendf(b, " sack %d-%d", r.Left, r.Right)
	}
	if o := s.Other(); len(o) > 0 {
		b = fmt.Appendf(b, " opt %x", o)
	}
	return string(b)
}

// Parse reads the segment of p into s, its payload a run over p's own bytes.
// It reports false for an error of form or checksum.
func (p *Packet) Parse(s *wire.Segment) bool {
	s.Reset()
	k, err := wire.Parse(p.TCP, s)
	if err != nil {
		return false
	}
	if len(p.TCP) > k {
		s.Payload = append(s.Payload, chunk.Borrowed(p.TCP[k:]))
	}
	return s.ChecksumOK(p.TCP[:k], p.Src, p.Dst)
}

// Put replaces the segment of p by s.
func (p *Packet) Put(s *wire.Segment) {
	b := s.AppendHeader(make([]byte, 0, s.HeaderLen()+s.Len()))
	s.SetChecksum(b, p.Src, p.Dst)
	for _, r := range s.Payload {
		b = append(b, r.B...)
	}
	p.TCP = b
}

// Edit parses p, lets f change the segment, and writes it back. A packet
// that is damaged already stays as it is, so that a middlebox never repairs a
// checksum by accident.
func (p *Packet) Edit(f func(s *wire.Segment)) {
	var s wire.Segment
	if p.Error != nil || !p.Parse(&s) {
		return
	}
	f(&s)
	p.Put(&s)
}

// Tuple is what tells connections apart, seen from one host.
type Tuple struct{ Local, Remote netip.AddrPort }

// tuple returns the tuple of a packet that arrived, false if it has no ports.
func (p *Packet) tuple() (Tuple, bool) {
	if len(p.TCP) < 8 {
		return Tuple{}, false
	}
	src, dst := binary.BigEndian.Uint16(p.TCP), binary.BigEndian.Uint16(p.TCP[2:])
	if p.Error != nil { // the quoted segment went the other way
		return Tuple{netip.AddrPortFrom(p.Dst, src), netip.AddrPortFrom(p.Src, dst)}, true
	}
	return Tuple{netip.AddrPortFrom(p.Dst, dst), netip.AddrPortFrom(p.Src, src)}, true
}

// cut encodes a segment, or each piece of a super-segment (RFC 9293 §3.7.1),
// for t, and gives the packets to out. The payload is copied.
func cut(s *wire.Segment, t Tuple, out func(*Packet)) {
	n, size := s.Len(), int(s.MSS)
	if size == 0 || n <= size {
		size = n
	}
	one := *s
	one.SrcPort, one.DstPort = t.Local.Port(), t.Remote.Port()
	for off := 0; ; off += size {
		k := min(size, n-off)
		one.Seq = s.Seq.Add(off)
		one.Flags = s.Flags
		if off > 0 {
			one.Flags &^= wire.CWR // RFC 3168 §6.1.2: once per reduction
		}
		if off+k < n {
			one.Flags &^= wire.FIN | wire.PSH
		}
		one.Payload = chunk.Range(nil, s.Payload, off, k)
		p := &Packet{Src: t.Local.Addr(), Dst: t.Remote.Addr(), TOS: uint8(s.ECN)}
		p.Put(&one)
		chunk.ReleaseAll(one.Payload)
		out(p)
		if off+k >= n {
			return
		}
	}
}
