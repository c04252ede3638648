package tcp

import (
	"time"

	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/wire"
)

// search is path MTU discovery that needs no ICMP: larger sizes are tried with
// segments of data (RFC 4821 §7), and a size that is swallowed in silence is
// given up (§7.7). Sizes are bytes of an IP packet. A connection whose path
// carries all that the link does has none.
type search struct {
	low, high int       // search_low, search_high (RFC 4821 §7.2)
	bisect    bool      // the ceiling was tried; now the middle is
	tries     int       // probes lost at the size being tried
	size      int       // of the probe under way; 0: none is
	from, to  uint64    // the bytes of the last probe, or else sent too big
	next      mono.Time // no probe before
	before    int       // path MTU before it was last raised
	fell      int       // timeouts in a row when the path MTU fell last; 0: there was progress since
	verify    mono.Time // until when that is on trial
	doubt     int       // path MTU an ICMP message claims against the evidence; 0: none
	doubtAt   uint64    // stream offset it quoted
}

// Constants of the search.
const (
	baseMTU     = 1200             // BASE_PLPMTU (RFC 8899 §5.1.2); of IPv6 it is the least MTU
	maxProbes   = 3                // MAX_PROBES (RFC 8899 §5.1.2)
	blindAfter  = time.Minute      // until a larger size is used on trial, without SACK
	raiseAfter  = 10 * time.Minute // RFC 4821 §7.3, RFC 8201 §4, PMTU_RAISE_TIMER of RFC 8899 §5.1.1
	searchGrain = 8                // a search that gains less is over
	maxInterval = 15 * time.Second // PROBE_TIMER (RFC 8899 §5.1.1)
)

// ceiling is the largest packet worth a try: what the link and the peer take.
func (c *Conn) ceiling() int {
	m := max(c.cfg.MTU, c.cfg.MaxMTU)
	if c.opt.peerMSS > 0 {
		m = min(m, c.opt.peerMSS+c.fixedHeaders())
	}
	return m
}

// floorMTU is the least path MTU believed.
func (c *Conn) floorMTU() int {
	if c.isV6() {
		return floorMTU6
	}
	return floorMTU4
}

// baseMTU is a size that nearly every path carries.
func (c *Conn) baseMTU() int {
	if c.isV6() {
		return floorMTU6
	}
	return baseMTU
}

// searcher returns the search, begun if there is none yet: over, until it may
// be time to try again.
func (c *Conn) searcher(now mono.Time) *search {
	if c.path == nil {
		c.path = &search{low: c.opt.mtu, high: c.opt.mtu, next: now.Add(raiseAfter)}
	}
	return c.path
}

func (p *search) over() bool { return p.high-p.low <= searchGrain }

// candidate returns the size to try next: first all that the link takes, since
// a router's message or an outage may be history; then the middle.
func (p *search) candidate(ceiling int) int {
	if p.over() {
		p.high, p.bisect, p.tries = ceiling, false, 0
	}
	p.high = min(p.high, ceiling)
	if !p.bisect {
		return p.high
	}
	return (p.low + p.high + 1) / 2
}

// probeSize returns the packet size to try now, 0 for none. RFC 4821 §7.4: only
// with nothing lost, with the next segments at hand that make a lost probe
// known, and with windows for all of them. Without SACK a lost probe would
// cost a recovery.
func (c *Conn) probeSize(now mono.Time) int {
	ceiling := c.ceiling()
	if c.opt.mtu >= ceiling || !c.opt.sack || !c.snd.open() || c.snd.fin != finNone {
		return 0
	}
	s, r := &c.snd, &c.loss
	if r.mode != calm || r.backoffs > 0 || r.probing || s.spans.lost > 0 || s.spans.sacked > 0 || c.sackBlocks() > 0 {
		return 0
	}
	p := c.searcher(now)
	if p.size > 0 || now < p.next {
		return 0
	}
	size := p.candidate(ceiling)
	if size <= c.opt.mtu {
		return 0
	}
	need := size - (c.opt.mtu - c.opt.mss) + dupThresh*c.opt.mss
	if c.cwnd() < need || s.usable() < need || c.cfg.Upper.Pending(now) < need {
		return 0
	}
	return size
}

