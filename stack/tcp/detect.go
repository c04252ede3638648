package tcp

import (
	"time"

	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/rack"
	"github.com/sennit-net/sennit/stack/wire"
)

// byTime reports whether losses are found by RACK (RFC 8985), which needs SACK
// (§4); otherwise by counting: RFC 6675, or RFC 6582 without SACK. They are
// never mixed (§9.2).
func (c *Conn) byTime() bool { return c.opt.sack && !c.cfg.NoRACK }

func (p *span) transmission() rack.Sent {
	return rack.Sent{At: p.sentAt, End: p.end(), Resent: p.mark.has(resent)}
}

// arrived notes a span the peer newly has.
func (c *Conn) arrived(now mono.Time, seg *wire.Segment, p span, f *feedback) {
	f.saw(p)
	f.original = f.original || !p.mark.has(resent) && p.end() <= c.loss.point
	c.deliveredSpan(now, &p)
	if int(p.n) >= c.opt.mss && p.mark == 0 {
		c.opt.proven = c.opt.mtu
	}
	if !c.byTime() {
		return
	}
	stale := false
	if p.mark.has(resent) && c.opt.timestamps && seg.Timestamps {
		stale = int32(seg.TSEcr-c.tsClock(p.sentAt)) < 0
	}
	c.loss.rack.Delivered(now, p.transmission(), stale, c.rtt.Min())
}

// detect marks what RACK takes for lost, sets the reordering timer for what it
// does not yet, and reports whether a retransmission of this recovery is among
// the lost (RFC 8985 §6.2, step 5).
func (c *Conn) detect(now mono.Time) (again bool) {
	s, r := &c.snd.spans, &c.loss
	c.at.stop(tReorder)
	if s.sacked == 0 && s.again == 0 {
		return false // all in order, nothing can be overtaken
	}
	window := c.reorderWindow()
	var wait time.Duration
	l := s.live()
	for i := range l {
		p := &l[i]
		if p.mark.has(sacked | lost) {
			continue
		}
		sent := p.transmission()
		gone, w := r.rack.Lost(now, sent, window)
		if !gone && w == 0 {
			if !sent.Resent && p.off >= r.resentTo {
				break // from here on, all were sent later still
			}
			continue
		}
		if !gone {
			wait = max(wait, w)
			continue
		}
		again = again || sent.Resent && sent.At >= r.began
		c.lose(i)
	}
	if wait > 0 {
		c.at.set(tReorder, now.Add(wait))
	}
	return again
}

func (c *Conn) reorderWindow() time.Duration {
	r := &c.loss
	// As many segments as ACKs that told of some, at least.
	n := max(r.dupAcks, c.snd.spans.sacked/c.opt.mss)
	return r.rack.Window(r.mode != calm, n, c.rtt.Min(), c.rtt.SRTT())
}

// recoverByTime moves recovery on by one ACK (RFC 8985 §6.2).
func (c *Conn) recoverByTime(now mono.Time, f *feedback) {
	r := &c.loss
	if f.duplicated > 0 && !f.probed {
		r.rack.Duplicate(c.snd.acked, c.snd.sent)
	}
	if f.newSACK > 0 && f.acked == 0 {
		r.dupAcks++
	}
	c.act(now, f)
}

// act detects losses and begins recovery for them. A lost retransmission is a
// second indication of congestion (RFC 5681 §4.3), at most one per round trip.
func (c *Conn) act(now mono.Time, f *feedback) {
	r, before := &c.loss, c.snd.spans.lost
	again := c.detect(now)
	f.lost = c.snd.spans.lost - before
	if f.acked == 0 && f.fresh == 0 && r.mode == fast {
		r.prr.Lost(f.lost)
		r.force = f.lost > 0
	}
	if c.snd.spans.lost > 0 && (again || r.mode == calm && !c.probeTooBig(now)) {
		real := again
		c.enterRecovery(now, f)
		r.undo.on = r.undo.on && !real
	}
}

// onReorder: the reordering window has passed for something.
func (c *Conn) onReorder(now mono.Time) {
	if !c.byTime() || c.snd.unacked() == 0 {
		return
	}
	f := feedback{unacked: c.snd.unacked(), sackedBefore: c.snd.spans.sacked}
	c.act(now, &f)
}
