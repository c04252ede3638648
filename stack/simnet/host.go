package simnet

import (
	"net/netip"

	"github.com/sennit-net/sennit/ecn"
	"github.com/sennit-net/sennit/stack/chunk"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/wire"
)

// Machine is what runs on a host: a TCP connection, or something that owns
// several, told apart by a number (sub).
type Machine interface {
	Receive(now mono.Time, sub int, seg *wire.Segment)
	Advance(now mono.Time)
	Emit(now mono.Time, seg *wire.Segment) (sub int, ok bool)
	Deadline() mono.Time
}

// controller is a Machine that wants to hear of ICMP errors.
type controller interface {
	Control(now mono.Time, sub int, e tcp.PathError)
}

// Bounds on what a machine may do at one instant. A machine that reaches them
// spins.
const (
	maxEmits  = 1 << 16
	maxRounds = 1 << 10
)

// Host is an end of the network that machines run on.
type Host struct {
	net   *Net
	label string
	addrs map[netip.Addr]*Link
	ports uint16
	socks map[Tuple]binding
	gro   joiner
	in    wire.Segment
	out   wire.Segment

	// Unknown, if set, is given each segment for a tuple without a machine.
	// It reports whether it took the segment and its references over; else the
	// host answers with a RST (RFC 9293 §3.10.7.1).
	Unknown func(now mono.Time, t Tuple, seg *wire.Segment) bool
	// Silent keeps the host from sending that RST.
	Silent bool
	// Stats counts what arrived.
	Stats HostStats
}

// HostStats counts what arrived at a host.
type HostStats struct {
	Segments  int // with a right checksum, before joining
	Damaged   int // by form or checksum
	Unknown   int // for no machine
	Resets    int // sent in answer to those
	Delivered int // to machines, joined ones as one
	Emitted   int // segments from machines, super-segments as one
	Sent      int // packets
	Held      int // payload references machines hold of received packets
}

type binding struct {
	sock *Sock
	sub  int
}

// Host adds a host.
func (n *Net) Host(name string) *Host {
	h := &Host{net: n, label: name, addrs: map[netip.Addr]*Link{}, socks: map[Tuple]binding{}, ports: 40000}
	h.gro.host = h
	return h
}

func (h *Host) name() string { return h.label }

// Net returns the network.
func (h *Host) Net() *Net { return h.net }

// Bind gives the host an address on a link. Packets from that address leave
// there, and packets for it arrive there.
func (h *Host) Bind(addr netip.Addr, l *Link) {
	h.addrs[addr] = l
	l.bind(addr, h)
}

// Port returns a local port not given out before.
func (h *Host) Port() uint16 {
	h.ports++
	return h.ports
}

// arrive is a packet from a link.
func (h *Host) arrive(_ *Link, p *Packet) {
	now := h.net.now
	t, ok := p.tuple()
	if _, mine := h.addrs[p.Dst]; !mine || !ok {
		h.net.trace(h.label, "not ours", p)
		return
	}
	if p.Error != nil {
		h.control(now, t, *p.Error)
		return
	}
	h.in.Reset()
	k, err := wire.Parse(p.TCP, &h.in)
	if err == nil && len(p.TCP) > k {
		h.in.Payload = append(h.in.Payload, h.wrap(p.TCP, k))
	}
	if err != nil || !h.in.ChecksumOK(p.TCP[:k], p.Src, p.Dst) {
		// RFC 9293 §3.1 (MUST-3).
		h.Stats.Damaged++
		h.net.trace(h.label, "damaged", p)
		chunk.ReleaseAll(h.in.Payload)
		return
	}
	h.Stats.Segments++
	h.in.ECN = ecn.FromTOS(p.TOS)
	if !h.gro.take(now, t, &h.in) {
		h.deliver(now, t, &h.in)
	}
}

// wrap makes the payload of a packet a run that is counted, and overwritten
// when its last reference goes: who reads it later reads noise.
func (h *Host) wrap(b []byte, from int) chunk.Slice {
	h.Stats.Held++
	c := chunk.Wrap(b, nil, func(c *chunk.Chunk) {
		h.Stats.Held--
		b := c.Bytes()
		for i := range b {
			b[i] = 0xdb
		}
	})
	return c.Own(from, len(b))
}

