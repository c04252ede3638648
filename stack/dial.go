package stack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/tcp"
)

// NewPath takes a 4-tuple into use for a subflow. link 0 and an invalid or
// unspecified local address leave the choice to the stack, local port 0 takes a
// random free one. Segments find their machine once Attach was called; a path
// that is never attached has to be closed.
func (s *Stack) NewPath(link LinkID, local, remote netip.AddrPort) (*Path, error) {
	local, remote = unmapped(local), unmapped(remote)
	n, addr, err := s.choose(link, local.Addr(), remote.Addr())
	if err != nil {
		return nil, err
	}
	if remote.Port() == 0 {
		return nil, syscall.EADDRNOTAVAIL
	}
	p := &Path{s: s}
	p.envelope = envelope{nic: n, local: netip.AddrPortFrom(addr, local.Port()), remote: remote}
	if local.Port() == 0 {
		err = s.tcp.insertEphemeral(p, s.rand, s.now())
	} else if !s.tcp.insert(p, s.now()) {
		err = syscall.EADDRINUSE
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// AcceptPath takes the 4-tuple of an incoming SYN into use for a subflow. It
// fails when the 4-tuple is in use, as when the same SYN is being handled
// on another goroutine.
func (s *Stack) AcceptPath(in *Incoming) (*Path, error) {
	p := s.incomingPath(in)
	if !s.tcp.insert(p, s.now()) {
		return nil, syscall.EADDRINUSE
	}
	return p, nil
}

func (s *Stack) incomingPath(in *Incoming) *Path {
	p := &Path{s: s}
	p.envelope = envelope{nic: in.nic, local: in.Local, remote: in.Remote}
	p.begin = in.begin
	return p
}

// DialTCP opens a plain TCP connection. laddr may be zero, or fix the local
// address, port or both.
func (s *Stack) DialTCP(ctx context.Context, laddr, raddr netip.AddrPort) (*Conn, error) {
	return s.DialTCPVia(ctx, 0, laddr, raddr)
}

// DialTCPVia is DialTCP over one link.
func (s *Stack) DialTCPVia(ctx context.Context, link LinkID, laddr, raddr netip.AddrPort) (*Conn, error) {
	c, err := s.dialStream(ctx, link, laddr, raddr)
	if err != nil {
		return nil, opError("dial", "tcp", nil, net.TCPAddrFromAddrPort(raddr), err)
	}
	return c, nil
}

func (s *Stack) dialStream(ctx context.Context, link LinkID, laddr, raddr netip.AddrPort) (*Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, ctxError(err)
	}
	p, err := s.NewPath(link, laddr, raddr)
	if err != nil {
		return nil, err
	}
	st := tcp.NewStream(p.Config(s.opts.Tuning))
	k, err := s.NewSock(st, s.opts.Tuning, Hooks{})
	if err != nil {
		p.Close()
		return nil, err
	}
	s.counters.ConnectionsOpened.Add(1)
	k.Do(func(now mono.Time) {
		k.Attach(0, p)
		st.Conn.Open(now)
	})
	if err := k.Await(ctx); err != nil {
		return nil, err
	}
	return NewConn(k, p.local, p.remote), nil
}

// Await waits until the handshake of k is done. When ctx ends first, or the
// handshake fails, k is aborted and the error says why.
func (k *Sock) Await(ctx context.Context) error {
	select {
	case <-k.Settled():
	case <-ctx.Done():
		k.abort()
		return ctxError(ctx.Err())
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.life.opened {
		return nil
	}
	if k.life.closed {
		return net.ErrClosed
	}
	return k.why()
}

// why returns why a connection ended that never opened. The caller holds mu.
func (k *Sock) why() error {
	var b [1]byte
	_, err := k.app.Read(k.s.now(), b[:])
	if err == nil || errors.Is(err, tcp.ErrWouldBlock) {
		return syscall.ECONNABORTED
	}
	return mapped(err)
}

// ctxError turns the end of a context into what package net returns.
func ctxError(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return timeoutError{}
	}
	return err
}

// timeoutError is context.DeadlineExceeded as a net.Error.
type timeoutError struct{}

func (timeoutError) Error() string        { return "i/o timeout" }
func (timeoutError) Timeout() bool        { return true }
func (timeoutError) Temporary() bool      { return true }
func (timeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// Dial connects to an address of the form host:port, with network tcp, tcp4,
// tcp6, udp, udp4 or udp6. The host has to be an IP address; names are for
// package mptcp's Dialer, or for a Resolver of this stack.
func (s *Stack) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	raddr, err := ParseLiteral(network, address)
	if err != nil {
		return nil, opError("dial", network, nil, nil, err)
	}
	switch network {
	case "tcp", "tcp4", "tcp6":
		c, err := s.DialTCP(ctx, netip.AddrPort{}, raddr)
		if err != nil {
			return nil, err
		}
		return c, nil
	}
	c, err := s.DialUDP(netip.AddrPort{}, raddr)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// ParseLiteral reads host:port where the host is an IP address that fits the
// network (tcp, tcp4, tcp6, udp, udp4, udp6).
func ParseLiteral(network, address string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return netip.AddrPort{}, &net.AddrError{Err: "not an IP address", Addr: host}
	}
	return fitting(network, a.Unmap(), port)
}

// ParseListen reads host:port as net.Listen does: an empty host is every
// address of both families, or of the one that the network names.
func ParseListen(network, address string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if host != "" {
		return ParseLiteral(network, address)
	}
	switch network[len(network)-1] {
	case '4':
		return fitting(network, netip.IPv4Unspecified(), port)
	case '6':
		return fitting(network, netip.IPv6Unspecified(), port)
	}
	return fitting(network, netip.Addr{}, port)
}

func fitting(network string, a netip.Addr, port string) (netip.AddrPort, error) {
	base, family := network, byte(0)
	if n := len(network); n > 0 && (network[n-1] == '4' || network[n-1] == '6') {
		base, family = network[:n-1], network[n-1]
	}
	if base != "tcp" && base != "udp" {
		return netip.AddrPort{}, net.UnknownNetworkError(network)
	}
	if a.IsValid() && ((family == '4' && !a.Is4()) || (family == '6' && a.Is4())) {
		return netip.AddrPort{}, &net.AddrError{Err: "no suitable address", Addr: a.String()}
	}
	p, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		n, err := net.LookupPort(base, port)
		if err != nil {
			return netip.AddrPort{}, fmt.Errorf("port %q: %w", port, err)
		}
		p = uint64(n)
	}
	return netip.AddrPortFrom(a, uint16(p)), nil
}
