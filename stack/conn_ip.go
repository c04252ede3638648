package stack

import "github.com/sennit-net/sennit/stack/tcp"

// SetDSCP sets the differentiated services code point (0 to 63) of the
// packets of the connection from now on (RFC 9293 §3.9.1.9, MUST-48, SHLD-21).
// It goes into the IP header as it is (SHLD-22); the ECN field beside it is not
// touched. One that changes while data flows may reorder it: set it once, early
// (RFC 9293 §3.9.2, SHLD-23).
func (c *Conn) SetDSCP(dscp uint8) error {
	return c.tune("set", nil, func(t *tcp.Tuning) { t.DSCP = dscp & 63 })
}

// SetTTL sets the time to live, or hop limit, of the packets of the connection
// from now on (RFC 9293 §3.9.2, MUST-49); 0 is the default, 64.
func (c *Conn) SetTTL(ttl uint8) error {
	return c.tune("set", nil, func(t *tcp.Tuning) { t.TTL = ttl })
}

// SetSoftErrors switches reports of what does not end the connection, ICMP
// errors and silence of the peer, on (the default) or off
// (RFC 9293 §3.9.1.8, MUST-47, SHLD-20). They are found in Info, and go to the
// Recorder of the stack.
func (c *Conn) SetSoftErrors(on bool) error {
	return c.tune("set", nil, func(t *tcp.Tuning) { t.NoSoftErrors = !on })
}

// mark gives the tuning to the packets of all paths from now on. The caller
// holds mu.
func (k *Sock) mark(t *tcp.Tuning) {
	for _, p := range k.paths {
		if p != nil {
			p.ttl, p.dscp = t.TTL, t.DSCP
		}
	}
}
