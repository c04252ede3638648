package mptcp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/sennit-net/sennit/mptcp/conn"
	"github.com/sennit-net/sennit/mptcp/key"
	"github.com/sennit-net/sennit/mptcp/mode"
	"github.com/sennit-net/sennit/mptcp/policy"
	"github.com/sennit-net/sennit/stack"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/tcp"
)

// DefaultService is the service mode where none is named.
const DefaultService = mode.Handover

// Dialer opens connections. Only Stack must be set. A Dialer is safe for
// concurrent use and may be copied.
type Dialer struct {
	Stack *stack.Stack

	// Service is the mode, by name: "none" (plain TCP), "handover",
	// "interactive", "aggregate". Empty: handover.
	Service string
	// NoMPTCP makes plain TCP whatever the mode.
	NoMPTCP bool
	// Checksum requires the checksum of RFC 8684 §3.3 on data.
	Checksum bool

	// Timeout bounds the whole of a dial; 0: what the context and TCP allow.
	Timeout time.Duration
	// LocalAddr fixes the address, the port or both of the first subflow.
	LocalAddr netip.AddrPort
	// Link fixes the link of the first subflow; 0: the preferred one.
	Link stack.LinkID

	// Resolver looks names up; nil: only IP addresses can be dialed. See
	// stack.Stack.Resolver.
	Resolver *net.Resolver

	// Tuning is what TCP starts from; nil: the stack's.
	Tuning *tcp.Tuning
	// Recorder, if set, is called for every attempt of a connection and gives
	// the recorder of its events (package mptcp/conn lists them); it may
	// return nil. Events come under the connection's lock. An attempt that
	// lost the race against another one ends without connection_opened.
	Recorder func() tcp.Recorder
}

// Dial connects to host:port over tcp, tcp4 or tcp6.
func (d *Dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialContext connects to host:port over tcp, tcp4 or tcp6; the net.Conn is a
// *Conn. The first link is tried first; when it fails or takes longer than a
// second, the next link is tried besides, and likewise the other addresses and
// the other family of the host. The first to answer wins (RFC 8305 §5). Once
// ctx has let the connection come into being it has no more say.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if d.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.Timeout)
		defer cancel()
	}
	remotes, err := d.resolve(ctx, network, address)
	if err != nil {
		return nil, dialError(network, nil, err)
	}
	c, err := d.race(ctx, remotes)
	if err != nil {
		return nil, dialError(network, net.TCPAddrFromAddrPort(remotes[0]), err)
	}
	return c, nil
}

func dialError(network string, to net.Addr, err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return err
	}
	return &net.OpError{Op: "dial", Net: network, Addr: to, Err: err}
}

// config is a connection's configuration, but for its key.
func (d *Dialer) config() (conn.Config, error) {
	cfg, err := configOf(d.Stack, d.Service, d.Tuning, d.Recorder)
	cfg.Initiator, cfg.Checksum, cfg.Plain = true, d.Checksum, d.NoMPTCP || cfg.Plain
	return cfg, err
}

// configOf is what both roles configure alike: the service's policies, the
// tuning (nil: the stack's) and who records (nil: nobody).
func configOf(s *stack.Stack, service string, t *tcp.Tuning, record func() tcp.Recorder) (conn.Config, error) {
	if service == "" {
		service = DefaultService
	}
	m, err := mode.New(service)
	if err != nil {
		return conn.Config{}, err
	}
	cfg := conn.Config{Plain: !m.MPTCP, Scheduler: m.Scheduler, PathManager: m.PathManager,
		Service: m.Service, Tuning: s.Tuning()}
	if t != nil {
		cfg.Tuning = *t
	}
	if record != nil {
		cfg.Recorder = record()
	}
	return cfg, nil
}

// attempt opens the first subflow over one link to one address.
func (d *Dialer) attempt(ctx context.Context, c candidate) (*Conn, error) {
	h := hostOf(d.Stack)
	p, err := d.Stack.NewPath(c.link, d.LocalAddr, c.remote)
	if err != nil {
		return nil, err
	}
	g, err := d.open(h)
	if err != nil {
		p.Close()
		return nil, err
	}
	a := policy.Address{Link: policy.Link(p.Link()), Class: policy.Class(p.Class()), Addr: p.Local().Addr()}
	g.sock.Do(func(now mono.Time) {
		g.sock.Attach(0, p)
		g.conn.First(now, a, g.config(p))
		g.tellLocal(now)
	})
	if err := g.sock.Await(ctx); err != nil {
		return nil, err
	}
	return newConn(g, p.Local(), p.Remote()), nil
}

func (d *Dialer) open(h *host) (*session, error) {
	cfg, err := d.config()
	if err != nil {
		return nil, err
	}
	if cfg.LocalKey, err = h.reserve(); err != nil {
		return nil, err
	}
	g, err := h.newSession(cfg, stack.Hooks{})
	if err != nil {
		h.forget(key.Token(cfg.LocalKey))
		return nil, err
	}
	return g, nil
}

// tellLocal tells the machine of all local addresses, at the start.
func (g *session) tellLocal(now mono.Time) {
	for _, a := range g.h.local() {
		g.conn.Path(now, policy.Event{Kind: policy.LocalAdded, Address: a})
	}
}
