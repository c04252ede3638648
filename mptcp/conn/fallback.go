package conn

import (
	"github.com/sennit-net/sennit/mptcp/dss"
	"github.com/sennit-net/sennit/mptcp/option"
	"github.com/sennit-net/sennit/stack/chunk"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/seq"
	"github.com/sennit-net/sennit/stack/tcp"
)

// plain is what a connection knows that has fallen back to TCP.
type plain struct {
	cause Cause
	sub   *subflow // the one subflow

	infinite    bool   // tell the peer with an infinite mapping
	infiniteTil uint64 // stream offset whose acknowledgement ends that; 0: not sent
	infiniteAt  dss.Mapping
	fails       int // MP_FAIL options still to send
	failDSN     seq.Data
}

// barePatience is how many ACKs of new data may come without any MPTCP option
// before they are taken for gone. One may be a middlebox's own.
const barePatience = 3

// foldable reports whether the connection can become the plain TCP of subflow
// s: it is the only one, and all data has the place in its stream that it has
// in the data stream, in both directions (RFC 8684 §3.7: contiguous).
func (c *Conn) foldable(s *subflow) bool {
	if s.id != 0 || !c.snd.straight || !c.rcv.straight || c.rcv.reasm.Waiting() > 0 {
		return false
	}
	for _, o := range c.subs {
		if o != s && o.stage != gone && o.up {
			return false
		}
	}
	return true
}

// fallBack makes the connection plain TCP over s (RFC 8684 §3.7). There is no
// way back.
func (c *Conn) fallBack(now mono.Time, s *subflow, cause Cause) {
	if c.phase == fallen {
		return
	}
	told := c.phase >= keyed && cause != KeyMismatch
	c.phase = fallen
	c.plain.cause, c.plain.sub = cause, s
	c.record(now, Fallback{Sub: s.id, Cause: cause})
	c.timers[dataTimer], c.timers[aloneTimer] = 0, 0
	c.signals = nil
	c.snd.again = nil
	c.paths.clear()
	s.opts.due = nil
	s.acts.bare = !told && c.plain.fails == 0
	for _, o := range c.subs {
		if o != s {
			o.reset(ErrFallback, option.ResetMPTCP, false)
		}
	}
	if told {
		// RFC 8684 §3.7: one infinite mapping tells the peer, in case only one
		// direction loses options. It starts where the unacknowledged data does.
		c.plain.infinite = true
		c.plain.infiniteAt = dss.Mapping{Off: uint64(c.snd.una.Sub(c.snd.base)), DSN: c.snd.una}
	}
	// RFC 8684 §3.7: from now on it is the subflow's ACKs that count.
	c.ackedPlain(s.opts.ackOff)
	// Our DATA_FIN, if it went, meant nothing to the peer: TCP's FIN will.
	s.in.Infinite(dss.Mapping{Off: s.in.Offset(), DSN: c.rcv.base.Add(int(s.in.Offset()))})
	c.flushPlain(now, s)
}

// flushPlain hands over what waited in the subflow for a mapping or a checksum.
func (c *Conn) flushPlain(now mono.Time, s *subflow) {
	p, status := s.in.Next(nil)
	if status == dss.Ready {
		c.takePlain(now, p.Runs)
	}
}

// nextPlain hands the one subflow its next bytes.
func (c *Conn) nextPlain(s *subflow, limit int, dst []chunk.Slice) []chunk.Slice {
	if s != c.plain.sub {
		return dst
	}
	n := min(limit, c.snd.unsent())
	if n <= 0 {
		return dst
	}
	dst = c.snd.queue.Range(dst, int(c.snd.nxt.Sub(c.snd.una)), n)
	c.snd.nxt = c.snd.nxt.Add(n)
	s.count.sent += uint64(n)
	return dst
}

// ackedPlain frees what the subflow's ACK covers (RFC 8684 §3.7).
func (c *Conn) ackedPlain(off uint64) {
	una := c.snd.base.Add(int(off))
	if una.After(c.snd.una) && una.BeforeEq(c.snd.nxt) {
		c.snd.advance(una)
	}
}

// appendPlain appends what a connection in fallback still has to say.
func (s *subflow) appendPlain(out tcp.Outgoing, room int, b []byte) []byte {
	p := &s.c.plain
	if s != p.sub {
		return b
	}
	if p.fails > 0 {
		// RFC 8684 §3.7: it has to come before anything that lacks a mapping.
		if m := (option.MPFail{DSN: p.failDSN}); m.Size() <= room {
			p.fails--
			b = m.Append(b)
			room -= m.Size()
		}
	}
	if !p.infinite || out.Len == 0 {
		return b
	}
	if p.infiniteTil != 0 && s.opts.ackOff >= p.infiniteTil {
		// It has arrived: from here on all of a segment is payload.
		p.infinite = false
		s.acts.bare = true
		return b
	}
	// RFC 8684 §3.7: length 0, and a checksum of 0 where there is one.
	d := option.DSS{HasMap: true, DSN8: true, DSN: p.infiniteAt.DSN, SSN: p.infiniteAt.SSN(),
		HasSum: s.c.keys.checksum}
	if d.Size() > room {
		return b
	}
	if p.infiniteTil == 0 {
		p.infiniteTil = out.Off + uint64(out.Len)
	}
	return d.Append(b)
}

