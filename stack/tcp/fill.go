package tcp

import (
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/wire"
)

// finish completes a segment of a synchronized state whose Seq and Payload are
// set: acknowledgement, window, options. mss is the payload of one of its
// parts.
func (c *Conn) finish(now mono.Time, seg *wire.Segment, out Outgoing, mss int) {
	seg.Flags = out.Flags
	seg.Ack = c.rcv.nxt
	seg.Window = c.advertise()
	c.address(seg)
	c.stamp(now, seg)
	c.upperOptions(now, seg, out, mss)
	c.timeoutOut(seg, c.optionRoom(seg, out.Len, mss))
	told := c.addSACK(seg, out.Len, mss)
	c.point(seg, out.Off)
	if out.Len > 0 {
		c.noteAnswer(now)
	}
	if mss > 0 && out.Len > mss {
		seg.MSS = uint16(mss)
	}
	c.mark(now, seg, out)
	// A pure ACK is spared when data carries all that it would. One without room
	// for SACK has said what it could.
	if told || out.Len == 0 {
		c.out.ack = false
		c.at.stop(tDelayedAck)
		c.rcv.waiting = 0
	}
	c.rcv.lastAck = c.rcv.nxt
	c.wasSent(now, seg, out.Len, out.Retransmit)
}

func (c *Conn) address(seg *wire.Segment) {
	seg.SrcPort, seg.DstPort = c.cfg.Local.Port(), c.cfg.Remote.Port()
}

// optionRoom returns how many bytes of options still fit on a segment of n
// payload bytes, mss of them in each of its parts: the payload is chosen
// already and must not be pushed beyond the path (RFC 9293 §3.7.1, MUST-16).
func (c *Conn) optionRoom(seg *wire.Segment, n, mss int) int {
	room := wire.MaxOptions
	if n > 0 {
		room = min(room, (c.segmentRoom()-min(n, mss))&^3)
	}
	return room - seg.Used()
}

func (c *Conn) upperOptions(now mono.Time, seg *wire.Segment, out Outgoing, mss int) {
	room := c.optionRoom(seg, out.Len, mss)
	if room <= 0 {
		return
	}
	if b := c.cfg.Upper.AppendOptions(now, out, room, seg.OtherBuffer()); len(b) <= room {
		seg.SetOther(b)
	}
}

// mark lets ECN set its flags and code point.
func (c *Conn) mark(now mono.Time, seg *wire.Segment, out Outgoing) {
	if c.cfg.ECN == nil {
		return
	}
	out.Flags = seg.Flags
	flags, cp := c.cfg.ECN.Mark(now, out)
	seg.Flags |= flags & (wire.ECE | wire.CWR | wire.AE)
	seg.ECN = cp
}

func (c *Conn) wasSent(now mono.Time, seg *wire.Segment, n int, again bool) {
	k := uint64(1)
	if seg.MSS > 0 {
		k = uint64((n + int(seg.MSS) - 1) / int(seg.MSS))
	}
	c.stat.segsSent += k
	if again {
		c.stat.retransIn += k
	}
	c.stat.lastSent = now
	if c.recording() {
		win := int(seg.Window)
		if !seg.Flags.Has(wire.SYN) {
			win <<= c.opt.rcvShift
		}
		c.record(now, SegmentSent{seg.Seq, seg.Ack, seg.Flags, n, win, again})
	}
}

// sackBlocks returns how many SACK blocks wait to be told.
func (c *Conn) sackBlocks() int {
	e := c.rcv.early
	if e == nil || !c.opt.sack {
		return 0
	}
	n := 0
	if e.hasDup {
		n++
	}
	if !e.queue.Empty() {
		n += max(e.nRecent, 1)
	}
	return min(n, wire.MaxSACK)
}

// addSACK puts as many SACK blocks as fit on the segment (RFC 2018 §4): first
// a duplicate if there is one (RFC 2883 §4), then what was reported lately,
// latest first, then the rest from below. It reports whether the segment says
// all that a pure ACK would have to.
func (c *Conn) addSACK(seg *wire.Segment, n, mss int) bool {
	e := c.rcv.early
	if e == nil || !c.opt.sack || (e.queue.Empty() && !e.hasDup) {
		return true
	}
	fit := (c.optionRoom(seg, n, mss) - 2) / 8
	if fit <= 0 {
		return false
	}
	e.fill(seg, min(fit, wire.MaxSACK), c.rcv.seqOf)
	return true
}
