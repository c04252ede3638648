package stack

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/sennit-net/sennit/ecn"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

func gvNIC(id LinkID) tcpip.NICID { return tcpip.NICID(id) }

// UDPConn is a UDP socket: a net.PacketConn, and a net.Conn when connected.
// The ECN codepoint of each packet can be set and read.
type UDPConn struct {
	s      *Stack
	ep     tcpip.Endpoint
	wq     *waiter.Queue
	remote netip.AddrPort // zero: not connected

	sending sync.Mutex // orders setting the codepoint and writing
	tos     uint8      // as set on ep; guarded by sending
	def     uint8      // of Write and WriteTo; guarded by sending

	mu     sync.Mutex
	io     [2]gate   // reading, writing
	events [2]uint64 // how often ep reported to be ready
	closed bool
	ways   ways
}

const (
	reading = 0
	writing = 1
)

// DialUDP returns a UDP socket that exchanges datagrams with raddr only. laddr
// may be zero.
func (s *Stack) DialUDP(laddr, raddr netip.AddrPort) (*UDPConn, error) {
	return s.DialUDPVia(0, laddr, raddr)
}

// DialUDPVia is DialUDP over one link.
func (s *Stack) DialUDPVia(link LinkID, laddr, raddr netip.AddrPort) (*UDPConn, error) {
	laddr, raddr = unmapped(laddr), unmapped(raddr)
	fail := func(err error) (*UDPConn, error) {
		return nil, opError("dial", "udp", nil, net.UDPAddrFromAddrPort(raddr), err)
	}
	n, local, err := s.choose(link, laddr.Addr(), raddr.Addr())
	if err != nil {
		return fail(err)
	}
	c, err := s.newUDP(local, n.id, netip.AddrPortFrom(local, laddr.Port()))
	if err != nil {
		return fail(err)
	}
	if err := c.ep.Connect(fullAddr(n.id, raddr)); err != nil {
		c.Close()
		return fail(gvError(err))
	}
	c.remote = raddr
	return c, nil
}

// ListenUDP returns a UDP socket bound to laddr. An invalid address part means
// every address of both families; port 0 chooses a port. Where an address, or
// any, is on several links, a datagram goes back over the link that the peer
// last sent from.
func (s *Stack) ListenUDP(laddr netip.AddrPort) (*UDPConn, error) {
	laddr = unmapped(laddr)
	a := laddr.Addr()
	if !a.IsValid() {
		a = netip.IPv6Unspecified()
	}
	c, err := s.newUDP(a, 0, laddr)
	if err != nil {
		return nil, opError("listen", "udp", nil, net.UDPAddrFromAddrPort(laddr), err)
	}
	return c, nil
}

