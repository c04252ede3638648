package stack

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/tcp"
)

// DefaultBacklog is how many connections a listener keeps that are not
// accepted yet, half-open ones included.
const DefaultBacklog = 1024

// Accepting makes a connection out of a SYN: it makes a Sock with hooks h
// (adding its own to them), takes the path by AcceptPath and gives the segment
// to the machine. An error drops the SYN.
type Accepting func(in *Incoming, h Hooks) (net.Conn, *Sock, error)

// Listener is a net.Listener. Connections appear in Accept when their
// handshake is done.
type Listener struct {
	s       *Stack
	local   netip.AddrPort
	backlog int
	make    Accepting

	mu     sync.Mutex
	accept gate
	queue  []net.Conn
	half   map[*halfOpen]struct{}
	closed bool
	// cookieAt is when a SYN was last answered with a cookie; 0: never.
	cookieAt mono.Time
}

// halfOpen is a connection on its way into the queue.
type halfOpen struct {
	conn   net.Conn // nil until the Accepting returned
	sock   *Sock
	opened bool
}

// ListenTCP listens for plain TCP connections. An invalid address part means
// every address of both families, an unspecified one every address of its own
// family; port 0 chooses a port.
func (s *Stack) ListenTCP(laddr netip.AddrPort) (*Listener, error) {
	return s.ListenPlain(laddr, DefaultBacklog)
}

// ListenPlain is ListenTCP with a backlog: how many connections wait to be
// accepted, half-open ones included. Further SYNs are answered with SYN cookies
// as long as fewer are complete, else dropped.
func (s *Stack) ListenPlain(laddr netip.AddrPort, backlog int) (*Listener, error) {
	return s.ListenWith(laddr, backlog, s.acceptStream)
}

// Listen is ListenTCP with the arguments of net.Listen: network tcp, tcp4 or
// tcp6.
func (s *Stack) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	laddr, err := ParseListen(network, address)
	if err != nil {
		return nil, opError("listen", network, nil, nil, err)
	}
	l, err := s.ListenTCP(laddr)
	if err != nil {
		return nil, err
	}
	return l, nil
}

// ListenWith listens with connections of the caller's making.
func (s *Stack) ListenWith(laddr netip.AddrPort, backlog int, f Accepting) (*Listener, error) {
	l := &Listener{s: s, local: unmapped(laddr), backlog: backlog, make: f, half: map[*halfOpen]struct{}{}}
	l.accept.init(&l.mu, s.clock)
	if err := s.listenable(l.local.Addr()); err != nil {
		return nil, opError("listen", "tcp", nil, net.TCPAddrFromAddrPort(laddr), err)
	}
	if err := s.tcp.listen(l, s.rand); err != nil {
		return nil, opError("listen", "tcp", nil, net.TCPAddrFromAddrPort(laddr), err)
	}
	if !s.adopt(l) {
		s.tcp.unlisten(l)
		return nil, opError("listen", "tcp", nil, l.Addr(), ErrClosed)
	}
	return l, nil
}

func (s *Stack) listenable(a netip.Addr) error {
	if !a.IsValid() || a.IsUnspecified() || s.opts.AnyAddress {
		return nil
	}
	for _, n := range s.links.Load().all {
		if n.has(a) {
			return nil
		}
	}
	return syscall.EADDRNOTAVAIL
}

// acceptStream makes a plain TCP connection.
func (s *Stack) acceptStream(in *Incoming, h Hooks) (net.Conn, *Sock, error) {
	var st *tcp.Stream
	k, err := s.serve(in, h, func(p *Path) Machine {
		st = tcp.NewStream(p.Config(s.opts.Tuning))
		st.Conn.Listen()
		return st
	})
	if err != nil {
		return nil, nil, err
	}
	return NewConn(k, in.Local, in.Remote), k, nil
}

// serve makes a Sock over the machine that f gives and feeds it the SYN.
func (s *Stack) serve(in *Incoming, h Hooks, f func(*Path) Machine) (*Sock, error) {
	p, err := s.AcceptPath(in)
	if err != nil {
		return nil, err
	}
	k, err := s.NewSock(f(p), s.opts.Tuning, h)
	if err != nil {
		p.Close()
		return nil, err
	}
	s.counters.ConnectionsServed.Add(1)
	k.Do(func(now mono.Time) {
		k.Attach(0, p)
		k.machine.Receive(now, 0, in.Segment)
		in.Took()
	})
	return k, nil
}

