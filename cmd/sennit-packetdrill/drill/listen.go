//go:build linux

package drill

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/wire"
)

// Listen makes a socket accept connections.
func (h *Host) Listen(fd, backlog int) unix.Errno {
	h.mu.Lock()
	defer h.mu.Unlock()
	s, e := h.socket(fd)
	switch {
	case e != 0:
		return e
	case s.flow != nil:
		return unix.EINVAL
	}
	if !s.local.IsValid() {
		p, e := h.freePort()
		if e != 0 {
			return e
		}
		s.local = netip.AddrPortFrom(unspecified(s.family), p)
	}
	s.listening = true
	s.backlog = min(max(backlog, 0), h.settings.number("net.core.somaxconn", 4096))
	return 0
}

func unspecified(family int) netip.Addr {
	if family == unix.AF_INET {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// covers reports whether a listener takes connections to a.
func (s *socket) covers(a netip.AddrPort) bool {
	if !s.listening || s.local.Port() != a.Port() {
		return false
	}
	if s.family == unix.AF_INET6 && s.local.Addr().IsUnspecified() {
		return a.Addr().Is6() || !s.opts.v6only
	}
	return s.local.Addr() == a.Addr() || s.local.Addr().IsUnspecified() && a.Addr().Is4()
}

// welcome gives a SYN to a listener (RFC 9293 §3.10.7.2); false: there is none.
func (h *Host) welcome(t tuple, seg *wire.Segment) bool {
	var l *socket
	for _, s := range h.sockets {
		// The more exact one first.
		if s.covers(t.local) && (l == nil || l.local.Addr().IsUnspecified()) {
			l = s
		}
	}
	if l == nil {
		return false
	}
	if len(l.queue) > l.backlog {
		return true // full: the SYN is dropped, it will come again
	}
	o := l.opts.clone()
	if !l.mptcp {
		var fo tcp.FastOpen
		srv := &server{h: h, l: l, t: t}
		if l.takesFast() {
			fo.Server = srv
		}
		f := h.newStream(t, o, accepting, fo)
		srv.flow = f
		f.listener = l
		f.stream.Conn.Listen()
		h.add(f, 0, t)
		h.do(f, func(now mono.Time) { f.stream.Receive(now, 0, seg) })
		return true
	}
	f := h.newMultipath(t, o, accepting)
	f.listener = l
	h.add(f, 0, t)
	h.tokens[f.mp.Token()] = f
	h.do(f, func(now mono.Time) {
		f.mp.Accept(now, h.addressOf(t.local.Addr()), h.config(t, o, accepting), seg)
		f.tellLocal(now)
	})
	return true
}

// Accept takes the oldest connection of a listener's queue; flags are accept4's.
func (h *Host) Accept(fd, flags int) (conn int, peer []byte, e unix.Errno) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s, e := h.socket(fd)
	switch {
	case e != 0:
		return -1, nil, e
	case !s.listening:
		return -1, nil, unix.EINVAL
	case len(s.queue) == 0 && s.nonblock:
		return -1, nil, unix.EAGAIN
	}
	if !h.wait(s.opts.rcvTimeout, func() bool { return len(s.queue) > 0 || !s.listening }) {
		return -1, nil, unix.EAGAIN
	}
	if !s.listening {
		return -1, nil, unix.EINVAL
	}
	f := s.queue[0]
	s.queue = s.queue[1:]
	c := &socket{h: h, family: s.family, mptcp: s.mptcp, nonblock: flags&unix.SOCK_NONBLOCK != 0,
		local: f.local, opts: f.opts, flow: f}
	if conn, e = h.adopt(c); e != 0 {
		h.do(f, f.app().Abort)
		return -1, nil, e
	}
	f.sock = c
	c.noteEnd()
	return conn, c.sockaddr(f.remote), 0
}

// unlisten ends a listener: what was not accepted is reset.
func (s *socket) unlisten() {
	s.listening = false
	queue := s.queue
	s.queue = nil
	for _, f := range append([]*flow(nil), s.h.flows...) {
		if f.listener == s {
			// Half-open ones are forgotten, as if they had never been.
			f.listener = nil
			s.h.drop(f)
		}
	}
	for _, f := range queue {
		s.h.do(f, f.app().Abort)
	}
}

// Connect opens a connection.
func (h *Host) Connect(fd int, addr []byte) unix.Errno {
	h.mu.Lock()
	defer h.mu.Unlock()
	s, e := h.socket(fd)
	if e != 0 {
		return e
	}
	a, e := s.parse(addr)
	switch {
	case e != 0:
		return e
	case s.listening:
		return unix.EISCONN
	case s.flow != nil:
		return s.again()
	}
	var f *fast
	if s.opts.fastConnect && !s.mptcp && h.fastOpen(fastClient) {
		if h.synRoom(a.Addr()) > 0 {
			s.deferred = a // the first write opens
			return 0
		}
		f = &fast{} // asks for a cookie
	}
	if e := s.open(a, f); e != 0 {
		return e
	}
	if s.nonblock {
		return unix.EINPROGRESS
	}
	return s.connected()
}

// open sends the SYN, with data if fo has some.
func (s *socket) open(a netip.AddrPort, fo *fast) unix.Errno {
	s.deferred = netip.AddrPort{}
	h := s.h
	if a.Addr().IsUnspecified() {
		a = netip.AddrPortFrom(h.flags.source(a.Addr()), a.Port())
	}
	if !s.local.IsValid() || s.local.Addr().IsUnspecified() {
		t, e := h.tupleFrom(h.flags.source(a.Addr()), a)
		if e != 0 {
			return e
		}
		if s.local.IsValid() {
			t.local = netip.AddrPortFrom(t.local.Addr(), s.local.Port())
		}
		s.local = t.local
	}
	t := tuple{s.local, a}
	if _, taken := h.tuples[t]; taken {
		return unix.EADDRNOTAVAIL
	}
	s.err, s.ended, s.refused = 0, false, false
	if !s.mptcp {
		f := h.newStream(t, s.opts, opening, fo.config(h, a.Addr()))
		s.flow, f.sock = f, s
		h.add(f, 0, t)
		h.do(f, func(now mono.Time) {
			if fo != nil && len(fo.data) > 0 {
				// It fits: the buffer is empty.
				_, _ = f.stream.Write(now, fo.data)
			}
			f.stream.Conn.Open(now)
		})
		return 0
	}
	f := h.newMultipath(t, s.opts, opening)
	s.flow, f.sock = f, s
	h.add(f, 0, t)
	h.tokens[f.mp.Token()] = f
	h.do(f, func(now mono.Time) {
		f.mp.First(now, h.addressOf(t.local.Addr()), h.config(t, s.opts, opening))
		f.tellLocal(now)
	})
	return 0
}

// connected waits for the end of the handshake.
func (s *socket) connected() unix.Errno {
	f := s.flow
	if !s.h.wait(s.opts.sndTimeout, func() bool { return f.opened() || f.over() }) {
		return unix.EINPROGRESS
	}
	if !f.opened() {
		return s.failed()
	}
	return 0
}

// again is connect on a socket that has a connection.
func (s *socket) again() unix.Errno {
	f := s.flow
	switch {
	case f.over() && !f.opened():
		return s.failed()
	case f.opened():
		return unix.EISCONN
	case s.nonblock:
		return unix.EALREADY
	}
	return s.connected()
}

// failed is what connect returns when the handshake came to nothing. The
// socket may be used again.
func (s *socket) failed() unix.Errno {
	e := s.takeError()
	if e == 0 {
		e = unix.ECONNABORTED
	}
	s.flow.sock = nil
	s.flow = nil
	return e
}

// shutdown closes a direction of a connection and lets what follows leave.
func (f *flow) shutdown(how tcp.How) {
	f.h.do(f, func(now mono.Time) { f.app().Shutdown(now, how) })
}
