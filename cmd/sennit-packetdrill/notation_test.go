//go:build linux

package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/sennit-net/sennit/stack/chunk"
	"github.com/sennit-net/sennit/stack/seq"
	"github.com/sennit-net/sennit/stack/wire"
)

var flagLetters = map[byte]wire.Flags{'S': wire.SYN, 'F': wire.FIN, 'R': wire.RST, 'P': wire.PSH, '.': wire.ACK, 'E': wire.ECE, 'W': wire.CWR}

// encode makes the packet that a line of the script describes.
func (s *script) encode(line string) []byte {
	s.t.Helper()
	head, options, _ := strings.Cut(line, "<")
	w := strings.Fields(head)
	seg := &wire.Segment{Options: wire.Options{WindowScale: -1}}
	for i := range len(w[0]) {
		seg.Flags |= flagLetters[w[0][i]]
	}
	var from, to, n int
	if _, err := fmt.Sscanf(w[1], "%d:%d(%d)", &from, &to, &n); err != nil || to-from != n {
		s.t.Fatalf("%q: %v", line, err)
	}
	seg.Seq = seq.Num(s.ours + uint32(from))
	for w = w[2:]; len(w) > 1; w = w[2:] {
		var v int
		if _, err := fmt.Sscan(w[1], &v); err != nil {
			s.t.Fatalf("%q: %v", line, err)
		}
		switch w[0] {
		case "ack":
			seg.Ack = seq.Num(s.theirs + uint32(v))
		case "win":
			seg.Window = uint16(v)
		default:
			s.t.Fatalf("%q: no word %s", line, w[0])
		}
	}
	var b []byte
	for _, o := range strings.Split(strings.TrimSuffix(options, ">"), ",") {
		b = s.option(b, o)
	}
	at := from - 1
	if seg.Flags.Has(wire.SYN) {
		at = from // the SYN comes before the data
	}
	return packet(s.remote, s.local, seg, b, pattern(at, n))
}

// option appends one option as written.
func (s *script) option(b []byte, o string) []byte {
	var x, y uint32
	var raw []byte
	switch name, value, _ := strings.Cut(strings.TrimSpace(o), " "); name {
	case "":
	case "nop":
		b = append(b, 1)
	case "sackOK":
		b = append(b, 4, 2)
	case "mss":
		fmt.Sscan(value, &x)
		b = append(b, 2, 4, byte(x>>8), byte(x))
	case "wscale":
		fmt.Sscan(value, &x)
		b = append(b, 3, 3, byte(x))
	case "TS":
		fmt.Sscanf(value, "val %d ecr %d", &x, &y)
		if s.stamped {
			y += s.stamp - 1000
		}
		b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(append(b, 8, 10), x), y)
	case "sack":
		blocks := strings.Fields(value)
		b = append(b, 5, byte(2+8*len(blocks)))
		for _, r := range blocks {
			fmt.Sscanf(r, "%d:%d", &x, &y)
			b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, s.theirs+x), s.theirs+y)
		}
	case "raw":
		fmt.Sscanf(value, "%x", &raw)
		b = append(b, raw...)
	default:
		s.t.Fatalf("no option %q", o)
	}
	return b
}

// packet puts a segment with these option bytes into an IP packet.
func packet(src, dst netip.AddrPort, seg *wire.Segment, options, payload []byte) []byte {
	seg.SrcPort, seg.DstPort = src.Port(), dst.Port()
	h := seg.AppendHeader(nil)
	for len(options)%4 != 0 {
		options = append(options, 0)
	}
	h[12] = byte(5+len(options)/4) << 4
	h = append(h, options...)
	seg.Payload = []chunk.Slice{chunk.Borrowed(payload)}
	seg.SetChecksum(h, src.Addr(), dst.Addr())
	return ipPacket(src.Addr(), dst.Addr(), 6, append(h, payload...))
}

