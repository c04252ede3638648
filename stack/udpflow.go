package stack

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/sennit-net/sennit/ecn"
	"github.com/sennit-net/sennit/stack/wire"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gv "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// flowQueue is how many datagrams a UDPFlow keeps for its reader; further ones
// are dropped.
const flowQueue = 128

// UDPFlow is the datagrams between one peer and one address it sent to, in
// any-address mode: a net.Conn on which every Read and Write is a datagram.
type UDPFlow struct {
	Link LinkID

	s             *Stack
	nic           *nic
	local, remote netip.AddrPort

	mu     sync.Mutex
	read   gate
	queue  []datagram
	closed bool
}

type datagram struct {
	b   []byte
	ecn ecn.Codepoint
}

// HandleUDP sets who gets datagrams to any address: f is called on a goroutine
// of its own for the first datagram between two ends, which waits in the flow.
// A flow lives until f's side closes it, so f should set deadlines; a later
// datagram starts a new one. Without it, and beyond 4096 flows, datagrams are
// answered by an ICMP error or dropped.
func (s *Stack) HandleUDP(f func(*UDPFlow)) { s.any.udp.Store(&f) }

// receiveUDP is gVisor's handler of datagrams that no socket wants.
func (s *Stack) receiveUDP(id gv.TransportEndpointID, pkt *gv.PacketBuffer) bool {
	f := s.any.udp.Load()
	n := s.links.Load().get(LinkID(pkt.NICID))
	if f == nil || n == nil {
		return false
	}
	k := tuple{
		netip.AddrPortFrom(fromGV(id.LocalAddress), id.LocalPort),
		netip.AddrPortFrom(fromGV(id.RemoteAddress), id.RemotePort),
	}
	if !unicast(k.local.Addr()) || !unicast(k.remote.Addr()) {
		return true
	}
	d, ok := openDatagram(pkt, k)
	if !ok {
		s.counters.Malformed.Add(1)
		return true
	}
	s.any.mu.Lock()
	flow, known := s.any.flows[k]
	if !known && len(s.any.flows) < maxFlows {
		flow = &UDPFlow{Link: n.id, s: s, nic: n, local: k.local, remote: k.remote}
		flow.read.init(&flow.mu, s.clock)
		s.any.flows[k] = flow
	}
	s.any.mu.Unlock()
	if flow == nil || !flow.push(d) {
		s.counters.DatagramsDropped.Add(1)
		return true
	}
	if !known && (!s.adopt(flow) || !s.spawn(func() { (*f)(flow) })) {
		flow.Close()
	}
	return true
}

// openDatagram copies a datagram out of its packet and verifies it.
func openDatagram(pkt *gv.PacketBuffer, k tuple) (datagram, bool) {
	h := pkt.TransportHeader().Slice()
	if len(h) < header.UDPMinimumSize {
		return datagram{}, false
	}
	views, off := pkt.AsViewList()
	b := gathered(views, off+pkt.HeaderSize(), pkt.Data().Size())
	n := int(binary.BigEndian.Uint16(h[4:])) - header.UDPMinimumSize
	if n < 0 || n > len(b) {
		return datagram{}, false
	}
	b = b[:n]
	if !pkt.RXChecksumValidated && !udpChecksumOK(h, b, k) {
		return datagram{}, false
	}
	net := pkt.NetworkHeader().Slice()
	tos := net[1]
	if k.local.Addr().Is6() {
		tos = net[0]<<4 | net[1]>>4
	}
	return datagram{b, ecn.FromTOS(tos)}, true
}

// udpChecksumOK verifies a datagram; zero is "none", legal in IPv4 only
// (RFC 768, RFC 8200 §8.1).
func udpChecksumOK(h, b []byte, k tuple) bool {
	if binary.BigEndian.Uint16(h[6:]) == 0 {
		return k.local.Addr().Is4()
	}
	return udpSum(h, b, k.remote.Addr(), k.local.Addr()) == 0xffff
}

// udpSum is the sum over pseudo-header, header and payload. The pseudo-header
// of TCP differs only in the protocol number.
func udpSum(h, b []byte, src, dst netip.Addr) uint16 {
	diff := [2]byte{0, uint8(header.UDPProtocolNumber) - uint8(header.TCPProtocolNumber)}
	sum := wire.Sum(diff[:], wire.PseudoSum(src, dst, len(h)+len(b)), false)
	return wire.Sum(b, wire.Sum(h, sum, false), false)
}

