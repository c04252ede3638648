package stack

import (
	"encoding/binary"
	"net/netip"
	"syscall"

	"github.com/sennit-net/sennit/stack/seq"
	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/wire"
)

// receiveICMP takes errors about TCP segments, and echo requests in
// any-address mode; the rest is gVisor's.
func (s *Stack) receiveICMP(n *nic, p *packet) bool {
	b := p.head[p.off:]
	if len(b) < 8 {
		return false
	}
	if s.opts.AnyAddress && s.any.echo.Load() != nil && b[0] == echoRequest(p.src) && b[1] == 0 {
		return s.receiveEcho(n, p)
	}
	if q, ok := quote(p, b); ok {
		s.pathError(n, p, b, q)
		return true
	}
	return false
}

// quoted is what an ICMP error says about the segment it complains of.
type quoted struct {
	local, remote netip.AddrPort
	seq           seq.Num
	size          int // bytes of the packet it was in
}

// quote reads the packet quoted in the ICMP error b; false: not an error, or
// not about TCP.
func quote(p *packet, b []byte) (quoted, bool) {
	in := b[8:]
	if p.src.Is4() {
		if t := b[0]; (t != 3 && t != 11 && t != 12) || len(in) < 28 || in[0]>>4 != 4 || in[9] != 6 {
			return quoted{}, false
		}
		off := int(in[0]&15) * 4
		if off < 20 || len(in) < off+8 {
			return quoted{}, false
		}
		return quoteOf(netip.AddrFrom4([4]byte(in[12:16])), netip.AddrFrom4([4]byte(in[16:20])),
			in[off:], int(binary.BigEndian.Uint16(in[2:]))), true
	}
	if t := b[0]; t < 1 || t > 4 || len(in) < 48 || in[0]>>4 != 6 || in[6] != 6 {
		return quoted{}, false
	}
	return quoteOf(netip.AddrFrom16([16]byte(in[8:24])), netip.AddrFrom16([16]byte(in[24:40])),
		in[40:], 40+int(binary.BigEndian.Uint16(in[4:]))), true
}

func quoteOf(local, remote netip.Addr, h []byte, size int) quoted {
	return quoted{
		local:  netip.AddrPortFrom(local, binary.BigEndian.Uint16(h)),
		remote: netip.AddrPortFrom(remote, binary.BigEndian.Uint16(h[2:])),
		seq:    seq.Num(binary.BigEndian.Uint32(h[4:])),
		size:   size,
	}
}

// pathError gives an ICMP error to the connection it is about. Whether the
// quoted sequence number is one in flight (RFC 5927 §4.1) is for the machine
// to say.
func (s *Stack) pathError(n *nic, p *packet, b []byte, q quoted) {
	if !s.icmpChecksumOK(n, p) {
		s.counters.BadChecksum.Add(1)
		return
	}
	path := s.tcp.find(tuple{q.local, q.remote})
	if path == nil || path.nic != n {
		s.counters.StrayPathErrors.Add(1)
		return
	}
	e := tcp.PathError{Seq: q.seq}
	if p.src.Is4() {
		classify4(&e, b, q)
	} else {
		classify6(&e, b, q)
	}
	s.counters.PathErrors.Add(1)
	if e.Kind == tcp.PacketTooBig && e.MTU >= n.mtu() {
		return
	}
	path.control(e)
}

// classify4 follows RFC 792 and RFC 1122 §4.2.3.9.
func classify4(e *tcp.PathError, b []byte, q quoted) {
	e.Kind, e.Err = tcp.Unreachable, syscall.EHOSTUNREACH
	if b[0] != 3 {
		return
	}
	switch b[1] {
	case 0, 6, 9, 11:
		e.Err = syscall.ENETUNREACH
	case 2:
		e.Kind, e.Err = tcp.PortUnreachable, syscall.ENOPROTOOPT
	case 3:
		e.Kind, e.Err = tcp.PortUnreachable, syscall.ECONNREFUSED
	case 4:
		e.Kind, e.Err = tcp.PacketTooBig, nil
		e.MTU = believed(int(binary.BigEndian.Uint16(b[6:])), q.size, true)
	}
}

// classify6 follows RFC 4443 §3.
func classify6(e *tcp.PathError, b []byte, q quoted) {
	e.Kind, e.Err = tcp.Unreachable, syscall.EHOSTUNREACH
	switch b[0] {
	case 1:
		switch b[1] {
		case 0:
			e.Err = syscall.ENETUNREACH
		case 1, 5, 6:
			e.Err = syscall.EACCES
		case 4:
			e.Kind, e.Err = tcp.PortUnreachable, syscall.ECONNREFUSED
		}
	case 2:
		e.Kind, e.Err = tcp.PacketTooBig, nil
		e.MTU = believed(int(binary.BigEndian.Uint32(b[4:])), q.size, false)
	case 4:
		e.Err = syscall.EPROTO
	}
}

// icmpChecksumOK verifies the checksum of the ICMP message in p over all of
// its bytes.
func (s *Stack) icmpChecksumOK(n *nic, p *packet) bool {
	if n.trusted || p.buf.RXChecksumValidated {
		return true
	}
	msg := p.body()
	var sum uint16
	if p.src.Is6() {
		sum = pseudo6(p.src, p.dst, len(msg))
	}
	return wire.Sum(msg, sum, false) == 0xffff
}

// body returns a copy of what follows the IP header.
func (p *packet) body() []byte {
	views, off := p.buf.AsViewList()
	return gathered(views, off+p.off, p.size-p.off)
}

// pseudo6 is the sum of the ICMPv6 pseudo-header (RFC 4443 §2.3).
func pseudo6(src, dst netip.Addr, n int) uint16 {
	var b [40]byte
	x, y := src.As16(), dst.As16()
	copy(b[:], x[:])
	copy(b[16:], y[:])
	binary.BigEndian.PutUint32(b[32:], uint32(n))
	b[39] = 58
	return wire.Sum(b[:], 0, false)
}

// echoRequest is the ICMP type of an echo request in the family of a.
func echoRequest(a netip.Addr) byte {
	if a.Is4() {
		return 8
	}
	return 128
}
