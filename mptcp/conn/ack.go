package conn

import (
	"time"

	"github.com/sennit-net/sennit/mptcp/dss"
	"github.com/sennit-net/sennit/mptcp/option"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/seq"
)

// dataAcked handles the Data ACK of a DSS (RFC 8684 §3.3.2) and the window that
// came with it.
func (c *Conn) dataAcked(now mono.Time, s *subflow, d *option.DSS, window int) {
	ack := d.Ack
	if !d.Ack8 {
		ack = seq.Expand(c.snd.una, uint32(ack))
	}
	most := c.snd.nxt
	if c.end.finSent {
		most = c.snd.end().Add(1)
	}
	if ack.After(most) || ack.Before(c.snd.base) {
		// It acknowledges what was never sent.
		return
	}
	// RFC 8684 §3.3.2: the window counts at the data level only together with a
	// Data ACK; §3.3.5: and only where it moves the right edge.
	c.snd.widen(ack, window)
	if ack.BeforeEq(c.snd.una) {
		return
	}
	if c.end.finSent && ack == most {
		c.end.finAcked = true
		ack = c.snd.end()
	}
	c.dataProgress(now, ack)
}

// dataProgress moves una: the bytes before it are no longer kept.
func (c *Conn) dataProgress(now mono.Time, una seq.Data) {
	c.snd.advance(una)
	c.snd.progress, c.snd.backoffs = now, 0
	for _, s := range c.subs {
		s.out.DataAcked(una)
	}
	if !c.outstanding() {
		c.timers[dataTimer] = 0
	}
}

// outstanding reports whether the peer owes a Data ACK, or a window.
func (c *Conn) outstanding() bool {
	return c.snd.una != c.snd.nxt || c.end.finSent && !c.end.finAcked ||
		c.snd.unsent() > 0 && c.snd.room() == 0
}

// armDataTimer starts the data-level retransmission timer if it does not run
// (RFC 8684 §3.3.6). When it runs out it looks how long ago there was progress.
func (c *Conn) armDataTimer(now mono.Time) {
	if c.timers[dataTimer] == 0 && c.phase != fallen && !c.end.done {
		c.timers[dataTimer] = now.Add(c.dataRTO())
	}
}

// dataRTO is longer than any subflow's own: that one is to act first.
func (c *Conn) dataRTO() time.Duration {
	d := minDataRTO
	for _, s := range c.subs {
		if s.usable() && !s.alive.stale {
			i := s.tcp.Info()
			d = max(d, i.RTO+i.SRTT)
		}
	}
	return min(d<<min(c.snd.backoffs, 10), maxDataRTO)
}

// dataTimeout runs when data-level progress is overdue.
func (c *Conn) dataTimeout(now mono.Time) {
	if c.phase == fallen || !c.outstanding() {
		return
	}
	if due := c.snd.progress.Add(c.dataRTO()); due.After(now) {
		c.timers[dataTimer] = due
		return
	}
	c.snd.progress = now
	if c.retransmitData(now) {
		c.snd.backoffs++
		c.record(now, DataTimeout{Backoffs: c.snd.backoffs})
	}
	c.armDataTimer(now)
}

// retransmitData sends the head of the data again, unless a subflow is at work
// on it. It reports whether it did something.
func (c *Conn) retransmitData(now mono.Time) bool {
	switch {
	case c.snd.una == c.snd.nxt && c.snd.unsent() > 0:
		c.snd.probe = true
		return true
	case c.snd.una == c.snd.nxt:
		if !c.bareFallback(now) {
			c.sendFin(now)
		}
		return true
	case len(c.snd.again) > 0 && c.snd.again[0].DSN == c.snd.una, c.underway():
		return false
	case c.bareFallback(now):
		return true
	case c.askFirst(now):
		return true
	}
	// RFC 8684 §3.3.6: acknowledged by the subflow, but not at the data level.
	n := int(min(c.snd.nxt.Sub(c.snd.una), reinjectPart))
	c.sendAgain(dss.Range{DSN: c.snd.una, Len: n}, nobody)
	return true
}

// askFirst makes an only subflow's peer repeat its Data ACK: that is what was
// lost, more likely than the data. To send data twice on the only subflow would
// also end the chance of a clean fallback, should options get lost at the same
// time: the peer could not tell the repetition from what follows.
func (c *Conn) askFirst(now mono.Time) bool {
	s := c.sub(0)
	if s == nil || s.stage != established || !c.foldable(s) || c.snd.backoffs > 0 {
		return false
	}
	s.acts.probe = true
	return true
}

// underway reports whether a healthy subflow still has the head of the data in
// flight: then TCP repeats it by itself.
func (c *Conn) underway() bool {
	for _, s := range c.subs {
		if s.stage == gone || s.alive.stale {
			continue
		}
		m, ok := s.out.Covering(c.snd.una)
		if ok && m.Off+uint64(c.snd.una.Sub(m.DSN)) >= s.opts.ackOff {
			return true
		}
	}
	return false
}
