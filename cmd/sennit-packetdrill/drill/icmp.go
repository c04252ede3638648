//go:build linux

package drill

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/seq"
	"github.com/sennit-net/sennit/stack/tcp"
)

// pathError gives an ICMP error to the connection whose segment it quotes.
func (h *Host) pathError(d datagram) {
	if len(d.body) < 8 {
		return
	}
	q := d.body[8:]
	var local, remote netip.Addr
	switch {
	case d.proto == protoICMP && len(q) >= 28 && q[0] == 0x45 && q[9] == protoTCP:
		local, remote, q = netip.AddrFrom4([4]byte(q[12:16])), netip.AddrFrom4([4]byte(q[16:20])), q[20:]
	case d.proto == protoICMP6 && len(q) >= 48 && q[0]>>4 == 6 && q[6] == protoTCP:
		local, remote, q = netip.AddrFrom16([16]byte(q[8:24])), netip.AddrFrom16([16]byte(q[24:40])), q[40:]
	default:
		return
	}
	e, ok := classify(d)
	b, known := h.tuples[tuple{netip.AddrPortFrom(local, binary.BigEndian.Uint16(q)),
		netip.AddrPortFrom(remote, binary.BigEndian.Uint16(q[2:]))}]
	if !ok || !known {
		return
	}
	e.Seq = seq.Num(binary.BigEndian.Uint32(q[4:]))
	h.do(b.f, func(now mono.Time) { b.f.m.Control(now, b.sub, e) })
}

// classify says what an ICMP message means (RFC 1122 §4.2.3.9, RFC 4443 §3);
// false: it is no error.
func classify(d datagram) (e tcp.PathError, ok bool) {
	kind, code := d.body[0], d.body[1]
	e.Kind, e.Err = tcp.Unreachable, unix.EHOSTUNREACH
	if d.proto == protoICMP {
		switch {
		case kind != 3 && kind != 11 && kind != 12:
			return e, false
		case kind == 12:
			e.Err = unix.EPROTO
		case kind == 3:
			switch code {
			case 0, 6, 9, 11:
				e.Err = unix.ENETUNREACH
			case 2:
				e.Kind, e.Err = tcp.PortUnreachable, unix.ENOPROTOOPT
			case 3:
				e.Kind, e.Err = tcp.PortUnreachable, unix.ECONNREFUSED
			case 4:
				e.Kind, e.Err = tcp.PacketTooBig, nil
				e.MTU = int(binary.BigEndian.Uint16(d.body[6:]))
			}
		}
		return e, true
	}
	switch kind {
	case 1:
		switch code {
		case 0:
			e.Err = unix.ENETUNREACH
		case 1, 5, 6:
			e.Err = unix.EACCES
		case 4:
			e.Kind, e.Err = tcp.PortUnreachable, unix.ECONNREFUSED
		}
	case 2:
		e.Kind, e.Err = tcp.PacketTooBig, nil
		e.MTU = int(binary.BigEndian.Uint32(d.body[4:]))
	case 3:
	case 4:
		e.Err = unix.EPROTO
	default:
		return e, false
	}
	return e, true
}
