package conn

import (
	"net/netip"

	"github.com/sennit-net/sennit/mptcp/key"
	"github.com/sennit-net/sennit/mptcp/option"
	"github.com/sennit-net/sennit/mptcp/policy"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/wire"
)

// join is the MP_JOIN side of a subflow (RFC 8684 §3.2). The first subflow uses
// only the priorities.
type join struct {
	opener                  bool // our side sent the SYN
	localID, remoteID       uint8
	localNonce, remoteNonce uint32
	localBackup, peerBackup bool // B as we, as the peer set it (RFC 8684 §3.3.8)

	verified bool      // the peer's HMAC was right
	tries    int       // third ACKs sent without an answer
	retry    mono.Time // when the next goes
}

// backup reports whether either side marked the subflow as backup.
func (s *subflow) backup() bool { return s.join.localBackup || s.join.peerBackup }

// Refusal is why Join said no, for the MP_TCPRST of the answer.
func (c *Conn) Refusal() option.ResetReason {
	if c.paths.refusal == option.ResetUnspecified {
		return option.ResetMPTCP
	}
	return c.paths.refusal
}

// AppendRefusal adds an MP_TCPRST option to a RST (RFC 8684 §3.6).
func AppendRefusal(rst *wire.Segment, why option.ResetReason) {
	var buf [wire.MaxOptions]byte
	b := append(buf[:0], rst.Other()...)
	r := option.TCPReset{Reason: why}
	if len(b)+r.Size() <= wire.MaxOptions {
		rst.SetOther(r.Append(b))
	}
}

// Join takes an incoming SYN with MP_JOIN for our token, sent to a. When it is
// refused the owner answers with a RST; Refusal names the reason for its
// MP_TCPRST. syn's payload is taken over.
func (c *Conn) Join(now mono.Time, a policy.Address, t tcp.Config, nonce uint32, syn *wire.Segment) (policy.Subflow, bool) {
	set := &c.work.set
	option.ParseAll(syn, c.keys.checksum, set)
	if !set.Has(option.SubJoin) {
		c.paths.refusal = option.ResetMPTCP
		return 0, false
	}
	j := set.Join
	c.paths.refusal = c.refuseJoin(&j, t.Local)
	if c.paths.refusal != option.ResetUnspecified {
		return 0, false
	}
	s := c.newSubflow(c.takeID(), a, t)
	s.join = join{localID: c.paths.idOf(t.Local.Addr()), remoteID: j.AddrID, localNonce: nonce,
		remoteNonce: j.Nonce, peerBackup: j.Backup}
	s.tcp.Listen()
	s.tcp.Receive(now, syn)
	c.settle(now)
	return s.id, true
}

// refuseJoin says why not; ResetUnspecified: it is fine.
func (c *Conn) refuseJoin(j *option.MPJoin, local netip.AddrPort) option.ResetReason {
	switch {
	case j.Token != c.keys.localToken:
		return option.ResetMPTCP
	case c.phase != confirmed && c.phase != keyed || c.end.done || c.bothFins():
		// RFC 8684 §3.1: not before a DSS. It is the initiator who waits for one;
		// its own may still be on the way when its join comes by another path.
		// §3.7: never after fallback; and there is nothing to join once both
		// DATA_FINs are through.
		return option.ResetMPTCP
	case c.cfg.DenyJoin && local == c.firstLocal():
		return option.ResetProhibited
	case c.live() >= c.cfg.MaxSubflows:
		return option.ResetResources
	}
	return option.ResetUnspecified
}

func (c *Conn) firstLocal() netip.AddrPort {
	if s := c.sub(0); s != nil {
		return s.tcp.Local()
	}
	return netip.AddrPort{}
}

func (c *Conn) takeID() policy.Subflow {
	id := c.next
	c.next++
	return id
}

// Opened answers the Want OpenSubflow: its port is reserved, t says the rest.
func (c *Conn) Opened(now mono.Time, sub policy.Subflow, t tcp.Config, nonce uint32) {
	o, ok := c.paths.takeOpening(sub)
	if !ok || c.phase != confirmed || c.end.done || c.end.closing || c.bothFins() {
		// Nobody wants it any more.
		c.wants = append(c.wants, Want{Kind: Release, Sub: sub, Address: o.Address, Remote: t.Remote})
		return
	}
	s := c.newSubflow(sub, o.Address, t)
	s.join = join{opener: true, localID: c.paths.idOf(t.Local.Addr()), remoteID: c.paths.remoteIDOf(t.Remote),
		localNonce: nonce, localBackup: o.Backup}
	s.tcp.Open(now)
	c.settle(now)
}