func (l *Listener) covers(a netip.Addr) bool { return covers(l.local.Addr(), a) }

// incoming handles a SYN for l. One that finds as many connections as may wait
// is dropped if these are waiting to be accepted (the peer tries again), and
// answered with a cookie if they are half-open: they may never become anything
// (RFC 4987 §3.6).
func (l *Listener) incoming(in *Incoming) {
	l.mu.Lock()
	waits, half, closed := len(l.queue), len(l.half), l.closed
	cookie := !closed && waits < l.backlog && waits+half >= l.backlog
	if cookie {
		l.cookieAt = l.s.now()
	}
	l.mu.Unlock()
	switch {
	case closed, !cookie && waits+half >= l.backlog:
		l.s.counters.BacklogDropped.Add(1)
		in.Drop()
	case cookie:
		l.sendCookie(in)
	default:
		l.admit(in)
	}
}

// admit makes a connection out of a SYN; false: there are too many already, or
// it could not be made. The SYN is dropped then.
func (l *Listener) admit(in *Incoming) bool {
	e := &halfOpen{}
	l.mu.Lock()
	// A cookie that came back is complete: half-open ones do not keep it out.
	if l.closed || len(l.queue) >= l.backlog {
		l.mu.Unlock()
		l.s.counters.BacklogDropped.Add(1)
		in.Drop()
		return false
	}
	l.half[e] = struct{}{}
	l.mu.Unlock()
	c, k, err := l.make(in, Hooks{Opened: func() { l.opened(e) }, Ended: func() { l.forget(e) }})
	if err != nil {
		l.forget(e)
		in.Drop()
		return false
	}
	l.mu.Lock()
	e.conn, e.sock = c, k
	l.push(e)
	closed := l.closed
	l.mu.Unlock()
	if closed {
		k.abort()
	}
	return !closed
}

func (l *Listener) opened(e *halfOpen) {
	l.mu.Lock()
	e.opened = true
	l.push(e)
	l.mu.Unlock()
}

// push moves e into the queue once it is complete. The caller holds mu.
func (l *Listener) push(e *halfOpen) {
	if _, waits := l.half[e]; !waits || e.conn == nil || !e.opened || l.closed {
		return
	}
	delete(l.half, e)
	l.queue = append(l.queue, e.conn)
	l.accept.wake()
}

func (l *Listener) forget(e *halfOpen) {
	l.mu.Lock()
	// An entry that opened and ended before its maker returned is still
	// pushed: the application shall see it and its end.
	if !e.opened || e.conn != nil {
		delete(l.half, e)
	}
	l.mu.Unlock()
}

// Accept waits for the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if err := l.accept.blocked(l.closed); err != nil {
			return nil, opError("accept", "tcp", nil, l.Addr(), err)
		}
		if len(l.queue) > 0 {
			c := l.queue[0]
			l.queue[0] = nil
			l.queue = l.queue[1:]
			if len(l.queue) > 0 {
				l.accept.wake()
			}
			return c, nil
		}
		l.accept.wait()
	}
}

// SetDeadline sets the deadline of Accept; the zero time is none.
func (l *Listener) SetDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return opError("set", "tcp", nil, l.Addr(), net.ErrClosed)
	}
	l.accept.setDeadline(t)
	return nil
}

// Addr returns where l listens, a *net.TCPAddr.
func (l *Listener) Addr() net.Addr {
	if !l.local.Addr().IsValid() {
		return &net.TCPAddr{Port: int(l.local.Port())}
	}
	return net.TCPAddrFromAddrPort(l.local)
}

// Close stops listening and resets what was not accepted.
func (l *Listener) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return opError("close", "tcp", nil, l.Addr(), net.ErrClosed)
	}
	l.closed = true
	queue, half := l.queue, l.half
	l.queue, l.half = nil, nil
	l.accept.stop()
	l.accept.wake()
	l.mu.Unlock()
	l.s.tcp.unlisten(l)
	l.s.disown(l)
	for _, c := range queue {
		if a, ok := c.(interface{ Abort() }); ok {
			a.Abort()
		} else {
			c.Close()
		}
	}
	for e := range half {
		l.mu.Lock()
		k := e.sock
		l.mu.Unlock()
		if k != nil {
			k.abort()
		}
	}
	return nil
}

func (l *Listener) stackClosed() { l.Close() }