func (f *UDPFlow) push(d datagram) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || len(f.queue) >= flowQueue {
		return false
	}
	f.queue = append(f.queue, d)
	f.read.wake()
	return true
}

func (f *UDPFlow) fail(op string, err error) error {
	return opError(op, "udp", f.LocalAddr(), f.RemoteAddr(), err)
}

// LocalAddr is the address the peer sent to, a *net.UDPAddr.
func (f *UDPFlow) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(f.local) }

// RemoteAddr is the peer, a *net.UDPAddr.
func (f *UDPFlow) RemoteAddr() net.Addr { return net.UDPAddrFromAddrPort(f.remote) }

// Local is the address the peer sent to.
func (f *UDPFlow) Local() netip.AddrPort { return f.local }

// Remote is the peer.
func (f *UDPFlow) Remote() netip.AddrPort { return f.remote }

// Read takes the next datagram; what does not fit into p is lost.
func (f *UDPFlow) Read(p []byte) (int, error) {
	n, _, err := f.ReadECN(p)
	return n, err
}

// ReadECN is Read that also tells the ECN codepoint of the packet.
func (f *UDPFlow) ReadECN(p []byte) (int, ecn.Codepoint, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		if err := f.read.blocked(f.closed); err != nil {
			return 0, 0, f.fail("read", err)
		}
		if len(f.queue) > 0 {
			d := f.queue[0]
			f.queue[0] = datagram{}
			f.queue = f.queue[1:]
			return copy(p, d.b), d.ecn, nil
		}
		f.read.wait()
	}
}

// Write sends a datagram to the peer, from the address it had sent to.
func (f *UDPFlow) Write(p []byte) (int, error) { return f.WriteECN(p, ecn.NotECT) }

// WriteECN is Write with the ECN codepoint of the packet.
func (f *UDPFlow) WriteECN(p []byte, c ecn.Codepoint) (int, error) {
	f.mu.Lock()
	closed := f.closed
	f.mu.Unlock()
	if closed {
		return 0, f.fail("write", net.ErrClosed)
	}
	if err := f.s.sendUDP(f.nic, f.local, f.remote, c.OnTOS(0), p); err != nil {
		return 0, f.fail("write", err)
	}
	return len(p), nil
}

// sendUDP sends a datagram over a link, from an address that may be anyone's.
func (s *Stack) sendUDP(n *nic, local, remote netip.AddrPort, tos uint8, p []byte) error {
	b := make([]byte, header.UDPMinimumSize+len(p))
	binary.BigEndian.PutUint16(b, local.Port())
	binary.BigEndian.PutUint16(b[2:], remote.Port())
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)))
	copy(b[8:], p)
	sum := ^udpSum(b[:8], b[8:], local.Addr(), remote.Addr())
	if sum == 0 {
		sum = 0xffff // RFC 768: zero means "none"
	}
	binary.BigEndian.PutUint16(b[6:], sum)
	return s.sendPacket(n, local.Addr(), remote.Addr(), uint8(header.UDPProtocolNumber), tos, b)
}

// Close ends the flow.
func (f *UDPFlow) Close() error {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return f.fail("close", net.ErrClosed)
	}
	f.closed = true
	f.queue = nil
	f.read.stop()
	f.read.wake()
	f.mu.Unlock()
	f.s.any.mu.Lock()
	delete(f.s.any.flows, tuple{f.local, f.remote})
	f.s.any.mu.Unlock()
	f.s.disown(f)
	return nil
}

func (f *UDPFlow) stackClosed() { f.Close() }

// SetDeadline implements net.Conn; Write never blocks.
func (f *UDPFlow) SetDeadline(t time.Time) error { return f.SetReadDeadline(t) }

// SetReadDeadline implements net.Conn.
func (f *UDPFlow) SetReadDeadline(t time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return f.fail("set", net.ErrClosed)
	}
	f.read.setDeadline(t)
	return nil
}

// SetWriteDeadline implements net.Conn; Write never blocks.
func (f *UDPFlow) SetWriteDeadline(time.Time) error { return nil }
