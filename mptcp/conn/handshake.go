package conn

import (
	"github.com/sennit-net/sennit/mptcp/option"
	"github.com/sennit-net/sennit/mptcp/policy"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/wire"
)

// First opens subflow 0 from a: the initiator's start.
func (c *Conn) First(now mono.Time, a policy.Address, t tcp.Config) {
	s := c.first(a, t)
	s.join.opener = true
	if c.cfg.Plain {
		c.fallBack(now, s, NotOffered)
	}
	s.tcp.Open(now)
	c.settle(now)
}

// Accept takes the SYN of subflow 0 that came to a: the listener's start.
func (c *Conn) Accept(now mono.Time, a policy.Address, t tcp.Config, syn *wire.Segment) {
	s := c.first(a, t)
	set := &c.work.set
	option.ParseAll(syn, false, set)
	switch {
	case c.cfg.Plain:
		c.fallBack(now, s, NotOffered)
	case !set.Has(option.SubCapable) || !usable(&set.Capable):
		// RFC 8684 §3.1: then the SYN-ACK MUST NOT have MP_CAPABLE.
		c.fallBack(now, s, SYNWithout)
	default:
		c.noteFlags(&set.Capable)
	}
	s.tcp.Listen()
	s.tcp.Receive(now, syn)
	c.settle(now)
}

func (c *Conn) first(a policy.Address, t tcp.Config) *subflow {
	c.paths.firstRemote = t.Remote
	// RFC 8684 §3.2: the first subflow's addresses have ID 0 on both sides.
	c.paths.ids = append(c.paths.ids, localID{addr: t.Local.Addr(), id: 0})
	c.next = 1
	return c.newSubflow(0, a, t)
}

// noteFlags keeps what the peer's A and C mean for the connection.
func (c *Conn) noteFlags(m *option.MPCapable) {
	// RFC 8684 §3.1: checksums are used as soon as one side asks for them.
	c.keys.checksum = c.keys.checksum || c.cfg.Checksum || m.Checksum
	c.keys.denyFirst = c.keys.denyFirst || m.DenyJoin
}

// appendSYN appends MP_CAPABLE or MP_JOIN to a SYN or SYN-ACK.
func (s *subflow) appendSYN(f wire.Flags, room int, b []byte) []byte {
	c := s.c
	if s.id != 0 {
		return s.appendJoinSYN(f, room, b)
	}
	if c.phase == fallen {
		return b
	}
	form := option.OnSYN
	if f.Has(wire.ACK) {
		form = option.OnSYNACK
	} else {
		c.keys.syns++
		// RFC 8684 §3.1: after some SYNs with the option one goes without, for
		// paths that drop what they do not know.
		if c.keys.syns > c.cfg.CapableSYNs {
			c.keys.dropped = true
			return b
		}
	}
	m := c.capable(form)
	if m.Size() > room {
		return b
	}
	return m.Append(b)
}

// receivedSYN judges a SYN or SYN-ACK on the first subflow.
func (s *subflow) receivedSYN(now mono.Time, in *tcp.Incoming) tcp.Verdict {
	c := s.c
	set := &c.work.set
	if c.phase != offered || !s.join.opener {
		return tcp.Proceed
	}
	if !in.Seg.Flags.Has(wire.ACK) || !set.Has(option.SubCapable) || !usable(&set.Capable) {
		// RFC 8684 §3.1, §3.7: plain TCP. That goes for a simultaneous open too,
		// for which MP_CAPABLE has no roles.
		cause := SYNACKWithout
		if c.keys.dropped {
			cause = SYNDropped
		}
		c.fallBack(now, s, cause)
		return tcp.Proceed
	}
	c.noteFlags(&set.Capable)
	c.learnKey(set.Capable.SenderKey)
	c.snd.widen(c.snd.una, in.Window)
	return tcp.Proceed
}

// receivedThird judges what completes the listener's handshake: the third ACK,
// or, where that was lost, the first data (RFC 8684 §3.1).
func (s *subflow) receivedThird(now mono.Time, in *tcp.Incoming) {
	c := s.c
	set := &c.work.set
	switch {
	case !set.Has(option.SubCapable) || set.Capable.Form < option.OnACK || !usable(&set.Capable):
		// RFC 8684 §3.1: the third packet decides.
		c.fallBack(now, s, ThirdACKWithout)
	case set.Capable.ReceiverKey != c.keys.local:
		// RFC 8684 §3.1: an unexpected key: the path or the peer is not to be
		// trusted with MPTCP.
		c.fallBack(now, s, KeyMismatch)
	default:
		c.noteFlags(&set.Capable)
		c.learnKey(set.Capable.SenderKey)
		c.snd.widen(c.snd.una, in.Window)
	}
}

// learnKey takes the peer's key: from here on Data ACKs can be sent.
func (c *Conn) learnKey(remote uint64) {
	c.keys.learn(remote)
	c.rcv.start(c.keys.remoteIDSN.Add(1))
	c.phase = keyed
}

// confirm notes that the peer has shown a DSS: MPTCP works both ways.
func (c *Conn) confirm(now mono.Time) {
	if c.phase != keyed {
		return
	}
	c.phase = confirmed
	c.paths.push(policy.Event{Kind: policy.Confirmed})
	if c.finDue() {
		// So far it had to give way to MP_CAPABLE.
		c.sendFin(now)
	}
}

// appendCapable appends MP_CAPABLE in place of a DSS, as the initiator does
// until the peer has shown one (RFC 8684 §3.1). It reports false where a DSS
// is right.
func (s *subflow) appendCapable(out tcp.Outgoing, room int, b []byte) ([]byte, bool) {
	c := s.c
	if c.phase != keyed || !c.cfg.Initiator {
		return b, false
	}
	m := c.capable(option.OnACK)
	if out.Len > 0 {
		first, ok := s.out.At(out.Off)
		if !ok || first.Off != 0 {
			return b, false
		}
		// RFC 8684 §3.1: the first data carries MP_CAPABLE, which maps it: the
		// sequence numbers are implied.
		m.Form, m.Len = option.OnData, uint16(first.DataLen())
		m.HasSum, m.Sum = first.HasSum, first.Sum
	}
	if m.Size() > room {
		return b, false
	}
	return m.Append(b), true
}

// established follows the end of the subflow's three-way handshake.
func (s *subflow) established(now mono.Time) {
	if s.id != 0 {
		s.joinEstablished(now)
		return
	}
	s.goUp(now)
}

// goUp makes the subflow one that carries data.
func (s *subflow) goUp(now mono.Time) {
	if s.up || s.stage >= closing {
		return
	}
	c := s.c
	s.stage, s.up = established, true
	s.alive.heard = now
	if s.id == 0 {
		c.end.opened = true
		c.record(now, ConnectionOpened{Token: c.keys.localToken, MPTCP: c.phase != fallen})
	}
	c.record(now, SubflowEstablished{Sub: s.id, Link: s.address.Link, Local: s.tcp.Local(),
		Remote: s.tcp.Remote(), Backup: s.backup(), MPTCP: c.phase != fallen})
	c.paths.push(policy.Event{Kind: policy.SubflowUp, Subflow: s.id, Address: s.address,
		Remote: s.tcp.Remote(), RemoteID: s.join.remoteID})
	c.timers[aloneTimer] = 0
	c.rescueStale(now, s)
	// What was tried in vain before says nothing about this path.
	c.snd.backoffs = 0
	if c.finDue() {
		c.sendFin(now)
	}
}
