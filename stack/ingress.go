package stack

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/sennit-net/sennit/ecn"
	"github.com/sennit-net/sennit/stack/chunk"
	"github.com/sennit-net/sennit/stack/wire"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gv "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// ingress stands between a link endpoint and gVisor and takes out what the
// stack handles itself: plain TCP, ICMP errors about TCP, and in any-address
// mode echo requests.
type ingress struct {
	gv.LinkEndpoint
	s    *Stack
	nic  *nic
	up   atomic.Pointer[gv.NetworkDispatcher]
	keep atomic.Bool // Close is not for us: attaching failed
}

func (g *ingress) Attach(d gv.NetworkDispatcher) {
	if d == nil {
		g.up.Store(nil)
		g.LinkEndpoint.Attach(nil)
		return
	}
	g.up.Store(&d)
	g.LinkEndpoint.Attach(g)
}

func (g *ingress) IsAttached() bool { return g.up.Load() != nil }

func (g *ingress) Close() {
	if !g.keep.Load() {
		g.LinkEndpoint.Close()
	}
}

// Wait is called with gVisor's locks held, which the reader of the link may be
// about to take: whoever closes the endpoint waits for it in Close.
func (g *ingress) Wait() {}

// GSOMaxSize implements gVisor's GSOEndpoint.
func (g *ingress) GSOMaxSize() uint32 {
	if e, ok := g.LinkEndpoint.(gv.GSOEndpoint); ok {
		return e.GSOMaxSize()
	}
	return 0
}

// SupportedGSO implements gVisor's GSOEndpoint.
func (g *ingress) SupportedGSO() gv.SupportedGSO {
	if e, ok := g.LinkEndpoint.(gv.GSOEndpoint); ok {
		return e.SupportedGSO()
	}
	return gv.GSONotSupported
}

func (g *ingress) DeliverLinkPacket(p tcpip.NetworkProtocolNumber, pkt *gv.PacketBuffer) {
	if d := g.up.Load(); d != nil {
		(*d).DeliverLinkPacket(p, pkt)
	}
}

func (g *ingress) DeliverNetworkPacket(p tcpip.NetworkProtocolNumber, pkt *gv.PacketBuffer) {
	d := g.up.Load()
	if d == nil || !g.nic.up.Load() {
		g.s.counters.LinkDownDropped.Add(1)
		return
	}
	if !g.s.receive(g.nic, pkt) {
		(*d).DeliverNetworkPacket(p, pkt)
	}
}

// peekLen is enough for an IPv6 and a TCP header with all options.
const peekLen = 128

// packet is an IP packet whose header is plain: no IPv4 options, no extension
// headers, not a fragment.
type packet struct {
	src, dst netip.Addr
	proto    uint8
	tos, ttl uint8
	head     []byte // the first bytes from the IP header on, at most peekLen
	off      int    // length of the IP header
	size     int    // of the packet, by its own account
	buf      *gv.PacketBuffer

	scratch [peekLen]byte
}

// packets are reused: one escapes to whoever looks at it.
var packets = sync.Pool{New: func() any { return new(packet) }}

// peek returns the first bytes of pkt in one piece. scratch is used when they
// are scattered. It does not disturb the packet.
func peek(pkt *gv.PacketBuffer, scratch *[peekLen]byte) []byte {
	views, off := pkt.AsViewList()
	want := min(pkt.Size(), peekLen)
	n := 0
	for v := views.Front(); v != nil && n < want; v = v.Next() {
		b := v.AsSlice()
		if off >= len(b) {
			off -= len(b)
			continue
		}
		b = b[off:]
		off = 0
		if n == 0 && len(b) >= want {
			return b[:want]
		}
		n += copy(scratch[n:want], b)
	}
	return scratch[:n]
}

// open reads the IP header; false: not plain, or malformed.
func (p *packet) open(trusted bool) bool {
	b := p.head
	if len(b) < 1 {
		return false
	}
	switch b[0] >> 4 {
	case 4:
		return p.open4(trusted)
	case 6:
		return p.open6()
	}
	return false
}

