package simnet_test

import (
	"fmt"
	"net/netip"
	"os"
	"time"

	"pgregory.net/rapid"

	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/seq"
	"github.com/sennit-net/sennit/stack/simnet"
	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/wire"
)

// setup is one connection over one link, and what both ends send.
type setup struct {
	to, from       simnet.Shape // of the link, from the client's side
	boxes          []simnet.Box
	up, down       int // bytes the client, and the server, sends
	client, server func(*tcp.Config)
	v6             bool
	join           time.Duration // receive offload at both ends
	bulk           bool          // much data: what was sent is not checked against windows
}

// end is one end of the connection.
type end struct {
	host   *simnet.Host
	sock   *simnet.Sock
	stream *tcp.Stream
	talker *simnet.Talker
}

// world is a setup that runs.
type world struct {
	*simnet.Net
	t              rapid.TB
	s              setup
	link           *simnet.Link
	client, server end
	edge           [2]edge
	steps          int
}

func mtu(v6 bool, s simnet.Shape) int {
	if s.MTU > 0 && !s.Mute {
		return s.MTU
	}
	return 1500
}

func newWorld(t rapid.TB, seed uint64, s setup) *world {
	n := simnet.New(seed)
	w := &world{Net: n, t: t, s: s}
	ca, sa := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.1")
	if s.v6 {
		ca, sa = netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8:1::1")
	}
	w.client.host, w.server.host = n.Host("client"), n.Host("server")
	boxes := s.boxes
	if !s.bulk {
		boxes = append([]simnet.Box{simnet.Editor(w.observe)}, boxes...)
	}
	w.link = n.ConnectBoth(w.client.host, w.server.host, s.to, s.from, boxes...)
	w.client.host.Bind(ca, w.link)
	w.server.host.Bind(sa, w.link)
	w.client.host.JoinFor(s.join)
	w.server.host.JoinFor(s.join)

	if os.Getenv("SENNIT_TRACE") != "" {
		n.Trace = func(now mono.Time, where, what string, p *simnet.Packet) {
			fmt.Printf("%12v %s: %s %s\n", n.Elapsed(), where, what, p)
		}
	}
	c := tcp.Config{Local: netip.AddrPortFrom(ca, 1000), Remote: netip.AddrPortFrom(sa, 80), MTU: mtu(s.v6, s.to),
		ISS: seq.Num(n.Rand().Uint32()), TSOffset: n.Rand().Uint32()}
	c.MaxSuper = 64000
	if s.client != nil {
		s.client(&c)
	}
	w.client.stream = tcp.NewStream(c)
	w.start(&w.client, simnet.Tuple{Local: c.Local, Remote: c.Remote}, 1, 2, s.up)
	w.server.host.Unknown = w.accept
	return w
}

// start attaches the stream and the talker of one end.
func (w *world) start(e *end, tuple simnet.Tuple, out, in simnet.Pattern, n int) {
	e.sock = e.host.Attach(e.stream)
	e.sock.Bind(0, tuple)
	e.talker = &simnet.Talker{App: e.stream.App(), Out: out, In: in, Send: n}
	e.sock.After = func(now mono.Time) bool {
		did := e.talker.Step(now)
		w.check(now)
		return did
	}
}

// accept is the listener.
func (w *world) accept(now mono.Time, t simnet.Tuple, seg *wire.Segment) bool {
	if w.server.stream != nil || seg.Flags&(wire.SYN|wire.ACK|wire.RST) != wire.SYN {
		return false
	}
	c := tcp.Config{Local: t.Local, Remote: t.Remote, MTU: mtu(w.s.v6, w.s.from), MaxSuper: 64000,
		ISS: seq.Num(w.Rand().Uint32()), TSOffset: w.Rand().Uint32()}
	if w.s.server != nil {
		w.s.server(&c)
	}
	w.server.stream = tcp.NewStream(c)
	w.server.stream.Conn.Listen()
	w.start(&w.server, t, 2, 1, w.s.down)
	w.server.sock.Do(func(now mono.Time) { w.server.stream.Receive(now, 0, seg) })
	return true
}

func (w *world) open() { w.client.sock.Do(w.client.stream.Conn.Open) }

