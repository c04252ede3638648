package conn

// Rest gives back memory that is only held to be used again. A connection that
// has been silent for a while is called so.
func (c *Conn) Rest() {
	for _, s := range c.subs {
		s.tcp.Rest()
	}
	c.snd.queue.Rest()
	c.rcv.queue.Rest()
	w := &c.work
	w.runs, w.order, w.snaps, w.ranges, w.cmds = nil, nil, nil, nil, nil
}