func (p *packet) open4(trusted bool) bool {
	b := p.head
	// IHL 5: no options. MF and offset zero: not a fragment.
	if len(b) < 20 || b[0] != 0x45 || binary.BigEndian.Uint16(b[6:])&0x3fff != 0 {
		return false
	}
	if !trusted && wire.Sum(b[:20], 0, false) != 0xffff {
		return false
	}
	p.size = int(binary.BigEndian.Uint16(b[2:]))
	p.src, p.dst = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	p.proto, p.tos, p.ttl, p.off = b[9], b[1], b[8], 20
	return p.size >= 20 && p.size <= p.buf.Size()
}

func (p *packet) open6() bool {
	b := p.head
	if len(b) < 40 {
		return false
	}
	p.size = 40 + int(binary.BigEndian.Uint16(b[4:]))
	p.src, p.dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	p.proto, p.tos, p.ttl, p.off = b[6], b[0]<<4|b[1]>>4, b[7], 40
	return p.size <= p.buf.Size()
}

// receive handles a packet from a link if it is one the stack takes itself.
// The packet is borrowed.
func (s *Stack) receive(n *nic, pkt *gv.PacketBuffer) bool {
	p := packets.Get().(*packet)
	defer packets.Put(p)
	p.buf = pkt
	p.head = peek(pkt, &p.scratch)
	taken := p.open(n.trusted) && s.dispatch(n, p)
	if !taken && sourceRouted(p.head) {
		// Departs from RFC 9293 §3.9.2.1 (MUST-51 to MUST-53, SHLD-24): a route
		// given by the sender is neither followed nor returned (RFC 7126 §4.3.5).
		s.counters.SourceRouted.Add(1)
		taken = true
	}
	p.buf, p.head = nil, nil
	return taken
}

// dispatch gives a plain packet to whoever handles its protocol here.
func (s *Stack) dispatch(n *nic, p *packet) bool {
	if s.martian(n, p.src, p.dst) {
		if p.proto == uint8(header.TCPProtocolNumber) {
			// RFC 9293 §3.9.2.3: in silence.
			s.counters.Martians.Add(1)
			return true
		}
		return false // gVisor's to refuse, or multicast
	}
	switch p.proto {
	case uint8(header.TCPProtocolNumber):
		s.receiveTCP(n, p)
		return true
	case uint8(header.ICMPv4ProtocolNumber):
		return p.src.Is4() && s.receiveICMP(n, p)
	case uint8(header.ICMPv6ProtocolNumber):
		return p.src.Is6() && s.receiveICMP(n, p)
	}
	return false
}

var segments = sync.Pool{New: func() any { return new(wire.Segment) }}

func putSegment(seg *wire.Segment) {
	clear(seg.Payload)
	segments.Put(seg)
}

func (s *Stack) receiveTCP(n *nic, p *packet) {
	s.segment(n, segmentIn{
		local: p.dst, remote: p.src, tos: p.tos, buf: p.buf,
		header: p.head[p.off:], skip: p.off, size: p.size - p.off,
		verified: n.trusted || p.buf.RXChecksumValidated,
	})
}

// receiveSlow takes a segment that went through gVisor's IP layer.
func (s *Stack) receiveSlow(id gv.TransportEndpointID, pkt *gv.PacketBuffer) bool {
	n := s.links.Load().get(LinkID(pkt.NICID))
	if n == nil {
		return true // the link has just gone
	}
	h := pkt.TransportHeader().Slice()
	net := pkt.NetworkHeader().Slice()
	in := segmentIn{
		local: fromGV(id.LocalAddress), remote: fromGV(id.RemoteAddress), buf: pkt,
		header: h, skip: pkt.HeaderSize() - len(h), size: len(h) + pkt.Data().Size(),
		verified: pkt.RXChecksumValidated,
	}
	if s.martian(n, in.remote, in.local) {
		s.counters.Martians.Add(1)
		return true
	}
	if in.local.Is4() {
		in.tos, _ = header.IPv4(net).TOS()
	} else {
		in.tos, _ = header.IPv6(net).TOS()
	}
	return s.segment(n, in)
}

