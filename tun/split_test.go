package tun

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"pgregory.net/rapid"
)

// super describes a TCP super-packet for the tests.
type super struct {
	v6       bool
	options  int // bytes of TCP options, a multiple of four
	payload  int
	mss      int
	flags    uint16 // nine bits, AE on top
	cwrFirst bool
}

// packet returns the packet that s describes, in pieces of the given sizes (the
// last takes the rest), and its metadata.
func (s super) packet(cuts ...int) ([][]byte, Meta) {
	l3 := 20
	if s.v6 {
		l3 = 40
	}
	h := 20 + s.options
	p := make([]byte, l3+h+s.payload)
	m := Meta{GSO: GSOTCPv4, MSS: uint16(s.mss), HeaderLen: uint16(l3 + h), NeedsCsum: true,
		CsumStart: uint16(l3), CsumOffset: 16, CWRFirst: s.cwrFirst}
	if s.v6 {
		m.GSO = GSOTCPv6
		copy(p, []byte{0x61, 0x23, 0x45, 0x67}) // traffic class and flow label
		binary.BigEndian.PutUint16(p[4:], uint16(h+s.payload))
		p[6], p[7] = 6, 63
		copy(p[8:], bytes.Repeat([]byte{0xfd, 1}, 8))
		copy(p[24:], bytes.Repeat([]byte{0xfd, 2}, 8))
	} else {
		p[0], p[1] = 0x45, 0x03
		binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
		binary.BigEndian.PutUint16(p[4:], 0xfffe)
		p[6], p[8], p[9] = 0x40, 63, 6
		copy(p[12:], []byte{10, 0, 0, 1, 10, 0, 0, 2})
	}
	tcp := p[l3:]
	binary.BigEndian.PutUint16(tcp, 4000)
	binary.BigEndian.PutUint16(tcp[2:], 80)
	binary.BigEndian.PutUint32(tcp[4:], 0xfffffff0) // wraps on the way
	binary.BigEndian.PutUint32(tcp[8:], 77)
	tcp[12] = byte(h/4)<<4 | byte(s.flags>>8)
	tcp[13] = byte(s.flags)
	for i := range s.options {
		tcp[20+i] = byte(1 + i)
	}
	binary.BigEndian.PutUint16(tcp[16:], fold(pseudo(p, 6, h+s.payload)))
	for i := range s.payload {
		tcp[h+i] = byte(i*7 + i>>8)
	}
	var bufs [][]byte
	for _, n := range cuts {
		n = min(n, len(p))
		bufs = append(bufs, p[:n])
		p = p[n:]
	}
	return append(bufs, p), m
}

// split returns what the splitter makes of a packet, each in one piece.
func split(packet [][]byte, m Meta) (out [][]byte, err error) {
	var s Splitter
	err = s.Split(packet, m, func(p [][]byte) error {
		out = append(out, bytes.Join(p, nil))
		return nil
	})
	return out, err
}

// decode checks both checksums of p with another implementation.
func decode(t interface{ Errorf(string, ...any) }, p []byte) (gopacket.Packet, *layers.TCP) {
	first := layers.LayerTypeIPv4
	if p[0]>>4 == 6 {
		first = layers.LayerTypeIPv6
	}
	d := gopacket.NewPacket(p, first, gopacket.Default)
	tcp, ok := d.TransportLayer().(*layers.TCP)
	if !ok {
		t.Errorf("not a TCP packet: %v", d)
		return d, &layers.TCP{}
	}
	want := tcp.Checksum
	_ = tcp.SetNetworkLayerForChecksum(d.NetworkLayer())
	again := gopacket.NewSerializeBuffer()
	payload := append([]byte(nil), tcp.Payload...)
	_, _ = again.PrependBytes(len(payload))
	copy(again.Bytes(), payload)
	clone := *tcp
	if err := clone.SerializeTo(again, gopacket.SerializeOptions{ComputeChecksums: true}); err != nil {
		t.Errorf("serialize: %v", err)
	}
	// gopacket has no AE bit: what it would compute lacks one.
	if got := clone.Checksum; got != want && !(p[len(p)-len(tcp.Payload)-len(tcp.Contents)+12]&1 != 0) {
		t.Errorf("TCP checksum %#04x, want %#04x", want, got)
	}
	if ip, ok := d.NetworkLayer().(*layers.IPv4); ok && fold(sum(p[:int(ip.IHL)*4], 0)) != 0xffff {
		t.Errorf("IPv4 header checksum %#04x is wrong", ip.Checksum)
	}
	return d, tcp
}

