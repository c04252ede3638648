package conn

import (
	"net/netip"

	"github.com/sennit-net/sennit/mptcp/policy"
	"github.com/sennit-net/sennit/stack/tcp"
)

// Info is a connection as a diagnosis shows it. Sizes are bytes.
type Info struct {
	State     State
	MPTCP     bool  // false: plain TCP, by Cause
	Confirmed bool  // the peer has shown a DSS
	Cause     Cause // why it is plain TCP
	Token     uint32
	Checksum  bool

	Sent, Received uint64 // application bytes the peer has, and we have, in order
	Unsent, Unread int
	Waiting        int // received out of order
	Window         int // our receive window
	Reinjecting    int // waits to be sent on another subflow

	Subflows []SubflowInfo
	// Past are the subflows that are over, oldest first; of more than maxPast
	// the last ones.
	Past []SubflowInfo
	Err  error
}

const maxPast = 64

// SubflowInfo is one subflow.
type SubflowInfo struct {
	ID             policy.Subflow
	Address        policy.Address
	Local, Remote  netip.AddrPort
	Established    bool
	Backup, Stale  bool
	Sent, Received uint64 // data bytes, repetitions at the data level included
	TCP            tcp.Info
}

// Info returns the state of the connection.
func (c *Conn) Info() Info {
	i := Info{
		State: c.State(), MPTCP: c.phase == keyed || c.phase == confirmed,
		Confirmed: c.phase == confirmed, Cause: c.plain.cause, Token: c.keys.localToken,
		Checksum: c.keys.checksum,
		Sent:     uint64(c.snd.una.Sub(c.snd.base)), Received: c.rcv.total,
		Unsent: c.snd.unsent(), Unread: c.rcv.queue.Len(), Waiting: c.rcv.reasm.Waiting(),
		Window: c.rcv.room(), Err: c.end.err,
	}
	for _, a := range c.snd.again {
		i.Reinjecting += a.Len
	}
	for _, s := range c.subs {
		i.Subflows = append(i.Subflows, s.info())
	}
	i.Past = append(i.Past, c.past...)
	return i
}

func (s *subflow) info() SubflowInfo {
	return SubflowInfo{ID: s.id, Address: s.address,
		Local: s.tcp.Local(), Remote: s.tcp.Remote(), Established: s.stage == established,
		Backup: s.backup(), Stale: s.alive.stale, Sent: s.count.sent,
		Received: s.count.received, TCP: s.tcp.Info()}
}
