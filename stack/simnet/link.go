package simnet

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/seq"
	"github.com/sennit-net/sennit/stack/tcp"
)

// Shape is what one direction of a link does to packets. The zero Shape is
// instant, infinite and perfect.
type Shape struct {
	Rate  int           // bits per second, IP header included; 0: infinite
	Delay time.Duration // one way
	Queue int           // bytes that may wait for the line; 0: unlimited
	MTU   int           // bytes of an IP packet; 0: unlimited
	Mute  bool          // no ICMP error for what exceeds the MTU

	Loss, Duplicate, Corrupt float64 // probability per packet

	Jitter  time.Duration // added at random, packets stay in order
	Reorder float64       // probability that a packet is held back by up to Behind
	Behind  time.Duration

	// NewQueue makes the queue; nil: tail drop after Queue bytes.
	NewQueue func() Queue
}

// Queue is where packets wait for a line.
type Queue interface {
	// Push takes p over, or reports false and drops it.
	Push(now mono.Time, p *Packet) bool
	// Pop gives the next packet, nil if there is none.
	Pop(now mono.Time) *Packet
}

// TailDrop is a first-in first-out queue of at most Limit bytes; 0: unlimited.
// Mark, if not 0, is how many bytes may wait before packets that allow it are
// marked CE (RFC 3168 §5).
type TailDrop struct {
	Limit, Mark int
	list        []*Packet
	bytes       int
}

// Push takes p over, or drops it.
func (q *TailDrop) Push(_ mono.Time, p *Packet) bool {
	if q.Limit > 0 && q.bytes+p.Size() > q.Limit {
		return false
	}
	if q.Mark > 0 && q.bytes > q.Mark && p.TOS&3 != 0 {
		p.TOS |= 3
	}
	q.list = append(q.list, p)
	q.bytes += p.Size()
	return true
}

// Pop gives the oldest packet.
func (q *TailDrop) Pop(mono.Time) *Packet {
	if len(q.list) == 0 {
		return nil
	}
	p := q.list[0]
	q.list[0] = nil
	q.list = q.list[1:]
	q.bytes -= p.Size()
	return p
}

// Stats counts what one direction of a link did.
type Stats struct {
	Packets, Bytes      int // that left the line
	Dropped             int // by a full queue, or a link that is down
	Lost                int // by chance
	TooBig              int
	Duplicated, Damaged int
}

// Link joins two nodes.
type Link struct {
	net   *Net
	a, b  node
	lines [2]line // towards b, towards a
	boxes []Box
	addrs []bound
	down  bool
	// era counts how often the link went down: what was under way then is lost.
	era     int
	changed []func(up bool)
}

type bound struct {
	addr netip.Addr
	at   node
}

// End is a host or a router.
type End interface{ node }

// Connect joins a and b by a link of the same shape both ways. Boxes sit at
// b's end, the first of them nearest to a.
func (n *Net) Connect(a, b End, s Shape, boxes ...Box) *Link {
	return n.ConnectBoth(a, b, s, s, boxes...)
}

// ConnectBoth is Connect with one shape from a to b and another back.
func (n *Net) ConnectBoth(a, b End, to, from Shape, boxes ...Box) *Link {
	l := &Link{net: n, a: a, b: b, boxes: boxes}
	l.lines[Forward].init(l, to)
	l.lines[Backward].init(l, from)
	n.links = append(n.links, l)
	for _, box := range boxes {
		if o, ok := box.(interface{ Addresses() []netip.Addr }); ok {
			for _, addr := range o.Addresses() {
				l.bind(addr, a)
			}
		}
	}
	clear(n.routes)
	return l
}

func (l *Link) bind(addr netip.Addr, at node) {
	l.addrs = append(l.addrs, bound{addr, at})
	clear(l.net.routes)
}

func (l *Link) other(at node) node {
	if at == l.a {
		return l.b
	}
	return l.a
}

func (l *Link) leadsTo(at node, dst netip.Addr) bool { return slices.Contains(l.addrs, bound{dst, at}) }

// Reshape replaces the shape of one direction from now on. What waits in the
// queue stays there.
func (l *Link) Reshape(d Direction, s Shape) {
	q := l.lines[d].queue
	l.lines[d].shape = s
	if t, ok := q.(*TailDrop); ok && s.NewQueue == nil {
		t.Limit = s.Queue
	} else if s.NewQueue != nil {
		l.lines[d].queue = s.NewQueue()
	}
}

// Shape returns the shape of one direction.
func (l *Link) Shape(d Direction) Shape { return l.lines[d].shape }

// Stats returns the counters of one direction.
func (l *Link) Stats(d Direction) Stats { return l.lines[d].stats }

// OnChange has f called when SetUp changes the link.
func (l *Link) OnChange(f func(up bool)) { l.changed = append(l.changed, f) }

// SetUp takes the link down or up and tells those who asked.
func (l *Link) SetUp(up bool) {
	if l.Silence(!up) {
		for _, f := range l.changed {
			f(up)
		}
	}
}

