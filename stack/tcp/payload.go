package tcp

import (
	"github.com/sennit-net/sennit/stack/chunk"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/reasm"
	"github.com/sennit-net/sennit/stack/seq"
	"github.com/sennit-net/sennit/stack/wire"
)

// processPayload is the seventh check: the segment's text.
func (c *Conn) processPayload(now mono.Time, seg *wire.Segment) {
	n := seg.Len()
	if n == 0 {
		return
	}
	if c.rcv.fin {
		// §3.10.7.4: after the peer's FIN there is no more text.
		c.reject(now, seg, UnexpectedState)
		c.dropPayload(seg)
		return
	}
	if c.life.noRead && seg.Seq.Add(n).After(c.rcv.nxt) {
		// RFC 9293 §3.6.1 (SHLD-3): nobody will read this; say so.
		c.reject(now, seg, AfterClose)
		c.abortWith(now, c.snd.nxt(), ErrAborted)
		return
	}
	c.observe(now, seg, n)
	if !c.trim(now, seg) {
		return
	}
	off := c.rcv.offOf(seg.Seq)
	if off == c.rcv.off && !c.rcv.holes() {
		n = seg.Len()
		c.deliver(now, seg.Payload)
		seg.Payload, seg.Seq = seg.Payload[:0], seg.Seq.Add(n) // a FIN comes behind the text
		c.delayAck(now, seg, n)
		return
	}
	c.insert(now, seg, off)
}

// trim cuts off what lies outside the window, and reports whether anything is
// left.
func (c *Conn) trim(now mono.Time, seg *wire.Segment) bool {
	n := seg.Len()
	from := max(c.rcv.nxt.Sub(seg.Seq), 0)
	to := min(c.rcv.win.edge.Sub(seg.Seq), n)
	if from > 0 {
		c.noteDuplicate(seg)
		c.out.ack = true
	}
	if to < n {
		c.reject(now, seg, NoRoom)
		seg.Flags &^= wire.FIN
		c.out.ack = true
	}
	if from >= to {
		fin := seg.Flags & wire.FIN
		c.dropPayload(seg)
		seg.Flags |= fin
		seg.Seq = seg.Seq.Add(n)
		c.out.ack = true
		return false
	}
	if from > 0 || to < n {
		kept := chunk.Range(c.rcv.scratch[:0], seg.Payload, from, to-from)
		chunk.ReleaseAll(seg.Payload)
		seg.Payload = append(seg.Payload[:0], kept...)
		clear(kept)
		c.rcv.scratch = kept[:0]
		seg.Seq = seg.Seq.Add(from)
	}
	return true
}

// deliver hands bytes at RCV.NXT to the Upper, with their references.
func (c *Conn) deliver(now mono.Time, runs []chunk.Slice) {
	n := chunk.Total(runs)
	off := c.rcv.off
	c.rcv.off += uint64(n)
	c.rcv.nxt = c.rcv.nxt.Add(n)
	c.stat.received += uint64(n)
	c.cfg.Upper.Deliver(now, off, runs)
	clear(runs)
}

// insert keeps bytes that came before their turn, and delivers those whose
// turn it is now.
func (c *Conn) insert(now mono.Time, seg *wire.Segment, off uint64) {
	e := c.rcv.reorder()
	n := seg.Len()
	e.queue.MaxBytes = c.earlyLimit()
	if off == c.rcv.off {
		// It is what all the others wait for; it pushes none of them out.
		e.queue.MaxBytes = max(e.queue.MaxBytes, c.early()+n)
	}
	held, added := e.queue.Insert(off, seg.Payload)
	if added < n {
		c.noteHeldDuplicate(seg, off, n, added)
	}
	// RFC 5681 §4.2: at once, whether a hole appears or is filled.
	c.out.ack = true
	runs, got := e.queue.Pop(c.rcv.off, c.rcv.scratch[:0])
	if got > 0 {
		c.deliver(now, runs)
		e.forget(c.rcv.off)
	} else if held.Len() > 0 {
		e.report(held)
	} else {
		c.reject(now, seg, NoRoom)
	}
	c.rcv.scratch = runs[:0]
}

