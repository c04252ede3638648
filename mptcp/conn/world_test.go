package conn

import (
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/sennit-net/sennit/mptcp/option"
	"github.com/sennit-net/sennit/mptcp/policy"
	"github.com/sennit-net/sennit/mptcp/sched"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/seq"
	"github.com/sennit-net/sennit/stack/simnet"
	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/wire"
)

// The network of these tests: a client with one link per path to a router, and
// a server behind it.
//
//	client --- path 0 ---.
//	client --- path 1 --- router --- server
var (
	clientAddrs = []netip.Addr{netip.MustParseAddr("10.1.0.2"), netip.MustParseAddr("10.2.0.2"), netip.MustParseAddr("10.3.0.2")}
	serverAddr  = netip.MustParseAddr("10.9.0.2")
	serverExtra = netip.MustParseAddr("10.8.0.2")
	serverPort  = netip.AddrPortFrom(serverAddr, 443)
)

const (
	clientKey = 0x0102030405060708
	serverKey = 0xa0a1a2a3a4a5a6a7
)

// setup is one connection and what both ends send.
type setup struct {
	paths          []simnet.Shape // one per link of the client; none: two of the same
	boxes          [][]simnet.Box // per path
	up, down       int
	client, server func(*Config)
	keepOpen       bool // both ends leave their direction open
	lone           bool // the client opens no further subflow
	super          int
}

// side is one end of the connection.
type side struct {
	w      *world
	name   string
	host   *simnet.Host
	sock   *simnet.Sock
	conn   *Conn
	talker *simnet.Talker
	events []tcp.Event
	gone   map[policy.Subflow]bool // released
	wants  []Want
}

func (s *side) Record(now mono.Time, e tcp.Event) {
	s.events = append(s.events, e)
	if s.w.verbose {
		fmt.Printf("%12v %s: %s %+v\n", s.w.Elapsed(), s.name, e.Name(), e)
	}
}

// world is a setup that runs.
type world struct {
	*simnet.Net
	t              testing.TB
	s              setup
	links          []*simnet.Link
	trunk          *simnet.Link
	client, server side
	verbose        bool
}

var slow = simnet.Shape{Rate: 20e6, Delay: 10 * time.Millisecond, Queue: 100_000}

func newWorld(t testing.TB, s setup) *world {
	t.Helper()
	return seededWorld(t, simnet.Seed(t), s)
}

func seededWorld(t testing.TB, seed uint64, s setup) *world {
	if s.paths == nil {
		s.paths = []simnet.Shape{slow, slow}
	}
	if s.super == 0 {
		s.super = 64000
	}
	w := &world{Net: simnet.New(seed), t: t, s: s, verbose: os.Getenv("SENNIT_TRACE") != ""}
	if w.verbose {
		w.Trace = func(now mono.Time, where, what string, p *simnet.Packet) {
			fmt.Printf("%12v %s: %s %s\n", w.Elapsed(), where, what, p)
		}
	}
	w.client = side{w: w, name: "client", host: w.Host("client"), gone: map[policy.Subflow]bool{}}
	w.server = side{w: w, name: "server", host: w.Host("server"), gone: map[policy.Subflow]bool{}}
	r := w.Router("router")
	for i, shape := range s.paths {
		boxes := []simnet.Box{}
		if i < len(s.boxes) {
			boxes = s.boxes[i]
		}
		l := w.Connect(w.client.host, r, shape, boxes...)
		w.client.host.Bind(clientAddrs[i], l)
		w.links = append(w.links, l)
	}
	w.trunk = w.Connect(r, w.server.host, simnet.Shape{Delay: time.Millisecond})
	w.server.host.Bind(serverAddr, w.trunk)
	w.server.host.Bind(serverExtra, w.trunk)
	w.server.host.Unknown = w.listen
	return w
}

func (w *world) config(initiator bool) Config {
	cfg := Config{Initiator: initiator, LocalKey: serverKey, Scheduler: sched.MinRTT{}, Recorder: &w.server}
	if initiator {
		cfg.LocalKey, cfg.Recorder = clientKey, &w.client
		if !w.s.lone {
			cfg.PathManager = &everyLink{}
		}
	}
	f := w.s.server
	if initiator {
		f = w.s.client
	}
	if f != nil {
		f(&cfg)
	}
	return cfg
}