// Silence makes the link lose everything, or end that, without telling anybody.
// It reports whether that is a change.
func (l *Link) Silence(on bool) bool {
	if l.down == on {
		return false
	}
	l.down = on
	l.era++
	return true
}

// Up reports whether the link carries packets.
func (l *Link) Up() bool { return !l.down }

// send takes p over from the node at one end.
func (l *Link) send(from node, p *Packet) {
	if from == l.a {
		l.lines[Forward].send(p)
		return
	}
	l.through(Backward, len(l.boxes)-1, p)
}

// through gives p to box i and what follows it in direction d.
func (l *Link) through(d Direction, i int, p *Packet) {
	switch {
	case i >= len(l.boxes):
		l.b.arrive(l, p)
	case i < 0:
		l.lines[Backward].send(p)
	default:
		l.boxes[i].Handle(l.net, d, p, func(d Direction, p *Packet) {
			if d == Forward {
				l.through(d, i+1, p)
			} else {
				l.through(d, i-1, p)
			}
		})
	}
}

// line is one direction of a link.
type line struct {
	link  *Link
	dir   Direction
	shape Shape
	queue Queue
	busy  bool
	last  mono.Time // when the last packet that keeps the order arrives
	stats Stats
}

func (w *line) init(l *Link, s Shape) {
	w.link, w.shape = l, s
	w.dir = Forward
	if w == &l.lines[Backward] {
		w.dir = Backward
	}
	if s.NewQueue != nil {
		w.queue = s.NewQueue()
	} else {
		w.queue = &TailDrop{Limit: s.Queue}
	}
}

func (w *line) name() string {
	if w.dir == Forward {
		return w.link.a.name() + ">" + w.link.b.name()
	}
	return w.link.b.name() + ">" + w.link.a.name()
}

func (w *line) send(p *Packet) {
	net := w.link.net
	switch {
	case w.link.down:
		w.stats.Dropped++
		net.trace(w.name(), "down", p)
	case w.shape.MTU > 0 && p.Size() > w.shape.MTU:
		w.tooBig(p)
	case !w.queue.Push(net.now, p):
		w.stats.Dropped++
		net.trace(w.name(), "queue full", p)
	case !w.busy:
		w.transmit()
	}
}

// tooBig answers with the error a router would send (RFC 1191 §4, RFC 4443
// §3.2).
func (w *line) tooBig(p *Packet) {
	net := w.link.net
	w.stats.TooBig++
	net.trace(w.name(), "too big", p)
	if w.shape.Mute || p.Error != nil {
		return
	}
	from := w.link.a
	if w.dir == Backward {
		from = w.link.b
	}
	e := &Packet{Src: p.Dst, Dst: p.Src, TCP: p.TCP[:8], Error: &tcp.PathError{
		Kind: tcp.PacketTooBig, MTU: w.shape.MTU, Seq: seq.Num(binary.BigEndian.Uint32(p.TCP[4:]))}}
	net.At(net.now, func() {
		if h, ok := from.(*Host); ok {
			h.arrive(w.link, e)
		} else if l := net.route(from, e.Dst); l != nil {
			l.send(from, e)
		}
	})
}

// transmit puts the next packet on the line.
func (w *line) transmit() {
	net := w.link.net
	for {
		p := w.queue.Pop(net.now)
		w.busy = p != nil && w.shape.Rate > 0
		if p == nil {
			return
		}
		if !w.busy {
			w.launch(p)
			continue
		}
		took := time.Duration(int64(p.Size()) * 8 * int64(time.Second) / int64(w.shape.Rate))
		net.After(took, func() {
			w.launch(p)
			w.transmit()
		})
		return
	}
}

// launch is p having left the line: what chance does to it happens now.
func (w *line) launch(p *Packet) {
	net, s := w.link.net, &w.shape
	w.stats.Packets++
	w.stats.Bytes += p.Size()
	if net.chance(s.Loss) {
		w.stats.Lost++
		net.trace(w.name(), "lost", p)
		return
	}
	if net.chance(s.Duplicate) {
		w.stats.Duplicated++
		w.fly(p.Clone())
	}
	if len(p.TCP) > 0 && net.chance(s.Corrupt) {
		w.stats.Damaged++
		bit := net.rng.IntN(8 * len(p.TCP))
		p.TCP[bit/8] ^= 1 << (bit % 8)
		net.trace(w.name(), "damaged", p)
	}
	w.fly(p)
}

// fly has p arrive after the delay.
func (w *line) fly(p *Packet) {
	net, s := w.link.net, &w.shape
	at := net.now.Add(s.Delay + net.upTo(s.Jitter))
	if net.chance(s.Reorder) {
		at = at.Add(net.upTo(s.Behind))
	} else {
		at = max(at, w.last)
		w.last = at
	}
	era := w.link.era
	net.At(at, func() {
		if w.link.era != era {
			w.stats.Dropped++
			net.trace(w.name(), "down", p)
			return
		}
		net.trace(w.name(), "arrives", p)
		if w.dir == Forward {
			w.link.through(Forward, 0, p)
		} else {
			w.link.a.arrive(w.link, p)
		}
	})
}
