package stack

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"syscall"

	"github.com/sennit-net/sennit/ecn"
	"github.com/sennit-net/sennit/stack/wire"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gv "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// Gatherer is a link endpoint that sends a packet from scattered bytes. A link
// that has it spares the copy of every payload byte.
type Gatherer interface {
	// WriteGather sends one IP packet: hdr, then the pieces of payload. gso is
	// as in gVisor's PacketBuffer: with NeedsCsum the checksum field holds the
	// folded sum of the pseudo-header; with a Type the packet is to be cut at
	// MSS bytes of payload. It keeps nothing after it returned, and may be
	// called concurrently.
	WriteGather(hdr []byte, payload [][]byte, gso gv.GSO) tcpip.Error
}

// maxHeader is the longest header the stack writes: IPv6 and TCP with all its
// options.
const maxHeader = 40 + wire.MinHeader + wire.MaxOptions

const defaultTTL = 64

// envelope is what an IP header needs besides the segment.
type envelope struct {
	nic           *nic
	local, remote netip.AddrPort
	ttl, dscp     uint8
}

// scratch is the memory one writer needs.
type scratch struct {
	hdr   [maxHeader]byte
	parts [][]byte
}

// send writes seg to the link. The payload stays the caller's.
func (s *Stack) send(e *envelope, seg *wire.Segment, t *scratch) error {
	if !e.nic.up.Load() {
		s.counters.LinkDownDropped.Add(1)
		return syscall.ENETDOWN
	}
	hdr, gso := e.encode(seg, t)
	t.parts = t.parts[:0]
	for i := range seg.Payload {
		t.parts = append(t.parts, seg.Payload[i].B)
	}
	err := e.nic.write(hdr, t.parts, len(hdr)-seg.HeaderLen(), gso)
	clear(t.parts)
	if err != nil {
		s.counters.SendErrors.Add(1)
		return gvError(err)
	}
	s.counters.SegmentsSent.Add(1)
	return nil
}

// encode builds the IP and TCP headers of seg in t.
func (e *envelope) encode(seg *wire.Segment, t *scratch) ([]byte, gv.GSO) {
	local, remote := e.local.Addr(), e.remote.Addr()
	n := seg.Len()
	seg.SrcPort, seg.DstPort = e.local.Port(), e.remote.Port()
	ip := ipHeaderLen(local)
	hlen := seg.HeaderLen()
	putIP(t.hdr[:ip], local, remote, uint8(header.TCPProtocolNumber),
		seg.ECN.OnTOS(e.dscp<<2), e.ttl, hlen+n)
	hdr := seg.AppendHeader(t.hdr[:ip])
	var gso gv.GSO
	if !e.nic.checksum {
		seg.SetChecksum(hdr[ip:], local, remote)
		return hdr, gso
	}
	binary.BigEndian.PutUint16(hdr[ip+wire.ChecksumOffset:], wire.PseudoSum(local, remote, hlen+n))
	gso = gv.GSO{NeedsCsum: true, CsumOffset: wire.ChecksumOffset, L3HdrLen: uint16(ip), MaxSize: uint32(e.nic.maxSuper)}
	if seg.MSS != 0 && n > int(seg.MSS) {
		gso.MSS = seg.MSS
		gso.Type = gv.GSOTCPv6
		if local.Is4() {
			gso.Type = gv.GSOTCPv4
		}
	}
	return hdr, gso
}

// putIP writes an IP header without options for n bytes of proto. IPv4 packets
// are atomic: DF set, ID zero (RFC 6864 §4.1).
func putIP(b []byte, src, dst netip.Addr, proto, tos, ttl uint8, n int) {
	if ttl == 0 {
		ttl = defaultTTL
	}
	if src.Is4() {
		x, y := src.As4(), dst.As4()
		b[0], b[1] = 0x45, tos
		binary.BigEndian.PutUint16(b[2:], uint16(20+n))
		binary.BigEndian.PutUint32(b[4:], 0x4000)
		b[8], b[9], b[10], b[11] = ttl, proto, 0, 0
		copy(b[12:], x[:])
		copy(b[16:], y[:])
		binary.BigEndian.PutUint16(b[10:], ^wire.Sum(b[:20], 0, false))
		return
	}
	x, y := src.As16(), dst.As16()
	b[0], b[1], b[2], b[3] = 6<<4|tos>>4, tos<<4, 0, 0
	binary.BigEndian.PutUint16(b[4:], uint16(n))
	b[6], b[7] = proto, ttl
	copy(b[8:], x[:])
	copy(b[24:], y[:])
}

// write sends an IP packet whose first ip bytes of hdr are the IP header.
func (n *nic) write(hdr []byte, parts [][]byte, ip int, gso gv.GSO) tcpip.Error {
	if n.gather != nil {
		return n.gather.WriteGather(hdr, parts, gso)
	}
	pkt := gv.NewPacketBuffer(gv.PacketBufferOptions{
		ReserveHeaderBytes: int(n.ep.MaxHeaderLength()) + len(hdr),
		Payload:            copied(parts),
	})
	defer pkt.DecRef()
	copy(pkt.TransportHeader().Push(len(hdr)-ip), hdr[ip:])
	copy(pkt.NetworkHeader().Push(ip), hdr[:ip])
	pkt.TransportProtocolNumber = header.TCPProtocolNumber
	pkt.NetworkProtocolNumber = header.IPv6ProtocolNumber
	if hdr[0]>>4 == 4 {
		pkt.NetworkProtocolNumber = header.IPv4ProtocolNumber
	}
	pkt.GSOOptions = gso
	var l gv.PacketBufferList
	l.PushBack(pkt)
	_, err := n.ep.WritePackets(l)
	return err
}

// copied gathers parts into a buffer of gVisor's.
func copied(parts [][]byte) buffer.Buffer {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	if n == 0 {
		return buffer.Buffer{}
	}
	v := buffer.NewView(n)
	for _, p := range parts {
		_, _ = v.Write(p) // into memory
	}
	return buffer.MakeWithView(v)
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// sendLoose sends a segment that belongs to no connection.
func (s *Stack) sendLoose(n *nic, local, remote netip.AddrPort, seg *wire.Segment) {
	t := scratches.Get().(*scratch)
	defer scratches.Put(t)
	seg.ECN = ecn.NotECT                                                // RFC 3168 §6.1.1
	_ = s.send(&envelope{nic: n, local: local, remote: remote}, seg, t) // as lost as any
}
