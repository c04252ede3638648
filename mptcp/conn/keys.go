package conn

import (
	"github.com/sennit-net/sennit/mptcp/key"
	"github.com/sennit-net/sennit/mptcp/option"
	"github.com/sennit-net/sennit/stack/seq"
)

// keys is what the MP_CAPABLE handshake settles (RFC 8684 §3.1).
type keys struct {
	local, remote           uint64
	localToken, remoteToken uint32
	localIDSN, remoteIDSN   seq.Data

	checksum  bool // in use: either side asked for it
	denyFirst bool // the peer's C flag
	syns      int  // SYNs sent with or without the option
	dropped   bool // the option was left off a SYN
}

func (k *keys) init(local uint64) {
	k.local = local
	k.localToken, k.localIDSN = key.Derive(local)
}

func (k *keys) learn(remote uint64) {
	k.remote = remote
	k.remoteToken, k.remoteIDSN = key.Derive(remote)
}

// usable reports whether a received MP_CAPABLE is one we can go on with.
func usable(m *option.MPCapable) bool {
	switch {
	case m.Version != option.Version:
		// RFC 8684 §3.1: a responder names a version it speaks, not above the
		// one offered; there is only one here.
		return false
	case m.Extended:
		// RFC 8684 §3.1: B is not understood: the option is silently ignored.
		return false
	}
	// RFC 8684 §3.1: without a common algorithm there is no MPTCP. G to D mean
	// nothing to us; all of them zero is invalid.
	return m.Algorithms&option.SHA256 != 0
}

// capable returns our MP_CAPABLE for one packet of the handshake.
func (c *Conn) capable(form option.Form) option.MPCapable {
	m := option.MPCapable{
		Form: form, Version: option.Version, Algorithms: option.SHA256,
		DenyJoin: c.cfg.DenyJoin,
		// RFC 8684 §3.1: who has seen the other's A confirms it.
		Checksum: c.cfg.Checksum || c.keys.checksum,
	}
	if form >= option.OnSYNACK {
		m.SenderKey = c.keys.local
	}
	if form >= option.OnACK {
		m.ReceiverKey = c.keys.remote
	}
	return m
}

// Token returns our token, by which joins find the connection.
func (c *Conn) Token() uint32 { return c.keys.localToken }
