//go:build linux

package drill

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/sennit-net/sennit/stack/tcp"
)

// socket is what a descriptor stands for.
type socket struct {
	h      *Host
	fd     int
	family int
	mptcp  bool

	nonblock bool
	local    netip.AddrPort // as bound; not valid: not bound
	opts     *options
	flow     *flow // connection, or nil

	listening bool
	backlog   int
	queue     []*flow        // connections to accept
	opened    int            // how many ever joined it
	early     int            // open before their handshake is done (RFC 7413 §5.1)
	deferred  netip.AddrPort // connect waits for the first write

	err       unix.Errno // pending: told once
	ended     bool       // the end of flow was noted
	refused   bool       // connect failed: it may be tried again
	shutRead  bool
	shutWrite bool
}

// ready reads the settings, once. The caller holds mu.
func (h *Host) ready() {
	if h.settings == nil {
		h.settings = loadSettings()
	}
}

// Socket makes a socket of TCP or Multipath TCP.
func (h *Host) Socket(family, kind, protocol int) (int, unix.Errno) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ready()
	switch {
	case family != unix.AF_INET && family != unix.AF_INET6:
		return -1, unix.EAFNOSUPPORT
	case kind&0xf != unix.SOCK_STREAM:
		return -1, unix.ESOCKTNOSUPPORT
	case protocol != 0 && protocol != unix.IPPROTO_TCP && protocol != unix.IPPROTO_MPTCP:
		return -1, unix.EPROTONOSUPPORT
	case protocol == unix.IPPROTO_MPTCP && h.settings.number("net.mptcp.enabled", 1) == 0:
		return -1, unix.ENOPROTOOPT
	}
	s := &socket{h: h, family: family, mptcp: protocol == unix.IPPROTO_MPTCP, opts: newOptions(h.settings),
		nonblock: kind&unix.SOCK_NONBLOCK != 0}
	return h.adopt(s)
}

// adopt gives s a descriptor that is real: the tool closes what is left over
// with the real close.
func (h *Host) adopt(s *socket) (int, unix.Errno) {
	fd, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, errnoOf(err)
	}
	s.fd = fd
	h.sockets[fd] = s
	return fd, 0
}

// Bind names the local end.
func (h *Host) Bind(fd int, addr []byte) unix.Errno {
	h.mu.Lock()
	defer h.mu.Unlock()
	s, e := h.socket(fd)
	if e != 0 {
		return e
	}
	a, e := s.parse(addr)
	if e != 0 {
		return e
	}
	if s.local.IsValid() || s.flow != nil {
		return unix.EINVAL
	}
	if a.Port() == 0 {
		port, e := h.freePort()
		if e != 0 {
			return e
		}
		a = netip.AddrPortFrom(a.Addr(), port)
	} else if h.taken(s, a) {
		return unix.EADDRINUSE
	}
	s.local = a
	return 0
}

// taken reports whether another socket keeps s from a.
func (h *Host) taken(s *socket, a netip.AddrPort) bool {
	for _, o := range h.sockets {
		if o == s || o.local.Port() != a.Port() || !overlap(o.local.Addr(), a.Addr()) {
			continue
		}
		if !o.opts.reuseAddr || !s.opts.reuseAddr || o.listening {
			return true
		}
	}
	return false
}

func overlap(a, b netip.Addr) bool {
	return a == b || a.IsUnspecified() || b.IsUnspecified()
}

// The range ephemeral ports come from (RFC 6335 §6).
const (
	firstPort = 49152
	lastPort  = 65535
)

func (h *Host) freePort() (uint16, unix.Errno) {
	for range lastPort - firstPort + 1 {
		p := h.ports
		if h.ports++; h.ports == 0 {
			h.ports = firstPort
		}
		if !h.portUsed(p) {
			return p, 0
		}
	}
	return 0, unix.EADDRNOTAVAIL
}

func (h *Host) portUsed(p uint16) bool {
	for _, o := range h.sockets {
		if o.local.Port() == p {
			return true
		}
	}
	for t := range h.tuples {
		if t.local.Port() == p {
			return true
		}
	}
	return false
}

