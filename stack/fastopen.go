package stack

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/tcp"
)

// DialFast is DialTCP with TCP Fast Open (RFC 7413): the first bytes of data go
// with the SYN if the server gave a cookie before, else after the handshake,
// and a cookie is asked for. It returns how many bytes of data were taken.
//
// What goes with a SYN may arrive twice, and be acted upon twice: only
// requests that may be repeated may be sent so (RFC 7413 §6.1).
func (s *Stack) DialFast(ctx context.Context, laddr, raddr netip.AddrPort, data []byte) (*Conn, int, error) {
	fail := func(err error) (*Conn, int, error) {
		return nil, 0, opError("dial", "tcp", nil, net.TCPAddrFromAddrPort(raddr), err)
	}
	if err := ctx.Err(); err != nil {
		return fail(ctxError(err))
	}
	p, err := s.NewPath(0, laddr, raddr)
	if err != nil {
		return fail(err)
	}
	c := p.Config(s.opts.Tuning)
	c.FastOpen.Client = &fastClient{s: s, server: p.remote.Addr()}
	st := tcp.NewStream(c)
	k, err := s.NewSock(st, s.opts.Tuning, Hooks{})
	if err != nil {
		p.Close()
		return fail(err)
	}
	s.counters.ConnectionsOpened.Add(1)
	n := 0
	k.Do(func(now mono.Time) {
		k.Attach(0, p)
		if n, err = st.Write(now, data); errors.Is(err, tcp.ErrWouldBlock) {
			err = nil
		}
		st.Conn.Open(now)
	})
	if err == nil {
		err = k.Await(ctx)
	}
	if err != nil {
		return fail(err)
	}
	return NewConn(k, p.local, p.remote), n, nil
}

// Limits of what is remembered of Fast Open.
const (
	fastEntries  = 4096
	fastRefused  = time.Hour // until a server without Fast Open is asked again
	fastFailures = 3         // SYNs unanswered in a row until a black hole is assumed
	fastOff      = time.Hour // for how long the first time; twice as long each time after
	fastMaxOff   = 32 * time.Hour
)

// fastMemory is what a client remembers: cookies by server (RFC 7413 §4.1.3),
// and whether the network swallows SYNs that carry them (§4.1.3.1). Its lock
// is taken under that of a connection and takes no other.
type fastMemory struct {
	mu       sync.Mutex
	m        map[netip.Addr]fastEntry
	failures int // in a row
	offs     int // times it was switched off since it last worked
	off      mono.Time
}

type fastEntry struct {
	cookie string // empty: the server has none
	mss    int
	until  mono.Time // of a server without; 0: for good
}

// get returns what a SYN to server is to say.
func (f *fastMemory) get(now mono.Time, server netip.Addr) (cookie []byte, mss int, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now < f.off {
		return nil, 0, false
	}
	e, known := f.m[server]
	if known && e.cookie == "" && now < e.until {
		return nil, 0, false
	}
	return []byte(e.cookie), e.mss, true
}

func (f *fastMemory) learned(now mono.Time, server netip.Addr, cookie []byte, mss int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failures, f.offs = 0, 0
	if f.m == nil {
		f.m = map[netip.Addr]fastEntry{}
	}
	if _, known := f.m[server]; !known && len(f.m) >= fastEntries {
		for a := range f.m {
			delete(f.m, a)
			break
		}
	}
	e := fastEntry{cookie: string(cookie), mss: mss}
	if len(cookie) == 0 {
		e.until = now.Add(fastRefused)
	}
	f.m[server] = e
}

// failed notes a SYN with the option that was not answered. It reports whether
// a black hole is assumed now.
func (f *fastMemory) failed(now mono.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failures++; f.failures < fastFailures {
		return false
	}
	f.off = now.Add(min(fastOff<<min(f.offs, 8), fastMaxOff))
	f.failures = fastFailures - 1 // the next one after it is enough
	f.offs++
	return true
}

// fastClient is the memory as one connection sees it.
type fastClient struct {
	s      *Stack
	server netip.Addr
}

func (c *fastClient) Cookie() ([]byte, int, bool) {
	cookie, mss, ok := c.s.fast.get(c.s.now(), c.server)
	if ok {
		c.s.counters.FastOpensTried.Add(1)
	}
	return cookie, mss, ok
}

func (c *fastClient) Learned(cookie []byte, mss int) {
	c.s.fast.learned(c.s.now(), c.server, cookie, mss)
}

func (c *fastClient) Failed() {
	if c.s.fast.failed(c.s.now()) {
		c.s.counters.FastOpenBlackHoles.Add(1)
	}
}

// ListenFast is ListenPlain with TCP Fast Open (RFC 7413): a client that was
// here before may send data with its SYN, and the application gets it, and may
// answer, before the handshake is done. pending bounds how many connections
// may be in that state (§4.2, PendingFastOpenRequests); beyond, the ordinary
// handshake is waited for.
//
// Data that came with a SYN may come twice, as a connection of its own: the
// application has to bear that (§6.1).
func (s *Stack) ListenFast(laddr netip.AddrPort, backlog, pending int) (*Listener, error) {
	f := &fastListener{s: s, limit: int64(pending)}
	return s.ListenWith(laddr, backlog, func(in *Incoming, h Hooks) (net.Conn, *Sock, error) {
		k, err := s.serve(in, h, func(p *Path) Machine {
			c := p.Config(s.opts.Tuning)
			c.FastOpen.Server = &fastServer{f, in.Remote.Addr()}
			st := tcp.NewStream(c)
			st.Conn.Listen()
			return st
		})
		if err != nil {
			return nil, nil, err
		}
		return NewConn(k, in.Local, in.Remote), k, nil
	})
}

type fastListener struct {
	s     *Stack
	limit int64
	open  atomic.Int64
}

// fastServer is a fastListener as one connection sees it.
type fastServer struct {
	l      *fastListener
	client netip.Addr
}

func (f *fastServer) Issue() []byte { return f.l.s.fastCookie(f.l.s.fastAge(), f.client) }

func (f *fastServer) Accept(cookie []byte) bool {
	s := f.l.s
	age := s.fastAge()
	if subtle.ConstantTimeCompare(cookie, s.fastCookie(age, f.client))|
		subtle.ConstantTimeCompare(cookie, s.fastCookie(age-1, f.client)) == 0 {
		s.counters.FastOpensRefused.Add(1)
		return false
	}
	if f.l.open.Add(1) > f.l.limit {
		f.l.open.Add(-1)
		s.counters.FastOpensRefused.Add(1)
		return false
	}
	s.counters.FastOpensAccepted.Add(1)
	return true
}

func (f *fastServer) Done() { f.l.open.Add(-1) }

// fastRotation is how long a cookie is issued; it is good for up to as long
// again.
const fastRotation = 12 * time.Hour

func (s *Stack) fastAge() int64 { return int64(s.now()) / int64(fastRotation) }

// fastCookie is the client's cookie of an age: its address under a key that
// only this stack has (RFC 7413 §4.1.2).
func (s *Stack) fastCookie(age int64, client netip.Addr) []byte {
	var b [32 + 1 + 8 + 16]byte
	n := copy(b[:], s.isn[:])
	b[n] = 'f'
	binary.BigEndian.PutUint64(b[n+1:], uint64(age))
	ip := client.As16()
	copy(b[n+9:], ip[:])
	sum := sha256.Sum256(b[:])
	return sum[:8]
}
