package stack

import (
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/tcp"
)

// WriteUrgent is Write that tells the peer that the bytes, and all before them,
// are urgent. They are read in line all the same; new applications should not
// use it (RFC 9293 §3.8.5, SHLD-13; RFC 6093 §5). On a connection that is not
// plain TCP it is Write.
func (c *Conn) WriteUrgent(p []byte) (int, error) {
	if s, ok := c.sock.machine.(*tcp.Stream); ok {
		c.sock.Do(func(now mono.Time) { s.Urge(now, len(p)) })
	}
	return c.Write(p)
}

// Urgent returns how many of the bytes still to be read, arrived or not, the
// peer said are urgent (RFC 9293 §3.8.5, MUST-33).
func (c *Conn) Urgent() (n int) {
	c.sock.Look(func() {
		if s, ok := c.sock.machine.(*tcp.Stream); ok {
			n = s.Urgent()
		}
	})
	return n
}