// tupleFrom chooses a 4-tuple from an address to a remote end.
func (h *Host) tupleFrom(local netip.Addr, remote netip.AddrPort) (tuple, unix.Errno) {
	if local.Is4() != remote.Addr().Is4() {
		return tuple{}, unix.EAFNOSUPPORT
	}
	p, e := h.freePort()
	return tuple{netip.AddrPortFrom(local, p), remote}, e
}

// mtu is of the path to a.
func (h *Host) mtu(netip.Addr) int { return h.flags.MTU }

// noteEnd keeps the error a connection ended with, once.
func (s *socket) noteEnd() {
	f := s.flow
	if s.ended || f == nil || !f.over() {
		return
	}
	s.ended = true
	s.err = f.errno()
}

// over reports whether the connection is at its end, even if a RST waits to be
// sent.
func (f *flow) over() bool {
	if f.stream != nil {
		return f.stream.Conn.State() == tcp.ClosedState
	}
	return f.err() != nil || f.ended()
}

// takeError gives the pending error away.
func (s *socket) takeError() unix.Errno {
	e := s.err
	s.err = 0
	return e
}

// Close closes a descriptor of any kind.
func (h *Host) Close(fd int) unix.Errno {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.sockets[fd]; s != nil {
		delete(h.sockets, fd)
		s.close()
	}
	delete(h.polls, fd)
	return errnoOf(unix.Close(fd))
}

func (s *socket) close() {
	h := s.h
	if s.listening {
		s.unlisten()
	}
	f := s.flow
	if f == nil {
		return
	}
	f.sock = nil
	f.release()
	if s.opts.linger && s.opts.lingerTime == 0 {
		h.do(f, f.app().Abort)
		return
	}
	closeFlow(f)
	if s.opts.linger && !s.nonblock {
		h.wait(seconds(s.opts.lingerTime), func() bool { return f.over() || f.finAcked() })
	}
}

func closeFlow(f *flow) {
	f.shutdown(tcp.CloseBoth)
}

// finAcked reports whether all we sent is acknowledged, our FIN included.
func (f *flow) finAcked() bool {
	switch f.info().State {
	case tcp.FinWait2, tcp.TimeWait, tcp.ClosedState:
		return true
	}
	return false
}

// Shutdown closes one direction or both.
func (h *Host) Shutdown(fd, how int) unix.Errno {
	h.mu.Lock()
	defer h.mu.Unlock()
	s, e := h.socket(fd)
	switch {
	case e != 0:
		return e
	case how < unix.SHUT_RD || how > unix.SHUT_RDWR:
		return unix.EINVAL
	case s.listening:
		if how != unix.SHUT_WR {
			s.unlisten()
			h.cond.Broadcast()
		}
		return 0
	case s.flow == nil || s.flow.over():
		return unix.ENOTCONN
	}
	// Reading alone ends here only: what the peer still sends is taken, as Linux
	// does. With both directions closed it is answered with a RST.
	s.shutRead = s.shutRead || how != unix.SHUT_WR
	if how != unix.SHUT_RD {
		s.shutWrite = true
		s.flow.release()
		s.flow.shutdown(tcp.CloseWriting)
	}
	if s.shutRead && s.shutWrite && s.flow.unread() == 0 {
		s.flow.shutdown(tcp.CloseReading)
	}
	h.cond.Broadcast()
	return 0
}

// Fcntl gets and sets O_NONBLOCK; other commands are the descriptor's own.
func (h *Host) Fcntl(fd, cmd, arg int) (int, unix.Errno) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s, e := h.socket(fd)
	if e != 0 || cmd != unix.F_GETFL && cmd != unix.F_SETFL {
		n, err := unix.FcntlInt(uintptr(fd), cmd, arg)
		return n, errnoOf(err)
	}
	if cmd == unix.F_SETFL {
		s.nonblock = arg&unix.O_NONBLOCK != 0
		return 0, 0
	}
	flags := unix.O_RDWR
	if s.nonblock {
		flags |= unix.O_NONBLOCK
	}
	return flags, 0
}
