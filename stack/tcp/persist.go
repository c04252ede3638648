package tcp

import (
	"time"

	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/rtt"
)

// persist starts the persist timer: there is something to send, the peer's
// window does not let it go (or only in a silly piece), and nothing is in
// flight that would make the peer speak (RFC 9293 §3.8.6.1, MUST-36).
func (c *Conn) persist(now mono.Time) {
	if c.at.runs(tPersist) || c.snd.outstanding() {
		return
	}
	if c.loss.probes == 0 {
		c.snd.since = now
	}
	c.at.set(tPersist, now.Add(c.persistInterval()))
}

// persistInterval is one RTO, doubled with each probe (SHLD-29, SHLD-30).
func (c *Conn) persistInterval() time.Duration {
	d := c.rtt.RTO()
	for range c.loss.probes {
		if d >= rtt.Max {
			break
		}
		d *= 2
	}
	return min(d, rtt.Max)
}

// onPersist probes a closed window, or overrides silly-window avoidance
// (RFC 9293 §3.8.6.2.1, MUST-38).
//
// Departs from RFC 9293 §3.8.6.1, which sends an octet of new data: the probe
// is an empty segment before the window, as a keep-alive is. It makes the peer
// state its window just as well, and binds no byte of the stream to a
// connection that cannot deliver it (for MPTCP: to a subflow).
func (c *Conn) onPersist(now mono.Time) {
	s := &c.snd
	if !s.open() || s.outstanding() || (c.cfg.Upper.Pending(now) <= 0 && s.fin != finQueued) {
		c.loss.probes = 0
		return
	}
	if c.expired(now) {
		c.timedOut(now)
		return
	}
	if s.usable() > 0 {
		c.out.force = true
	} else {
		c.out.probe = true
	}
	c.loss.probes++
	c.at.set(tPersist, now.Add(c.persistInterval()))
	if c.recording() {
		c.record(now, ZeroWindowProbe{c.loss.probes})
	}
}
