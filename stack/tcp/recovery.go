package tcp

import (
	"github.com/sennit-net/sennit/stack/cc"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/rack"
	"github.com/sennit-net/sennit/stack/wire"
)

// recovery is loss detection and repair: RFC 6675 where SACK is in use, else
// RFC 6582, and RFC 6298 when all fails. Which bytes are in flight, SACKed or
// lost is in the spans; this is the rest.
type recovery struct {
	mode     mode
	frto     frto   // frto.go
	point    uint64 // RecoveryPoint: when acknowledged, the mode ends
	edge     uint64 // loss below this offset was judged already
	highRxt  uint64 // HighRxt: retransmitted up to here in this recovery
	rescued  bool   // the one rescue retransmission was made (RFC 6675 §4)
	force    bool   // the next retransmission goes whatever the window says
	dupAcks  int
	dupBytes int // without SACK: bytes that duplicate ACKs say have left
	flight   int // outstanding when the first duplicate came
	signal   bool
	synAgain bool // our SYN was sent more than once
	backoffs int  // retransmission timeouts in a row
	probes   int  // persist probes in a row
	toldCwnd int

	rack     rack.Detector
	probe    rack.Probe
	probing  bool      // Emit is to send a tail loss probe
	resentTo uint64    // everything retransmitted lies below
	began    mono.Time // when this recovery, or its last reduction, began
	prr      cc.PRR
	undo     undo // undo.go
}

// mode is which repair goes on.
type mode uint8

const (
	calm    mode = iota
	fast         // fast recovery
	timeout      // after a retransmission timeout
)

const dupThresh = 3 // RFC 5681 §3.2, RFC 6675 §2

func (r *recovery) resentUpTo(off uint64) {
	r.highRxt = max(r.highRxt, off)
	r.resentTo = max(r.resentTo, off)
}

// pipe is how many bytes are in flight: sent, and neither acknowledged, nor
// SACKed, nor taken for lost (RFC 6675 §4, SetPipe). Without SACK each
// duplicate ACK counts for a segment, which is the window inflation of
// RFC 5681 §3.2 seen from the other side.
func (c *Conn) pipe() int {
	s := &c.snd
	return max(s.unacked()-s.spans.sacked-s.spans.lost+s.spans.twice-c.loss.dupBytes, 0)
}

// cwnd is how much may be in flight now. In fast recovery with SACK that is
// proportional rate reduction's business (RFC 9937).
func (c *Conn) cwnd() int {
	if c.loss.mode == fast && c.opt.sack && c.rate.model == nil {
		return c.loss.prr.Window()
	}
	n, _ := c.cc.Window()
	return n
}

// recover moves recovery on by one ACK.
func (c *Conn) recover(now mono.Time, seg *wire.Segment, f *feedback) {
	r := &c.loss
	signal := r.signal
	r.signal = false
	if f.acked > 0 {
		// RFC 6675 §5, step B: a cumulative ACK starts the count anew.
		r.dupAcks = 0
	}
	late := c.forward(now, seg, f)
	if c.spurious(seg, f) || late {
		c.takeBack(now)
	}
	if f.acked > 0 && r.mode != calm && c.snd.acked >= r.point {
		c.leaveRecovery(now)
	}
	was := r.mode
	switch {
	case c.byTime():
		c.probeAnswered(now, seg, f)
		c.recoverByTime(now, f)
	case c.opt.sack:
		c.recoverSACK(now, f)
	case f.acked > 0:
		c.partialAck(now, f)
	case c.duplicate(seg, f) && !signal:
		c.countDuplicate(now, f)
	}
	if was == fast && r.mode == fast && c.opt.sack {
		r.prr.Delivered(f.fresh, c.pipe(), c.opt.mss, f.acked > 0 && f.lost == 0)
	}
}

// duplicate is the definition of RFC 5681 §2.
func (c *Conn) duplicate(seg *wire.Segment, f *feedback) bool {
	return f.unacked > 0 && f.acked == 0 && f.sameWnd && !f.finAcked &&
		seg.Len() == 0 && !seg.Flags.Any(wire.SYN|wire.FIN) && seg.Ack == c.snd.una()
}

// recoverSACK is RFC 6675 §5.
func (c *Conn) recoverSACK(now mono.Time, f *feedback) {
	r := &c.loss
	if f.newSACK > 0 {
		if f.acked == 0 {
			r.dupAcks++
		}
		if r.dupAcks == 1 {
			r.flight = f.unacked
		}
		c.judge()
	}
	if r.mode != calm || (c.snd.spans.lost == 0 && r.dupAcks < dupThresh) || c.snd.unacked() == 0 {
		return
	}
	if c.probeTooBig(now) {
		return
	}
	if c.snd.spans.lost == 0 {
		// Three duplicates, and yet too little SACKed to call anything lost:
		// the first segment is retransmitted all the same (step 4.2).
		c.loseFirst()
	}
	c.enterRecovery(now, f)
}

