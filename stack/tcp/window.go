package tcp

import "github.com/sennit-net/sennit/stack/seq"

// window is the receive window as advertised.
type window struct {
	edge seq.Num // the rightmost edge ever advertised: what is before it is accepted
	told seq.Num // the edge last advertised
	most int     // largest window ever advertised
	// drift is by how much rounding has moved the edge right since the Sink
	// last opened the window.
	drift int
}

// acceptable returns RCV.WND for the sequence check: up to the rightmost edge
// ever advertised (RFC 7323 §2.4).
func (c *Conn) acceptable() int { return max(c.rcv.win.edge.Sub(c.rcv.nxt), 0) }

// windowLeft returns what is left of the window last advertised.
func (c *Conn) windowLeft() int { return max(c.rcv.win.told.Sub(c.rcv.nxt), 0) }

// offeredWindow returns the Sink's window, in the range this connection can
// express.
func (c *Conn) offeredWindow() int {
	return min(max(c.cfg.Upper.Window(), 0), 65535<<c.opt.rcvShift)
}

// advertise chooses the window field of a segment about to be sent and moves
// the edge.
//
// The edge does not move left (RFC 9293 §3.8.6, SHLD-14), and not right until
// there is room for a full segment more (§3.8.6.2.2, MUST-39). Where the scale
// cuts bits off, it is rounded up, at the cost of a few bytes beyond what the
// Sink said (RFC 7323 §2.4). A shared window is advertised as it is
// (RFC 8684 §3.3.4); what was promised here before is still accepted.
func (c *Conn) advertise() uint16 {
	w := &c.rcv.win
	room, held := c.offeredWindow(), c.windowLeft()
	unit := 1 << c.opt.rcvShift
	field := room >> c.opt.rcvShift
	if !c.cfg.SharedWindow && (room-held < c.silly() || field*unit < held) {
		field = held >> c.opt.rcvShift
		// Rounding up again and again adds up; an eighth of the window is
		// enough, which takes many ACKs without a read. A Sink that takes back
		// what it said is no reason to move the edge.
		if w.drift <= max(w.most/8, unit) {
			field = (held + unit - 1) >> c.opt.rcvShift
			w.drift += field<<c.opt.rcvShift - held
		}
	} else {
		w.drift = 0
	}
	field = min(field, 65535)
	c.noteWindow(field << c.opt.rcvShift)
	return uint16(field)
}

// advertiseSYN is advertise for a SYN, whose window is never scaled
// (RFC 7323 §2.2).
func (c *Conn) advertiseSYN() uint16 {
	n := min(max(c.cfg.Upper.Window(), c.windowLeft(), 0), 65535)
	c.noteWindow(n)
	return uint16(n)
}

func (c *Conn) noteWindow(n int) {
	w := &c.rcv.win
	w.told = c.rcv.nxt.Add(n)
	w.edge = seq.Max(w.edge, w.told)
	w.most = max(w.most, n)
}

// silly is the least by which the window opens (RFC 9293 §3.8.6.2.2).
func (c *Conn) silly() int {
	return min(c.rcv.win.most/2, int(c.offeredMSS()))
}

// updateDue reports whether the window opened so far since it was last
// advertised that the peer should hear of it now: it doubled.
func (c *Conn) updateDue() bool {
	left := c.windowLeft()
	if left > c.rcv.win.most/2 || c.rcv.fin {
		return false
	}
	room := c.offeredWindow()
	return room >= 2*left && room-left >= max(c.silly(), 1)
}
