package tcp

import (
	"time"

	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/seq"
	"github.com/sennit-net/sennit/stack/wire"
)

// CloseWrite ends our direction: a FIN follows the last byte the Upper has
// pending (RFC 9293 §3.10.4). The state changes at once, as the RFC has it,
// though bytes may still be sent before the FIN.
func (c *Conn) CloseWrite(now mono.Time) {
	switch c.life.state {
	case ClosedState:
		return
	case Listen:
		c.end(now, nil)
		return
	}
	if c.snd.fin != finNone {
		return
	}
	c.snd.fin = finQueued
	switch c.life.state {
	case Estab:
		c.setState(now, FinWait1)
	case CloseWait:
		c.setState(now, LastAck)
	}
}

// Close ends both directions: what the peer still sends is answered with a RST
// (RFC 9293 §3.6.1, SHLD-3).
func (c *Conn) Close(now mono.Time) {
	switch c.life.state {
	case SynSent:
		c.end(now, nil) // RFC 9293 §3.10.4
		return
	case ClosedState:
		return
	}
	c.life.noRead = true
	c.CloseWrite(now)
	if c.life.state == FinWait2 {
		c.boundFinWait2(now)
	}
}

// boundFinWait2 makes FIN-WAIT-2 end by itself once nobody reads any more: the
// peer might never close.
func (c *Conn) boundFinWait2(now mono.Time) {
	d := c.cfg.FinWait2
	if d <= 0 {
		d = defaultFinWait2
	}
	c.at.set(tLifetime, now.Add(d))
}

// finAcknowledged: our FIN is acknowledged (RFC 9293 §3.10.7.4, fifth check).
func (c *Conn) finAcknowledged(now mono.Time) {
	last := false
	switch c.life.state {
	case FinWait1:
		c.setState(now, FinWait2)
		if c.life.noRead {
			c.boundFinWait2(now)
		}
	case Closing:
		c.enterTimeWait(now)
	case LastAck:
		last = true
	}
	c.cfg.Upper.Changed(now, FinAcked)
	if last {
		c.end(now, nil)
	}
}

// enterTimeWait: both directions are done (RFC 9293 §3.6.1, MUST-13).
func (c *Conn) enterTimeWait(now mono.Time) {
	c.at = timers{}
	c.snd.release()
	c.rcv.release()
	c.setState(now, TimeWait)
	c.restartTimeWait(now)
}

func (c *Conn) restartTimeWait(now mono.Time) { c.at.set(tLifetime, now.Add(c.timeWait())) }

// timeWait is 2 MSL.
func (c *Conn) timeWait() time.Duration {
	if c.cfg.TimeWait == 0 {
		return defaultTimeWait
	}
	return max(c.cfg.TimeWait, 1)
}

// timeWaitFIN restarts the 2 MSL for a FIN seen again (RFC 9293 §3.10.7.4,
// eighth check).
func (c *Conn) timeWaitFIN(now mono.Time, seg *wire.Segment) {
	if c.life.state == TimeWait && seg.Flags.Has(wire.FIN) && c.cfg.TimeWait >= 0 {
		c.restartTimeWait(now)
	}
}

// Abort gives the connection up: a RST where the peer knows of it
// (RFC 9293 §3.10.5), and CLOSED.
func (c *Conn) Abort(now mono.Time) {
	switch c.life.state {
	case ClosedState:
	case Listen, SynSent, TimeWait:
		c.end(now, ErrAborted)
	default:
		c.abortWith(now, c.ackSeq(), ErrAborted)
	}
}

// abortWith sends a RST at sequence number at and ends the connection.
func (c *Conn) abortWith(now mono.Time, at seq.Num, err error) {
	if c.life.over {
		return
	}
	c.out.reset = true
	c.out.resetSeq, c.out.resetAck = at, c.rcv.nxt
	c.out.resetFlags = wire.RST | wire.ACK
	c.end(now, err)
}

// resetReply sends the RST that answers seg and leaves the connection alone.
func (c *Conn) resetReply(seg *wire.Segment) {
	var r wire.Segment
	if ResetFor(seg, &r) {
		c.out.reset = true
		c.out.resetSeq, c.out.resetAck, c.out.resetFlags = r.Seq, r.Ack, r.Flags
	}
}

// ResetFor writes to out the RST that answers a segment no connection exists
// for (RFC 9293 §3.10.7.1), addressed to its sender. It reports false for a
// RST, which is never answered.
func ResetFor(in, out *wire.Segment) bool {
	out.Reset()
	if in.Flags.Has(wire.RST) {
		return false
	}
	out.SrcPort, out.DstPort = in.DstPort, in.SrcPort
	if in.Flags.Has(wire.ACK) {
		out.Seq, out.Flags = in.Ack, wire.RST
	} else {
		out.Ack, out.Flags = in.Seq.Add(in.SeqLen()), wire.RST|wire.ACK
	}
	if in.Timestamps {
		// RFC 7323 §5.2.
		out.Timestamps, out.TSEcr = true, in.TSVal
	}
	return true
}
