package tcp

import (
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/seq"
	"github.com/sennit-net/sennit/stack/wire"
)

// outbox is what wants to leave without being data.
type outbox struct {
	ack   bool // a pure ACK, now
	syn   bool // SYN or SYN-ACK, by state
	probe bool // a segment that makes the peer answer (keep-alive, persist)
	force bool // the next data segment ignores Nagle and silly-window avoidance

	reset      bool // a RST
	resetSeq   seq.Num
	resetAck   seq.Num
	resetFlags wire.Flags

	challenges throttle // of challenge ACKs
}

// Emit writes the next segment to be sent into seg and reports whether there
// is one. seg is reset first; the references in its payload go to the caller.
// This is the one place that decides both whether and what to send.
func (c *Conn) Emit(now mono.Time, seg *wire.Segment) bool {
	seg.Reset()
	if c.out.reset {
		c.emitReset(now, seg)
		return true
	}
	switch c.life.state {
	case ClosedState, Listen:
		return false
	case SynSent, SynReceived:
		return c.emitSYN(now, seg)
	}
	return c.emitRetransmission(now, seg) ||
		c.emitFresh(now, seg) ||
		c.emitProbe(now, seg) ||
		c.emitAck(now, seg)
}

// emitReset sends the RST that out describes.
func (c *Conn) emitReset(now mono.Time, seg *wire.Segment) {
	c.out.reset = false
	seg.Seq, seg.Ack, seg.Flags = c.out.resetSeq, c.out.resetAck, c.out.resetFlags
	c.address(seg)
	// RFC 7323 §5.2: a RST carries timestamps where they are in use.
	c.stamp(now, seg)
	c.upperOptions(now, seg, Outgoing{Flags: seg.Flags, Off: c.snd.sent}, 0)
	c.wasSent(now, seg, 0, false)
}

// emitAck sends a pure ACK if one is due.
func (c *Conn) emitAck(now mono.Time, seg *wire.Segment) bool {
	if !c.out.ack && !c.updateDue() {
		return false
	}
	seg.Seq = c.ackSeq()
	c.finish(now, seg, Outgoing{Flags: wire.ACK, Off: c.snd.sent}, 0)
	return true
}

// ackSeq is the sequence number of a segment without data: SND.NXT. If the
// peer's window shrank below that, it would not take it.
func (c *Conn) ackSeq() seq.Num {
	s := &c.snd
	if over := s.unacked() - s.peer.wnd; over > 0 && s.fin < finSent {
		return s.seqOf(s.sent - uint64(over))
	}
	return s.nxt()
}

// emitProbe sends a segment the peer must answer: its sequence number lies
// before what the peer expects (RFC 9293 §3.8.4, SHLD-12).
func (c *Conn) emitProbe(now mono.Time, seg *wire.Segment) bool {
	if !c.out.probe {
		return false
	}
	c.out.probe = false
	seg.Seq = c.snd.una() - 1
	c.finish(now, seg, Outgoing{Flags: wire.ACK, Off: c.snd.sent}, 0)
	return true
}

