package tcp

import (
	"slices"
	"time"

	"github.com/sennit-net/sennit/stack/cc"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/wire"
)

// feedback is what one ACK brought.
type feedback struct {
	acked    int // bytes newly acknowledged cumulatively
	fresh    int // bytes newly known to have arrived: acked or SACKed for the first time
	newSACK  int // bytes newly SACKed
	finAcked bool
	resent   bool      // something retransmitted is among the acknowledged
	again    mono.Time // when the last of that was retransmitted
	oldest   mono.Time // when the first fresh, never retransmitted bytes were sent
	newest   mono.Time // when the last of them were
	pipe     int       // in flight before
	unacked  int       // outstanding before
	sameWnd  bool      // the peer's window did not change
	lost     int       // bytes newly found lost
	original bool      // something is new that was sent once, before the last timeout

	repairing    bool   // fast recovery went on before
	sackedBefore int    // bytes SACKed before
	duplicated   int    // bytes reported as duplicates
	duplicateAt  uint64 // their stream offset
	probed       bool   // they were a tail loss probe's
}

// processAck is the fifth check's effect: SND.UNA, SACK, window, recovery,
// congestion control, timers.
func (c *Conn) processAck(now mono.Time, seg *wire.Segment) {
	if seg.Ack.Before(c.snd.una()) {
		// An old one, within what RFC 5961 §5.2 tolerates: nothing to learn.
		return
	}
	s := &c.snd
	f := feedback{pipe: c.pipe(), unacked: s.unacked(), sackedBefore: s.spans.sacked,
		repairing: c.loss.mode == fast}
	old := s.peer.wnd
	c.takeWindow(seg)
	f.sameWnd = old == s.peer.wnd
	c.advanceUna(now, seg, &f)
	if c.opt.sack && seg.NSACK > 0 {
		c.takeSACK(now, seg, &f)
	}
	c.measure(now, seg, &f)
	c.searched(now)
	c.recover(now, seg, &f)
	c.inform(now, seg, &f)
	c.afterAck(now, &f)
}

// takeWindow updates SND.WND (RFC 9293 §3.10.7.4; the window of an old segment
// must not replace a newer one).
func (c *Conn) takeWindow(seg *wire.Segment) {
	w := &c.snd.peer
	if !seg.Ack.After(c.snd.una()) && !seg.Seq.After(w.wl1) && (seg.Seq != w.wl1 || seg.Ack.Before(w.wl2)) {
		return
	}
	w.wnd = int(seg.Window) << c.opt.sndShift
	w.max = max(w.max, w.wnd)
	w.wl1, w.wl2 = seg.Seq, seg.Ack
}

// advanceUna moves SND.UNA to SEG.ACK.
func (c *Conn) advanceUna(now mono.Time, seg *wire.Segment, f *feedback) {
	s := &c.snd
	if !seg.Ack.After(s.una()) {
		return
	}
	off := s.offOf(seg.Ack)
	if s.fin >= finSent && off > s.sent {
		s.fin, f.finAcked = finAcked, true
	}
	off = min(off, s.sent)
	s.since, s.ackedAt = now, now
	f.acked = int(off - s.acked)
	if f.acked == 0 {
		return
	}
	k := s.spans.cut(off)
	for _, p := range s.spans.live()[:k] {
		if p.mark.has(resent) {
			f.resent, f.again = true, max(f.again, p.sentAt)
		}
		if !p.mark.has(sacked) {
			f.fresh += int(p.n)
			c.arrived(now, seg, p, f)
		}
	}
	s.spans.drop(k)
	s.bytes.Discard(f.acked)
	s.acked = off
}

// saw notes a span that newly arrived, for its send time.
func (f *feedback) saw(p span) {
	if p.mark.has(resent) {
		return
	}
	if f.oldest == 0 {
		f.oldest = p.sentAt
	}
	f.newest = max(f.newest, p.sentAt)
}