// observe learns from data: the peer's segment size, and the round trip.
func (c *Conn) observe(now mono.Time, seg *wire.Segment, n int) {
	size := n
	if seg.MSS > 0 {
		size = min(n, int(seg.MSS))
	}
	c.rcv.mss = max(c.rcv.mss, min(size, int(c.offeredMSS())))
	if c.opt.timestamps && seg.TSEcr != 0 && size >= c.rcv.mss && seg.Seq == c.rcv.nxt {
		// Our last ACK let this data out: a sample without data of our own.
		if d := int32(c.tsClock(now) - seg.TSEcr); d >= 0 && d < 1<<20 {
			c.rcv.rtt.sample(max(msec(d), msec(1)))
		}
	}
}

// delayAck decides when to acknowledge n bytes that came in order
// (RFC 9293 §3.8.6.3, RFC 5681 §4.2): at once for every second full segment,
// counting by bytes so that a super-segment counts as its segments.
func (c *Conn) delayAck(now mono.Time, seg *wire.Segment, n int) {
	c.rcv.waiting += n
	if c.quickAck(now) || c.rcv.waiting >= 2*max(c.rcv.mss, 1) {
		c.out.ack = true
	} else if !c.at.runs(tDelayedAck) {
		c.at.set(tDelayedAck, now.Add(delayedAck))
	}
}

// processFIN is the eighth check.
func (c *Conn) processFIN(now mono.Time, seg *wire.Segment) {
	if seg.Flags.Has(wire.FIN) && !c.rcv.fin {
		end := seg.Seq.Add(seg.Len())
		if at := c.rcv.offOf(end); at > c.rcv.off && end.After(c.rcv.nxt) {
			e := c.rcv.reorder()
			e.finAt, e.hasFin = at, true
			c.out.ack = true
		} else if end == c.rcv.nxt {
			c.peerClosed(now)
			return
		}
	}
	if e := c.rcv.early; e != nil && e.hasFin && e.finAt == c.rcv.off && !c.rcv.fin {
		e.hasFin = false
		c.peerClosed(now)
	}
}

// peerClosed takes the FIN at RCV.NXT.
func (c *Conn) peerClosed(now mono.Time) {
	c.rcv.fin = true
	c.rcv.nxt++
	c.rcv.win.edge = seq.Max(c.rcv.win.edge, c.rcv.nxt)
	c.rcv.win.told = seq.Max(c.rcv.win.told, c.rcv.nxt)
	c.out.ack = true
	switch c.life.state {
	case SynReceived, Estab:
		c.setState(now, CloseWait)
	case FinWait1:
		// Our FIN is not acknowledged yet, or the ACK check had moved on.
		c.setState(now, Closing)
	case FinWait2:
		c.enterTimeWait(now)
	}
	c.cfg.Upper.Changed(now, PeerClosed)
}

// noteDuplicate remembers a segment's bytes before RCV.NXT for a DSACK
// (RFC 2883 §4).
func (c *Conn) noteDuplicate(seg *wire.Segment) {
	n := seg.Len()
	if n == 0 || !c.opt.sack || !c.life.state.Synchronized() || !seg.Seq.Before(c.rcv.nxt) {
		return
	}
	e := c.rcv.reorder()
	e.dup = wire.SACKBlock{Left: seg.Seq, Right: seq.Min(seg.Seq.Add(n), c.rcv.nxt)}
	e.hasDup = true
}

// noteHeldDuplicate remembers bytes that were waiting in the queue already.
// Where only a part is a duplicate, what is reported is the part before or
// after the new bytes as far as one block can tell.
func (c *Conn) noteHeldDuplicate(seg *wire.Segment, off uint64, n, added int) {
	if added > 0 || !c.opt.sack {
		return
	}
	e := c.rcv.early
	if r := e.queue.Around(reasm.Range{From: off, To: off + uint64(n)}); r.From > off || r.To < off+uint64(n) {
		return // refused for want of room, not a duplicate
	}
	e.dup = wire.SACKBlock{Left: seg.Seq, Right: seg.Seq.Add(n)}
	e.hasDup = true
}
