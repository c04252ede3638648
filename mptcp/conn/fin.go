package conn

import (
	"errors"
	"time"

	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/seq"
	"github.com/sennit-net/sennit/stack/tcp"
)

// finDue reports whether our DATA_FIN is out and not acknowledged yet.
func (c *Conn) finDue() bool { return c.end.finSent && !c.end.finAcked }

// sendFin sends the DATA_FIN, or sends it again, on the subflow that was
// heard last.
func (c *Conn) sendFin(now mono.Time) {
	c.snd.finAt = now
	var best *subflow
	for _, s := range c.subs {
		if s.stage != established {
			continue
		}
		if best == nil || best.alive.stale && !s.alive.stale ||
			best.alive.stale == s.alive.stale && s.alive.heard.After(best.alive.heard) {
			best = s
		}
	}
	for _, s := range c.subs {
		// The best was not good enough, twice: all of them.
		if s == best || c.snd.backoffs > 1 && s.stage == established {
			s.opts.fin = true
			s.acts.ack = true
			// Repeated, it goes out on a segment that has to be answered: so that
			// silence about it means something.
			s.acts.probeLater = c.snd.backoffs > 0
		}
	}
}

// noteFin takes the number of the peer's DATA_FIN.
func (c *Conn) noteFin(now mono.Time, fin seq.Data) {
	r := &c.rcv
	if r.finKnown || fin.Before(r.reasm.Next()) || fin.After(r.edge()) {
		return
	}
	r.fin, r.finKnown = fin, true
	c.reachFin(now)
}

// reachFin checks whether everything before the DATA_FIN has come. RFC 8684
// §3.3.3: only then is it acknowledged.
func (c *Conn) reachFin(now mono.Time) {
	r := &c.rcv
	if !r.finKnown || r.finReached || r.reasm.Next() != r.fin {
		return
	}
	r.finReached = true
	c.end.passive = !c.end.finSent
	for _, s := range c.subs {
		if s.stage == established {
			s.acts.ack = true
		}
	}
}

// progress takes the steps towards the end that are possible now.
func (c *Conn) progress(now mono.Time) {
	switch {
	case c.end.done:
		c.tellClosed(now)
	case c.phase == fallen:
		c.progressPlain(now)
	default:
		c.progressData(now)
	}
	c.checkAlone(now)
}

// progressPlain closes a plain connection as TCP does.
func (c *Conn) progressPlain(now mono.Time) {
	s := c.plain.sub
	if s.stage == gone {
		c.finish(now, s.acts.err)
		return
	}
	if c.end.noWrite && c.end.noRead {
		s.acts.shut = true
	} else if c.end.noWrite {
		s.acts.finish = true
	}
}

// progressData sends the DATA_FIN when its turn has come, and closes the
// subflows after both went through (RFC 8684 §3.3.3).
func (c *Conn) progressData(now mono.Time) {
	e := &c.end
	if e.noWrite && !e.finSent && c.phase >= keyed && c.snd.unsent() == 0 && e.opened {
		e.finSent = true
		c.snd.progress = now
		c.sendFin(now)
		c.armDataTimer(now)
	}
	if e.noRead && e.noWrite && e.finAcked && !c.rcv.finReached && c.timers[finTimer] == 0 {
		wait := c.cfg.Tuning.FinWait2
		if wait <= 0 {
			wait = 60 * time.Second
		}
		c.timers[finTimer] = now.Add(wait)
	}
	if !c.bothFins() || e.closing {
		return
	}
	e.closing = true
	c.timers[finTimer], c.timers[dataTimer] = 0, 0
	if e.passive && !c.peerClosing() {
		// The peer closed first: it shall be the one with TIME-WAIT.
		c.timers[lingerTimer] = now.Add(finLinger)
		return
	}
	c.closeSubflows()
}

func (c *Conn) peerClosing() bool {
	for _, s := range c.subs {
		if s.peerFin {
			return true
		}
	}
	return false
}

// closeSubflows closes all subflows with FIN (RFC 8684 §3.3.3).
func (c *Conn) closeSubflows() {
	c.timers[lingerTimer] = 0
	for _, s := range c.subs {
		switch s.stage {
		case opening, preEstablished:
			s.kill(nil)
		case established:
			s.stage = closing
			s.acts.finish = true
		}
	}
}

// checkAlone handles that no subflow is left.
func (c *Conn) checkAlone(now mono.Time) {
	if c.end.done || len(c.subs) == 0 && c.next == 0 {
		return
	}
	if !c.allGone() {
		return
	}
	switch {
	case c.bothFins():
		c.finish(now, nil)
	case c.phase != confirmed:
		// Nobody can join: the first subflow's end is the connection's.
		c.finish(now, c.end.err)
	case c.timers[aloneTimer] == 0:
		// RFC 8684 §3.3.3: break before make: wait for a new subflow.
		c.timers[aloneTimer] = now.Add(c.cfg.Patience)
	}
}

func (c *Conn) allGone() bool {
	for _, s := range c.subs {
		if s.stage != gone {
			return false
		}
	}
	return true
}

// fail ends the connection with an error, and its subflows with RSTs.
func (c *Conn) fail(now mono.Time, err error) {
	for _, s := range c.subs {
		s.kill(err)
	}
	c.finish(now, err)
}

// finish ends the data level.
func (c *Conn) finish(now mono.Time, err error) {
	e := &c.end
	if e.done {
		return
	}
	e.done = true
	if e.err == nil {
		e.err = err
	}
	c.timers = [nTimers]mono.Time{}
	c.signals = nil
	c.rcv.reasm.Reset(c.rcv.reasm.Next())
	c.paths.clear()
	c.snd.queue.Clear()
	c.snd.nxt, c.snd.again = c.snd.una, nil
}

// tellClosed records the end once.
func (c *Conn) tellClosed(now mono.Time) {
	if c.end.told {
		return
	}
	c.end.told = true
	c.record(now, ConnectionClosed{Err: c.end.err, Sent: uint64(c.snd.una.Sub(c.snd.base)),
		Received: c.rcv.total})
}

// subflowGone follows the end of a subflow.
func (c *Conn) subflowGone(now mono.Time, s *subflow, was stage, err error) {
	c.record(now, SubflowClosed{Sub: s.id, Link: s.address.Link, Reason: err,
		Sent: s.count.sent, Received: s.count.received})
	s.acts.err = err
	if c.end.done {
		return
	}
	if c.phase == fallen {
		return
	}
	if s.id == 0 && was == opening {
		c.finish(now, notNil(err))
		return
	}
	if c.phase != confirmed && !c.bothFins() {
		c.end.err = notNil(err)
	}
	c.rescue(now, s)
	if was == established && s.distrusted() {
		c.paths.tainted.add(s.route())
	}
	c.paths.down(s, was, err)
	if s.join.opener && s.id != 0 && errors.Is(err, tcp.ErrRefused) && c.allGone() {
		// RFC 8684 §3.2: a RST to a join: the peer does not know the connection
		// any more, and nobody is left that could tell more.
		c.finish(now, tcp.ErrReset)
	}
}

func notNil(err error) error {
	if err == nil {
		return tcp.ErrReset
	}
	return err
}
