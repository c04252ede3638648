package link

import (
	"bytes"
	"encoding/binary"
	"os"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/sennit-net/sennit/tun"
)

// script is a device that hands out one packet and then ends, and keeps what is
// written to it.
type script struct {
	packet []byte
	meta   tun.Meta
	read   bool
	wrote  int
	off    tun.Offload
}

func (*script) Name() string           { return "script" }
func (*script) MTU() (int, error)      { return 1500, nil }
func (s *script) Offload() tun.Offload { return s.off }
func (*script) Close() error           { return nil }

func (s *script) Read(bufs [][]byte, m *tun.Meta) (int, error) {
	if s.read {
		return 0, os.ErrClosed
	}
	s.read = true
	*m = s.meta
	n := 0
	for _, b := range bufs {
		n += copy(b, s.packet[n:])
	}
	if n < len(s.packet) {
		return 0, tun.ErrTooLong
	}
	return n, nil
}

func (s *script) Write(bufs [][]byte, m tun.Meta) error {
	if !s.off.Takes(m) {
		panic("the device does not take that")
	}
	for _, b := range bufs {
		s.wrote += len(b)
	}
	return nil
}

// tcp4 and tcp6 are segments with n bytes of payload and, in the first, the
// given data offset.
func tcp4(offset byte, n int) []byte {
	p := append(tcpHeader(n), make([]byte, n)...)
	p[32] = offset << 4
	return p
}

func tcp6(next byte, n int) []byte {
	p := make([]byte, 60+n)
	header.IPv6(p).Encode(&header.IPv6Fields{PayloadLength: uint16(20 + n),
		TransportProtocol: protoTCP, HopLimit: 64,
		SrcAddr: tcpip.AddrFrom16([16]byte{0xfd, 15: 1}), DstAddr: tcpip.AddrFrom16([16]byte{0xfd, 15: 2})})
	p[6] = next
	p[52] = 0x50
	return p
}

// FuzzReceive: whatever a device hands over, with whatever metadata, never
// panics, here or in the layers above.
func FuzzReceive(f *testing.F) {
	udp6 := tcp6(extFragment, 40)
	f.Add([]byte{0x45}, uint8(0), uint16(0))
	f.Add([]byte{}, uint8(1), uint16(1))
	f.Add(udpPacket(64), uint8(0), uint16(0))
	f.Add(udpPacket(3000), uint8(2), uint16(0))
	f.Add(tcp4(5, 100), uint8(1), uint16(1448))
	f.Add(tcp4(16-1, 3000), uint8(1), uint16(1)) // the data offset says 60 bytes
	f.Add(tcp4(0, 10), uint8(2), uint16(0))
	f.Add(tcp6(protoTCP, 3000), uint8(1), uint16(1428))
	f.Add(tcp6(extHopByHop, 100), uint8(0), uint16(0))
	f.Add(udp6, uint8(0), uint16(0))
	f.Fuzz(func(t *testing.T, p []byte, flags uint8, mss uint16) {
		if len(p) > tun.MaxPacket {
			return
		}
		m := tun.Meta{NeedsCsum: flags&1 != 0, DataValid: flags&2 != 0, MSS: mss}
		if mss != 0 {
			m.GSO = tun.GSOTCPv4
		}
		for _, repair := range []bool{false, true} {
			if repair {
				p = repaired(p)
			}
			d := &script{packet: p, meta: m}
			ep, err := New(d, Options{Tap: func(Direction, [][]byte) {}})
			if err != nil {
				t.Fatal(err)
			}
			h := newHostOver(t, ep, "10.0.0.2", "fd00::2")
			<-ep.reading
			s := ep.Stats()
			if s.ReceivedPackets != 1 && len(p) > 0 || s.BadChecksum+s.BadHeader > 1 {
				t.Errorf("counters %+v", s)
			}
			h.close()
		}
	})
}

// repaired returns p with the IPv4 header's checksum and lengths made right, so
// that the fuzzer gets past them.
func repaired(p []byte) []byte {
	p = bytes.Clone(p)
	switch {
	case len(p) >= 20 && p[0]>>4 == 4:
		binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
		if l := int(p[0]&0xf) * 4; l >= 20 && l <= len(p) {
			h := header.IPv4(p)
			h.SetChecksum(0)
			h.SetChecksum(^h.CalculateChecksum())
		}
	case len(p) >= 40 && p[0]>>4 == 6:
		binary.BigEndian.PutUint16(p[4:], uint16(len(p)-40))
	}
	return p
}

// FuzzSend: whatever the stack asks for, the device gets what it takes or
// nothing, and nothing panics.
func FuzzSend(f *testing.F) {
	f.Add(tcp4(5, 3000), uint8(1), true, uint16(1448), uint16(20), uint8(3), uint16(128))
	f.Add(tcp4(15, 10), uint8(1), true, uint16(1), uint16(0), uint8(0), uint16(0))
	f.Add(tcp4(5, 0), uint8(0), true, uint16(0), uint16(60), uint8(1), uint16(3))
	f.Add(tcp6(protoTCP, 3000), uint8(2), true, uint16(1428), uint16(40), uint8(0), uint16(60))
	f.Add(tcp6(protoTCP, 3000), uint8(3), true, uint16(1428), uint16(40), uint8(7), uint16(60))
	f.Fuzz(func(t *testing.T, p []byte, kind uint8, csum bool, mss, l3 uint16, off uint8, cut uint16) {
		if len(p) > 8<<10 {
			return
		}
		d := &script{off: tun.Offload{Checksum: off&1 != 0, TSO4: off&2 != 0, TSO6: off&4 != 0}}
		e, err := New(d, Options{})
		if err != nil {
			t.Fatal(err)
		}
		at := min(int(cut), len(p))
		g := stack.GSO{Type: stack.GSOType(kind % 4), NeedsCsum: csum, MSS: mss, L3HdrLen: l3}
		err2 := e.WriteGather(p[:at], [][]byte{p[at:]}, g)
		s := e.Stats()
		if sent := s.SentPackets == 1; sent != (err2 == nil) || sent && d.wrote < len(p) {
			t.Errorf("%v: wrote %d of %d bytes, %+v", err2, d.wrote, len(p), s)
		}
	})
}