func ipPacket(src, dst netip.Addr, proto byte, body []byte) []byte {
	var b []byte
	if dst.Is4() {
		b = binary.BigEndian.AppendUint16([]byte{0x45, 0}, uint16(20+len(body)))
		b = append(b, 0, 0, 0, 0, 64, proto, 0, 0)
		b = append(append(b, src.AsSlice()...), dst.AsSlice()...)
		binary.BigEndian.PutUint16(b[10:], ^wire.Sum(b, 0, false))
	} else {
		b = binary.BigEndian.AppendUint16([]byte{0x60, 0, 0, 0}, uint16(len(body)))
		b = append(b, proto, 64)
		b = append(append(b, src.AsSlice()...), dst.AsSlice()...)
	}
	return append(b, body...)
}

// decode writes a packet as a script does, without its window, and checks what
// no script asks for: addresses, lengths, checksums, payload.
func (s *script) decode(b []byte) (line string, window int) {
	s.t.Helper()
	var src, dst netip.Addr
	body := b
	switch {
	case len(b) >= 40 && b[0] == 0x45 && int(binary.BigEndian.Uint16(b[2:])) == len(b) && wire.Sum(b[:20], 0, false) == 0xffff:
		src, dst, body = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20])), b[20:]
	case len(b) >= 60 && b[0]>>4 == 6 && int(binary.BigEndian.Uint16(b[4:])) == len(b)-40:
		src, dst, body = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40])), b[40:]
	default:
		s.t.Fatalf("no IP packet: %x", b)
	}
	var seg wire.Segment
	n, err := wire.Parse(body, &seg)
	if err != nil {
		s.t.Fatalf("%v: %x", err, b)
	}
	payload := body[n:]
	seg.Payload = []chunk.Slice{chunk.Borrowed(payload)}
	if src != s.local.Addr() || dst != s.remote.Addr() || !seg.ChecksumOK(body[:n], src, dst) {
		s.t.Fatalf("addresses or checksum: %x", b)
	}
	if seg.Flags.Has(wire.SYN) && !s.known {
		s.theirs, s.known = uint32(seg.Seq), true
		s.local, s.remote = netip.AddrPortFrom(src, seg.SrcPort), netip.AddrPortFrom(dst, seg.DstPort)
	}
	from := int(int32(uint32(seg.Seq) - s.theirs))
	at := from - 1
	if seg.Flags.Has(wire.SYN) {
		at = from
	}
	if want := pattern(max(at, 0), len(payload)); at >= 0 && string(payload) != string(want) {
		s.t.Fatalf("payload of %d bytes at %d is not what was written", len(payload), from)
	}
	var out strings.Builder
	for _, c := range "SFRPEW." {
		if seg.Flags.Has(flagLetters[byte(c)]) {
			out.WriteRune(c)
		}
	}
	fmt.Fprintf(&out, " %d:%d(%d)", from, from+len(payload), len(payload))
	if seg.Flags.Has(wire.ACK) {
		fmt.Fprintf(&out, " ack %d", int32(uint32(seg.Ack)-s.ours))
	}
	if o := s.options(body[20:n]); o != "" {
		fmt.Fprintf(&out, " <%s>", o)
	}
	return out.String(), int(seg.Window)
}

// options writes option bytes down.
func (s *script) options(b []byte) string {
	var out []string
	for len(b) > 0 {
		n := 1
		if b[0] > 1 {
			n = int(b[1])
		}
		o := b[:n]
		b = b[n:]
		switch o[0] {
		case 0:
			out = append(out, "eol")
		case 1:
			out = append(out, "nop")
		case 2:
			out = append(out, fmt.Sprintf("mss %d", binary.BigEndian.Uint16(o[2:])))
		case 3:
			out = append(out, fmt.Sprintf("wscale %d", o[2]))
		case 4:
			out = append(out, "sackOK")
		case 5:
			text := "sack"
			for k := 2; k < n; k += 8 {
				text += fmt.Sprintf(" %d:%d", binary.BigEndian.Uint32(o[k:])-s.ours, binary.BigEndian.Uint32(o[k+4:])-s.ours)
			}
			out = append(out, text)
		case 8:
			v, e := binary.BigEndian.Uint32(o[2:]), binary.BigEndian.Uint32(o[6:])
			if !s.stamped {
				s.stamp, s.stamped = v, true
			}
			out = append(out, fmt.Sprintf("TS val %d ecr %d", v-s.stamp+1000, e))
		default:
			out = append(out, fmt.Sprintf("raw %x", o))
		}
	}
	return strings.Join(out, ",")
}
