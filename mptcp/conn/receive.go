package conn

import (
	"github.com/sennit-net/sennit/mptcp/dss"
	"github.com/sennit-net/sennit/mptcp/option"
	"github.com/sennit-net/sennit/stack/chunk"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/seq"
	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/wire"
)

// Received looks at the MPTCP options of a segment that TCP found acceptable
// (RFC 8684 §3: only then may options have an effect).
func (s *subflow) Received(now mono.Time, in tcp.Incoming) tcp.Verdict {
	c := s.c
	f := in.Seg.Flags
	if c.phase == fallen {
		return tcp.Proceed
	}
	option.ParseAll(in.Seg, c.keys.checksum, &c.work.set)
	switch {
	case f.Has(wire.RST):
		s.receivedReset(now)
		return tcp.Proceed
	case f.Has(wire.SYN) && s.id == 0:
		return s.receivedSYN(now, &in)
	case f.Has(wire.SYN):
		return s.receivedJoinSYN(&in)
	}
	if v := s.finishHandshake(now, &in); v != tcp.Proceed || c.phase == fallen {
		return v
	}
	return s.receivedOptions(now, &in)
}

// finishHandshake handles what a segment means to a handshake not yet done.
func (s *subflow) finishHandshake(now mono.Time, in *tcp.Incoming) tcp.Verdict {
	switch {
	case s.id == 0 && s.c.phase == offered && !s.join.opener:
		s.receivedThird(now, in)
	case s.id != 0 && s.stage == opening && !s.join.opener && !s.join.verified:
		return s.receivedJoinACK()
	case s.stage == preEstablished:
		// RFC 8684 §3.2: any ACK of the peer's tells that it has our HMAC.
		s.join.retry = 0
		s.goUp(now)
	}
	return tcp.Proceed
}

// receivedOptions handles the options of a segment on a subflow that stands:
// first what concerns the connection, then addresses, then mappings.
func (s *subflow) receivedOptions(now mono.Time, in *tcp.Incoming) tcp.Verdict {
	c := s.c
	set := &c.work.set
	if set.Has(option.SubFastclose) && c.receivedFastclose(now, s, false) {
		return tcp.Abort
	}
	if set.SumWrong {
		// RFC 8684 §3.3: a checksum where none was agreed on, or the reverse.
		return s.refuse(ErrMapping)
	}
	if set.Has(option.SubFail) {
		if v := c.receivedFail(now, s); v != tcp.Proceed || c.phase == fallen {
			return v
		}
	}
	s.opts.quiet = !set.Any()
	if s.opts.quiet {
		return s.receivedBare(now, in)
	}
	s.opts.bare = 0
	c.receivedAddresses(now, s)
	if set.Has(option.SubDSS) {
		return s.receivedDSS(now, in)
	}
	if set.Has(option.SubCapable) && set.Capable.Form == option.OnData && s.id == 0 {
		return s.receivedFirstMapping(now)
	}
	return tcp.Proceed
}

// receivedFirstMapping handles MP_CAPABLE with data: it maps the first bytes of
// the stream, and may come several times (RFC 8684 §3.1).
func (s *subflow) receivedFirstMapping(now mono.Time) tcp.Verdict {
	c := s.c
	m := &c.work.set.Capable
	if m.HasSum != c.keys.checksum || m.ReceiverKey != c.keys.local || m.SenderKey != c.keys.remote {
		return s.refuse(ErrMapping)
	}
	c.confirm(now)
	s.opts.dss = true
	return s.mapIn(dss.Mapping{DSN: c.rcv.base, Len: int(m.Len), Sum: m.Sum, HasSum: m.HasSum})
}

// receivedDSS handles a DSS: its Data ACK, then its mapping.
func (s *subflow) receivedDSS(now mono.Time, in *tcp.Incoming) tcp.Verdict {
	c := s.c
	d := &c.work.set.DSS
	c.confirm(now)
	s.opts.dss = true
	if d.HasAck {
		c.dataAcked(now, s, d, in.Window)
	}
	if !d.HasMap {
		return tcp.Proceed
	}
	c.rcv.wide = d.DSN8
	if d.Infinite() {
		return c.receivedInfinite(now, s)
	}
	dsn := d.DSN
	if !d.DSN8 {
		// RFC 8684 §3.3.1: 32 bits mean the number nearest to what is expected.
		dsn = seq.Expand(c.rcv.next(), uint32(dsn))
	}
	n := int(d.Len)
	if d.Fin {
		n--
		if n == 0 && d.HasSum && d.Sum != dss.SumFin(dsn) {
			return s.refuse(ErrChecksum)
		}
		if n == 0 || !d.HasSum {
			c.noteFin(now, dsn.Add(n))
		}
		// RFC 8684 §3.3.3: a DATA_FIN alone takes no subflow bytes, so that TCP
		// would not acknowledge it by itself.
		s.acts.ack = true
	}
	if n == 0 {
		return tcp.Proceed
	}
	off, ok := dss.FromSSN(in.Next, d.SSN)
	if !ok {
		return tcp.Proceed
	}
	return s.mapIn(dss.Mapping{Off: off, DSN: dsn, Len: n, Fin: d.Fin, Sum: d.Sum, HasSum: d.HasSum})
}

// mapIn takes a mapping over.
func (s *subflow) mapIn(m dss.Mapping) tcp.Verdict {
	if s.in.Map(m) == dss.Conflict {
		// RFC 8684 §3.3.1: a mapping never changes once it was declared.
		return s.refuse(ErrMapping)
	}
	return tcp.Proceed
}

// drain turns what the subflow has received into data.
func (c *Conn) drain(now mono.Time, s *subflow) {
	for c.phase != fallen {
		off := s.in.Offset()
		p, status := s.in.Next(c.work.runs[:0])
		switch status {
		case dss.Ready:
			c.accept(now, s, off, &p)
		case dss.BadSum:
			c.badSum(now, s, off, &p)
			return
		case dss.Unmapped:
			c.unmapped(now, s)
			return
		default:
			return
		}
		c.work.runs = p.Runs[:0]
	}
}

// accept takes a verified piece of data.
func (c *Conn) accept(now mono.Time, s *subflow, off uint64, p *dss.Piece) {
	s.opts.unmapped = 0
	r := &c.rcv
	if p.DSN != r.base.Add(int(off)) {
		r.straight = false
	}
	r.pieces++
	if p.Fin {
		c.noteFin(now, p.DSN.Add(p.Len))
	}
	if r.finReached {
		chunk.ReleaseAll(p.Runs)
		return
	}
	ordered, fresh := r.reasm.Insert(p.DSN, p.Runs, r.edge(), c.work.order[:0])
	c.take(now, ordered, fresh)
	clear(ordered)
	c.work.order = ordered[:0]
	c.reachFin(now)
}

// take gives bytes in order to the application.
func (c *Conn) take(now mono.Time, runs []chunk.Slice, fresh int) {
	r := &c.rcv
	r.total += uint64(chunk.Total(runs))
	if c.end.noRead {
		chunk.ReleaseAll(runs)
		if fresh > 0 && c.end.noWrite {
			// RFC 9293 §3.6.1: nobody will ever read it; the peer has to know.
			c.giveUp(now)
		}
		return
	}
	for _, run := range runs {
		r.queue.Push(run)
	}
}

// takePlain takes the bytes of the one subflow of a plain connection.
func (c *Conn) takePlain(now mono.Time, runs []chunk.Slice) {
	c.take(now, runs, chunk.Total(runs))
}