// judge marks as lost what has enough SACKed above it: IsLost of RFC 6675 §4,
// three separate ranges, or more than two segments' worth of bytes.
func (c *Conn) judge() {
	s := &c.snd.spans
	if s.sacked == 0 {
		return
	}
	bytes, ranges, inRange := 0, 0, false
	l := s.live()
	var edge uint64
	for i := min(s.find(s.top), len(l)-1); i >= 0; i-- {
		p := &l[i]
		if p.end() <= c.loss.edge {
			break
		}
		if p.mark.has(sacked) {
			bytes += int(p.n)
			if !inRange {
				ranges++
				inRange = true
			}
			continue
		}
		inRange = false
		if ranges < dupThresh && bytes <= (dupThresh-1)*c.opt.mss {
			continue
		}
		edge = max(edge, p.end())
		if p.mark == 0 {
			c.lose(i)
		}
	}
	c.loss.edge = max(c.loss.edge, edge)
}

// loseFirst marks the first segment's worth of outstanding bytes as lost.
func (c *Conn) loseFirst() {
	s := &c.snd
	if s.unacked() == 0 {
		return
	}
	if n := int(s.spans.live()[0].n); n > c.opt.mss {
		s.spans.cut(s.acked + uint64(c.opt.mss))
	}
	if p := s.spans.live()[0]; !p.mark.has(sacked) {
		c.lose(0)
	}
}

// enterRecovery begins fast recovery: one reduction, the first retransmission
// at once.
func (c *Conn) enterRecovery(now mono.Time, f *feedback) {
	r := &c.loss
	r.mode, r.point, r.began = fast, c.snd.sent, now
	r.force, r.rescued = true, false
	r.highRxt = c.snd.acked
	r.undo.begin(c.snd.acked)
	c.stopProbe()
	// FlightSize without what is SACKed: that has left the network, and a long
	// repair leaves much of it.
	flight := f.unacked - f.sackedBefore
	if r.flight > 0 {
		// RFC 5681 §3.2: what limited transmit added does not count.
		flight = min(flight, r.flight)
	}
	c.cc.Congested(cc.Event{Now: now, Kind: cc.Loss, InFlight: flight, Lost: c.snd.spans.lost})
	if c.opt.sack {
		_, ssthresh := c.cc.Window()
		// RFC 9937 §6.1: what limited transmit added is part of RecoverFS.
		r.prr.Begin(ssthresh, f.unacked-f.sackedBefore, c.pipe())
		r.prr.Delivered(f.fresh, c.pipe(), c.opt.mss, false)
	}
	if c.recording() {
		c.record(now, RecoveryEntered{c.snd.una(), c.snd.seqOf(r.point)})
		c.noteWindowChange(now)
	}
}

func (c *Conn) leaveRecovery(now mono.Time) {
	r := &c.loss
	if r.mode == fast && c.recording() {
		c.record(now, RecoveryLeft{c.snd.una()})
	}
	r.mode, r.dupAcks, r.dupBytes, r.flight = calm, 0, 0, 0
	r.force = false
	r.rack.RecoveryEnded()
}

// countDuplicate is RFC 5681 §3.2 and RFC 3042 for a peer without SACK: each
// duplicate ACK means that a segment left the network.
func (c *Conn) countDuplicate(now mono.Time, f *feedback) {
	r := &c.loss
	r.dupAcks++
	if r.dupAcks == 1 {
		r.flight = f.unacked
	}
	if r.mode == timeout {
		return
	}
	r.dupBytes = min(r.dupBytes+c.opt.mss, c.snd.unacked()-c.snd.spans.lost)
	// RFC 6582 §3.2 step 2: not again before recover is acknowledged. The mode
	// is calm only then.
	if r.dupAcks == dupThresh && r.mode == calm {
		c.loseFirst()
		r.dupBytes = min(r.dupBytes, c.snd.unacked()-c.snd.spans.lost)
		c.enterRecovery(now, f)
	}
}

// partialAck is RFC 6582 §3.2 step 3: an ACK of new data short of recover means
// that the next segment is lost, too.
func (c *Conn) partialAck(now mono.Time, f *feedback) {
	r := &c.loss
	if r.mode != fast {
		r.dupBytes = 0
		return
	}
	// All but the retransmitted segment had been counted as gone already.
	r.dupBytes = max(r.dupBytes-max(f.acked-c.opt.mss, 0), 0)
	c.loseFirst()
	r.dupBytes = min(r.dupBytes, c.snd.unacked()-c.snd.spans.lost)
	r.force = true
}