func TestSplit(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for _, payload := range []int{1, 999, 1000, 1001, 2500, 64000} {
			t.Run(fmt.Sprint(v6, payload), func(t *testing.T) {
				in, m := super{v6: v6, options: 12, payload: payload, mss: 1000, flags: tcpPSH | 0x10}.packet(72, 100)
				want := bytes.Join(in, nil)[int(m.HeaderLen):]
				out, err := split(in, m)
				if err != nil {
					t.Fatal(err)
				}
				if n := (payload + 999) / 1000; len(out) != n {
					t.Fatalf("%d segments, want %d", len(out), n)
				}
				var got []byte
				for i, p := range out {
					_, tcp := decode(t, p)
					if want := uint32(0xfffffff0) + uint32(i)*1000; tcp.Seq != want {
						t.Errorf("segment %d: SEG.SEQ %d, want %d", i, tcp.Seq, want)
					}
					if last := i == len(out)-1; tcp.PSH != last {
						t.Errorf("segment %d: PSH %v, want %v", i, tcp.PSH, last)
					}
					if len(tcp.Options) == 0 || tcp.Ack != 77 || !tcp.ACK {
						t.Errorf("segment %d lost its options or its ACK", i)
					}
					got = append(got, tcp.Payload...)
				}
				if !bytes.Equal(got, want) {
					t.Error("the payload differs")
				}
			})
		}
	}
}

// Which flags go on which segment.
func TestSplitFlags(t *testing.T) {
	const ack, fin, psh, ece, cwr, ae = 0x10, 0x01, 0x08, 0x40, 0x80, 0x100
	for _, c := range []struct {
		name                string
		flags               uint16
		cwrFirst            bool
		first, middle, last uint16
	}{
		{"FIN and PSH go with the last", ack | fin | psh, false, ack, ack, ack | fin | psh},
		{"RFC 3168 §6.1.2: CWR once", ack | cwr | ece, true, ack | cwr | ece, ack | ece, ack | ece},
		{"RFC 9768 §3.2.2: ACE on all", ack | ae | cwr | ece, false, ack | ae | cwr | ece, ack | ae | cwr | ece, ack | ae | cwr | ece},
		{"ACE without AE", ack | cwr | psh, false, ack | cwr, ack | cwr, ack | cwr | psh},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := split(super{payload: 300, mss: 100, flags: c.flags, cwrFirst: c.cwrFirst}.packet())
			if err != nil || len(out) != 3 {
				t.Fatal(len(out), err)
			}
			for i, want := range []uint16{c.first, c.middle, c.last} {
				if got := uint16(out[i][32]&1)<<8 | uint16(out[i][33]); got != want {
					t.Errorf("segment %d: flags %#x, want %#x", i, got, want)
				}
			}
		})
	}
}

// RFC 6864 §4.1 leaves the identification free with DF; ours counts up.
func TestSplitIdentification(t *testing.T) {
	out, err := split(super{payload: 300, mss: 100}.packet())
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []uint16{0xfffe, 0xffff, 0} {
		if got := binary.BigEndian.Uint16(out[i][4:]); got != want {
			t.Errorf("segment %d: identification %#x, want %#x", i, got, want)
		}
	}
}

func TestSplitLeavesPlainPacketsAlone(t *testing.T) {
	in := [][]byte{{0x45, 1}, {2, 3}}
	out, err := split(in, Meta{DataValid: true})
	if err != nil || len(out) != 1 || !bytes.Equal(out[0], []byte{0x45, 1, 2, 3}) {
		t.Errorf("%v, %v", out, err)
	}
}

// An open checksum is completed; that of UDP is never zero (RFC 768).
func TestComplete(t *testing.T) {
	for _, cuts := range [][]int{nil, {28}, {20, 3, 5}, {60}} {
		in, m := super{payload: 777, mss: 1000}.packet(cuts...)
		m.GSO, m.MSS = GSONone, 0
		before := bytes.Join(in, nil)
		out, err := split(in, m)
		if err != nil || len(out) != 1 {
			t.Fatal(len(out), err)
		}
		// The header's checksum is not this one's business.
		binary.BigEndian.PutUint16(out[0][10:], ^fold(sum(out[0][:20], 0)))
		decode(t, out[0])
		if !bytes.Equal(before, bytes.Join(in, nil)) {
			t.Error("the packet itself was written to")
		}
	}
	udp := make([]byte, 28)
	udp[0] = 0x45
	binary.BigEndian.PutUint16(udp[20:], 0xffff) // all else is zero: sums to 0xffff
	out, err := split([][]byte{udp}, Meta{NeedsCsum: true, CsumStart: 20, CsumOffset: 6})
	if err != nil || binary.BigEndian.Uint16(out[0][26:]) != 0xffff {
		t.Errorf("checksum % x, %v", out, err)
	}
}