// ListenPacket is ListenUDP with the arguments of net.ListenPacket: network
// udp, udp4 or udp6.
func (s *Stack) ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error) {
	laddr, err := ParseListen(network, address)
	if err != nil {
		return nil, opError("listen", network, nil, nil, err)
	}
	c, err := s.ListenUDP(laddr)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// newUDP makes a socket of the family of a, bound to at.
func (s *Stack) newUDP(a netip.Addr, link LinkID, at netip.AddrPort) (*UDPConn, error) {
	c := &UDPConn{s: s, wq: new(waiter.Queue)}
	ep, e := s.gv.NewEndpoint(udp.ProtocolNumber, netProto(a), c.wq)
	if e != nil {
		return nil, gvError(e)
	}
	c.ep = ep
	c.io[reading].init(&c.mu, s.clock)
	c.io[writing].init(&c.mu, s.clock)
	o := ep.SocketOptions()
	o.SetReceiveTOS(true)
	o.SetReceiveTClass(true)
	o.SetReceivePacketInfo(link == 0)
	o.SetIPv6ReceivePacketInfo(link == 0)
	// [::] as said by the application is IPv6 only, as with tcp6.
	o.SetV6Only(at.Addr().Is6() && at.Addr().IsUnspecified())
	if e := ep.Bind(fullAddr(link, at)); e != nil {
		ep.Close()
		return nil, gvError(e)
	}
	if link != 0 {
		if e := o.SetBindToDevice(int32(link)); e != nil {
			ep.Close()
			return nil, gvError(e)
		}
	}
	for dir, mask := range [...]waiter.EventMask{waiter.ReadableEvents, waiter.WritableEvents} {
		entry := waiter.NewFunctionEntry(mask|waiter.EventErr|waiter.EventHUp, func(waiter.EventMask) { c.event(dir) })
		c.wq.EventRegister(&entry)
	}
	if !s.adopt(c) {
		ep.Close()
		return nil, ErrClosed
	}
	return c, nil
}

// fullAddr converts; an unspecified address becomes the empty one.
func fullAddr(link LinkID, a netip.AddrPort) tcpip.FullAddress {
	f := tcpip.FullAddress{NIC: gvNIC(link), Port: a.Port()}
	if a.Addr().IsValid() && !a.Addr().IsUnspecified() {
		f.Addr = toGV(a.Addr())
	}
	return f
}

func (c *UDPConn) event(dir int) {
	c.mu.Lock()
	c.events[dir]++
	c.io[dir].wake()
	c.mu.Unlock()
}

// try repeats f until it is done, waiting for events in between.
func (c *UDPConn) try(dir int, f func() tcpip.Error) error {
	for {
		c.mu.Lock()
		err, seen := c.io[dir].blocked(c.closed), c.events[dir]
		c.mu.Unlock()
		if err != nil {
			return err
		}
		e := f()
		if _, again := e.(*tcpip.ErrWouldBlock); !again {
			return gvError(e)
		}
		c.mu.Lock()
		for c.events[dir] == seen && c.io[dir].blocked(c.closed) == nil {
			c.io[dir].wait()
		}
		c.mu.Unlock()
	}
}

func (c *UDPConn) fail(op string, err error) error {
	return opError(op, "udp", c.LocalAddr(), c.RemoteAddr(), err)
}

// ReadFromECN takes the next datagram; what does not fit into p is lost. It
// tells the ECN codepoint of the packet and who sent it.
func (c *UDPConn) ReadFromECN(p []byte) (n int, cp ecn.Codepoint, from netip.AddrPort, err error) {
	var r tcpip.ReadResult
	err = c.try(reading, func() (e tcpip.Error) {
		w := sliceWriter{p}
		r, e = c.ep.Read(&w, tcpip.ReadOptions{NeedRemoteAddr: true})
		return e
	})
	if err != nil {
		return 0, 0, from, c.fail("read", err)
	}
	switch m := &r.ControlMessages; {
	case m.HasTOS:
		cp = ecn.FromTOS(m.TOS)
	case m.HasTClass:
		cp = ecn.FromTOS(uint8(m.TClass))
	}
	from = netip.AddrPortFrom(fromGV(r.RemoteAddr.Addr), r.RemoteAddr.Port)
	c.arrived(from, &r.ControlMessages)
	return r.Count, cp, from, nil
}

// sliceWriter puts what is written into a slice as far as it goes.
type sliceWriter struct{ p []byte }

func (w *sliceWriter) Write(b []byte) (int, error) {
	n := copy(w.p, b)
	w.p = w.p[n:]
	if n < len(b) {
		return n, io.ErrShortWrite
	}
	return n, nil
}

// WriteToECN sends a datagram with an ECN codepoint. On a connected socket to
// has to be zero.
func (c *UDPConn) WriteToECN(p []byte, cp ecn.Codepoint, to netip.AddrPort) (int, error) {
	c.sending.Lock()
	defer c.sending.Unlock()
	return c.send(p, cp.OnTOS(c.def), to)
}

func (c *UDPConn) send(p []byte, tos uint8, to netip.AddrPort) (int, error) {
	var o tcpip.WriteOptions
	if to.IsValid() {
		to = unmapped(to)
		c.mu.Lock()
		err := c.io[writing].blocked(c.closed)
		c.mu.Unlock()
		if err != nil {
			return 0, c.fail("write", err)
		}
		if sent, err := c.answer(p, tos, to); sent {
			if err != nil {
				return 0, c.fail("write", err)
			}
			return len(p), nil
		}
		f := fullAddr(0, to)
		o.To = &f
	}
	if err := c.setTOS(tos); err != nil {
		return 0, c.fail("write", err)
	}
	var n int64
	err := c.try(writing, func() (e tcpip.Error) {
		n, e = c.ep.Write(bytes.NewReader(p), o)
		return e
	})
	return int(n), c.fail("write", err)
}

// setTOS sets the TOS or traffic class of what follows.
func (c *UDPConn) setTOS(tos uint8) error {
	if c.tos == tos {
		return nil
	}
	for _, opt := range [...]tcpip.SockOptInt{tcpip.IPv4TOSOption, tcpip.IPv6TrafficClassOption} {
		if e := c.ep.SetSockOptInt(opt, int(tos)); e != nil {
			return gvError(e)
		}
	}
	c.tos = tos
	return nil
}

// SetECN sets the codepoint of packets sent by Write and WriteTo.
func (c *UDPConn) SetECN(cp ecn.Codepoint) {
	c.sending.Lock()
	c.def = cp.OnTOS(c.def)
	c.sending.Unlock()
}

// SetDSCP sets the six upper bits of TOS or traffic class of packets sent.
func (c *UDPConn) SetDSCP(dscp uint8) {
	c.sending.Lock()
	c.def = ecn.FromTOS(c.def).OnTOS(dscp << 2)
	c.sending.Unlock()
}

// Read takes the next datagram; what does not fit into p is lost.
func (c *UDPConn) Read(p []byte) (int, error) {
	n, _, _, err := c.ReadFromECN(p)
	return n, err
}

// ReadFrom is Read that also tells who sent the datagram, as a *net.UDPAddr.
func (c *UDPConn) ReadFrom(p []byte) (int, net.Addr, error) {
	n, _, from, err := c.ReadFromECN(p)
	if err != nil {
		return n, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

// Write sends a datagram to the peer of a connected socket.
func (c *UDPConn) Write(p []byte) (int, error) {
	c.sending.Lock()
	defer c.sending.Unlock()
	return c.send(p, c.def, netip.AddrPort{})
}

// WriteTo sends a datagram to a *net.UDPAddr.
func (c *UDPConn) WriteTo(p []byte, to net.Addr) (int, error) {
	a, ok := to.(*net.UDPAddr)
	if !ok || a == nil {
		return 0, c.fail("write", &net.AddrError{Err: "not a UDP address", Addr: addrString(to)})
	}
	if c.remote.IsValid() {
		return 0, c.fail("write", net.ErrWriteToConnected)
	}
	c.sending.Lock()
	defer c.sending.Unlock()
	return c.send(p, c.def, a.AddrPort())
}

func addrString(a net.Addr) string {
	if a == nil {
		return "<nil>"
	}
	return a.String()
}

// LocalAddr returns the local end, a *net.UDPAddr.
func (c *UDPConn) LocalAddr() net.Addr {
	f, err := c.ep.GetLocalAddress()
	if err != nil {
		return &net.UDPAddr{}
	}
	return net.UDPAddrFromAddrPort(netip.AddrPortFrom(fromGV(f.Addr), f.Port))
}

// RemoteAddr returns the peer of a connected socket, a *net.UDPAddr, else nil.
func (c *UDPConn) RemoteAddr() net.Addr {
	if !c.remote.IsValid() {
		return nil
	}
	return net.UDPAddrFromAddrPort(c.remote)
}

// Close closes the socket. Blocked calls return net.ErrClosed.
func (c *UDPConn) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return c.fail("close", net.ErrClosed)
	}
	c.closed = true
	for i := range c.io {
		c.io[i].stop()
		c.io[i].wake()
	}
	c.mu.Unlock()
	c.ep.Close()
	c.s.disown(c)
	return nil
}

func (c *UDPConn) stackClosed() { c.Close() }

// SetDeadline implements net.Conn.
func (c *UDPConn) SetDeadline(t time.Time) error { return c.setDeadline(t, reading, writing) }

// SetReadDeadline implements net.Conn.
func (c *UDPConn) SetReadDeadline(t time.Time) error { return c.setDeadline(t, reading) }

// SetWriteDeadline implements net.Conn.
func (c *UDPConn) SetWriteDeadline(t time.Time) error { return c.setDeadline(t, writing) }

func (c *UDPConn) setDeadline(t time.Time, dirs ...int) error {
	c.mu.Lock()
	closed := c.closed
	if !closed {
		for _, d := range dirs {
			c.io[d].setDeadline(t)
		}
	}
	c.mu.Unlock()
	if closed {
		// Not under the lock: gVisor takes its own for the addresses, and holds
		// that when it reports an event to us.
		return c.fail("set", net.ErrClosed)
	}
	return nil
}
