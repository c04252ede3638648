package conn

import (
	"io"
	"time"

	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/tcp"
)

var _ tcp.App = (*Conn)(nil)

// App returns the application's side.
func (c *Conn) App() tcp.App { return c }

// Read takes received bytes, in order, from whatever subflow they came.
func (c *Conn) Read(now mono.Time, p []byte) (int, error) {
	r := &c.rcv
	switch {
	case c.end.noRead:
		return 0, tcp.ErrClosed
	case len(p) == 0:
		return 0, nil
	case r.queue.Len() > 0:
		n := r.queue.Read(p)
		c.tuneWindow(now, n)
		return n, nil
	case r.finReached:
		return 0, io.EOF
	case c.end.done:
		return 0, c.why()
	}
	return 0, tcp.ErrWouldBlock
}

// why is the error of a connection that is over.
func (c *Conn) why() error {
	if c.end.err != nil {
		return c.end.err
	}
	return tcp.ErrClosed
}

// Write queues bytes for whatever subflow takes them.
func (c *Conn) Write(now mono.Time, p []byte) (int, error) {
	switch {
	case c.end.noWrite:
		return 0, tcp.ErrClosed
	case c.end.done:
		return 0, c.why()
	}
	c.growQueue()
	n := min(len(p), max(0, c.snd.limit-c.snd.queue.Len()))
	c.snd.queue.Append(p[:n])
	if n < len(p) {
		return n, tcp.ErrWouldBlock
	}
	return n, nil
}

// growQueue lets the send queue hold two windows of all subflows, so that none
// has to wait for the application.
func (c *Conn) growQueue() {
	if c.snd.limit == maxSend {
		return
	}
	n := 0
	for _, s := range c.subs {
		if s.stage == established {
			n += 2 * s.tcp.Info().Cwnd
		}
	}
	// RFC 8684 §3.3.5: what waits for data-level order at the peer is held too.
	n += int(max(0, c.snd.nxt.Sub(c.snd.una)))
	c.snd.limit = min(max(c.snd.limit, n), maxSend)
}

// tuneWindow grows the receive window to twice what the application reads in
// a round trip of the slowest path, so that the window is never what limits
// (RFC 8684 §3.3.5 wants it to cover reordering between paths).
func (c *Conn) tuneWindow(now mono.Time, n int) {
	r := &c.rcv
	r.read += n
	if r.since == 0 {
		r.since = now
	}
	if r.window >= r.most || now.Sub(r.since) < c.slowest() {
		return
	}
	if want := 2*r.read + 2*r.reasm.Waiting(); want > r.window {
		r.window = min(max(want, r.window+r.window/2), r.most)
	}
	r.since, r.read = now, 0
}

// slowest returns the longest round trip among the subflows.
func (c *Conn) slowest() time.Duration {
	d := time.Millisecond
	for _, s := range c.subs {
		if s.stage == established {
			i := s.tcp.Info()
			d = max(d, i.SRTT, i.RcvRTT)
		}
	}
	return d
}

// Shutdown closes one direction or both, in good order.
func (c *Conn) Shutdown(now mono.Time, how tcp.How) {
	if how&tcp.CloseReading != 0 && !c.end.noRead {
		unread := c.rcv.queue.Len()
		c.end.noRead = true
		c.rcv.queue.Clear()
		if unread > 0 && how&tcp.CloseWriting != 0 {
			// RFC 9293 §3.6.1: data nobody will read: the peer has to learn that
			// it was lost.
			c.Abort(now)
			return
		}
	}
	if how&tcp.CloseWriting != 0 {
		c.end.noWrite = true
	}
	if !c.end.opened && c.end.noRead && c.end.noWrite && len(c.subs) > 0 && c.cfg.Initiator {
		// Nothing stands yet, and nobody waits for it any more.
		c.Abort(now)
		return
	}
	c.settle(now)
}

// Ready tells what the application can do now.
func (c *Conn) Ready() tcp.Readiness {
	var r tcp.Readiness
	if c.rcv.queue.Len() > 0 || c.rcv.finReached || c.end.done || c.end.noRead {
		r |= tcp.Readable
	}
	if c.end.done || c.end.noWrite || c.end.opened && c.snd.queue.Len() < c.snd.limit {
		r |= tcp.Writable
	}
	if c.end.opened {
		r |= tcp.Opened
	}
	if c.over() {
		r |= tcp.Ended
	}
	return r
}

// Err returns why the connection ended, or nil.
func (c *Conn) Err() error { return c.end.err }

// Tune changes what an application may set, on all subflows, present and
// future (RFC 6897 §4.4). The window scale stays.
func (c *Conn) Tune(now mono.Time, t tcp.Tuning) {
	t.WindowScale = c.cfg.Tuning.WindowScale
	if t.MaxWindow == 0 {
		t.MaxWindow = defaultMaxWindow
	}
	c.cfg.Tuning = t
	c.rcv.most = t.MaxWindow
	c.rcv.window = min(c.rcv.window, c.rcv.most)
	for _, s := range c.subs {
		s.tcp.Tune(now, t)
	}
	c.settle(now)
}
