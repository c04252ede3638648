package tcp

import (
	"time"

	"github.com/sennit-net/sennit/stack/chunk"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/wire"
)

// Receive processes a segment that arrived for this connection. It takes over
// the references in seg.Payload and may change seg.
func (c *Conn) Receive(now mono.Time, seg *wire.Segment) {
	c.stat.segsIn += uint64(seg.Segments())
	if c.recording() {
		c.record(now, SegmentReceived{seg.Seq, seg.Ack, seg.Flags, seg.Len()})
	}
	if signed(seg) {
		c.reject(now, seg, Signed)
		c.dropPayload(seg)
		return
	}
	switch c.life.state {
	case ClosedState:
	case Listen:
		c.receiveListen(now, seg)
	case SynSent:
		c.receiveSynSent(now, seg)
	default:
		c.receiveOther(now, seg)
	}
	c.dropPayload(seg)
}

func (c *Conn) dropPayload(seg *wire.Segment) {
	chunk.ReleaseAll(seg.Payload)
	seg.Payload = seg.Payload[:0]
	seg.Flags &^= wire.FIN
}

// receiveOther is RFC 9293 §3.10.7.4: the checks in their order. Each reports
// whether to go on.
func (c *Conn) receiveOther(now mono.Time, seg *wire.Segment) {
	if !c.checkTimestamp(now, seg) ||
		!c.checkSequence(now, seg) ||
		!c.checkReset(now, seg) ||
		!c.checkSYN(now, seg) ||
		!c.checkAck(now, seg) ||
		!c.checkUpper(now, seg) {
		return
	}
	c.receiveRest(now, seg)
}

// receiveRest takes effect: the segment passed all checks.
func (c *Conn) receiveRest(now mono.Time, seg *wire.Segment) {
	c.heard(now)
	c.timeoutIn(now, seg)
	c.processAck(now, seg)
	if c.life.over {
		return
	}
	// Sixth: urgent data is delivered in line (RFC 6093 §4).
	c.processUrgent(now, seg)
	c.processPayload(now, seg)
	if c.life.over {
		return
	}
	c.processFIN(now, seg)
}

// checkTimestamp is RFC 7323 §5.3 R1: PAWS, before the sequence check.
func (c *Conn) checkTimestamp(now mono.Time, seg *wire.Segment) bool {
	if !c.opt.timestamps || seg.Flags.Has(wire.RST) {
		// §5.2: not applied to a RST.
		return true
	}
	if !seg.Timestamps {
		// RFC 7323 §3.2: dropped in silence; never a reason to abort. A SYN
		// gets its challenge all the same.
		if seg.Flags.Has(wire.SYN) || c.timestampsLost(seg) {
			return true
		}
		c.reject(now, seg, NoTimestamp)
		return false
	}
	t := &c.rcv.ts
	if int32(seg.TSVal-t.recent) >= 0 {
		return true
	}
	if now.Sub(t.at) > idleTimestamp {
		// §5.5: TS.Recent is too old to compare with.
		t.recent, t.at = seg.TSVal, now
		return true
	}
	c.reject(now, seg, OldTimestamp)
	c.ackUnacceptable(now, seg)
	return false
}

// timestampsLost tells that the peer's first segment after our SYN-ACK has no
// timestamp: something on the way took ours out of the SYN-ACK. Then both did
// not contain one, so timestamps are not agreed (RFC 7323 §3.2); to insist would
// drop all there is.
func (c *Conn) timestampsLost(seg *wire.Segment) bool {
	if c.life.state != SynReceived || !seg.Flags.Has(wire.ACK) || seg.Ack != c.snd.nxt() || !seg.Seq.In(c.rcv.nxt, c.acceptable()) {
		return false
	}
	c.opt.timestamps = false
	c.setMSS()
	return true
}

// idleTimestamp is when TS.Recent becomes invalid (RFC 7323 §5.5).
const idleTimestamp = 24 * 24 * time.Hour

// checkSequence is the first check: RFC 9293 §3.10.7.4, table 6.
func (c *Conn) checkSequence(now mono.Time, seg *wire.Segment) bool {
	n := seg.SeqLen()
	wnd := c.acceptable()
	first, last := seg.Seq.Sub(c.rcv.nxt), seg.Seq.Sub(c.rcv.nxt)+n-1
	ok := false
	switch {
	case n == 0 && wnd == 0:
		ok = first == 0
	case n == 0:
		ok = first >= 0 && first < wnd
		// A pure ACK of a sender whose right edge we moved, or that sits right
		// at the edge of a full window, is as good as one within.
		ok = ok || first == wnd && !seg.Flags.Has(wire.RST)
	case wnd == 0:
		// §3.4 (MUST-66): RST and URG, and valid ACKs, are taken though the
		// window is closed; the payload is cut off later.
		ok = first == 0
	default:
		ok = first < wnd && last >= 0
	}
	if ok {
		if c.opt.timestamps && seg.Timestamps && !seg.Flags.Has(wire.RST) && seg.Seq.BeforeEq(c.rcv.lastAck) {
			// RFC 7323 §4.3 (2).
			c.rcv.ts.recent, c.rcv.ts.at = seg.TSVal, now
		}
		if c.ecnArrived(now, seg) {
			c.out.ack = true
		}
		return true
	}
	if c.synAgain(now, seg) {
		return false
	}
	c.reject(now, seg, OutOfWindow)
	if !seg.Flags.Has(wire.RST) {
		c.noteDuplicate(seg)
		c.timeWaitFIN(now, seg)
		c.ackUnacceptable(now, seg)
	}
	return false
}

func (c *Conn) ecnArrived(now mono.Time, seg *wire.Segment) bool {
	return c.cfg.ECN != nil && c.cfg.ECN.Arrived(now, seg)
}

