package tcp

// Rest gives back memory that is only held to be used again. A connection that
// has been silent for a while is called so: there may be very many of them, and
// the next byte makes it again.
func (c *Conn) Rest() {
	if c.snd.unacked() == 0 {
		c.snd.bytes.Rest()
		c.snd.spans.rest()
	}
	c.rcv.scratch = nil
	if e := c.rcv.early; e != nil && !c.rcv.holes() && !e.hasDup && e.nRecent == 0 {
		e.queue.Clear()
		c.rcv.early = nil
	}
}

// rest drops the memory of an empty list; the marks stay.
func (s *spans) rest() {
	if len(s.live()) == 0 {
		s.list, s.head = nil, 0
	}
}

// Rest is Conn.Rest, with the queues of the application's side.
func (s *Stream) Rest() {
	s.conn.Rest()
	s.in.Rest()
	s.out.Rest()
}
