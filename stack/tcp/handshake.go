package tcp

import (
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/wire"
)

// emitSYN sends what SYN-SENT and SYN-RECEIVED have to say: SYN, SYN-ACK, or
// in SYN-RECEIVED an ACK.
func (c *Conn) emitSYN(now mono.Time, seg *wire.Segment) bool {
	if !c.out.syn {
		if c.life.state == SynReceived && c.out.ack {
			return c.emitAck(now, seg)
		}
		return c.fast.early && c.emitFresh(now, seg)
	}
	c.out.syn, c.out.ack = false, false
	again := c.snd.synOut
	c.snd.synOut = true
	seg.Seq = c.snd.iss
	seg.Flags = wire.SYN
	if c.life.state == SynReceived {
		seg.Flags |= wire.ACK
		seg.Ack = c.rcv.nxt
		c.rcv.lastAck = c.rcv.nxt
	}
	seg.Window = c.advertiseSYN()
	c.address(seg)
	c.synOptions(now, seg)
	out := Outgoing{Flags: seg.Flags, Retransmit: again}
	c.upperOptions(now, seg, out, 0)
	n := c.fastOpenOut(now, seg, again)
	c.timeoutOut(seg, wire.MaxOptions-seg.Used())
	c.mark(now, seg, out)
	c.snd.lastAt = now
	if again {
		c.loss.synAgain = true
	}
	// RFC 9293 §3.8.3 (MUST-22): SYN and SYN-ACK are retransmitted like data.
	if !c.at.runs(tRetransmit) {
		c.armRetransmit(now)
	}
	c.wasSent(now, seg, n, again)
	return true
}

// receiveListen is RFC 9293 §3.10.7.2.
func (c *Conn) receiveListen(now mono.Time, seg *wire.Segment) {
	switch {
	case seg.Flags.Has(wire.RST):
		c.reject(now, seg, UnexpectedState) // first: ignored
		return
	case seg.Flags.Has(wire.ACK):
		c.reject(now, seg, BadAck) // second: RST
		c.resetReply(seg)
		return
	case !seg.Flags.Has(wire.SYN):
		c.reject(now, seg, UnexpectedState) // fourth: dropped
		return
	}
	c.rcv.start(seg.Seq)
	switch c.cfg.Upper.Received(now, Incoming{Seg: seg, Window: int(seg.Window)}) {
	case Discard:
		c.reject(now, seg, RefusedByUpper)
		return
	case Abort:
		c.resetReply(seg)
		c.end(now, ErrAborted)
		return
	}
	// Third: the SYN. Data on it is not taken (RFC 9293 §3.10.7.2 lets it be
	// queued) but with a Fast Open cookie; the peer sends it again.
	c.offerAll()
	if k := c.cfg.Cookie; k != nil {
		c.opt.rcvShift = k.Shift
	}
	c.settle(now, seg)
	c.ecnArrived(now, seg)
	c.peerSYNWindow(seg)
	c.snd.since = now
	c.out.syn = c.cfg.Cookie == nil
	c.setState(now, SynReceived)
	if c.cfg.Cookie != nil {
		c.answered(now)
	} else if c.fastOpenIn(seg) {
		c.takeSYNData(now, seg)
	}
}

// peerSYNWindow takes the window of a SYN, which is not scaled (RFC 7323 §2.2).
func (c *Conn) peerSYNWindow(seg *wire.Segment) {
	w := &c.snd.peer
	w.wnd, w.max = int(seg.Window), int(seg.Window)
	w.wl1, w.wl2 = seg.Seq, seg.Ack
}

