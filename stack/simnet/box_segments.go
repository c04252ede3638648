package simnet

import (
	"time"

	"github.com/sennit-net/sennit/stack/chunk"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/wire"
)

// Split returns a box that cuts segments of more than size payload bytes and
// repeats their options on each piece, as devices with segmentation offload do.
func Split(size int) Box {
	return BoxFunc(func(_ *Net, d Direction, p *Packet, pass Pass) {
		var s wire.Segment
		if p.Error != nil || !p.Parse(&s) || s.Len() <= size || s.Flags.Any(wire.SYN|wire.RST) {
			pass(d, p)
			return
		}
		t, _ := p.tuple()
		t.Local, t.Remote = t.Remote, t.Local
		s.MSS = uint16(size)
		cut(&s, t, func(piece *Packet) {
			piece.TOS = p.TOS
			pass(d, piece)
		})
	})
}

// Coalescer joins consecutive data segments of a connection that come within
// Wait of the first, up to Size payload bytes. The joined one has the options
// of the first, as if those of the second had never been.
type Coalescer struct {
	Wait time.Duration
	Size int
	held map[flow]*heldPacket
}

type flow struct {
	d Direction
	t Tuple
}

type heldPacket struct {
	p    *Packet
	s    wire.Segment
	pass Pass
}

// Coalesce returns a Coalescer.
func Coalesce(wait time.Duration, size int) *Coalescer {
	return &Coalescer{Wait: wait, Size: size, held: map[flow]*heldPacket{}}
}

// Handle joins, holds or passes p.
func (c *Coalescer) Handle(n *Net, d Direction, p *Packet, pass Pass) {
	t, ok := p.tuple()
	f := flow{d, t}
	h := c.held[f]
	var s wire.Segment
	if !ok || p.Error != nil || !p.Parse(&s) {
		pass(d, p)
		return
	}
	if h != nil {
		if s.Len() > 0 && !s.Flags.Any(wire.SYN|wire.RST|wire.FIN|wire.URG) &&
			s.Seq == h.s.Seq.Add(h.s.Len()) && s.Len()+h.s.Len() <= c.Size {
			h.s.Payload = append(h.s.Payload, s.Payload...)
			h.s.Flags |= s.Flags & wire.PSH
			h.s.Ack, h.s.Window = s.Ack, s.Window
			return
		}
		c.flush(f)
	}
	if s.Len() == 0 || s.Flags.Any(wire.SYN|wire.RST|wire.FIN|wire.URG) || s.Len() >= c.Size {
		pass(d, p)
		return
	}
	h = &heldPacket{p: p, s: s, pass: pass}
	h.s.Payload = append([]chunk.Slice(nil), s.Payload...)
	c.held[f] = h
	n.After(c.Wait, func() {
		if c.held[f] == h {
			c.flush(f)
		}
	})
}

func (c *Coalescer) flush(f flow) {
	h := c.held[f]
	delete(c.held, f)
	h.p.Put(&h.s)
	h.pass(f.d, h.p)
}

// Shuffle returns a box that holds every nth packet of each direction back by
// d.
func Shuffle(nth int, d time.Duration) Box {
	var count [2]int
	return BoxFunc(func(n *Net, way Direction, p *Packet, pass Pass) {
		if count[way]++; count[way]%nth == 0 {
			n.After(d, func() { pass(way, p) })
			return
		}
		pass(way, p)
	})
}

// DropNth returns a box that drops the data segments of one direction whose
// number, counted from 1, is listed; a retransmission counts like any other.
func DropNth(d Direction, numbers ...int) Box {
	count := 0
	return Filter(func(_ mono.Time, way Direction, s *wire.Segment) bool {
		if way != d || s.Len() == 0 {
			return true
		}
		count++
		for _, k := range numbers {
			if k == count {
				return false
			}
		}
		return true
	})
}
