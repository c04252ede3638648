package tcp

import "github.com/sennit-net/sennit/stack/mono"

// quick is the receiver's patience at the start of a connection: the sender is
// in slow start there, which is driven by acknowledgments, so the first ones go
// at once. A delayed one costs nothing as soon as data answers data
// (RFC 9293 §3.8.6.3 asks for delaying in general; RFC 5681 §4.2 allows an ACK
// for every segment).
type quick struct {
	left    uint8     // acknowledgments that still go at once
	answers bool      // data was sent soon after data came: an exchange, where delay pays
	at      mono.Time // data came last
}

// quickAck reports whether the data that has just arrived is acknowledged at
// once for that reason.
func (c *Conn) quickAck(now mono.Time) bool {
	q := &c.rcv.quick
	if c.cfg.QuickAcks <= 0 {
		return false
	}
	if q.at == 0 || now.Sub(q.at) > c.rtt.RTO() {
		// After so long a silence the sender starts again slowly (RFC 5681 §4.1).
		q.left, q.answers = uint8(min(c.cfg.QuickAcks, 255)), q.answers && q.at != 0
	}
	q.at = now
	if q.left == 0 || q.answers {
		return false
	}
	q.left--
	return true
}

// noteAnswer notes that data leaves.
func (c *Conn) noteAnswer(now mono.Time) {
	if q := &c.rcv.quick; q.at != 0 && now.Sub(q.at) < delayedAck {
		q.answers = true
	}
}