// everyLink is a path manager that joins from every address that has no
// subflow yet, and to every announced address from the first link.
type everyLink struct{ announce []policy.Address }

func (p *everyLink) Deadline() mono.Time { return 0 }

func (p *everyLink) Handle(e policy.Event, v policy.View, cmds []policy.Command) []policy.Command {
	if e.Kind == policy.Confirmed {
		for _, a := range p.announce {
			cmds = append(cmds, policy.Command{Kind: policy.Announce, Address: a})
		}
	}
	if !v.Initiator {
		return cmds
	}
	used := map[netip.Addr]bool{}
	for _, s := range v.Subflows {
		used[s.Local.Addr()] = true
	}
	if e.Kind == policy.RemoteAdded {
		return append(cmds, policy.Command{Kind: policy.Open, Address: v.Local[0], Remote: e.Remote})
	}
	if e.Kind == policy.OpenFailed || v.DenyFirst {
		return cmds
	}
	for _, a := range v.Local {
		if !used[a.Addr] {
			cmds = append(cmds, policy.Command{Kind: policy.Open, Address: a, Remote: v.Remote})
		}
	}
	return cmds
}

func (w *world) tcpConfig(local, remote netip.AddrPort) tcp.Config {
	return tcp.Config{Local: local, Remote: remote, MTU: 1500, MaxSuper: w.s.super,
		ISS: seq.Num(w.Rand().Uint32()), TSOffset: w.Rand().Uint32()}
}

func localAddress(i int) policy.Address {
	return policy.Address{Link: policy.Link(i + 1), Addr: clientAddrs[i]}
}

// dial starts the client.
func (w *world) dial() {
	c := &w.client
	c.conn = New(w.config(true))
	c.attach(1, 2, w.s.up)
	local := netip.AddrPortFrom(clientAddrs[0], c.host.Port())
	c.sock.Bind(0, simnet.Tuple{Local: local, Remote: serverPort})
	c.sock.Do(func(now mono.Time) {
		for i := range w.s.paths {
			c.conn.Path(now, policy.Event{Kind: policy.LocalAdded, Address: localAddress(i)})
		}
		c.conn.First(now, localAddress(0), w.tcpConfig(local, serverPort))
	})
}

func (s *side) attach(out, in simnet.Pattern, send int) {
	s.sock = s.host.Attach(s.conn)
	s.talker = &simnet.Talker{App: s.conn.App(), Out: out, In: in, Send: send, KeepOpen: s.w.s.keepOpen}
	s.sock.After = func(now mono.Time) bool {
		did := s.serve(now)
		did = s.talker.Step(now) || did
		s.w.check(s)
		return did
	}
}

// serve does what the machine wants of its owner.
func (s *side) serve(now mono.Time) (did bool) {
	s.wants = s.conn.Wants(s.wants[:0])
	for _, want := range s.wants {
		did = true
		switch want.Kind {
		case OpenSubflow:
			local := netip.AddrPortFrom(want.Address.Addr, s.host.Port())
			s.sock.Bind(int(want.Sub), simnet.Tuple{Local: local, Remote: want.Remote})
			s.conn.Opened(now, want.Sub, s.w.tcpConfig(local, want.Remote), s.w.Rand().Uint32())
		case Release:
			s.gone[want.Sub] = true
			s.sock.Unbind(int(want.Sub))
		}
	}
	return did
}

// listen is the server's listener: it sorts SYNs by MP_JOIN.
func (w *world) listen(now mono.Time, t simnet.Tuple, seg *wire.Segment) bool {
	if seg.Flags&(wire.SYN|wire.ACK|wire.RST) != wire.SYN {
		return false
	}
	s := &w.server
	a := policy.Address{Link: 1, Addr: t.Local.Addr()}
	var set option.Set
	option.ParseAll(seg, false, &set)
	if set.Has(option.SubJoin) {
		if s.conn == nil || set.Join.Token != s.conn.Token() {
			return false
		}
		// The machine names the subflow, but its SYN-ACK leaves only with a tuple.
		id, ok := s.conn.Join(now, a, w.tcpConfig(t.Local, t.Remote), w.Rand().Uint32(), seg)
		if ok {
			s.sock.Bind(int(id), t)
			s.sock.Do(func(mono.Time) {})
		}
		return ok
	}
	if s.conn != nil || t.Local != serverPort {
		return false
	}
	s.conn = New(w.config(false))
	s.attach(2, 1, w.s.down)
	s.sock.Bind(0, t)
	s.sock.Do(func(now mono.Time) { s.conn.Accept(now, a, w.tcpConfig(t.Local, t.Remote), seg) })
	return true
}

