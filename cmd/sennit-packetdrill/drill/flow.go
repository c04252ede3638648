//go:build linux

package drill

import (
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/sennit-net/sennit/mptcp/conn"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/seq"
	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/wire"
)

// machine is what both kinds of connection fill.
type machine interface {
	Receive(now mono.Time, sub int, seg *wire.Segment)
	Control(now mono.Time, sub int, e tcp.PathError)
	Advance(now mono.Time)
	Emit(now mono.Time, seg *wire.Segment) (sub int, ok bool)
	Deadline() mono.Time
	App() tcp.App
}

// flow is a connection: of a socket, on its way to one, or left behind by one.
type flow struct {
	h      *Host
	m      machine
	stream *tcp.Stream // plain TCP, else nil
	mp     *conn.Conn  // Multipath TCP, else nil
	wants  []conn.Want

	local, remote netip.AddrPort // of the first path
	paths         map[int]tuple  // by subflow
	opts          *options       // shared with the socket

	sock     *socket // nil before accept and after close
	listener *socket // whose queue it is to join, nil afterwards
	phase    phase   // how it began
	tuned    bool    // for the time after the handshake
	state    tcp.State
	peerFin  bool // the peer had closed before the end
	synData  bool // data on the SYN was taken
	retry    mono.Time
	held     held
}

// spinGap is when a machine whose deadline stays due is asked again.
const spinGap = mono.Time(1_000_000)

func (f *flow) deadline() mono.Time {
	d := f.m.Deadline()
	if d != 0 && d <= f.retry {
		d = f.retry + spinGap
	}
	return mono.Earliest(d, f.held.until)
}

func (f *flow) advance() {
	now := f.h.clock.now
	if f.held.until.Reached(now) {
		f.release()
	}
	if d := f.m.Deadline(); d.Reached(now) {
		f.h.do(f, f.m.Advance)
		f.retry = 0
		if d := f.m.Deadline(); d.Reached(now) {
			f.retry = now
		}
	}
}

func (f *flow) app() tcp.App { return f.m.App() }

func (f *flow) ended() bool { return f.app().Ready().Has(tcp.Ended) }

func (f *flow) opened() bool { return f.app().Ready().Has(tcp.Opened) }

func (f *flow) tos() uint8 { return uint8(f.opts.tos) &^ 3 }
func (f *flow) ttl() uint8 { return uint8(f.opts.ttl) }

// info is the state of TCP below: of the first subflow that still is.
func (f *flow) info() tcp.Info {
	if f.stream != nil {
		return f.stream.Conn.Info()
	}
	i := f.mp.Info()
	for _, s := range append(i.Subflows, i.Past...) {
		return s.TCP
	}
	return tcp.Info{State: tcp.ClosedState}
}

// err is why the connection ended.
func (f *flow) err() error {
	if f.stream != nil {
		return f.stream.Conn.Err()
	}
	return f.mp.Err()
}

// errno is err as a Linux socket tells it.
func (f *flow) errno() unix.Errno {
	e := errnoOf(f.err())
	if e == unix.ECONNRESET && f.peerFin {
		return unix.EPIPE // as Linux has it after the peer's FIN
	}
	return e
}

func errnoOf(err error) unix.Errno {
	var e unix.Errno
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return e
	case errors.Is(err, tcp.ErrWouldBlock):
		return unix.EAGAIN
	case errors.Is(err, tcp.ErrRefused):
		return unix.ECONNREFUSED
	case errors.Is(err, tcp.ErrReset), errors.Is(err, conn.ErrFastclose):
		return unix.ECONNRESET
	case errors.Is(err, tcp.ErrUnreachable):
		return unix.EHOSTUNREACH
	case errors.Is(err, tcp.ErrAborted):
		return unix.ECONNABORTED
	case errors.Is(err, tcp.ErrClosed):
		return unix.EPIPE
	}
	return unix.ETIMEDOUT
}

// noteState follows a step: a connection that opened joins its listener's
// queue, one that ended tells its socket.
func (f *flow) noteState() {
	if f.stream != nil {
		switch s := f.stream.Conn.State(); s {
		case tcp.CloseWait, tcp.LastAck, tcp.Closing:
			f.peerFin, f.state = true, s
		default:
			f.state = s
		}
	}
	if f.opened() && !f.tuned {
		f.tuned = true
		if f.phase == opening && f.stream != nil && f.info().BytesAcked > 0 {
			f.synData = true
		}
		f.tune() // limits of the handshake no longer hold
		if l := f.listener; l != nil {
			f.listener = nil
			l.queue = append(l.queue, f)
			l.opened++
		}
	}
	if f.sock != nil {
		f.sock.noteEnd()
	}
}

// tune gives the machine what the socket's options say.
func (f *flow) tune() {
	p := f.phase
	if f.opened() {
		p = standing
	}
	f.app().Tune(f.h.clock.now, f.opts.tuning(f.h.settings, p))
}

// newStream makes a plain connection.
func (h *Host) newStream(t tuple, o *options, p phase, fo tcp.FastOpen) *flow {
	cfg := h.config(t, o, p)
	cfg.FastOpen = fo
	st := tcp.NewStream(cfg)
	return &flow{h: h, m: st, stream: st, phase: p, local: t.local, remote: t.remote, paths: map[int]tuple{}, opts: o}
}

// maxSuper is the payload of a super-segment, as for a device that cuts it.
const maxSuper = 65535 - 40 - wire.MinHeader - wire.MaxOptions

// config is what a connection or subflow starts from.
func (h *Host) config(t tuple, o *options, p phase) tcp.Config {
	mtu := h.mtu(t.remote.Addr())
	if o.maxSeg > 0 {
		mtu = min(mtu, o.maxSeg+headers(t.remote.Addr()))
	}
	return tcp.Config{
		Local: t.local, Remote: t.remote, MTU: mtu,
		ISS:           h.iss(t),
		MaxSuper:      maxSuper,
		NewController: h.settings.controller(o.congestion),
		Tuning:        o.tuning(h.settings, p),
	}
}

// headers returns the size of an IP header and a TCP header.
func headers(a netip.Addr) int {
	if a.Is4() {
		return 20 + wire.MinHeader
	}
	return 40 + wire.MinHeader
}

// iss is a clock of 4 us and a hash of the addresses (RFC 9293 §3.4.1): it need
// not be secret here, and a run must be like the one before.
func (h *Host) iss(t tuple) seq.Num {
	b := append(t.local.Addr().AsSlice(), t.remote.Addr().AsSlice()...)
	b = append(b, byte(t.local.Port()>>8), byte(t.local.Port()), byte(t.remote.Port()>>8), byte(t.remote.Port()))
	sum := uint32(2166136261)
	for _, c := range b {
		sum = (sum ^ uint32(c)) * 16777619
	}
	return seq.Num(uint32(int64(h.clock.now)/4000) + sum)
}

// random draws from a sequence that is the same in every run.
func (h *Host) random() uint64 {
	h.drawn++
	z := h.drawn * 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