// nextRetransmission returns the index of the span to be sent again next, or
// -1: NextSeg of RFC 6675 §4, of which rule 2 (new data) is emitData.
func (c *Conn) nextRetransmission(now mono.Time) int {
	s := &c.snd.spans
	if c.loss.frto != frtoOff && !c.loss.force {
		return -1 // new data goes instead, or nothing
	}
	if i := s.firstLost(); i >= 0 {
		return i // rule 1
	}
	r := &c.loss
	r.force = false
	if r.probing && !c.probeWithNew(now) {
		return c.probeSpan()
	}
	if !c.opt.sack || c.byTime() || r.mode != fast || c.cwnd()-c.pipe() < c.opt.mss {
		return -1
	}
	if c.snd.open() && c.snd.usable() > 0 && c.cfg.Upper.Pending(now) > 0 {
		return -1 // rule 2
	}
	// Rule 3: below the highest SACKed byte, though not known to be lost.
	l := s.live()
	for i := s.find(r.highRxt); i < len(l) && l[i].off < s.top; i++ {
		if l[i].mark == 0 {
			return i
		}
		r.highRxt = l[i].end()
	}
	return c.rescue()
}

// rescue is rule 4 of NextSeg: once per recovery, the last segment that is not
// SACKed, so that a lost tail makes itself known before the timeout.
func (c *Conn) rescue() int {
	s := &c.snd.spans
	if c.loss.rescued {
		return -1
	}
	c.loss.rescued = true
	l := s.live()
	for i := len(l) - 1; i >= 0; i-- {
		if l[i].mark.has(sacked) {
			continue
		}
		if l[i].mark != 0 {
			return -1 // retransmitted already
		}
		if int(l[i].n) > c.opt.mss {
			return s.cut(l[i].end() - uint64(c.opt.mss))
		}
		return i
	}
	return -1
}

// onRetransmitTimeout is RFC 6298 §5.4 to §5.7.
func (c *Conn) onRetransmitTimeout(now mono.Time) {
	s := &c.snd
	if c.expired(now) {
		c.timedOut(now)
		return
	}
	first := c.loss.backoffs == 0
	c.loss.backoffs++
	c.doubt(now)
	c.rtt.BackOff()
	switch c.life.state {
	case SynSent, SynReceived:
		c.out.syn = true
	default:
		if !s.outstanding() {
			c.loss.backoffs = 0
			return
		}
		c.loseAll(now, first)
		c.blackHole(now)
	}
	c.armRetransmit(now)
	if c.recording() {
		c.record(now, RTO{c.loss.backoffs, c.rtt.RTO()})
	}
	c.cfg.Upper.Changed(now, Lost)
}

// loseAll takes everything outstanding for lost, to be sent again in slow
// start.
//
// SACK marks are kept unless the peer took the first one back, which says that
// it reneged (RFC 2018 §8). Departs from RFC 2018 §5, which would forget them
// at every timeout: RFC 6675 §5.1 calls that overly conservative.
func (c *Conn) loseAll(now mono.Time, first bool) {
	s, r := &c.snd, &c.loss
	flight := s.unacked() - s.spans.sacked
	if r.mode == fast {
		// What is SACKed has left the network, yet the path carried it: recovery
		// had reduced the window for that already. Where but one segment is not
		// SACKed, its size is no measure.
		_, ssthresh := c.cc.Window()
		flight = max(flight, min(ssthresh, s.unacked()))
	}
	l := s.spans.live()
	window := c.reorderWindow()
	reneged := len(l) > 0 && l[0].mark.has(sacked)
	for i := range l {
		m := l[i].mark
		if m.has(sacked) && !reneged {
			continue
		}
		if c.byTime() && !reneged && !r.rack.Expired(now, l[i].transmission(), i == 0, window) {
			continue // RFC 8985 §6.3: sent a moment ago, it may yet arrive
		}
		c.lose(i)
	}
	if reneged {
		s.spans.top = 0
	}
	if s.fin == finSent {
		s.fin = finLost
	}
	// RFC 6675 §5.1, RFC 6582 §3.2 step 4: no fast recovery before what was
	// sent until now is acknowledged.
	c.watchTimeout(r.mode)
	r.mode, r.point, r.edge = timeout, s.sent, s.sent
	r.dupAcks, r.dupBytes, r.flight = 0, 0, 0
	r.force, r.highRxt, r.began = true, s.acked, now
	c.stopProbe()
	c.at.stop(tReorder)
	if first {
		r.undo.begin(s.acked)
	}
	if flight > 0 {
		c.cc.Congested(cc.Event{Now: now, Kind: cc.Timeout, InFlight: flight, Lost: s.spans.lost, First: first})
	}
	if c.recording() {
		c.noteWindowChange(now)
	}
}