// check holds what is true of a connection after every step.
func (w *world) check(s *side) {
	w.t.Helper()
	c := s.conn
	peer := &w.server
	if s == peer {
		peer = &w.client
	}
	i := c.Info()
	if peer.conn == nil {
		return
	}
	got := peer.conn.rcv.total
	// Nothing is taken for delivered that did not arrive.
	if c.phase != fallen && i.Sent > got {
		w.t.Fatalf("%v: %s: %d bytes are data-acked, the peer has %d", w.Elapsed(), s.name, i.Sent, got)
	}
	if c.snd.nxt.Before(c.snd.una) || c.snd.end().Before(c.snd.nxt) {
		w.t.Fatalf("%v: %s: una %d nxt %d end %d", w.Elapsed(), s.name, c.snd.una, c.snd.nxt, c.snd.end())
	}
	for k, a := range c.snd.again {
		if a.DSN.Before(c.snd.una) || a.End().After(c.snd.nxt) || a.Len <= 0 ||
			k > 0 && a.DSN.Before(c.snd.again[k-1].End()) && a.lost != nobody {
			w.t.Fatalf("%v: %s: reinjections %v outside [%d,%d) or out of order", w.Elapsed(), s.name, c.snd.again, c.snd.una, c.snd.nxt)
		}
	}
}

// run runs until both ends have ended, or fails.
func (w *world) run(limit time.Duration) {
	w.t.Helper()
	if w.client.conn == nil {
		w.dial()
	}
	done := func() bool {
		return w.client.talker.Done() && w.server.talker != nil && w.server.talker.Done()
	}
	ok := w.Run(limit, done)
	if err := w.Err(); err != nil {
		w.t.Fatal(err)
	}
	for _, s := range []*side{&w.client, &w.server} {
		if s.talker == nil {
			w.t.Fatalf("%v: no %s", w.Elapsed(), s.name)
		}
		if s.talker.Err != nil {
			w.t.Fatalf("%v: %s: %v", w.Elapsed(), s.name, s.talker.Err)
		}
	}
	if !ok {
		w.t.Fatalf("%v: not done:\n client wrote %d got %d %+v\n server wrote %d got %d %+v", w.Elapsed(),
			w.client.talker.Wrote, w.client.talker.Got, w.client.conn.Info(),
			w.server.talker.Wrote, w.server.talker.Got, w.server.conn.Info())
	}
	if w.server.talker.Got != w.s.up || w.client.talker.Got != w.s.down {
		w.t.Fatalf("server got %d of %d, client %d of %d", w.server.talker.Got, w.s.up, w.client.talker.Got, w.s.down)
	}
}

// finish runs until nothing is left of either end.
func (w *world) finish() {
	w.t.Helper()
	over := func() bool {
		return w.client.conn.Ready().Has(tcp.Ended) && w.server.conn.Ready().Has(tcp.Ended)
	}
	if !w.Run(5*time.Minute, over) {
		w.t.Fatalf("%v: still there: %v\n client %+v\n server %+v", w.Elapsed(), w.Err(), w.client.conn.Info(), w.server.conn.Info())
	}
	if n := w.client.host.Stats.Held + w.server.host.Stats.Held; n != 0 {
		w.t.Fatalf("%d received runs are still held", n)
	}
	if d := w.client.conn.Deadline(); d != 0 {
		w.t.Fatalf("the client ended with a deadline at %v", d)
	}
}

// has reports whether an event of this kind was recorded.
func has[E tcp.Event](s *side) bool { _, ok := last[E](s); return ok }

// last returns the last event of this kind.
func last[E tcp.Event](s *side) (e E, ok bool) {
	for _, x := range s.events {
		if y, is := x.(E); is {
			e, ok = y, true
		}
	}
	return e, ok
}

func count[E tcp.Event](s *side) (n int) {
	for _, x := range s.events {
		if _, is := x.(E); is {
			n++
		}
	}
	return n
}
