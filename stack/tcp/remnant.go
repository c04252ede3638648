package tcp

import (
	"time"

	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/seq"
	"github.com/sennit-net/sennit/stack/wire"
)

// Remnant is what TIME-WAIT needs of a connection: enough to answer what still
// arrives for it, in place of the whole machine. It is a value; a host keeps
// thousands of them.
type Remnant struct {
	nxt, rcvNxt seq.Num // SND.NXT, RCV.NXT
	recent      uint32  // TS.Recent
	tsOffset    uint32
	window      int32 // bytes from RCV.NXT that were promised
	field       uint16
	timestamps  bool
	limit       uint8 // of challenge ACKs per second
	challenges  throttle
	until       mono.Time
	wait        time.Duration
}

// Remnant returns what is left of a connection in TIME-WAIT; false: it is not
// there yet, or still has something to emit.
func (c *Conn) Remnant() (Remnant, bool) {
	if c.life.state != TimeWait || c.out.ack || c.out.reset || c.out.probe {
		return Remnant{}, false
	}
	return Remnant{
		nxt: c.snd.nxt(), rcvNxt: c.rcv.nxt, recent: c.rcv.ts.recent, tsOffset: c.cfg.TSOffset,
		window: int32(c.acceptable()), field: uint16(min(c.windowLeft()>>c.opt.rcvShift, 65535)),
		timestamps: c.opt.timestamps, challenges: c.out.challenges, limit: c.cfg.Challenges,
		until: c.at[tLifetime], wait: c.timeWait(),
	}, true
}

// Until is when TIME-WAIT ends.
func (r *Remnant) Until() mono.Time { return r.until }

// Next is SND.NXT: the sequence numbers of a new connection begin beyond.
func (r *Remnant) Next() seq.Num { return r.nxt }

// Reusable reports whether a new connection of the same addresses may be opened
// from this side at now, though 2 MSL are not over: the timestamp clock has
// moved on, so that PAWS tells the peer what belongs to which (RFC 6191 §2,
// RFC 1122 §4.2.2.13).
func (r *Remnant) Reusable(now mono.Time) bool {
	return r.timestamps && now.Sub(r.until.Add(-r.wait)) >= time.Second
}

// Receive processes a segment without its payload, which stays the caller's. It
// reports whether out is to be sent (RFC 9293 §3.10.7.4 in TIME-WAIT).
func (r *Remnant) Receive(now mono.Time, seg, out *wire.Segment) bool {
	switch {
	case seg.Flags.Has(wire.RST):
		return false // RFC 1337 §3: an old duplicate must not end TIME-WAIT
	case seg.Flags.Has(wire.SYN):
		// RFC 9293 §3.10.7.4, fourth check: what may not begin anew gets a
		// challenge ACK, as in any synchronized state. (RFC 6191 §2, which is
		// older, would drop it in silence.)
		return r.challenge(now, out)
	case r.timestamps && !seg.Timestamps:
		return false // RFC 7323 §3.2
	}
	if seg.Flags.Has(wire.FIN) && !r.old(seg) {
		// RFC 9293 §3.10.7.4, eighth check: the 2 MSL start again.
		r.until = now.Add(r.wait)
	}
	switch {
	case seg.SeqLen() > 0:
		r.ack(now, out)
		return true
	case r.expected(seg):
		return false
	}
	return r.challenge(now, out)
}

// challenge sends an ACK, at a bounded rate.
func (r *Remnant) challenge(now mono.Time, out *wire.Segment) bool {
	if !r.challenges.allow(now, r.limit) {
		return false
	}
	r.ack(now, out)
	return true
}

// old reports whether PAWS refuses seg (RFC 7323 §5.3 R1).
func (r *Remnant) old(seg *wire.Segment) bool {
	return r.timestamps && int32(seg.TSVal-r.recent) < 0
}

// expected reports whether an empty segment is acceptable: it needs no answer.
func (r *Remnant) expected(seg *wire.Segment) bool {
	d := seg.Seq.Sub(r.rcvNxt)
	return !r.old(seg) && d >= 0 && d <= int(r.window) && seg.Flags.Has(wire.ACK) && !seg.Ack.After(r.nxt)
}

// ack writes the ACK that tells where the connection stood.
func (r *Remnant) ack(now mono.Time, out *wire.Segment) {
	out.Reset()
	out.Seq, out.Ack, out.Flags, out.Window = r.nxt, r.rcvNxt, wire.ACK, r.field
	if r.timestamps {
		out.Timestamps, out.TSVal, out.TSEcr = true, tsClock(now, r.tsOffset), r.recent
	}
}

// Reopens reports whether a SYN may begin a new connection of the same
// addresses, see Conn.Reopens.
func (r *Remnant) Reopens(syn *wire.Segment, timestamps bool) bool {
	if !syn.Flags.Has(wire.SYN) || syn.Flags.Any(wire.ACK|wire.RST) {
		return false
	}
	later := syn.Seq.AfterEq(r.rcvNxt)
	both := timestamps && syn.Timestamps
	if !r.timestamps {
		return both || later
	}
	if !both {
		return later
	}
	d := int32(syn.TSVal - r.recent)
	return d > 0 || d == 0 && later
}

// Reopens reports whether a SYN that hits this connection in TIME-WAIT may
// begin a new one of the same addresses (RFC 6191 §2): it cannot be an old
// duplicate. timestamps tells whether the new connection would use them.
func (c *Conn) Reopens(syn *wire.Segment, timestamps bool) bool {
	if c.life.state != TimeWait {
		return false
	}
	r := Remnant{rcvNxt: c.rcv.nxt, recent: c.rcv.ts.recent, timestamps: c.opt.timestamps}
	return r.Reopens(syn, timestamps)
}

// throttle bounds challenge ACKs of one connection (RFC 5961 §7): so many at
// once, and then as many in a second, evenly: so that nobody can use up a whole
// second's in advance. There is no limit shared with others: it would be a side
// channel.
type throttle struct {
	full mono.Time // when all that were used have come back
}

// challengesPerSecond is the bound where none is set.
const challengesPerSecond = 10

func (t *throttle) allow(now mono.Time, limit uint8) bool {
	if limit == 0 {
		limit = challengesPerSecond
	}
	each := time.Second / time.Duration(limit)
	full := max(t.full, now)
	if full.Sub(now) > each*time.Duration(limit-1) {
		return false
	}
	t.full = full.Add(each)
	return true
}

// Lingers reports whether TIME-WAIT is all that is left of the stream, and the
// application is done with it.
func (s *Stream) Lingers() bool {
	_, ok := s.conn.Remnant()
	return ok && s.noRead && s.noWrite
}

// Remnant is the Conn's.
func (s *Stream) Remnant(int) (Remnant, bool) { return s.conn.Remnant() }
