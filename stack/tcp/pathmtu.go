package tcp

import "github.com/sennit-net/sennit/stack/mono"

// tooBig takes a router's word on the path MTU. It only ever lowers it
// (RFC 8201 §4, RFC 8899 §4.6), and waits for a timeout to agree if segments of
// the size in use have arrived before (RFC 5927 §7.2).
func (c *Conn) tooBig(now mono.Time, e PathError) {
	old, mtu := c.opt.mtu, e.MTU
	off := c.snd.offOf(e.Seq)
	if p := c.path; p != nil && p.size > 0 && off >= p.from && off < p.to {
		if mtu > 0 && mtu < p.size {
			c.probeRefused(now, mtu)
		}
		if mtu <= 0 || mtu >= old {
			return // about the probe, not about what is in use
		}
	}
	if mtu <= 0 {
		mtu = plateauBelow(old)
	}
	mtu = max(mtu, c.floorMTU())
	switch {
	case mtu >= old:
	case c.opt.proven >= old:
		p := c.searcher(now)
		if p.doubt == 0 || mtu < p.doubt {
			p.doubt, p.doubtAt = mtu, off
		}
	default:
		c.lowerMTU(now, mtu)
	}
}

// probeRefused: a router says what a probe should have measured
// (RFC 8899 §4.6.2). The probe's bytes are sent again at once.
func (c *Conn) probeRefused(now mono.Time, mtu int) {
	p, s := c.path, &c.snd.spans
	p.size, p.tries, p.bisect = 0, 0, false
	p.high = max(mtu, p.low)
	c.pauseSearch(now, c.rtt.SRTT())
	l := s.live()
	for i := s.find(p.from); i < len(l) && l[i].off < p.to; i++ {
		if !l[i].mark.has(sacked) {
			s.set(i, l[i].mark&resent|lost)
		}
	}
}

// lowerMTU takes a smaller path MTU: segments beyond it are sent again in
// smaller ones, at once, and without blaming congestion (RFC 1191 §6.5,
// RFC 8201 §4). A larger one is not tried for a while (RFC 8201 §4).
func (c *Conn) lowerMTU(now mono.Time, mtu int) {
	p := c.searcher(now)
	p.low, p.high, p.size = mtu, mtu, 0
	p.next = now.Add(raiseAfter)
	c.setMTU(now, mtu)
	s := &c.snd
	p.from, p.to = s.acked, s.sent
	for i, q := range s.spans.live() {
		if int(q.n) > c.opt.mss && !q.mark.has(sacked) {
			s.spans.set(i, q.mark&resent|lost)
			c.loss.force = true
		}
	}
}

// setMTU changes the path MTU.
func (c *Conn) setMTU(now mono.Time, mtu int) {
	old := c.opt.mtu
	if mtu == old {
		return
	}
	c.opt.mtu, c.opt.proven = mtu, 0
	c.setMSS()
	if c.cfg.Learned != nil {
		c.cfg.Learned(now, mtu)
	}
	switch {
	case !c.recording():
	case mtu < old:
		c.record(now, MTUReduced{old, mtu})
	default:
		c.record(now, MTURaised{old, mtu})
	}
}
