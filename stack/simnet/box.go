package simnet

import (
	"bytes"
	"net/netip"
	"time"

	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/wire"
)

// Direction is a way through a link.
type Direction uint8

// Directions.
const (
	Forward  Direction = iota // from Connect's first node to its second
	Backward                  // back
)

// Reverse returns the other direction.
func (d Direction) Reverse() Direction { return d ^ 1 }

// Pass hands a packet on from where a box sits, in either direction.
type Pass func(d Direction, p *Packet)

// Box is a middlebox on a link. It takes each packet over, in both directions,
// and passes on what it likes. It may keep pass for later.
type Box interface {
	Handle(n *Net, d Direction, p *Packet, pass Pass)
}

// BoxFunc is a function as a Box.
type BoxFunc func(n *Net, d Direction, p *Packet, pass Pass)

// Handle calls f.
func (f BoxFunc) Handle(n *Net, d Direction, p *Packet, pass Pass) { f(n, d, p, pass) }

// Editor returns a box that changes segments and passes them on. A damaged one
// it passes on as it is.
func Editor(f func(now mono.Time, d Direction, s *wire.Segment)) Box {
	return BoxFunc(func(n *Net, d Direction, p *Packet, pass Pass) {
		p.Edit(func(s *wire.Segment) { f(n.Now(), d, s) })
		pass(d, p)
	})
}

// Filter returns a box that drops the segments keep reports false for.
func Filter(keep func(now mono.Time, d Direction, s *wire.Segment) bool) Box {
	return BoxFunc(func(n *Net, d Direction, p *Packet, pass Pass) {
		var s wire.Segment
		if p.Error == nil && p.Parse(&s) && !keep(n.Now(), d, &s) {
			n.trace("filter", "dropped", p)
			return
		}
		pass(d, p)
	})
}

// Which selects segments.
type Which uint8

// Selections, to be combined.
const (
	SYN    Which = 1 << iota // a SYN without ACK
	SYNACK                   // a SYN with ACK
	Later                    // everything after the handshake's SYNs
	All    = SYN | SYNACK | Later
)

// Has reports whether s is selected.
func (w Which) Has(s *wire.Segment) bool {
	switch {
	case !s.Flags.Has(wire.SYN):
		return w&Later != 0
	case s.Flags.Has(wire.ACK):
		return w&SYNACK != 0
	default:
		return w&SYN != 0
	}
}

// Strip returns a box that takes the options of a kind out of the selected
// segments, from time since after New on.
func Strip(kind byte, which Which, since time.Duration) Box {
	return Editor(func(now mono.Time, _ Direction, s *wire.Segment) {
		if which.Has(s) && now.Sub(start) >= since {
			StripOption(s, kind)
		}
	})
}

// StripOption takes the options of a kind out of s.
func StripOption(s *wire.Segment, kind byte) {
	switch kind {
	case 2:
		s.Options.MSS = 0
	case 3:
		s.WindowScale = -1
	case 4:
		s.SACKPermitted = false
	case 5:
		s.NSACK = 0
	case 8:
		s.Timestamps, s.TSVal, s.TSEcr = false, 0, 0
	}
	var kept []byte
	for o := s.Other(); len(o) > 0; {
		k, v, rest, ok := wire.NextOption(o)
		if !ok {
			break
		}
		if k != kind {
			kept = append(append(kept, k, byte(len(v)+2)), v...)
		}
		o = rest
	}
	s.SetOther(kept)
}

// Refuse returns a box that drops the selected segments that carry an option of
// a kind, as some firewalls do.
func Refuse(kind byte, which Which) Box {
	return Filter(func(_ mono.Time, _ Direction, s *wire.Segment) bool {
		was := len(s.Other())
		if !which.Has(s) {
			return true
		}
		StripOption(s, kind)
		return len(s.Other()) == was
	})
}

// Rewrite returns a box that replaces bytes in the payload of each segment by
// others of the same length, as an application gateway does. What lies across
// two segments it misses.
func Rewrite(from, to []byte) Box {
	if len(from) != len(to) {
		panic("simnet: Rewrite must keep the length")
	}
	return BoxFunc(func(_ *Net, d Direction, p *Packet, pass Pass) {
		p.Edit(func(s *wire.Segment) {
			for _, r := range s.Payload {
				copy(r.B, bytes.ReplaceAll(r.B, from, to))
			}
		})
		pass(d, p)
	})
}

