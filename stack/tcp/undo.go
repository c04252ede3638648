package tcp

import (
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/wire"
)

// undo is what it takes to find out that a recovery was for nothing: the echo
// of a timestamp older than the first retransmission (RFC 3522), or a duplicate
// reported for each retransmission (RFC 3708, RFC 2883).
type undo struct {
	on      bool
	from    uint64 // SND.UNA when it began
	first   uint32 // timestamp of the first retransmission
	stamped bool   // first is set
	resent  int    // bytes retransmitted and not reported as duplicates
}

// begin forgets what was before.
func (u *undo) begin(from uint64) { *u = undo{on: true, from: from} }

// noteRetransmitted notes n bytes sent again during recovery.
func (c *Conn) noteRetransmitted(now mono.Time, n int) {
	u := &c.loss.undo
	if c.loss.mode == calm {
		return
	}
	if !u.stamped {
		u.first, u.stamped = c.tsClock(now), true
	}
	u.resent += n
}

// spurious reports whether this ACK proves the recovery unnecessary.
func (c *Conn) spurious(seg *wire.Segment, f *feedback) bool {
	u := &c.loss.undo
	if !u.on || !u.stamped {
		return false
	}
	// RFC 3522 §3.2: what was retransmitted is acknowledged, and the echo says
	// that the original did it.
	if c.loss.mode != calm && f.acked > 0 && f.resent && c.opt.timestamps && seg.Timestamps &&
		seg.TSEcr != 0 && int32(seg.TSEcr-u.first) < 0 {
		return true
	}
	if f.duplicated > 0 && f.duplicateAt >= u.from {
		u.resent -= f.duplicated
		return u.resent <= 0
	}
	return false
}

// takeBack restores what the recovery took (RFC 4015 §3): the window, and the
// belief that what is out is still under way.
func (c *Conn) takeBack(now mono.Time) {
	c.loss.undo.on = false
	c.cc.Undo(now)
	s := &c.snd.spans
	for i := range s.live() {
		if m := s.live()[i].mark; m.has(lost) {
			s.set(i, m&^lost)
		}
	}
	c.rtt.Progress()
	if c.loss.mode != calm {
		c.leaveRecovery(now)
	}
	if c.recording() {
		c.record(now, Spurious{c.snd.una()})
		c.noteWindowChange(now)
	}
}