// emitRetransmission sends the lowest range that has to be sent again.
func (c *Conn) emitRetransmission(now mono.Time, seg *wire.Segment) bool {
	s := &c.snd
	if s.fin == finLost && s.spans.lost == 0 {
		return c.emitFINAgain(now, seg)
	}
	i := c.nextRetransmission(now)
	if i < 0 {
		return false
	}
	p := s.spans.live()[i]
	room := c.cwnd() - c.pipe()
	probing := c.loss.probing && !p.mark.has(lost)
	if !c.loss.force && !probing && (room < min(c.opt.mss, int(p.n)) || !c.paced(now)) {
		s.limited = true
		return false
	}
	if c.loss.force || probing {
		room = 0
	}
	n := min(int(p.n), max(c.sizeLimit(now), c.opt.mss), max(room-room%c.opt.mss, c.opt.mss))
	mss := c.sizing(n)
	if mss < n && c.sizeLimit(now) == 0 {
		n = mss
	}
	if n < int(p.n) {
		s.spans.cut(p.off + uint64(n))
	}
	c.loss.force = false
	if p.mark.has(lost) || p.off < s.spans.top {
		c.loss.resentUpTo(p.off + uint64(n)) // a rescue does not count (RFC 6675 §4)
	}
	flags := wire.ACK
	if p.off+uint64(n) == s.sent {
		if s.fin >= finSent {
			flags |= wire.FIN
			s.fin = finSent
		}
		flags |= wire.PSH
	}
	seg.Seq = s.seqOf(p.off)
	seg.Payload = s.bytes.Range(seg.Payload, int(p.off-s.acked), n)
	c.beforeSend(now)
	i = s.spans.find(p.off)
	s.spans.retransmitted(i, now)
	c.departed(&s.spans.live()[i])
	if probing {
		c.probeLeft(now, true)
	}
	c.noteRetransmitted(now, n)
	c.path.resent(p.off)
	c.stat.retrans += uint64(n)
	c.finish(now, seg, Outgoing{Flags: flags, Off: p.off, Len: n, Retransmit: true}, mss)
	c.charge(now, n)
	if p.off == s.acked || !c.at.runs(tRetransmit) {
		// The timer is the first segment's (RFC 6298 §5): not earlier than an
		// RTO after it was sent again.
		c.armRetransmit(now)
	}
	return true
}

func (c *Conn) emitFINAgain(now mono.Time, seg *wire.Segment) bool {
	c.snd.fin = finSent
	c.loss.force = false
	seg.Seq = c.snd.seqOf(c.snd.sent)
	c.finish(now, seg, Outgoing{Flags: wire.ACK | wire.FIN, Off: c.snd.sent, Retransmit: true}, 0)
	if !c.at.runs(tRetransmit) {
		c.armRetransmit(now)
	}
	return true
}

// emitData sends bytes never sent before, and our FIN after the last.
func (c *Conn) emitData(now mono.Time, seg *wire.Segment) bool {
	s := &c.snd
	if !s.open() && !(c.fast.early && s.fin <= finQueued) {
		return false
	}
	pending := c.cfg.Upper.Pending(now)
	closing := s.fin == finQueued
	if pending <= 0 && !closing {
		s.limited = false
		c.ranDry(now)
		c.at.stop(tPersist)
		return false
	}
	n, mss := 0, c.opt.mss
	if pending > 0 {
		if n, mss = c.amount(now, pending); n == 0 {
			return false
		}
		before := len(seg.Payload)
		seg.Payload = c.cfg.Upper.Next(now, s.sent, n, seg.Payload)
		n = 0
		for _, r := range seg.Payload[before:] {
			n += r.Len()
		}
		if n == 0 {
			return false
		}
	}
	s.began(now)
	off := s.sent
	seg.Seq = s.nxt()
	flags := wire.ACK
	if n > 0 {
		for _, r := range seg.Payload {
			s.bytes.Push(r.Retain())
		}
		c.beforeSend(now)
		s.spans.append(off, n, now)
		s.sent += uint64(n)
		c.departed(&s.spans.list[len(s.spans.list)-1])
		if n%mss != 0 {
			s.small = s.sent
		}
		s.lastAt = now
		c.forwardLeft()
		c.stat.sent += uint64(n)
		c.out.force = false
	}
	last := n >= pending || c.cfg.Upper.Pending(now) <= 0
	if last && n > 0 {
		// RFC 9293 §3.9.1.2 (MUST-61): the queue is empty.
		flags |= wire.PSH
	}
	if last && closing {
		flags |= wire.FIN
		s.fin = finSent
	}
	c.at.stop(tPersist)
	c.loss.probes = 0
	c.finish(now, seg, Outgoing{Flags: flags, Off: off, Len: n}, mss)
	c.charge(now, n)
	if !c.at.runs(tRetransmit) {
		// RFC 6298 §5.1.
		c.armRetransmit(now)
	}
	if c.loss.probing {
		c.probeLeft(now, false)
	} else if n > 0 {
		c.armProbe(now)
	}
	return true
}

