package tcp

import (
	"time"

	"github.com/sennit-net/sennit/stack/mono"
)

// idle watches for a silent peer (RFC 9293 §3.8.4).
type idle struct {
	heard  mono.Time // the last acceptable segment
	probes int       // keep-alive probes since
}

// Defaults of KeepAlive.
const (
	keepInterval = 75 * time.Second
	keepCount    = 9
)

// heard notes an acceptable segment.
func (c *Conn) heard(now mono.Time) {
	c.idle.heard = now
	c.idle.probes = 0
	c.stat.lastReceived = now
}

// armKeepAlive starts the timer, if keep-alive is on (MUST-24, MUST-25). It is
// re-armed lazily: each segment only notes its time.
func (c *Conn) armKeepAlive(now mono.Time) {
	if c.cfg.KeepAlive.Idle <= 0 || !c.life.state.Synchronized() || c.life.state == TimeWait {
		c.at.stop(tKeepAlive)
		return
	}
	from := c.idle.heard
	if from == 0 {
		from = now
	}
	c.at.set(tKeepAlive, max(from.Add(c.keepIdle()), now+1))
}

// onKeepAlive probes if the connection was silent for long enough.
func (c *Conn) onKeepAlive(now mono.Time) {
	k := c.cfg.KeepAlive
	k.Idle = c.keepIdle()
	if k.Idle <= 0 || !c.life.state.Synchronized() {
		return
	}
	if due := c.idle.heard.Add(k.Idle); c.idle.probes == 0 && due > now {
		c.at.set(tKeepAlive, due)
		return
	}
	if c.snd.outstanding() || c.at.runs(tPersist) {
		// MUST-26: only when nothing is outstanding; other timers watch then.
		c.at.set(tKeepAlive, now.Add(k.Idle))
		return
	}
	count, interval := k.Count, k.Interval
	if count <= 0 {
		count = keepCount
	}
	if interval <= 0 {
		interval = keepInterval
	}
	if c.idle.probes >= count {
		// MUST-29: never for one unanswered probe (Count is the caller's).
		c.abortWith(now, c.ackSeq(), ErrTimeout)
		return
	}
	c.idle.probes++
	c.out.probe = true
	c.at.set(tKeepAlive, now.Add(interval))
	if c.recording() {
		c.record(now, KeepAliveProbe{c.idle.probes})
	}
}

// Probe makes Emit send one segment that the peer must answer, as keep-alive
// does; Info.LastReceived tells whether it did.
func (c *Conn) Probe(mono.Time) {
	if c.life.state.Synchronized() && c.life.state != TimeWait {
		c.out.probe = true
	}
}
