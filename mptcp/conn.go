package mptcp

import (
	"net/netip"

	"github.com/sennit-net/sennit/mptcp/conn"
	"github.com/sennit-net/sennit/stack"
	"github.com/sennit-net/sennit/stack/tcp"
)

// Info is the state of a connection and its subflows.
type Info = conn.Info

// SubflowInfo is the state of one subflow.
type SubflowInfo = conn.SubflowInfo

type subflowConfig = tcp.Config

var (
	_ stack.Machine = (*conn.Conn)(nil)
	_ stack.Rester  = (*conn.Conn)(nil)
)

// Conn is a net.Conn over Multipath TCP, or over plain TCP where the peer or
// the path does not have it. All of stack.Conn's methods apply. LocalAddr and
// RemoteAddr are those of the first subflow, also after it is gone
// (RFC 6897 §4.2).
type Conn struct {
	*stack.Conn
	g *session
}

func newConn(g *session, local, remote netip.AddrPort) *Conn {
	return &Conn{stack.NewConn(g.sock, local, remote), g}
}

// MultipathTCP reports whether the connection is Multipath TCP now; false
// means that it is plain TCP and stays so. It has the form of net.TCPConn's
// method; the error is always nil.
func (c *Conn) MultipathTCP() (bool, error) { return c.Info().MPTCP, nil }

// Info returns the state of the connection and its subflows.
func (c *Conn) Info() (i Info) {
	c.g.sock.Look(func() { i = c.g.conn.Info() })
	return i
}
