package tcp

import "github.com/sennit-net/sennit/stack/mono"

// defaultR1 is the threshold R1, in retransmissions without progress
// (RFC 9293 §3.8.3, SHLD-10: at least 3).
const defaultR1 = 3

func (c *Conn) r1() int {
	if c.cfg.R1 > 0 {
		return max(c.cfg.R1, defaultR1)
	}
	return defaultR1
}

// doubtful reports whether R1 is passed and R2 is not.
func (c *Conn) doubtful() bool { return c.loss.backoffs >= c.r1() && !c.life.over }

// doubt says, once per episode, that R1 is passed: to who chooses the way of
// packets (RFC 9293 §3.8.3, MUST-20), and to the application (SHLD-9). A SYN
// counts as data does (MUST-22).
func (c *Conn) doubt(now mono.Time) {
	if c.loss.backoffs != c.r1() {
		return
	}
	if c.cfg.Doubted != nil {
		c.cfg.Doubted(now)
	}
	if c.recording() && !c.cfg.NoSoftErrors {
		c.record(now, Doubted{c.loss.backoffs})
	}
}

// softError keeps what the network reports without ending the connection
// (RFC 9293 §3.9.1.8, MUST-47), for the application, unless it does not want
// to hear of it (SHLD-20), and as the reason should the connection time out.
func (c *Conn) softError(now mono.Time, err error) {
	c.life.soft = err
	if c.recording() && !c.cfg.NoSoftErrors {
		c.record(now, SoftError{err})
	}
}

// reported is what Info tells of soft errors.
func (c *Conn) reported() error {
	if c.cfg.NoSoftErrors {
		return nil
	}
	return c.life.soft
}