// synAgain answers a SYN seen before in SYN-RECEIVED with the SYN-ACK, which
// helps the peer where the plain ACK of §3.10.7.4 would not: it waits in
// SYN-SENT.
func (c *Conn) synAgain(now mono.Time, seg *wire.Segment) bool {
	if c.life.state != SynReceived || !seg.Flags.Has(wire.SYN) || seg.Flags.Has(wire.RST) || seg.Seq != c.rcv.irs {
		return false
	}
	if seg.Flags.Has(wire.ACK) && seg.Ack == c.snd.nxt() {
		// The peer's SYN-ACK after a simultaneous open acknowledges our SYN:
		// it goes on as the segment behind its SYN.
		seg.Seq++
		seg.Flags &^= wire.SYN
		c.receiveOther(now, seg)
		return true
	}
	if c.mayChallenge(now) {
		c.out.syn = true
	}
	return true
}

// ackUnacceptable answers a segment that cannot be used with an ACK
// (RFC 9293 §3.10.7.4). Bare ACKs are answered at a bounded rate: two ends
// out of step would go on for ever.
func (c *Conn) ackUnacceptable(now mono.Time, seg *wire.Segment) {
	if seg.Flags.Has(wire.RST) {
		return
	}
	if seg.SeqLen() > 0 && !seg.Flags.Has(wire.SYN) || c.mayChallenge(now) {
		c.out.ack = true
	}
}

// checkReset is the second check, as RFC 5961 §3.2 has it.
func (c *Conn) checkReset(now mono.Time, seg *wire.Segment) bool {
	if !seg.Flags.Has(wire.RST) {
		return true
	}
	switch {
	case c.life.state == TimeWait:
		// RFC 1337 §3: an old duplicate must not end TIME-WAIT early.
		c.reject(now, seg, BadReset)
		return false
	case seg.Seq != c.rcv.nxt:
		c.reject(now, seg, BadReset)
		c.challenge(now)
		return false
	}
	if c.cfg.Upper.Received(now, c.incoming(seg, false)) == Discard {
		c.reject(now, seg, RefusedByUpper)
		return false
	}
	switch c.life.state {
	case SynReceived:
		// RFC 9293 §3.10.7.4: a passive open goes back to LISTEN, which for a
		// connection of its own means that it is gone; an active one is refused.
		if !c.life.passive {
			c.end(now, ErrRefused)
			return false
		}
		c.end(now, ErrReset)
	case Closing, LastAck:
		if c.snd.fin >= finSent && c.snd.unacked() == 0 {
			c.end(now, nil)
			return false
		}
		c.end(now, ErrReset)
	default:
		c.end(now, ErrReset)
	}
	return false
}

// checkSYN is the fourth check, as RFC 5961 §4.2 has it. (The third, security,
// is gone from the wire.)
func (c *Conn) checkSYN(now mono.Time, seg *wire.Segment) bool {
	if !seg.Flags.Has(wire.SYN) {
		return true
	}
	c.reject(now, seg, UnexpectedSYN)
	c.challenge(now)
	return false
}

func (c *Conn) mayChallenge(now mono.Time) bool { return c.out.challenges.allow(now, c.cfg.Challenges) }

// challenge sends a challenge ACK (RFC 5961 §3.2).
func (c *Conn) challenge(now mono.Time) {
	if c.mayChallenge(now) {
		c.out.ack = true
	}
}

// checkAck is the fifth check, as far as it only looks (RFC 9293 §3.10.7.4,
// RFC 5961 §5.2).
func (c *Conn) checkAck(now mono.Time, seg *wire.Segment) bool {
	if !seg.Flags.Has(wire.ACK) {
		c.reject(now, seg, NoAck)
		return false
	}
	una, nxt := c.snd.una(), c.snd.nxt()
	if c.life.state == SynReceived {
		if seg.Ack.After(una) && seg.Ack.BeforeEq(nxt) {
			return true
		}
		c.reject(now, seg, BadAck)
		c.resetReply(seg)
		return false
	}
	if seg.Ack.After(nxt) || seg.Ack.Before(una.Add(-max(c.snd.peer.max, 1))) {
		c.reject(now, seg, BadAck)
		c.challenge(now)
		return false
	}
	return true
}

// incoming describes seg for the Upper.
func (c *Conn) incoming(seg *wire.Segment, checked bool) Incoming {
	in := Incoming{Seg: seg, Off: c.rcv.offOf(seg.Seq), Next: c.rcv.off, AckOff: c.snd.acked,
		Window: int(seg.Window) << c.opt.sndShift}
	if checked && seg.Ack.After(c.snd.una()) {
		in.NewAck = true
		in.AckOff = min(c.snd.offOf(seg.Ack), c.snd.sent)
	}
	return in
}

// checkUpper shows the segment to the Upper, then lets SYN-RECEIVED become
// ESTABLISHED.
func (c *Conn) checkUpper(now mono.Time, seg *wire.Segment) bool {
	switch c.cfg.Upper.Received(now, c.incoming(seg, true)) {
	case Discard:
		c.reject(now, seg, RefusedByUpper)
		return false
	case DropData:
		c.reject(now, seg, RefusedByUpper)
		c.dropPayload(seg)
	case Abort:
		c.abortWith(now, c.snd.nxt(), ErrAborted)
		return false
	case Signal:
		c.loss.signal = true
	}
	if c.life.state == SynReceived {
		// RFC 9293 §3.10.7.4, fifth check; the window is taken from here.
		c.handshakeRTT(now, seg)
		c.snd.peer.wl1, c.snd.peer.wl2 = seg.Seq, seg.Ack
		c.establish(now)
	}
	return !c.life.over
}