// check holds what is true of both ends after every step.
func (w *world) check(mono.Time) {
	w.t.Helper()
	// Walking all that is outstanding is too much for every step of much data.
	w.steps++
	walk := w.steps%(1+(w.s.up+w.s.down)>>15) == 0
	for _, e := range []*end{&w.client, &w.server} {
		if e.stream == nil {
			continue
		}
		i := e.stream.Conn.Info()
		if i.InFlight < 0 || i.Unacked < 0 || i.InFlight > 2*i.Unacked || i.BytesAcked > i.BytesSent ||
			int(i.BytesSent-i.BytesAcked) < i.Unacked-2 || i.RcvWnd < 0 || i.MSS < 0 {
			w.t.Fatalf("after %v, %s", w.Elapsed(), describe(e))
		}
		if !walk {
			continue
		}
		if err := e.stream.Conn.Check(); err != nil {
			w.t.Fatalf("after %v: %v\n%s", w.Elapsed(), err, describe(e))
		}
	}
	if w.server.stream == nil {
		return
	}
	c, s := w.client.stream.Conn.Info(), w.server.stream.Conn.Info()
	if c.BytesAcked > s.BytesReceived || s.BytesAcked > c.BytesReceived {
		w.t.Fatalf("after %v, acknowledged before it arrived:\n%s\n%s", w.Elapsed(), describe(&w.client), describe(&w.server))
	}
}

func describe(e *end) string {
	if e.stream == nil {
		return "(no connection)"
	}
	return fmt.Sprintf("%+v err %v, wrote %d got %d shut %v EOF %v talker %v, host %+v", e.stream.Conn.Info(),
		e.stream.Conn.Err(), e.talker.Wrote, e.talker.Got, e.talker.Shut, e.talker.EOF, e.talker.Err, e.host.Stats)
}

// edge is how far one direction may send, as the other's segments said.
type edge struct {
	known bool
	scale int
	right seq.Num
}

// observe holds RFC 9293 §3.8.6: nobody sends beyond the window that was
// offered, but for one byte to probe it. It sits right behind the client, so
// what the server offers counts once it may have arrived.
func (w *world) observe(_ mono.Time, d simnet.Direction, s *wire.Segment) {
	in, out := &w.edge[d], &w.edge[d.Reverse()]
	if s.Flags.Has(wire.SYN) {
		in.scale = int(s.WindowScale)
	}
	if s.Flags.Has(wire.ACK) {
		scale := 0
		if !s.Flags.Has(wire.SYN) && in.scale > 0 && out.scale >= 0 {
			scale = min(in.scale, 14)
		}
		right := s.Ack.Add(int(s.Window) << scale)
		if !in.known || right.After(in.right) {
			in.right, in.known = right, true
		}
	}
	if n := s.SeqLen(); out.known && n > 0 && s.Seq.Add(n).After(out.right.Add(1)) {
		w.t.Errorf("after %v, %d bytes beyond the window: %s", w.Elapsed(), s.Seq.Add(n).Sub(out.right), s)
	}
}

// done reports whether both applications are finished.
func (w *world) done() bool {
	if w.client.talker.Err != nil || w.server.talker != nil && w.server.talker.Err != nil {
		return true
	}
	return w.client.talker.Done() && w.server.talker != nil && w.server.talker.Done()
}

func ended(e *end) bool { return e.stream == nil || e.stream.App().Ready().Has(tcp.Ended) }

// run opens, transfers, closes, and checks that everything arrived and nothing
// is left. It returns how long the transfer took.
func (w *world) run(limit time.Duration) time.Duration {
	w.t.Helper()
	w.open()
	ok := w.Run(limit, w.done)
	took := w.Elapsed()
	w.verify(ok)
	if !w.Run(limit+5*time.Minute, func() bool { return ended(&w.client) && ended(&w.server) }) {
		w.t.Fatalf("not closed after %v: %v\n%s\n%s", w.Elapsed(), w.Err(), describe(&w.client), describe(&w.server))
	}
	w.Sleep(time.Second)
	if c, s := w.client.host.Stats.Held, w.server.host.Stats.Held; c != 0 || s != 0 {
		w.t.Errorf("%d and %d received packets are still held", c, s)
	}
	return took
}

func (w *world) verify(ok bool) {
	w.t.Helper()
	c, s := w.client.talker, w.server.talker
	if !ok || s == nil || c.Err != nil || s.Err != nil || s.Got != w.s.up || c.Got != w.s.down || w.Err() != nil {
		w.t.Fatalf("after %v: %v\nclient %s\nserver %s\nlink %+v %+v", w.Elapsed(), w.Err(), describe(&w.client),
			describe(&w.server), w.link.Stats(simnet.Forward), w.link.Stats(simnet.Backward))
	}
}