// segmentIn is a TCP segment in a packet.
type segmentIn struct {
	local, remote netip.Addr
	tos           uint8
	buf           *gv.PacketBuffer // borrowed
	header        []byte           // at least the TCP header, if there is one
	skip          int              // bytes of the packet before it
	size          int              // bytes of the segment, header included
	verified      bool             // the checksum is known to be right
}

// segment parses a segment and gives it to whom it belongs. It reports whether
// the segment was well formed.
func (s *Stack) segment(n *nic, in segmentIn) bool {
	seg := segments.Get().(*wire.Segment)
	defer putSegment(seg)
	seg.Reset()
	hlen, err := wire.Parse(in.header[:min(len(in.header), in.size)], seg)
	if err != nil {
		s.counters.Malformed.Add(1)
		return false
	}
	seg.ECN = ecn.FromTOS(in.tos)
	seg.MSS = in.buf.GSOOptions.MSS
	seg.Payload = payload(in.buf, in.skip+hlen, in.size-hlen, seg.Payload)
	if !in.verified && !seg.ChecksumOK(in.header[:hlen], in.remote, in.local) {
		s.counters.BadChecksum.Add(1)
		chunk.ReleaseAll(seg.Payload)
		return false
	}
	s.counters.SegmentsReceived.Add(1)
	local, remote := netip.AddrPortFrom(in.local, seg.DstPort), netip.AddrPortFrom(in.remote, seg.SrcPort)
	if p := s.tcp.find(tuple{local, remote}); p != nil {
		p.receive(seg, &n.batch)
		return true
	}
	s.unexpected(&Incoming{Link: n.id, Local: local, Remote: remote, Segment: seg, s: s, nic: n})
	return true
}

// copyBelow is the payload size up to which bytes are copied out instead of
// keeping the packet: else a stream of tiny segments would hold a packet
// buffer for each.
const copyBelow = 256

// payload appends bytes [skip,skip+n) of pkt to dst as runs that hold a
// reference to it.
func payload(pkt *gv.PacketBuffer, skip, n int, dst []chunk.Slice) []chunk.Slice {
	views, off := pkt.AsViewList()
	skip += off
	if 0 < n && n <= copyBelow {
		return append(dst, chunk.Borrowed(gathered(views, skip, n)))
	}
	for v := views.Front(); v != nil && n > 0; v = v.Next() {
		b := v.AsSlice()
		if skip >= len(b) {
			skip -= len(b)
			continue
		}
		b = b[skip:min(len(b), skip+n)]
		skip = 0
		n -= len(b)
		dst = append(dst, hold(pkt, b))
	}
	return dst
}

func gathered(views buffer.ViewList, skip, n int) []byte {
	out := make([]byte, 0, n)
	for v := views.Front(); v != nil && len(out) < n; v = v.Next() {
		b := v.AsSlice()
		if skip >= len(b) {
			skip -= len(b)
			continue
		}
		b = b[skip:]
		skip = 0
		out = append(out, b[:min(len(b), n-len(out))]...)
	}
	return out
}

var holders = sync.Pool{New: func() any { return new(chunk.Chunk) }}

// hold wraps b, which lies in pkt, as a run that keeps pkt alive.
func hold(pkt *gv.PacketBuffer, b []byte) chunk.Slice {
	pkt.IncRef()
	c := holders.Get().(*chunk.Chunk)
	c.Rewrap(b, pkt, letGo)
	return c.Own(0, len(b))
}

func letGo(c *chunk.Chunk) {
	pkt := c.Owner.(*gv.PacketBuffer)
	c.Owner = nil
	holders.Put(c)
	pkt.DecRef()
}