// emitFresh sends data never sent before: a probe of the path if one is due.
// It goes as a packet of its own whatever the link could split.
func (c *Conn) emitFresh(now mono.Time, seg *wire.Segment) bool {
	if !c.opt.sack {
		c.raiseBlind(now)
	}
	size := c.probeSize(now)
	if size == 0 {
		return c.emitData(now, seg)
	}
	opt, super, off := c.opt, c.cfg.MaxSuper, c.snd.sent
	c.opt.mtu, c.cfg.MaxSuper = size, 0
	c.opt.mss = c.payloadRoom(0)
	full, sent := c.opt.mss, false
	if c.pipe() == 0 || c.cwnd()-c.pipe() >= full {
		sent = c.emitData(now, seg)
	} else {
		// The window opens by smaller steps: wait for the next one.
		c.snd.limited = true
	}
	c.opt, c.cfg.MaxSuper = opt, super
	if !sent {
		return false
	}
	p := c.path
	if n := int(c.snd.sent - off); n > c.opt.mss {
		p.size, p.from, p.to = size-(full-n), off, c.snd.sent
		if c.recording() {
			c.record(now, PathProbe{p.size})
		}
	} else {
		p.pause(now, c.rtt.SRTT())
	}
	return true
}

// raiseBlind goes back to the ceiling after a while, on trial: without SACK a
// lost probe could not be told from congestion (RFC 1191 §6.3).
func (c *Conn) raiseBlind(now mono.Time) {
	p, ceiling := c.path, c.ceiling()
	if p == nil || c.opt.mtu >= ceiling || now < p.next || c.loss.mode != calm || c.loss.backoffs > 0 {
		return
	}
	p.before, p.verify = c.opt.mtu, now.Add(2*c.rtt.RTO()+10*c.rtt.SRTT())
	p.pause(now, raiseAfter)
	c.setMTU(now, ceiling)
}

// pause puts the next probe off: at least a round trip (RFC 8899 §3, item 7).
func (p *search) pause(now mono.Time, d time.Duration) { p.next = now.Add(max(d, time.Millisecond)) }

// resent notes that bytes at off are sent again, in segments known to fit: what
// becomes of a probe among them says nothing any more (RFC 4821 §7.6.4).
func (p *search) resent(off uint64) {
	if p != nil && p.size > 0 && off >= p.from && off < p.to {
		p.size = 0
	}
}

// searched looks at what an ACK means for the search.
func (c *Conn) searched(now mono.Time) {
	p := c.path
	if p == nil {
		return
	}
	if c.loss.backoffs == 0 {
		p.fell = 0
	}
	if p.doubt > 0 && c.snd.acked > p.doubtAt {
		p.doubt = 0 // RFC 5927 §7.2: the packet arrived, so it was not too big
	}
	if p.size == 0 || !c.probeArrived(p) {
		return
	}
	// RFC 4821 §7.6.1.
	p.before, p.verify = c.opt.mtu, now.Add(2*c.rtt.RTO()+10*c.rtt.SRTT())
	p.low, p.size, p.tries = p.size, 0, 0
	c.pauseSearch(now, c.rtt.SRTT())
	c.setMTU(now, p.low)
	c.opt.proven = p.low
}

func (c *Conn) probeArrived(p *search) bool {
	s := &c.snd
	if s.acked >= p.to {
		return true
	}
	l := s.spans.live()
	i := s.spans.find(p.from)
	return i < len(l) && l[i].off == p.from && l[i].end() == p.to && l[i].mark.has(sacked)
}