// takeSACK marks what the blocks say (RFC 2018, RFC 6675 §5 step A).
func (c *Conn) takeSACK(now mono.Time, seg *wire.Segment, f *feedback) {
	s := &c.snd
	blocks := seg.SACK[:seg.NSACK]
	if b := blocks[0]; duplicateReport(seg) {
		if b.Left.Before(b.Right) && b.Right.BeforeEq(s.nxt()) {
			f.duplicated = b.Right.Sub(b.Left)
			f.duplicateAt = s.offOf(b.Left)
		}
		blocks = blocks[1:]
	}
	// Lowest first: what arrived since the last ACK is then seen in the order
	// it was sent in (RFC 8985 §6.2, step 3).
	slices.SortFunc(blocks, func(a, b wire.SACKBlock) int { return a.Left.Sub(b.Left) })
	for _, b := range blocks {
		if !b.Left.Before(b.Right) || b.Right.After(s.nxt()) || b.Left.Before(s.una()) {
			continue
		}
		from, to := s.offOf(b.Left), min(s.offOf(b.Right), s.sent)
		if from >= to {
			continue
		}
		for k := range c.sackRange(from, to) {
			f.newSACK += int(k.n)
			f.fresh += int(k.n)
			c.arrived(now, seg, k, f)
		}
		s.spans.top = max(s.spans.top, to)
	}
}

// duplicateReport reports whether the first block is a DSACK: below the
// cumulative ACK of the same segment, or within the second block
// (RFC 2883 §4; SND.UNA has no say in it, §5).
func duplicateReport(seg *wire.Segment) bool {
	b := seg.SACK[0]
	if b.Left.Before(seg.Ack) {
		return true
	}
	return seg.NSACK > 1 && b.Left.AfterEq(seg.SACK[1].Left) && b.Right.BeforeEq(seg.SACK[1].Right)
}

// sackRange marks [from,to) and yields each span as it was before, if that is
// news.
func (c *Conn) sackRange(from, to uint64) func(func(span) bool) {
	return func(yield func(span) bool) {
		s := &c.snd.spans
		// A peer may ask for borders anywhere, each of which costs a span.
		fine := len(s.live()) < 1024+2*c.snd.unacked()/c.opt.mss
		i, j := s.find(from), 0
		if fine {
			i = s.cut(from)
			j = s.cut(to)
		} else if j = s.find(to); i < len(s.live()) && s.live()[i].off < from {
			i++
		}
		for ; i < j; i++ {
			p := s.live()[i]
			if p.mark.has(sacked) {
				continue
			}
			s.set(i, p.mark&resent|sacked)
			if !yield(p) {
				return
			}
		}
	}
}

// measure takes a round-trip sample if this ACK has one: from send times where
// nothing was retransmitted (Karn's rule, RFC 6298 §3), else from the echoed
// timestamp, if that tells which transmission arrived when.
func (c *Conn) measure(now mono.Time, seg *wire.Segment, f *feedback) {
	if f.resent {
		if c.opt.timestamps && f.acked > 0 {
			c.measureAgain(now, seg, f)
		}
		if f.newest > c.loss.began {
			// RFC 8961 §4: the back-off goes with the delivery of data that was
			// never retransmitted, though it may have waited at the peer for what
			// was, and so measures nothing.
			c.rtt.Progress()
		}
		return
	}
	if f.oldest == 0 {
		return
	}
	c.rtt.Sample(now, now.Sub(f.oldest), max(f.unacked/(2*c.opt.mss), 1))
	c.rtt.Progress()
	c.loss.probe.Sampled()
}