// receiveSynSent is RFC 9293 §3.10.7.3.
func (c *Conn) receiveSynSent(now mono.Time, seg *wire.Segment) {
	ackOK := false
	if seg.Flags.Has(wire.ACK) {
		// First: the ACK, of the SYN and of as much of its data as the peer took.
		if !c.snd.synOut || seg.Ack.BeforeEq(c.snd.iss) || seg.Ack.After(c.snd.nxt()) {
			c.reject(now, seg, BadAck)
			if !seg.Flags.Has(wire.RST) {
				c.resetReply(seg)
			}
			return
		}
		ackOK = true
	}
	if seg.Flags.Has(wire.RST) {
		// Second: the RST. RFC 5961 §3.2 leaves this case as it was.
		if !ackOK {
			c.reject(now, seg, BadReset)
			return
		}
		c.cfg.Upper.Received(now, Incoming{Seg: seg, Window: int(seg.Window)})
		c.end(now, ErrRefused)
		return
	}
	// Fourth: the SYN.
	if !seg.Flags.Has(wire.SYN) {
		c.reject(now, seg, UnexpectedState)
		return
	}
	c.rcv.start(seg.Seq)
	switch c.cfg.Upper.Received(now, Incoming{Seg: seg, Window: int(seg.Window), NewAck: ackOK}) {
	case Discard:
		c.reject(now, seg, RefusedByUpper)
		return
	case Abort:
		c.abortWith(now, c.snd.nxt(), ErrAborted)
		return
	case DropData:
		c.dropPayload(seg)
	}
	c.settle(now, seg)
	c.ecnArrived(now, seg)
	c.peerSYNWindow(seg)
	if !ackOK {
		// RFC 9293 §3.5 (MUST-10): both sides opened at once. Our SYN goes
		// again, now with an ACK.
		c.at.stop(tRetransmit)
		c.out.syn = true
		c.setState(now, SynReceived)
		return
	}
	c.handshakeRTT(now, seg)
	c.establish(now)
	c.fastOpenAnswered(now, seg)
	c.out.ack = true
	// RFC 9293 §3.10.7.3: what else is in the segment is processed from the
	// sixth check on. (Its window was taken above, unscaled.)
	seg.Seq++
	seg.Flags &^= wire.SYN
	c.heard(now)
	c.processPayload(now, seg)
	if !c.life.over {
		c.processFIN(now, seg)
	}
}

// handshakeRTT takes the first sample from the SYN, by Karn's rule only if it
// was sent once, or if timestamps tell which one was answered (RFC 6298 §3).
func (c *Conn) handshakeRTT(now mono.Time, seg *wire.Segment) {
	if c.cfg.Cookie != nil && c.snd.lastAt == 0 {
		// Nobody remembers when the SYN-ACK left; the echo does, to some 60 ms.
		if c.opt.timestamps {
			c.sampleTimestamp(now, seg)
		}
		return
	}
	if c.fast.early && c.snd.sent > 0 {
		return // data left since; its ACK will do
	}
	if !c.loss.synAgain {
		c.rtt.Sample(now, now.Sub(c.snd.lastAt), 1)
		return
	}
	c.rtt.SYNLost()
	// An echo of an earlier SYN may have waited for this one to be asked for again.
	if c.opt.timestamps && int32(seg.TSEcr-c.tsClock(c.snd.lastAt)) >= 0 {
		c.sampleTimestamp(now, seg)
	}
}

// establish enters ESTABLISHED: our SYN is acknowledged.
func (c *Conn) establish(now mono.Time) {
	c.snd.synIn = true
	c.snd.since, c.snd.ackedAt = now, now
	c.snd.lastAt = 0
	c.at.stop(tRetransmit)
	if c.loss.backoffs > 1 {
		// RFC 6928 §2: after one lost SYN the initial window may stay; more
		// than one is taken for congestion (RFC 5681 §3.1).
		c.newController(c.opt.mss)
	}
	c.loss.backoffs = 0
	c.rtt.Progress()
	c.setState(now, Estab)
	if c.snd.fin == finQueued || c.snd.fin == finSent {
		c.setState(now, FinWait1)
	}
	c.armKeepAlive(now)
	c.announceTimeout(1)
	c.fastOpenDone()
	if c.snd.outstanding() {
		c.armRetransmit(now) // for data that left before the handshake was done
	}
	if !c.fast.early {
		c.cfg.Upper.Changed(now, Established)
	}
}
