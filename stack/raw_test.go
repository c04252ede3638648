package stack_test

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/sennit-net/sennit/ecn"
	"github.com/sennit-net/sennit/stack"
	"github.com/sennit-net/sennit/stack/chunk"
	"github.com/sennit-net/sennit/stack/wire"
	"github.com/sennit-net/sennit/tun"
	"github.com/sennit-net/sennit/tun/link"
	"github.com/sennit-net/sennit/tun/tuntest"
)

// wireEnd is a stack whose link ends in the hands of the test.
type wireEnd struct {
	t    testing.TB
	s    *stack.Stack
	id   stack.LinkID
	dev  *tuntest.Device
	recv chan []byte

	ipLen int // length of the IP header of what was parsed last
}

func newWire(t testing.TB, o stack.Options) *wireEnd {
	t.Helper()
	return newWireOn(t, newStack(t, o), netip.PrefixFrom(addrA4, 24), netip.PrefixFrom(addrA6, 64))
}

// newWireOn adds such a link to a stack.
func newWireOn(t testing.TB, s *stack.Stack, addrs ...netip.Prefix) *wireEnd {
	t.Helper()
	near, far := tuntest.Pipe(tuntest.PipeOptions{}, tuntest.PipeOptions{})
	w := &wireEnd{t: t, s: s, dev: far, recv: make(chan []byte, 1000)}
	e, err := link.New(near, link.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.id = attach(t, w.s, stack.Link{Name: "net" + strconv.Itoa(len(s.Links())), Endpoint: e, Addrs: addrs})
	go func() {
		buf := make([]byte, tun.MaxPacket)
		for {
			var m tun.Meta
			n, err := far.Read([][]byte{buf}, &m)
			if err != nil {
				close(w.recv)
				return
			}
			w.recv <- append([]byte(nil), buf[:n]...)
		}
	}()
	return w
}

// packet builds an IP packet.
func packet(src, dst netip.Addr, proto, tos byte, body []byte) []byte {
	if src.Is4() {
		b := make([]byte, 20, 20+len(body))
		b[0], b[1], b[8], b[9] = 0x45, tos, 64, proto
		binary.BigEndian.PutUint16(b[2:], uint16(20+len(body)))
		x, y := src.As4(), dst.As4()
		copy(b[12:], x[:])
		copy(b[16:], y[:])
		binary.BigEndian.PutUint16(b[10:], ^wire.Sum(b, 0, false))
		return append(b, body...)
	}
	b := make([]byte, 40, 40+len(body))
	b[0], b[1], b[6], b[7] = 0x60|tos>>4, tos<<4, proto, 64
	binary.BigEndian.PutUint16(b[4:], uint16(len(body)))
	x, y := src.As16(), dst.As16()
	copy(b[8:], x[:])
	copy(b[24:], y[:])
	return append(b, body...)
}

// tcpBytes builds a TCP segment with a good checksum.
func tcpBytes(src, dst netip.AddrPort, seg wire.Segment, data string) []byte {
	seg.SrcPort, seg.DstPort = src.Port(), dst.Port()
	if seg.WindowScale == 0 {
		seg.WindowScale = -1
	}
	if data != "" {
		seg.Payload = []chunk.Slice{chunk.Borrowed([]byte(data))}
	}
	b := seg.AppendHeader(nil)
	seg.SetChecksum(b, src.Addr(), dst.Addr())
	return append(b, data...)
}

func (w *wireEnd) inject(p []byte) {
	w.t.Helper()
	if err := w.dev.Write([][]byte{p}, tun.Meta{}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *wireEnd) injectTCP(src, dst netip.AddrPort, seg wire.Segment, data string) {
	w.t.Helper()
	w.inject(packet(src.Addr(), dst.Addr(), 6, 0, tcpBytes(src, dst, seg, data)))
}

// next returns the next packet from the stack.
func (w *wireEnd) next() []byte {
	w.t.Helper()
	select {
	case p := <-w.recv:
		return p
	case <-time.After(10 * time.Second):
		w.t.Fatal("no packet came")
	}
	return nil
}

// nextTCP returns the next TCP segment and the length of its packet.
func (w *wireEnd) nextTCP() (seg wire.Segment, size int) {
	w.t.Helper()
	for {
		if seg, ok := w.parsed(w.next()); ok {
			return seg, seg.HeaderLen() + seg.Len() + w.ipLen
		}
	}
}

// parsed reads a packet; false: it is not TCP.
func (w *wireEnd) parsed(p []byte) (seg wire.Segment, ok bool) {
	w.t.Helper()
	off, proto, tos := 20, p[9], p[1]
	if p[0]>>4 == 6 {
		off, proto, tos = 40, p[6], p[0]<<4|p[1]>>4
	}
	if proto != 6 {
		return seg, false
	}
	n, err := wire.Parse(p[off:], &seg)
	if err != nil {
		w.t.Fatal(err)
	}
	seg.ECN = ecn.FromTOS(tos)
	seg.Payload = []chunk.Slice{chunk.Borrowed(p[off+n:])}
	w.ipLen = off
	return seg, true
}

// nothing checks that the stack has sent nothing, by asking for an answer it
// must give and finding it first.
func (w *wireEnd) nothing() {
	w.t.Helper()
	w.injectTCP(probeFrom, probeTo, wire.Segment{Flags: wire.ACK, Ack: 12345}, "")
	if seg, _ := w.nextTCP(); seg.Flags != wire.RST || seg.Seq != 12345 {
		w.t.Fatalf("the stack sent %v", &seg)
	}
}

var (
	probeFrom = netip.MustParseAddrPort("10.9.0.99:9")
	probeTo   = netip.AddrPortFrom(addrA4, 9)
	peer4     = netip.AddrPortFrom(addrB4, 80)
	peer6     = netip.AddrPortFrom(addrB6, 80)
)

// establish answers a dial to peer and returns the connection and what the
// peer acknowledges and sends next.
func (w *wireEnd) establish(peer netip.AddrPort) (c *stack.Conn, local netip.AddrPort, ack, next wire.Segment) {
	w.t.Helper()
	done := make(chan error)
	go func() {
		var err error
		c, err = w.s.DialTCP(context.Background(), netip.AddrPort{}, peer)
		done <- err
	}()
	syn, _ := w.nextTCP()
	addr := addrA4
	if peer.Addr().Is6() {
		addr = addrA6
	}
	local = netip.AddrPortFrom(addr, syn.SrcPort)
	w.injectTCP(peer, local, wire.Segment{Flags: wire.SYN | wire.ACK, Seq: 1000, Ack: syn.Seq + 1,
		Window: 65535, Options: wire.Options{MSS: 1460, WindowScale: 7}}, "")
	if err := <-done; err != nil {
		w.t.Fatal(err)
	}
	third, _ := w.nextTCP()
	if third.Flags != wire.ACK || third.Ack != 1001 {
		w.t.Fatalf("third segment %v", &third)
	}
	return c, local, third, wire.Segment{Seq: 1001, Ack: syn.Seq + 1, Flags: wire.ACK, Window: 65535}
}

var _ net.Conn = (*stack.Conn)(nil)
