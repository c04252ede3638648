package mptcp

import (
	"context"
	"net"

	"github.com/sennit-net/sennit/mptcp/conn"
	"github.com/sennit-net/sennit/mptcp/key"
	"github.com/sennit-net/sennit/mptcp/policy"
	"github.com/sennit-net/sennit/stack"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/tcp"
)

// ListenConfig makes listeners. Only Stack must be set.
type ListenConfig struct {
	Stack *stack.Stack

	// Service is the mode of accepted connections, see Dialer. "none" accepts
	// plain TCP only.
	Service string
	// Checksum requires the checksum of RFC 8684 §3.3 on data.
	Checksum bool
	// DenyJoin tells peers not to join subflows to the address and port they
	// first connected to (RFC 8684 §3.1, flag C), as behind a load balancer.
	DenyJoin bool
	// Backlog bounds connections not accepted yet; 0: stack.DefaultBacklog.
	Backlog int

	// Tuning is what TCP starts from; nil: the stack's.
	Tuning *tcp.Tuning
	// Recorder, if set, gives the recorder of each connection's events; it may
	// return nil.
	Recorder func() tcp.Recorder
}

// Listen listens on host:port over tcp, tcp4 or tcp6, as net.ListenConfig
// does: an empty host is every address. Accept returns a *Conn, be it
// Multipath TCP or plain TCP.
func (lc *ListenConfig) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	if err := ctx.Err(); err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Err: err}
	}
	laddr, err := stack.ParseListen(network, address)
	if err == nil {
		_, err = lc.config()
	}
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Err: err}
	}
	backlog := lc.Backlog
	if backlog <= 0 {
		backlog = stack.DefaultBacklog
	}
	cp := *lc
	h := hostOf(lc.Stack)
	l, err := lc.Stack.ListenWith(laddr, backlog, func(in *stack.Incoming, hooks stack.Hooks) (net.Conn, *stack.Sock, error) {
		return cp.accept(h, in, hooks)
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (lc *ListenConfig) config() (conn.Config, error) {
	cfg, err := configOf(lc.Stack, lc.Service, lc.Tuning, lc.Recorder)
	cfg.Checksum, cfg.DenyJoin = lc.Checksum, lc.DenyJoin
	return cfg, err
}

// accept makes a connection out of a SYN.
func (lc *ListenConfig) accept(h *host, in *stack.Incoming, hooks stack.Hooks) (net.Conn, *stack.Sock, error) {
	p, err := h.s.AcceptPath(in)
	if err != nil {
		return nil, nil, err
	}
	g, err := lc.session(h, hooks)
	if err != nil {
		p.Close()
		return nil, nil, err
	}
	h.s.Counters().ConnectionsServed.Add(1)
	a := policy.Address{Link: policy.Link(p.Link()), Class: policy.Class(p.Class()), Addr: p.Local().Addr()}
	g.sock.Do(func(now mono.Time) {
		g.sock.Attach(0, p)
		g.conn.Accept(now, a, g.config(p), in.Segment)
		in.Took()
		g.tellLocal(now)
	})
	return newConn(g, p.Local(), p.Remote()), g.sock, nil
}

func (lc *ListenConfig) session(h *host, hooks stack.Hooks) (*session, error) {
	cfg, err := lc.config()
	if err != nil {
		return nil, err
	}
	if cfg.LocalKey, err = h.reserve(); err != nil {
		return nil, err
	}
	g, err := h.newSession(cfg, hooks)
	if err != nil {
		h.forget(key.Token(cfg.LocalKey))
		return nil, err
	}
	return g, nil
}