// deliver gives a segment, with its references, to whom it is for.
func (h *Host) deliver(now mono.Time, t Tuple, seg *wire.Segment) {
	if b, ok := h.socks[t]; ok {
		h.Stats.Delivered++
		b.sock.machine.Receive(now, b.sub, seg)
		seg.Reset()
		b.sock.pump()
		return
	}
	h.Stats.Unknown++
	if h.Unknown != nil && h.Unknown(now, t, seg) {
		return
	}
	h.out.Reset()
	if !h.Silent && tcp.ResetFor(seg, &h.out) {
		h.Stats.Resets++
		h.send(&h.out, t)
	}
	chunk.ReleaseAll(seg.Payload)
}

func (h *Host) control(now mono.Time, t Tuple, e tcp.PathError) {
	b, ok := h.socks[t]
	if !ok {
		return
	}
	if m, ok := b.sock.machine.(controller); ok {
		m.Control(now, b.sub, e)
		b.sock.pump()
	}
}

// send puts a segment on the link of its local address and drops its
// references.
func (h *Host) send(seg *wire.Segment, t Tuple) {
	l := h.addrs[t.Local.Addr()]
	if l == nil {
		h.net.fail("%s sends from %s, which it does not have", h.label, t.Local)
	} else {
		cut(seg, t, func(p *Packet) {
			h.Stats.Sent++
			l.send(h, p)
		})
	}
	chunk.ReleaseAll(seg.Payload)
}

// Sock is a machine on a host, with its tuples and its timer.
type Sock struct {
	host    *Host
	machine Machine
	subs    map[int]Tuple
	timer   mono.Time // when an event will look at the deadline; 0: none will
	closed  bool

	// After, if set, is called after each step of the machine. It reports
	// whether it did something to the machine, which is then asked again.
	After func(now mono.Time) bool
}

// Attach puts a machine on the host.
func (h *Host) Attach(m Machine) *Sock { return &Sock{host: h, machine: m, subs: map[int]Tuple{}} }

// Bind makes t the tuple of the machine's connection sub.
func (s *Sock) Bind(sub int, t Tuple) {
	s.Unbind(sub)
	if _, taken := s.host.socks[t]; taken {
		s.host.net.fail("%s: %v is taken", s.host.label, t)
	}
	s.subs[sub] = t
	s.host.socks[t] = binding{s, sub}
}

// Unbind takes the tuple of sub away.
func (s *Sock) Unbind(sub int) {
	if t, ok := s.subs[sub]; ok {
		s.host.gro.flush(t)
		delete(s.subs, sub)
		delete(s.host.socks, t)
	}
}

// Close takes the machine off the host.
func (s *Sock) Close() {
	for t, b := range s.host.socks {
		if b.sock == s {
			delete(s.host.socks, t)
		}
	}
	clear(s.subs)
	s.closed = true
}

// Do lets f act on the machine, sends what it then emits and watches its
// deadline.
func (s *Sock) Do(f func(now mono.Time)) {
	f(s.host.net.now)
	s.pump()
}

// pump runs the machine until it has nothing to do now.
func (s *Sock) pump() {
	net := s.host.net
	for range maxRounds {
		s.emit()
		if s.machine.Deadline().Reached(net.now) {
			s.machine.Advance(net.now)
			continue
		}
		if s.After != nil && s.After(net.now) {
			continue
		}
		s.arm()
		return
	}
	net.fail("%s: the machine's deadline stays at %v, which is past, or its user never rests",
		s.host.label, s.machine.Deadline().Sub(start))
}

func (s *Sock) emit() {
	h, net := s.host, s.host.net
	for range maxEmits {
		h.out.Reset()
		sub, ok := s.machine.Emit(net.now, &h.out)
		if !ok {
			return
		}
		h.Stats.Emitted++
		t, bound := s.subs[sub]
		if !bound {
			if !s.closed {
				net.fail("%s: a segment for connection %d, which has no tuple: %s", h.label, sub, &h.out)
			}
			chunk.ReleaseAll(h.out.Payload)
			return
		}
		h.send(&h.out, t)
	}
	net.fail("%s: the machine never stops emitting", h.label)
}

// arm sees to it that an event comes at the machine's deadline. An event that
// finds a later deadline arms again, so most changes cost nothing.
func (s *Sock) arm() {
	d := s.machine.Deadline()
	if d.IsZero() || s.closed || !s.timer.IsZero() && s.timer <= d {
		return
	}
	s.timer = d
	s.host.net.At(d, func() {
		if s.timer != d || s.closed {
			return
		}
		s.timer = 0
		s.pump()
	})
}