// measureAgain is measure for data that was sent more than once. An echo older
// than the last transmission says that an earlier one arrived, but not when: the
// ACK may have been late, or lost and repeated because of the duplicate. Taking
// the latter for a round trip would make it as long as the timeout, and the next
// timeout longer still. A DSACK tells the two apart (RFC 3708 §2); without
// SACK, none is taken.
func (c *Conn) measureAgain(now mono.Time, seg *wire.Segment, f *feedback) {
	switch {
	case int32(seg.TSEcr-c.tsClock(f.again)) >= 0, c.opt.sack && f.duplicated == 0:
		c.sampleTimestamp(now, seg)
	case f.duplicated > 0:
		// The path works; a measurement it is not.
		c.rtt.Progress()
	}
}

// sampleTimestamp takes a sample from TSecr (RFC 7323 §4.1).
func (c *Conn) sampleTimestamp(now mono.Time, seg *wire.Segment) {
	if !seg.Timestamps || seg.TSEcr == 0 {
		return
	}
	d := int32(c.tsClock(now) - seg.TSEcr)
	if d < 0 || msec(d) > 2*time.Minute {
		return
	}
	c.rtt.Sample(now, max(msec(d), time.Millisecond), 1)
	c.rtt.Progress()
	c.loss.probe.Sampled()
}

func msec(n int32) time.Duration { return time.Duration(n) * time.Millisecond }

// inform tells congestion control what arrived.
func (c *Conn) inform(now mono.Time, seg *wire.Segment, f *feedback) {
	marked := 0
	if c.cfg.ECN != nil {
		var congested bool
		if marked, congested = c.cfg.ECN.Acked(now, seg, f.fresh); congested && c.loss.mode == calm {
			if c.cwnd() <= c.opt.mss {
				c.slowFurther(now)
			}
			c.cc.Congested(cc.Event{Now: now, Kind: cc.ECN, InFlight: f.unacked})
		}
	}
	if f.fresh == 0 {
		return
	}
	a := cc.Ack{
		Now: now, Bytes: f.fresh, InFlight: f.pipe,
		SRTT: c.rtt.SRTT(), MinRTT: c.rtt.Min(),
		AppLimited: !c.snd.limited, Marked: marked, Sample: c.sample(),
		// Neither limited transmit (RFC 3042 §2) nor the ACK that ends recovery
		// (RFC 6582 §3.2) makes the window grow.
		Recovery:  f.repairing || c.loss.mode == fast || f.acked == 0,
		Repairing: c.loss.mode != calm,
	}
	if f.newest != 0 && !f.resent {
		a.RTT = max(now.Sub(f.newest), 1)
	}
	c.cc.Acked(a)
	if c.rate.model != nil && c.rate.model.Draining() {
		c.markLimited()
	}
	if c.recording() {
		c.noteWindowChange(now)
	}
}

func (c *Conn) noteWindowChange(now mono.Time) {
	cwnd, ssthresh := c.cc.Window()
	if cwnd == c.loss.toldCwnd {
		return
	}
	c.loss.toldCwnd = cwnd
	c.record(now, CwndChanged{cwnd, ssthresh, c.pipe()})
}

// afterAck sets timers and tells the Upper.
func (c *Conn) afterAck(now mono.Time, f *feedback) {
	s := &c.snd
	if (s.usable() <= 0 || c.at.runs(tPersist)) && c.cfg.UserTimeout <= 0 {
		// RFC 9293 §3.8.6 (SHLD-17), RFC 9293 §3.8.6.1 (MUST-37): as long as the
		// peer answers, a closed window is no reason to give up, unless the
		// application said for how long data may wait.
		s.since = now
	}
	if f.acked > 0 || f.finAcked {
		// RFC 6298 §5.2, §5.3.
		c.at.stop(tRetransmit)
		if s.outstanding() {
			c.restartRetransmit(now)
		}
		c.armProbe(now)
		if c.loss.backoffs > 0 {
			c.loss.backoffs = 0
			c.cfg.Upper.Changed(now, Recovered)
		}
	}
	if f.acked > 0 {
		c.cfg.Upper.Acked(now, s.acked)
	}
	if f.finAcked {
		c.finAcknowledged(now)
	}
}
