package simnet

import (
	"time"

	"github.com/sennit-net/sennit/stack/chunk"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/wire"
)

// JoinFor makes the host join consecutive segments of a connection that arrive
// within d of the first into one super-segment, as a device with receive
// offload does; 0 ends that.
func (h *Host) JoinFor(d time.Duration) { h.gro.wait = d }

// maxJoined is the most payload of a joined segment.
const maxJoined = 64 << 10

// joiner holds segments back that later ones may be joined to.
type joiner struct {
	host *Host
	wait time.Duration
	held map[Tuple]*heldSegment
}

type heldSegment struct {
	seg wire.Segment
	n   int
}

// take reports whether it took the segment over. What cannot be joined makes
// what is held go first, so the order stays.
func (g *joiner) take(now mono.Time, t Tuple, seg *wire.Segment) bool {
	if g.wait == 0 {
		return false
	}
	if _, known := g.host.socks[t]; !known {
		return false
	}
	if h := g.held[t]; h != nil {
		if h.joins(seg) {
			h.n += seg.Len()
			full := seg.Len() == int(h.seg.MSS)
			h.seg.Payload = append(h.seg.Payload, seg.Payload...)
			h.seg.Flags |= seg.Flags & wire.PSH
			if !full || seg.Flags.Has(wire.PSH) || h.n+int(h.seg.MSS) > maxJoined {
				g.flush(t)
			}
			return true
		}
		g.flush(t)
	}
	if seg.Len() == 0 || seg.Flags&^wire.CWR != wire.ACK {
		return false
	}
	h := &heldSegment{seg: *seg, n: seg.Len()}
	h.seg.MSS = uint16(h.n)
	h.seg.Payload = append([]chunk.Slice(nil), seg.Payload...)
	if g.held == nil {
		g.held = map[Tuple]*heldSegment{}
	}
	g.held[t] = h
	g.host.net.At(now.Add(g.wait), func() {
		if g.held[t] == h {
			g.flush(t)
		}
	})
	return true
}

// joins reports whether seg continues what is held with the same header.
func (h *heldSegment) joins(seg *wire.Segment) bool {
	return seg.Flags&^wire.PSH == wire.ACK && seg.Seq == h.seg.Seq.Add(h.n) && seg.Ack == h.seg.Ack &&
		seg.Window == h.seg.Window && seg.Options == h.seg.Options && seg.ECN == h.seg.ECN &&
		seg.Len() > 0 && seg.Len() <= int(h.seg.MSS)
}

// flush delivers what is held for t.
func (g *joiner) flush(t Tuple) {
	h := g.held[t]
	if h == nil {
		return
	}
	delete(g.held, t)
	if h.n <= int(h.seg.MSS) {
		h.seg.MSS = 0
	}
	g.host.deliver(g.host.net.now, t, &h.seg)
}
