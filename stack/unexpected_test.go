package stack_test

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/sennit-net/sennit/ecn"
	"github.com/sennit-net/sennit/stack"
	"github.com/sennit-net/sennit/stack/wire"
)

// RFC 9293 §3.10.7.1: what becomes of a segment without connection. No ICMP
// error goes with it (RFC 1122 §4.2.2.12).
func TestUnexpectedSegments(t *testing.T) {
	const seq, ack = 5000, 7000
	tests := []struct {
		name string
		seg  wire.Segment
		data string
		want *wire.Segment // nil: silence
	}{
		{"SYN", wire.Segment{Flags: wire.SYN, Seq: seq}, "",
			&wire.Segment{Flags: wire.RST | wire.ACK, Seq: 0, Ack: seq + 1}},
		{"data without ACK", wire.Segment{Seq: seq}, "abc",
			&wire.Segment{Flags: wire.RST | wire.ACK, Seq: 0, Ack: seq + 3}},
		{"ACK", wire.Segment{Flags: wire.ACK, Seq: seq, Ack: ack}, "",
			&wire.Segment{Flags: wire.RST, Seq: ack}},
		{"SYN ACK", wire.Segment{Flags: wire.SYN | wire.ACK, Seq: seq, Ack: ack}, "",
			&wire.Segment{Flags: wire.RST, Seq: ack}},
		{"RST", wire.Segment{Flags: wire.RST, Seq: seq}, "", nil},
		{"RST ACK", wire.Segment{Flags: wire.RST | wire.ACK, Seq: seq, Ack: ack}, "", nil},
	}
	for family, ends := range map[string][2]netip.AddrPort{
		"IPv4": {peer4, netip.AddrPortFrom(addrA4, 81)}, "IPv6": {peer6, netip.AddrPortFrom(addrA6, 81)}} {
		w := newWire(t, stack.Options{})
		for _, c := range tests {
			t.Run(family+" "+c.name, func(t *testing.T) {
				w.t = t
				w.injectTCP(ends[0], ends[1], c.seg, c.data)
				if c.want == nil {
					w.nothing()
					return
				}
				p := w.next()
				if p[0]>>4 == 4 && p[9] != 6 || p[0]>>4 == 6 && p[6] != 6 {
					t.Fatalf("answer is not TCP: % x", p)
				}
				got, _ := w.parsed(p)
				if got.Flags != c.want.Flags || got.Seq != c.want.Seq || got.Ack != c.want.Ack || got.Len() != 0 {
					t.Errorf("answer %v, want %v", &got, c.want)
				}
				// RFC 3168 §6.1.1: control packets are not ECT.
				if got.ECN != ecn.NotECT {
					t.Errorf("answer is %v", got.ECN)
				}
			})
		}
	}
}

// Damaged, misaddressed and malformed packets have no effect (RFC 1122
// §3.2.1.3, RFC 9293 §3.1).
func TestDroppedPackets(t *testing.T) {
	to := netip.AddrPortFrom(addrA4, 81)
	ack := wire.Segment{Flags: wire.ACK, Ack: 7000}
	good := func() []byte { return packet(peer4.Addr(), addrA4, 6, 0, tcpBytes(peer4, to, ack, "data")) }
	w := newWire(t, stack.Options{})
	for name, p := range map[string][]byte{
		"wrong checksum":       flip(good(), 36),
		"damaged payload":      flip(good(), 42),
		"wrong IP checksum":    flip(good(), 8),
		"data offset 4":        patched(good(), 32, 0x40),
		"data offset 15":       patched(good(), 32, 0xf0),
		"cut in the header":    truncated(good(), 30),
		"longer than it is":    patched(good(), 2, 0x10),
		"from multicast":       packet(netip.MustParseAddr("224.0.0.1"), addrA4, 6, 0, tcpBytes(peer4, to, ack, "")),
		"to another address":   packet(peer4.Addr(), addrB4, 6, 0, tcpBytes(peer4, to, ack, "")),
		"from loopback":        packet(netip.MustParseAddr("127.0.0.1"), addrA4, 6, 0, tcpBytes(peer4, to, ack, "")),
		"empty":                {},
		"one byte":             {0x45},
		"no IP":                {0x90, 1, 2, 3, 4, 5, 6, 7, 8},
		"IPv6 cut":             packet(addrB6, addrA6, 6, 0, nil)[:30],
		"IPv6 without segment": packet(addrB6, addrA6, 6, 0, nil),
	} {
		t.Run(name, func(t *testing.T) {
			w.t = t
			if len(p) > 0 {
				w.inject(p)
			}
			w.nothing()
		})
	}
}

func flip(p []byte, at int) []byte            { p[at] ^= 0x55; return p }
func patched(p []byte, at int, b byte) []byte { p[at] = b; return p }
func truncated(p []byte, n int) []byte {
	p = p[:n]
	binary.BigEndian.PutUint16(p[2:], uint16(n))
	binary.BigEndian.PutUint16(p[10:], 0)
	binary.BigEndian.PutUint16(p[10:], ^wire.Sum(p[:20], 0, false))
	return p
}

// A segment that came in fragments, or behind IP options or extension headers,
// takes the way through gVisor and arrives all the same.
func TestSlowWay(t *testing.T) {
	w := newWire(t, stack.Options{})
	to := netip.AddrPortFrom(addrA4, 81)
	seg := tcpBytes(peer4, to, wire.Segment{Flags: wire.ACK, Ack: 7000}, "0123456789")

	t.Run("fragments", func(t *testing.T) {
		w.t = t
		for _, f := range [][2]int{{24, len(seg)}, {0, 24}} {
			p := packet(peer4.Addr(), addrA4, 6, 0, seg[f[0]:f[1]])
			field := uint16(f[0] / 8)
			if f[1] < len(seg) {
				field |= 0x2000
			}
			binary.BigEndian.PutUint16(p[4:], 77)
			binary.BigEndian.PutUint16(p[6:], field)
			binary.BigEndian.PutUint16(p[10:], 0)
			binary.BigEndian.PutUint16(p[10:], ^wire.Sum(p[:20], 0, false))
			w.inject(p)
		}
		if got, _ := w.nextTCP(); got.Flags != wire.RST || got.Seq != 7000 {
			t.Fatalf("answer %v", &got)
		}
	})
	t.Run("IPv6 destination options", func(t *testing.T) {
		w.t = t
		to := netip.AddrPortFrom(addrA6, 81)
		seg := tcpBytes(peer6, to, wire.Segment{Flags: wire.ACK, Ack: 7001}, "0123456789")
		ext := []byte{6, 0, 1, 4, 0, 0, 0, 0}
		w.inject(packet(peer6.Addr(), addrA6, 60, 0, append(ext, seg...)))
		if got, _ := w.nextTCP(); got.Flags != wire.RST || got.Seq != 7001 {
			t.Fatalf("answer %v", &got)
		}
	})
}