// receivedBare handles a segment without MPTCP options.
func (s *subflow) receivedBare(now mono.Time, in *tcp.Incoming) tcp.Verdict {
	c := s.c
	if !in.NewAck || in.AckOff == 0 || s.stage < established {
		return tcp.Proceed
	}
	switch {
	case c.phase == keyed && s.id == 0:
		// RFC 8684 §3.7: our first data was acknowledged without a Data ACK,
		// before any other subflow: fall back.
		c.fallBack(now, s, FirstACKWithout)
	case s.id != 0 && !s.opts.dss:
		// RFC 8684 §3.7: the same on an additional subflow closes that one.
		return s.interfered()
	default:
		s.opts.bare++
		if s.opts.bare < barePatience {
			break
		}
		if c.foldable(s) {
			c.fallBack(now, s, DSSLost)
		} else if s.opts.bare >= 4*barePatience {
			return s.interfered()
		}
	}
	return tcp.Proceed
}

// lostCause names a fallback for want of options: from the start, or later.
func (c *Conn) lostCause() Cause {
	if c.rcv.pieces == 0 {
		return FirstDataWithout
	}
	return DSSLost
}

// unansweredFins is how often the DATA_FIN goes out on an only subflow that
// answers, before it is taken for stripped.
const unansweredFins = 3

// bareFallback falls back when the only subflow acknowledged data without any
// option and no Data ACK came, or answers time and again but never to the
// DATA_FIN, which an option alone carries.
func (c *Conn) bareFallback(now mono.Time) bool {
	s := c.sub(0)
	if s == nil || s.stage != established || !c.foldable(s) {
		return false
	}
	deaf := c.finDue() && c.snd.backoffs >= unansweredFins && s.alive.heard.After(c.snd.finAt)
	if !s.opts.quiet && !deaf {
		return false
	}
	c.fallBack(now, s, DSSLost)
	return true
}

// interfered resets a subflow whose options get lost (RFC 8684 §3.7, §3.6).
func (s *subflow) interfered() tcp.Verdict {
	s.refuse(ErrInterference)
	s.opts.reset.why.Reason = option.ResetInterference
	return tcp.Abort
}

// unmapped handles received bytes that no mapping covers.
func (c *Conn) unmapped(now mono.Time, s *subflow) {
	if c.foldable(s) {
		c.fallBack(now, s, c.lostCause())
		return
	}
	if s.opts.unmapped == 0 {
		s.opts.unmapped = now.Add(unmappedTime)
	}
	if s.in.Held() > c.rcv.window {
		// RFC 8684 §3.3.1: not within a window of data: the subflow is broken.
		s.reset(ErrInterference, option.ResetInterference, false)
	}
}

// badSum handles a mapping whose bytes do not match its checksum: somebody
// changed them (RFC 8684 §3.7).
func (c *Conn) badSum(now mono.Time, s *subflow, off uint64, p *dss.Piece) {
	if c.foldable(s) && p.DSN == c.rcv.base.Add(int(off)) {
		// RFC 8684 §3.7: the only subflow, and contiguous: MP_FAIL, and on as
		// TCP, which would have delivered the bytes as they are.
		c.plain.fails, c.plain.failDSN = 2, p.DSN
		s.acts.ack = true
		runs := p.Runs
		c.takePlain(now, runs)
		c.fallBack(now, s, ChecksumFailed)
		return
	}
	chunk.ReleaseAll(p.Runs)
	s.opts.reset.failed, s.opts.reset.dsn = true, uint64(p.DSN)
	s.reset(ErrChecksum, option.ResetInterference, false)
}

// receivedFail handles MP_FAIL: the peer saw a checksum fail (RFC 8684 §3.7).
func (c *Conn) receivedFail(now mono.Time, s *subflow) tcp.Verdict {
	if !c.foldable(s) {
		return s.interfered()
	}
	// RFC 8684 §3.7: answered with an MP_FAIL, then an infinite mapping.
	c.plain.fails, c.plain.failDSN = 1, c.rcv.next()
	s.acts.ack = true
	c.fallBack(now, s, FailReceived)
	return tcp.Proceed
}

// receivedInfinite handles the infinite mapping: the peer fell back.
func (c *Conn) receivedInfinite(now mono.Time, s *subflow) tcp.Verdict {
	if !c.foldable(s) {
		return s.refuse(ErrMapping)
	}
	c.fallBack(now, s, InfiniteMapping)
	return tcp.Proceed
}