func TestSplitRefuses(t *testing.T) {
	for name, change := range map[string]func(p []byte, m *Meta){
		"no segment size":        func(_ []byte, m *Meta) { m.MSS = 0 },
		"finished checksum":      func(_ []byte, m *Meta) { m.NeedsCsum = false },
		"checksum of UDP":        func(_ []byte, m *Meta) { m.CsumOffset = 6 },
		"start before the end":   func(_ []byte, m *Meta) { m.CsumStart = 12 },
		"start beyond the end":   func(_ []byte, m *Meta) { m.CsumStart = 60000 },
		"data offset below 5":    func(p []byte, _ *Meta) { p[32] = 0x40 },
		"data offset beyond":     func(p []byte, _ *Meta) { p[32] = 0xf0 },
		"other version":          func(p []byte, _ *Meta) { p[0] = 0x65 },
		"other header length":    func(p []byte, _ *Meta) { p[0] = 0x46 },
		"said to be over IPv6":   func(_ []byte, m *Meta) { m.GSO = GSOTCPv6 },
		"open checksum too late": func(_ []byte, m *Meta) { m.GSO, m.CsumStart = GSONone, 1000 },
		"odd checksum offset":    func(_ []byte, m *Meta) { m.GSO, m.CsumOffset = GSONone, 15 },
	} {
		p, m := super{payload: 30, mss: 10}.packet()
		change(p[0], &m)
		if out, err := split(p, m); !errors.Is(err, ErrBadPacket) || out != nil {
			t.Errorf("%s: %d packets, %v", name, len(out), err)
		}
	}
}

func TestSplitStopsAtAnError(t *testing.T) {
	full := errors.New("full")
	p, m := super{payload: 30, mss: 10}.packet()
	n := 0
	var s Splitter
	err := s.Split(p, m, func([][]byte) error {
		if n++; n == 2 {
			return full
		}
		return nil
	})
	if !errors.Is(err, full) || n != 2 {
		t.Errorf("%d packets, %v", n, err)
	}
}

// Wherever a packet is cut into pieces, its segments are the same.
func TestSplitWherever(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := super{
			v6:      rapid.Bool().Draw(t, "v6"),
			options: 4 * rapid.IntRange(0, 10).Draw(t, "options"),
			payload: rapid.IntRange(1, 5000).Draw(t, "payload"),
			mss:     rapid.IntRange(1, 3000).Draw(t, "mss"),
			flags:   uint16(rapid.IntRange(0, 0x1ff).Draw(t, "flags")),
		}
		cuts := rapid.SliceOfN(rapid.IntRange(0, 2000), 0, 5).Draw(t, "cuts")
		want, err := split(s.packet())
		if err != nil {
			t.Fatal(err)
		}
		got, err := split(s.packet(cuts...))
		if err != nil || len(got) != len(want) {
			t.Fatalf("%d segments, want %d, %v", len(got), len(want), err)
		}
		for i := range got {
			if !bytes.Equal(got[i], want[i]) {
				t.Fatalf("segment %d differs", i)
			}
		}
	})
}

// sum is that of RFC 1071, for all lengths and however it is cut.
func TestSum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "bytes")
		if rapid.Bool().Draw(t, "ones") { // every carry there can be
			p = bytes.Repeat([]byte{0xff}, len(p))
		}
		at := rapid.IntRange(0, len(p)).Draw(t, "cut")
		start := rapid.Uint64().Draw(t, "start")
		var naive uint64
		for i, b := range p {
			naive += uint64(b) << (8 * uint(1-i%2))
		}
		want := fold(naive + uint64(fold(start)))
		if got := fold(sum(p, start)); got != want {
			t.Fatalf("sum %#x, want %#x", got, want)
		}
		if got := fold(sumAll([][]byte{p[:at], nil, p[at:]}, start)); got != want {
			t.Fatalf("cut at %d: sum %#x, want %#x", at, got, want)
		}
	})
}

func TestSplitKeepsNothing(t *testing.T) {
	p, m := super{payload: 64000, mss: 1448, options: 12}.packet(128)
	var s Splitter
	emit := func([][]byte) error { return nil }
	if n := testing.AllocsPerRun(20, func() { _ = s.Split(p, m, emit) }); n != 0 {
		t.Errorf("%v allocations for a super-packet", n)
	}
}

func BenchmarkSplit(b *testing.B) {
	p, m := super{payload: 64000, mss: 1448, options: 12}.packet(128)
	var s Splitter
	b.SetBytes(64000)
	for b.Loop() {
		_ = s.Split(p, m, func([][]byte) error { return nil })
	}
}

func FuzzSplit(f *testing.F) {
	for _, v6 := range []bool{false, true} {
		p, m := super{v6: v6, payload: 300, mss: 100, options: 12}.packet()
		var h vnetHeader
		h.encode(m)
		f.Add(h[:], p[0], uint16(60))
		f.Add(h[:], p[0][:30], uint16(1))
	}
	f.Fuzz(func(t *testing.T, head, p []byte, cut uint16) {
		var h vnetHeader
		copy(h[:], head)
		m, err := h.decode()
		if err != nil {
			return
		}
		at := min(int(cut), len(p))
		total := 0
		out, err := split([][]byte{p[:at], p[at:]}, m)
		if err != nil {
			return
		}
		for _, o := range out {
			total += len(o)
		}
		if m.GSO == GSONone && total != len(p) || m.GSO != GSONone && total < len(p) {
			t.Errorf("%d bytes became %d", len(p), total)
		}
	})
}
