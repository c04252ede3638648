//go:build linux

package drill

import (
	"encoding/binary"
	"net/netip"

	"github.com/sennit-net/sennit/ecn"
	"github.com/sennit-net/sennit/mptcp/conn"
	"github.com/sennit-net/sennit/mptcp/option"
	"github.com/sennit-net/sennit/stack/chunk"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/wire"
)

// Protocol numbers.
const (
	protoICMP  = 1
	protoTCP   = 6
	protoICMP6 = 58
)

// datagram is an IP packet taken apart.
type datagram struct {
	src, dst netip.Addr
	proto    uint8
	tos      uint8
	body     []byte
}

// open reads an IP header; false: malformed, a fragment, or with options or
// extension headers.
func open(b []byte) (d datagram, ok bool) {
	switch {
	case len(b) >= 20 && b[0] == 0x45:
		n := int(binary.BigEndian.Uint16(b[2:]))
		if n < 20 || n > len(b) || binary.BigEndian.Uint16(b[6:])&0x3fff != 0 || wire.Sum(b[:20], 0, false) != 0xffff {
			return d, false
		}
		return datagram{netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20])), b[9], b[1], b[20:n]}, true
	case len(b) >= 40 && b[0]>>4 == 6:
		n := 40 + int(binary.BigEndian.Uint16(b[4:]))
		if n > len(b) {
			return d, false
		}
		return datagram{netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40])), b[6],
			b[0]<<4 | b[1]>>4, b[40:n]}, true
	}
	return d, false
}

// appendIP appends the IP header of a packet with n bytes behind it.
func appendIP(b []byte, src, dst netip.Addr, proto, tos, ttl uint8, n int) []byte {
	at := len(b)
	if dst.Is4() {
		b = append(b, 0x45, tos)
		b = binary.BigEndian.AppendUint16(b, uint16(20+n))
		b = append(b, 0, 0, 0x40, 0, ttl, proto, 0, 0) // do not fragment (RFC 1191 §3)
		b = append(append(b, src.AsSlice()...), dst.AsSlice()...)
		binary.BigEndian.PutUint16(b[at+10:], ^wire.Sum(b[at:], 0, false))
		return b
	}
	b = append(b, 0x60|tos>>4, tos<<4, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(n))
	b = append(b, proto, ttl)
	return append(append(b, src.AsSlice()...), dst.AsSlice()...)
}

// transmit sends a segment of t, a super-segment in its parts. The last part of
// one has PSH, as Linux sets it so that the receiver does not wait for more to
// join.
func (h *Host) transmit(t tuple, seg *wire.Segment, tos, ttl uint8) {
	n, size := seg.Len(), int(seg.MSS)
	if size == 0 || n <= size {
		h.send(t, seg, tos, ttl)
		return
	}
	for off := 0; off < n; off += size {
		one := *seg
		k := min(size, n-off)
		one.Seq = seg.Seq.Add(off)
		if off > 0 {
			one.Flags &^= wire.CWR // RFC 3168 §6.1.2: once per reduction
		}
		if off+k < n {
			one.Flags &^= wire.FIN | wire.PSH
		} else {
			one.Flags |= wire.PSH
		}
		one.Payload = chunk.Range(nil, seg.Payload, off, k)
		h.send(t, &one, tos, ttl)
		chunk.ReleaseAll(one.Payload)
	}
}

// send puts a segment of t on the wire.
func (h *Host) send(t tuple, seg *wire.Segment, tos, ttl uint8) {
	seg.SrcPort, seg.DstPort = t.local.Port(), t.remote.Port()
	n := seg.HeaderLen() + seg.Len()
	b := appendIP(make([]byte, 0, 40+n), t.local.Addr(), t.remote.Addr(), protoTCP, tos|uint8(seg.ECN), ttl, n)
	at := len(b)
	b = seg.AppendHeader(b)
	seg.SetChecksum(b[at:], t.local.Addr(), t.remote.Addr())
	for _, r := range seg.Payload {
		b = append(b, r.B...)
	}
	h.out = append(h.out, Packet{b, h.clock.now})
	h.cond.Broadcast()
}

// Inject takes a packet from the network and returns when all its effects are
// there.
func (h *Host) Inject(b []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drive()
	h.ready()
	d, ok := open(b)
	if !ok || !d.src.IsValid() || d.src.IsUnspecified() || d.src.IsMulticast() || d.dst.IsMulticast() {
		return
	}
	switch d.proto {
	case protoTCP:
		h.segment(d)
	case protoICMP, protoICMP6:
		h.pathError(d)
	}
	h.quiesce()
}

// segment gives a TCP segment to whom it belongs.
func (h *Host) segment(d datagram) {
	var seg wire.Segment
	seg.Reset()
	n, err := wire.Parse(d.body, &seg)
	if err != nil {
		return
	}
	if len(d.body) > n {
		seg.Payload = chunk.Copied(seg.Payload, d.body[n:])
	}
	if !seg.ChecksumOK(d.body[:n], d.src, d.dst) {
		chunk.ReleaseAll(seg.Payload)
		return
	}
	seg.ECN = ecn.FromTOS(d.tos)
	t := tuple{netip.AddrPortFrom(d.dst, seg.DstPort), netip.AddrPortFrom(d.src, seg.SrcPort)}
	b, known := h.tuples[t]
	if known && b.f.stream != nil && b.f.stream.Conn.Reopens(&seg, h.settings.number("net.ipv4.tcp_timestamps", 1) != 0) {
		// RFC 6191 §2: the old incarnation makes room.
		h.drop(b.f)
		known = false
	}
	if known {
		h.do(b.f, func(now mono.Time) { b.f.m.Receive(now, b.sub, &seg) })
		return
	}
	if seg.Flags.Has(wire.SYN) && !seg.Flags.Any(wire.ACK|wire.RST) && (h.join(t, &seg) || h.welcome(t, &seg)) {
		return
	}
	h.refuse(t, &seg, option.ResetUnspecified)
}

// refuse answers a segment without connection (RFC 9293 §3.10.7.1), with the
// reason in an MP_TCPRST if there is one (RFC 8684 §3.6).
func (h *Host) refuse(t tuple, seg *wire.Segment, why option.ResetReason) {
	var rst wire.Segment
	ok := tcp.ResetFor(seg, &rst)
	chunk.ReleaseAll(seg.Payload)
	if !ok {
		return
	}
	if why != option.ResetUnspecified {
		conn.AppendRefusal(&rst, why)
	}
	h.transmit(t, &rst, 0, uint8(h.settings.number("net.ipv4.ip_default_ttl", 64)))
}