// Scramble returns a box that changes the payload of each segment after time
// since: one bit of its first byte.
func Scramble(d Direction, since time.Duration) Box {
	return Editor(func(now mono.Time, way Direction, s *wire.Segment) {
		if way == d && len(s.Payload) > 0 && now.Sub(start) >= since {
			s.Payload[0].B[0] ^= 1
		}
	})
}

// ClampWindow returns a box that lets no window field above most through, but
// leaves those of SYNs.
func ClampWindow(most uint16) Box {
	return Editor(func(_ mono.Time, _ Direction, s *wire.Segment) {
		if !s.Flags.Has(wire.SYN) {
			s.Window = min(s.Window, most)
		}
	})
}

// ClampMSS returns a box that lowers the MSS option of SYNs.
func ClampMSS(most uint16) Box {
	return Editor(func(_ mono.Time, _ Direction, s *wire.Segment) {
		if s.Options.MSS != 0 {
			s.Options.MSS = min(s.Options.MSS, most)
		}
	})
}

// ShiftISN returns a box that adds delta to the sequence numbers of what goes
// forward, and takes it off the acknowledgments that come back, SACK included
// where sack is set: real ones that randomise ISNs often forget it.
func ShiftISN(delta int, sack bool) Box {
	return Editor(func(_ mono.Time, d Direction, s *wire.Segment) {
		if d == Forward {
			s.Seq = s.Seq.Add(delta)
			return
		}
		if !s.Flags.Has(wire.ACK) {
			return
		}
		s.Ack = s.Ack.Add(-delta)
		for i := range s.SACK[:s.NSACK] {
			if sack {
				r := &s.SACK[i]
				r.Left, r.Right = r.Left.Add(-delta), r.Right.Add(-delta)
			}
		}
	})
}

// Bleach returns a box that clears the ECN field.
func Bleach() Box {
	return BoxFunc(func(_ *Net, d Direction, p *Packet, pass Pass) {
		p.TOS &^= 3
		pass(d, p)
	})
}

// NAT translates the source of what goes forward to Public, one port per
// tuple (RFC 3022). What comes back without a mapping is dropped.
type NAT struct {
	Public netip.Addr
	port   uint16
	out    map[netip.AddrPort]uint16
	in     map[uint16]netip.AddrPort
}

// NewNAT returns a NAT.
func NewNAT(public netip.Addr) *NAT {
	return &NAT{Public: public, port: 20000, out: map[netip.AddrPort]uint16{}, in: map[uint16]netip.AddrPort{}}
}

// Addresses returns the public address, which is routed to the NAT's link.
func (t *NAT) Addresses() []netip.Addr { return []netip.Addr{t.Public} }

// Forget drops every mapping: connections that go on come from new ports.
func (t *NAT) Forget() { clear(t.out); clear(t.in) }

// Handle translates.
func (t *NAT) Handle(n *Net, d Direction, p *Packet, pass Pass) {
	tuple, ok := p.tuple()
	if !ok {
		return
	}
	if d == Forward {
		if p.Error != nil {
			return
		}
		inner := tuple.Remote
		port, known := t.out[inner]
		if !known {
			t.port++
			port = t.port
			t.out[inner], t.in[port] = port, inner
		}
		p.translate(func(s *wire.Segment) { s.SrcPort = port }, t.Public, p.Dst)
		pass(d, p)
		return
	}
	inner, known := t.in[tuple.Local.Port()]
	if !known || p.Dst != t.Public {
		n.trace("nat", "no mapping", p)
		return
	}
	if p.Error != nil { // the quoted segment is ours: its source is the inner one
		p.TCP = bytes.Clone(p.TCP)
		p.TCP[0], p.TCP[1] = byte(inner.Port()>>8), byte(inner.Port())
		p.Dst = inner.Addr()
	} else {
		p.translate(func(s *wire.Segment) { s.DstPort = inner.Port() }, p.Src, inner.Addr())
	}
	pass(d, p)
}

// translate changes ports and addresses, and the checksum with them. A damaged
// segment stays damaged.
func (p *Packet) translate(f func(*wire.Segment), src, dst netip.Addr) {
	var s wire.Segment
	good := p.Parse(&s)
	p.Src, p.Dst = src, dst
	if len(p.TCP) < wire.MinHeader {
		return
	}
	f(&s)
	if good {
		p.Put(&s)
	}
}