// pauseSearch sets when the next probe may go.
func (c *Conn) pauseSearch(now mono.Time, d time.Duration) {
	if c.path.over() {
		// RFC 4821 §7.3: the search converged.
		d = raiseAfter
	}
	c.path.pause(now, d)
}

// probeTooBig reports whether all that is lost was too big for the path, as a
// probe, or before a router said so: that is
// no sign of congestion (RFC 4821 §7.6.2). With other losses beside it, the
// probe proves nothing (§7.6.4), and they count as always.
func (c *Conn) probeTooBig(now mono.Time) bool {
	p, s := c.path, &c.snd.spans
	if p == nil || p.to <= c.snd.acked {
		return false
	}
	n := 0
	l := s.live()
	for i := s.find(p.from); i < len(l) && l[i].off < p.to; i++ {
		if l[i].mark&(lost|resent) == lost {
			n += int(l[i].n)
		}
	}
	if n != s.lost {
		p.size = 0
		return false
	}
	if p.size > 0 {
		c.probeFailed(now)
	}
	return true
}

// probeFailed: a probe alone was lost. The size is given up after MAX_PROBES.
func (c *Conn) probeFailed(now mono.Time) {
	p := c.path
	p.tries++
	if p.tries >= maxProbes {
		p.high, p.bisect, p.tries = p.size-1, true, 0
	}
	p.size = 0
	c.pauseSearch(now, c.lossInterval())
}

// lossInterval is how far apart losses are that the controller makes by itself
// (RFC 4821 §7.6.2): half a window of round trips.
func (c *Conn) lossInterval() time.Duration {
	rounds := max(c.cwnd()/(2*c.opt.mss), 1)
	return min(time.Duration(rounds)*max(c.rtt.SRTT(), time.Millisecond), maxInterval)
}

// blackHole is called when the retransmission timer ran out. Full segments
// that stay unanswered time after time may be too big for a path that does not
// say so (RFC 4821 §7.7): three times, or five if such segments have arrived
// before, since where many packets are lost all of a few may be.
func (c *Conn) blackHole(now mono.Time) {
	p := c.path
	if p != nil {
		p.size = 0 // RFC 4821 §7.6.4: inconclusive
		if p.doubt > 0 && c.snd.acked <= p.doubtAt {
			// RFC 5927 §7.2: the packet is missing indeed.
			mtu := p.doubt
			p.doubt = 0
			c.lowerMTU(now, mtu)
			return
		}
	}
	l, old := c.snd.spans.live(), c.opt.mtu
	to := c.retreat(now)
	if to >= old || len(l) == 0 || int(l[0].n) <= c.opt.mss-(old-to) {
		return // what is lost would have fitted
	}
	need := 3
	switch {
	case p != nil && p.verify > now:
		need = 1 // RFC 4821 §7.8: raised a moment ago, and wrongly
	case c.opt.proven >= old:
		need = 5
	case p != nil && p.fell > 0:
		need = p.fell + 2
	}
	if c.loss.backoffs < need {
		return
	}
	p = c.searcher(now)
	p.low, p.high, p.tries = to, c.ceiling(), 0
	if p.verify > now {
		p.high, p.bisect, p.verify = max(old-1, to), true, 0
	} else {
		p.bisect = false
	}
	p.fell = c.loss.backoffs
	p.pause(now, c.rtt.SRTT())
	if !c.opt.sack {
		p.pause(now, blindAfter)
	}
	c.setMTU(now, to)
}

// retreat is where the path MTU falls to: to what it was before it was raised,
// to the base, then by halves to the floor (RFC 4821 §7.7).
func (c *Conn) retreat(now mono.Time) int {
	old := c.opt.mtu
	if p := c.path; p != nil && p.verify > now && p.before < old {
		return p.before
	}
	if base := c.baseMTU(); old > base || !c.opt.sack {
		return min(old, base)
	}
	return max(old/2, min(old, c.floorMTU()))
}