// OpenFailed answers the Want OpenSubflow: it cannot be had.
func (c *Conn) OpenFailed(now mono.Time, sub policy.Subflow, err error) {
	o, ok := c.paths.takeOpening(sub)
	if !ok {
		return
	}
	c.paths.push(policy.Event{Kind: policy.OpenFailed, Subflow: sub, Address: o.Address,
		Remote: o.Remote, Err: err})
	c.settle(now)
}

// appendJoinSYN appends MP_JOIN to a SYN or SYN-ACK (RFC 8684 §3.2).
func (s *subflow) appendJoinSYN(f wire.Flags, room int, b []byte) []byte {
	c := s.c
	j := option.MPJoin{Form: option.OnSYN, Backup: s.join.localBackup, AddrID: s.join.localID,
		Token: c.keys.remoteToken, Nonce: s.join.localNonce}
	if f.Has(wire.ACK) {
		j.Form = option.OnSYNACK
		mac := key.JoinHMAC(c.keys.local, c.keys.remote, s.join.localNonce, s.join.remoteNonce)
		copy(j.MAC[:], mac[:option.MACOnSYNACK])
	}
	if j.Size() > room {
		return b
	}
	return j.Append(b)
}

// appendJoinACK appends the MP_JOIN of the third ACK (RFC 8684 §3.2).
func (s *subflow) appendJoinACK(room int, b []byte) []byte {
	j := option.MPJoin{Form: option.OnACK}
	mac := key.JoinHMAC(s.c.keys.local, s.c.keys.remote, s.join.localNonce, s.join.remoteNonce)
	copy(j.MAC[:], mac[:option.MACOnACK])
	if j.Size() > room {
		return b
	}
	return j.Append(b)
}

// receivedJoinSYN judges the SYN-ACK of a subflow we opened.
func (s *subflow) receivedJoinSYN(in *tcp.Incoming) tcp.Verdict {
	c := s.c
	set := &c.work.set
	if !s.join.opener || s.stage != opening {
		return tcp.Proceed
	}
	// RFC 8684 §3.2: a SYN-ACK without MP_JOIN, or with a wrong HMAC, is
	// answered with a RST. (RFC 8684 gives a simultaneous open no roles.)
	if !in.Seg.Flags.Has(wire.ACK) || !set.Has(option.SubJoin) {
		return s.refuse(ErrJoin)
	}
	j := &set.Join
	mac := key.JoinHMAC(c.keys.remote, c.keys.local, j.Nonce, s.join.localNonce)
	if !key.Equal(mac[:option.MACOnSYNACK], j.MAC[:option.MACOnSYNACK]) {
		return s.refuse(ErrJoin)
	}
	s.join.remoteNonce, s.join.remoteID, s.join.peerBackup = j.Nonce, j.AddrID, j.Backup
	s.join.verified = true
	return tcp.Proceed
}

// receivedJoinACK judges the third ACK of a subflow the peer opened.
func (s *subflow) receivedJoinACK() tcp.Verdict {
	c := s.c
	set := &c.work.set
	if !set.Has(option.SubJoin) || set.Join.Form != option.OnACK {
		// RFC 8684 §3.2: without MP_JOIN the host MUST send a RST.
		return s.refuse(ErrJoin)
	}
	mac := key.JoinHMAC(c.keys.remote, c.keys.local, s.join.remoteNonce, s.join.localNonce)
	if !key.Equal(mac[:option.MACOnACK], set.Join.MAC[:]) {
		return s.refuse(ErrJoin)
	}
	s.join.verified = true
	return tcp.Proceed
}

// refuse makes TCP answer with a RST of reason 1 (RFC 8684 §3.2, §3.6).
func (s *subflow) refuse(err error) tcp.Verdict {
	s.opts.reset.set = true
	s.opts.reset.why = option.TCPReset{Reason: option.ResetMPTCP}
	if s.acts.err == nil {
		s.acts.err = err
	}
	return tcp.Abort
}

// joinEstablished follows the end of the three-way handshake of a join.
func (s *subflow) joinEstablished(now mono.Time) {
	if s.stage != opening {
		return
	}
	if s.join.opener {
		// RFC 8684 §3.2: no data before the third ACK is known to have arrived,
		// since without it the peer cannot tell who we are.
		s.stage = preEstablished
		s.join.tries, s.join.retry = 1, now.Add(joinRTO)
		return
	}
	s.goUp(now)
	// RFC 8684 §3.2: the listener acknowledges the third ACK at once.
	s.acts.ack = true
}

// joinTimeout sends the third ACK again (RFC 8684 §3.2).
func (s *subflow) joinTimeout(now mono.Time) {
	s.join.retry = 0
	if s.stage != preEstablished {
		return
	}
	if s.join.tries >= joinTries {
		s.reset(ErrJoin, option.ResetMPTCP, true)
		return
	}
	s.join.retry = now.Add(joinRTO << s.join.tries)
	s.join.tries++
	s.acts.ack = true
}