// amount decides how many of the pending bytes go into one segment now, and
// how many of them each of its parts carries; 0 if none.
func (c *Conn) amount(now mono.Time, pending int) (n, mss int) {
	s := &c.snd
	c.idleRestart(now)
	mss = c.sizing(pending)
	room := c.cwnd() - c.pipe()
	s.limited = room < min(pending, mss)
	usable := s.usable()
	n = min(pending, usable, max(c.sizeLimit(now), mss))
	switch {
	case n <= 0:
		c.persist(now)
		return 0, 0
	case c.loss.probing:
		// RFC 8985 §7.3: one segment, whatever the congestion window says.
		return min(n, mss), mss
	case c.loss.frto != frtoOff:
		// RFC 5682 §3.1, step 2b: two of them, and no more.
		return min(n, mss, c.loss.frto.newAllowed()*mss), mss
	case s.limited && c.pipe() > 0:
		return 0, 0
	case !c.paced(now):
		// Not for want of data: the window may grow.
		s.limited = true
		return 0, 0
	case room < n:
		n = max(room-room%mss, min(n, mss))
	}
	if n > mss && n < pending {
		n -= n % mss
	}
	if !c.worthwhile(n, mss, pending) {
		c.persist(now)
		return 0, 0
	}
	if tail := n % mss; n > mss && tail > 0 && c.nagle() {
		n -= tail // the whole segments go
	}
	return n, mss
}

// worthwhile is silly-window avoidance of the sender with the Nagle algorithm
// (RFC 9293 §3.8.6.2.1, §3.7.4).
func (c *Conn) worthwhile(n, mss, pending int) bool {
	s := &c.snd
	switch {
	case c.out.force: // (4) the override timer ran out
		return true
	case n >= mss: // (1) a full segment
		return true
	case n == pending && !c.nagle(): // (2) all there is
		return true
	}
	return n >= s.peer.max/2 && n > 0 // (3) half of the largest window
}

// nagle reports whether a small segment has to wait for more to fill it. Before
// our FIN it need not: nothing will come.
//
// Departs from RFC 9293 §3.7.4 (SHLD-7), which waits while any data is
// unacknowledged: only an unacknowledged small segment makes another wait. So
// one write of a segment and a half leaves whole, where the peer's delayed ACK
// would hold the rest back, and still no more than one small segment is under
// way.
func (c *Conn) nagle() bool {
	return !c.cfg.NoDelay && c.snd.fin == finNone && c.snd.small > c.snd.acked
}

// sizeLimit is the most payload of a super-segment, 0 if there are none.
func (c *Conn) sizeLimit(now mono.Time) int {
	if c.cfg.MaxSuper < 2*c.opt.mss || c.urging() {
		return 0
	}
	return min(c.cfg.MaxSuper, maxPayload, c.allowance(now))
}

// sizing returns the payload of a full segment now: less than usual while SACK
// blocks travel along.
func (c *Conn) sizing(n int) int {
	blocks := c.sackBlocks()
	if blocks == 0 || n <= c.opt.mss/2 {
		return c.opt.mss
	}
	taken := c.cfg.OptionReserve
	if c.opt.timestamps {
		taken += tsLen
	}
	fit := (wire.MaxOptions - taken - 2) / 8
	if fit <= 0 {
		return c.opt.mss
	}
	return max(c.payloadRoom(min(fit, blocks)), minMSS/4)
}

// idleRestart tells the controller that the connection sends again after a
// pause of more than one RTO (RFC 5681 §4.1).
func (c *Conn) idleRestart(now mono.Time) {
	s := &c.snd
	if s.lastAt == 0 || s.unacked() > 0 {
		return
	}
	if d := now.Sub(s.lastAt); d > c.rtt.RTO() {
		c.cc.Idle(now, d)
		s.lastAt = now
	}
}
