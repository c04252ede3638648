package tcp

import (
	"time"

	"github.com/sennit-net/sennit/stack/cc"
	"github.com/sennit-net/sennit/stack/mono"
)

// rate samples at what rate the path delivers (draft-ietf-ccwg-bbr §4.1), and
// paces.
type rate struct {
	delivered   uint64    // C.delivered: bytes known to have arrived
	lost        uint64    // C.lost: bytes ever found lost
	deliveredAt mono.Time // C.delivered_time
	firstSent   mono.Time // C.first_send_time
	bubble      uint64    // C.app_limited: until so much is delivered, samples are limited by the application; 0: they are not
	dry         mono.Time // since when there has been room and nothing to send; 0: there is something
	model       cc.Modeller
	at          departure // of the newest segment this ACK is about
	atSent      mono.Time // when that left; 0: none yet

	next mono.Time // earliest time for the next data, by the controller's rate
	held bool      // the rate, and nothing else, is what keeps data back
	stop mono.Time // no data before: marks go on at the smallest window
}

// departure is what was known when a span was sent (draft-ietf-ccwg-bbr
// §4.1.2.1.2).
type departure struct {
	delivered   uint64
	deliveredAt mono.Time
	firstSent   mono.Time
	lost        uint32 // low bits
	inFlight    int32  // with the span itself; negative: limited by the application
}

func (d *departure) flight() int { return int(max(d.inFlight, -d.inFlight)) }

// beforeSend is called when data is about to leave, and before it is counted.
func (c *Conn) beforeSend(now mono.Time) {
	r := &c.rate
	pipe := c.pipe()
	starved := r.dry != 0 && r.dry < now
	if starved {
		// A bubble begins: draft-ietf-ccwg-bbr §4.1.2.4.
		c.markLimited()
	}
	r.dry = 0
	if pipe > 0 {
		return
	}
	r.firstSent, r.deliveredAt = now, now
	if r.model != nil && (starved || r.delivered == 0) {
		r.model.Start(now, c.rtt.SRTT())
	}
}

// ranDry notes that there is room in the window and nothing to send.
func (c *Conn) ranDry(now mono.Time) {
	r := &c.rate
	r.held = false
	if r.dry == 0 && c.pipe() < c.cwnd() {
		r.dry = now
	}
}

func (c *Conn) markLimited() { c.rate.bubble = max(c.rate.delivered+uint64(c.pipe()), 1) }

// departed notes what is known as p leaves; it is counted as in flight already.
func (c *Conn) departed(p *span) {
	r := &c.rate
	p.left = departure{delivered: r.delivered, deliveredAt: r.deliveredAt, firstSent: r.firstSent, lost: uint32(r.lost),
		inFlight: int32(max(c.pipe(), int(p.n)))}
	if r.bubble != 0 {
		p.left.inFlight = -p.left.inFlight
	}
}

// deliveredSpan counts p as delivered (draft-ietf-ccwg-bbr §4.1.2.3,
// UpdateRateSample): the newest span of an ACK makes its sample.
func (c *Conn) deliveredSpan(now mono.Time, p *span) {
	r := &c.rate
	r.delivered += uint64(p.n)
	r.deliveredAt = now
	if r.atSent == 0 || p.sentAt >= r.firstSent {
		r.at, r.atSent = p.left, p.sentAt
		r.firstSent = p.sentAt
	}
}

// sample is GenerateRateSample, once per ACK.
func (c *Conn) sample() (s cc.Sample) {
	r := &c.rate
	if r.bubble != 0 && r.delivered > r.bubble {
		r.bubble = 0
	}
	if r.atSent == 0 {
		return cc.Sample{Total: r.delivered, Prior: r.delivered}
	}
	s = cc.Sample{Total: r.delivered, Prior: r.at.delivered, InFlight: r.at.flight(), AppLimited: r.at.inFlight < 0,
		Lost: int(uint32(r.lost) - r.at.lost)}
	took := max(r.atSent.Sub(r.at.firstSent), r.deliveredAt.Sub(r.at.deliveredAt))
	if took >= c.rtt.Min() {
		s.Interval = took
	}
	r.atSent = 0
	return s
}

// lose marks span i as lost and tells the model. The mark of a retransmission
// stays.
func (c *Conn) lose(i int) {
	s := &c.snd.spans
	p := s.live()[i]
	fresh := !p.mark.has(lost)
	s.set(i, p.mark&resent|lost)
	if !fresh {
		return
	}
	r := &c.rate
	r.lost += uint64(p.n)
	if r.model == nil {
		return
	}
	r.model.Lost(cc.Lost{Off: p.off, Bytes: int(p.n), Total: r.delivered, Since: int(uint32(r.lost) - p.left.lost),
		InFlight: p.left.flight(), AppLimited: p.left.inFlight < 0})
}

// slowFurther answers a mark that comes while the window is a single segment
// already: the next goes when the retransmission timer would run out, which is
// set anew (RFC 3168 §6.1.2, RFC 9438 §4.6).
func (c *Conn) slowFurther(now mono.Time) {
	c.rate.stop = now.Add(c.rtt.RTO())
	if c.snd.outstanding() {
		c.armRetransmit(now)
	}
}

// pacing is the rate in bytes per second; 0: not paced.
func (c *Conn) pacing() float64 {
	if c.cfg.NoPacing && c.rate.model == nil {
		return 0
	}
	return c.cc.Pacing()
}

// quantum is the most that may leave at once, a whole number of segments
// (draft-ietf-ccwg-bbr §5.6.3).
func (c *Conn) quantum() int {
	n := cc.Quantum(c.pacing(), c.opt.mss)
	return n - n%c.opt.mss
}

// allowance is how much of the quantum is left: whole segments, at least one.
func (c *Conn) allowance(now mono.Time) int {
	pace := c.pacing()
	if pace <= 0 {
		return maxPayload
	}
	n := c.quantum() - int(max(c.rate.next.Sub(now), 0).Seconds()*pace)
	return max(n-n%c.opt.mss, c.opt.mss)
}

// paced reports whether the controller's rate lets data go now; if not, it sets
// the deadline for it. What leaves together is bounded by a quantum; then
// nothing goes before the rate has paid for all of it, so that segments leave
// in quanta and not one by one.
func (c *Conn) paced(now mono.Time) bool {
	r := &c.rate
	if r.stop > now {
		c.at.set(tPace, r.stop)
		return false
	}
	pace := c.pacing()
	if pace <= 0 || r.next <= now {
		return true
	}
	ahead := r.next.Sub(now).Seconds() * pace
	if !r.held && ahead+float64(c.opt.mss) <= float64(c.quantum()) {
		return true
	}
	r.held = true
	c.at.set(tPace, r.next)
	return false
}

// lateness is by how much a timer may come too late without the rate suffering:
// what it cost is sent at once.
const lateness = time.Millisecond

// charge counts n bytes against recovery's allowance and the controller's rate.
func (c *Conn) charge(now mono.Time, n int) {
	if c.loss.mode == fast {
		c.loss.prr.Sent(n)
	}
	pace := c.pacing()
	if pace <= 0 {
		return
	}
	r := &c.rate
	from := now
	if r.held {
		from = now.Add(-lateness)
	}
	r.next = max(r.next, from).Add(time.Duration(float64(n) / pace * 1e9))
	r.held = r.held && r.next <= now
}
