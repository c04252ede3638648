package conn

import (
	"github.com/sennit-net/sennit/mptcp/dss"
	"github.com/sennit-net/sennit/mptcp/option"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/seq"
	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/wire"
)

// AppendOptions appends the MPTCP options of a segment about to be sent. What
// matters most comes first: the handshakes, a mapping, a signal, a Data ACK
// (RFC 8684 Appendix A).
func (s *subflow) AppendOptions(now mono.Time, out tcp.Outgoing, room int, b []byte) []byte {
	c := s.c
	f := out.Flags
	switch {
	case f.Has(wire.RST):
		return s.appendReset(room, b)
	case f.Has(wire.SYN):
		return s.appendSYN(f, room, b)
	case c.phase == fallen:
		return s.appendPlain(out, room, b)
	case c.end.fast:
		return s.appendFastclose(room, b)
	case c.phase == offered:
		return b
	case s.id != 0 && s.join.opener && s.stage <= preEstablished:
		return s.appendJoinACK(room, b)
	}
	// A DATA_FIN goes before a repetition of the third ACK: nothing else would
	// bring the connection to its end.
	if !(s.opts.fin && s.opts.third && out.Len == 0) {
		if b, done := s.appendCapable(out, room, b); done {
			s.opts.third = true
			return b
		}
	}
	if out.Len == 0 && len(s.opts.due) > 0 {
		return s.appendSignal(room, b)
	}
	return s.appendDSS(out, room, b)
}

// appendDSS appends the mapping of the payload, if any, and a Data ACK.
func (s *subflow) appendDSS(out tcp.Outgoing, room int, b []byte) []byte {
	c := s.c
	d := option.DSS{
		HasAck: true,
		// RFC 8684 §3.3.2: numbers of 8 octets are answered with 8 octets.
		Ack8: c.rcv.wide,
		Ack:  c.rcv.next(),
	}
	if out.Len > 0 {
		// RFC 8684 §3.7: every segment carries its mapping. A repetition carries
		// the one it was first sent with (RFC 8684 §3.3.1).
		m, ok := s.out.At(out.Off)
		if ok {
			setMapping(&d, m)
		}
	} else if s.opts.fin && c.finDue() {
		s.opts.fin = false
		d.HasMap, d.Fin, d.DSN8 = true, true, true
		d.DSN, d.Len = c.snd.end(), 1
		if c.keys.checksum {
			d.HasSum, d.Sum = true, dss.SumFin(d.DSN)
		}
	}
	return fit(&d, room, b)
}

func setMapping(d *option.DSS, m dss.Mapping) {
	d.HasMap, d.DSN8, d.Fin = true, true, m.Fin
	d.DSN, d.SSN, d.Len = m.DSN, m.SSN(), uint16(m.DataLen())
	d.HasSum, d.Sum = m.HasSum, m.Sum
}

// fit appends d in the longest form there is room for. A mapping goes before a
// Data ACK: others carry the ACK, nobody else the mapping.
func fit(d *option.DSS, room int, b []byte) []byte {
	if d.Size() > room {
		d.Ack8 = false
	}
	if d.Size() > room {
		d.DSN8 = false
	}
	if d.Size() > room && d.HasMap {
		d.HasAck = false
	}
	if d.Size() > room {
		return b
	}
	return d.Append(b)
}

// appendSignal appends the next signal to a pure ACK, and the Data ACK where
// both fit.
func (s *subflow) appendSignal(room int, b []byte) []byte {
	sig := s.opts.due[0]
	if len(sig) > room {
		// It will never fit on this subflow.
		s.opts.due = s.opts.due[1:]
		return s.appendDSS(tcp.Outgoing{}, room, b)
	}
	s.opts.due = s.opts.due[1:]
	if len(s.opts.due) > 0 {
		s.acts.ack = true
	}
	b = append(b, sig...)
	d := option.DSS{HasAck: true, Ack8: s.c.rcv.wide, Ack: s.c.rcv.next()}
	if d.Size() > room-len(sig) {
		return b
	}
	return d.Append(b)
}

// appendFastclose appends MP_FASTCLOSE, which carries the peer's key
// (RFC 8684 §3.5).
func (s *subflow) appendFastclose(room int, b []byte) []byte {
	m := option.Fastclose{Key: s.c.keys.remote}
	if m.Size() > room {
		return b
	}
	s.acts.warned = true
	return m.Append(b)
}

// appendReset appends why the subflow is reset.
func (s *subflow) appendReset(room int, b []byte) []byte {
	c := s.c
	if c.phase == fallen || c.phase == offered {
		return b
	}
	if c.end.fast {
		before := len(b)
		b = s.appendFastclose(room, b)
		room -= len(b) - before
	}
	r := &s.opts.reset
	if r.failed {
		if m := (option.MPFail{DSN: seq.Data(r.dsn)}); m.Size() <= room {
			b = m.Append(b)
			room -= m.Size()
		}
	}
	if r.set && r.why.Size() <= room {
		b = r.why.Append(b)
	}
	return b
}

// receivedReset looks at the options of a RST that is about to take effect.
func (s *subflow) receivedReset(now mono.Time) {
	c := s.c
	set := &c.work.set
	if set.Has(option.SubTCPReset) {
		c.record(now, ResetReceived{Sub: s.id, Reason: set.Reset.Reason, Transient: set.Reset.Transient})
		// RFC 8684 §3.6: without T the path should not be tried again. Departs from
		// RFC 8684 §3.6: reason 0 without T is taken for "nothing said", since that
		// is what a Linux host sends when it has no reason to give.
		s.opts.final = !set.Reset.Transient && set.Reset.Reason != option.ResetUnspecified
	}
	if set.Has(option.SubFastclose) {
		c.receivedFastclose(now, s, true)
	}
}
