package tcp

import (
	"time"

	"github.com/sennit-net/sennit/stack/mono"
)

// timer names what a deadline is for.
type timer uint8

const (
	tRetransmit timer = iota // RTO of data, SYN, SYN-ACK or FIN
	tProbe                   // tail loss probe
	tReorder                 // the reordering window of RACK passes
	tPersist                 // window closed, or a silly one to be overridden
	tDelayedAck
	tKeepAlive
	tLifetime // end of TIME-WAIT or FIN-WAIT-2
	tPace     // the controller's rate allows the next segment
	numTimers
)

var timerNames = [numTimers]string{"retransmit", "probe", "reorder", "persist", "delayed-ack", "keep-alive", "lifetime", "pace"}

func (t timer) String() string { return timerNames[t] }

// timers are the deadlines that run, unset where zero.
type timers [numTimers]mono.Time

func (ts *timers) set(t timer, at mono.Time) { ts[t] = at }
func (ts *timers) stop(t timer)              { ts[t] = 0 }
func (ts *timers) runs(t timer) bool         { return ts[t] != 0 }

// take reports whether t is due, and stops it if so.
func (ts *timers) take(t timer, now mono.Time) bool {
	if !ts[t].Reached(now) {
		return false
	}
	ts[t] = 0
	return true
}

// earliest returns the first deadline, unset if none runs.
func (ts *timers) earliest() mono.Time {
	var e mono.Time
	for _, t := range ts {
		e = mono.Earliest(e, t)
	}
	return e
}

// Deadline returns when Advance wants to be called; 0 is never.
func (c *Conn) Deadline() mono.Time { return c.at.earliest() }

// Advance lets the deadlines that were reached at now have their effect.
func (c *Conn) Advance(now mono.Time) {
	if c.at.take(tLifetime, now) {
		// RFC 9293 §3.10.8: TIME-WAIT is over. (FIN-WAIT-2: the peer never
		// sent its FIN, and nobody here would read what it says.)
		c.end(now, nil)
	}
	if c.at.take(tKeepAlive, now) {
		c.onKeepAlive(now)
	}
	if c.at.take(tReorder, now) {
		c.onReorder(now)
	}
	if c.at.take(tProbe, now) {
		c.onProbe(now)
	}
	if c.at.take(tRetransmit, now) {
		c.onRetransmitTimeout(now)
	}
	if c.at.take(tPersist, now) {
		c.onPersist(now)
	}
	if c.at.take(tDelayedAck, now) {
		c.out.ack = true
	}
	c.at.take(tPace, now)
}

// Limits of time.
const (
	delayedAck      = 40 * time.Millisecond // RFC 9293 §3.8.6.3 allows up to 0.5 s (MUST-40)
	defaultUser     = 15 * time.Minute      // R2 of data: at least 100 s (SHLD-11)
	defaultUserSYN  = 3 * time.Minute       // R2 of a SYN: at least 3 minutes (MUST-23)
	defaultTimeWait = 60 * time.Second      // 2*MSL with an MSL of 30 s
	defaultFinWait2 = 60 * time.Second
)

// userTimeout returns R2 (RFC 9293 §3.8.3), 0 for never.
func (c *Conn) userTimeout() time.Duration {
	switch u := c.cfg.UserTimeout; {
	case u < 0:
		return 0
	case u > 0:
		return u
	case c.life.state < Estab:
		return defaultUserSYN
	}
	if c.uto.remote > 0 {
		return c.adopted()
	}
	return defaultUser
}

// armRetransmit (re)starts the retransmission timer (RFC 6298 §5.1, §5.3,
// §5.6), not later than the user timeout.
func (c *Conn) armRetransmit(now mono.Time) {
	at := now.Add(c.rtt.RTO())
	if u := c.userTimeout(); u > 0 {
		at = max(min(at, c.snd.since.Add(u)), now+1)
	}
	c.at.set(tRetransmit, at)
}

// restartThresh is how many segments there are at least where the timer
// restarts in full (rrthresh, RFC 7765 §4).
const restartThresh = 4

// restartRetransmit restarts the timer for an ACK of new data (RFC 6298 §5.3).
// With so few segments out that fast retransmit could not help, it counts from
// when the earliest of them was sent: RFC 7765 §4.
func (c *Conn) restartRetransmit(now mono.Time) {
	c.armRetransmit(now)
	s := &c.snd
	few := restartThresh * c.opt.mss
	if s.unacked() == 0 || s.unacked() > few-c.opt.mss || c.loss.mode != calm || s.unacked()+c.cfg.Upper.Pending(now) > few-c.opt.mss {
		return
	}
	p := s.spans.live()[0]
	c.at.set(tRetransmit, max(c.at[tRetransmit].Add(-now.Sub(p.sentAt)), now+1))
}

// expired reports whether R2 has passed since the last progress.
func (c *Conn) expired(now mono.Time) bool {
	u := c.userTimeout()
	return u > 0 && now.Sub(c.snd.since) >= u
}
