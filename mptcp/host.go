package mptcp

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sync"

	"github.com/sennit-net/sennit/mptcp/conn"
	"github.com/sennit-net/sennit/mptcp/key"
	"github.com/sennit-net/sennit/mptcp/option"
	"github.com/sennit-net/sennit/mptcp/policy"
	"github.com/sennit-net/sennit/stack"
	"github.com/sennit-net/sennit/stack/mono"
)

// host is what Multipath TCP knows of one stack: its connections by token.
type host struct {
	s *stack.Stack

	mu     sync.Mutex
	tokens map[uint32]*session // nil: reserved
}

type hostKey struct{}

// hostOf returns the host of s, made at the first use.
func hostOf(s *stack.Stack) *host {
	return s.Extension(hostKey{}, func() any {
		h := &host{s: s, tokens: map[uint32]*session{}}
		s.HandleSYN(h.incoming)
		s.OnLinkChange(h.linkChanged)
		return h
	}).(*host)
}

// reserve draws a key whose token no connection of this host has
// (RFC 8684 §3.1). Every reservation ends with forget.
func (h *host) reserve() (localKey uint64, err error) {
	for {
		var b [8]byte
		if _, err := io.ReadFull(h.s.Rand(), b[:]); err != nil {
			return 0, fmt.Errorf("mptcp: no randomness: %w", err)
		}
		k := binary.BigEndian.Uint64(b[:])
		t := key.Token(k)
		h.mu.Lock()
		_, taken := h.tokens[t]
		if !taken {
			h.tokens[t] = nil
		}
		h.mu.Unlock()
		if !taken {
			return k, nil
		}
	}
}

// register makes a connection known under its token: joins find it, and link
// changes reach it.
func (h *host) register(g *session) {
	h.mu.Lock()
	h.tokens[g.token] = g
	h.mu.Unlock()
}

func (h *host) forget(token uint32) {
	h.mu.Lock()
	delete(h.tokens, token)
	h.mu.Unlock()
}

func (h *host) find(token uint32) *session {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.tokens[token]
}

func (h *host) nonce() (uint32, error) {
	var b [4]byte
	_, err := io.ReadFull(h.s.Rand(), b[:])
	return binary.BigEndian.Uint32(b[:]), err
}

var sets = sync.Pool{New: func() any { return new(option.Set) }}

// incoming looks for MP_JOIN on a SYN: it may come to any port, with or
// without a listener (RFC 8684 §3.2), so the token alone decides.
func (h *host) incoming(in *stack.Incoming) (stack.Verdict, []byte) {
	if len(in.Segment.Other()) == 0 {
		return stack.NotMine, nil
	}
	set := sets.Get().(*option.Set)
	defer sets.Put(set)
	option.ParseAll(in.Segment, false, set)
	if !set.Has(option.SubJoin) {
		return stack.NotMine, nil
	}
	g := h.find(set.Join.Token)
	if g == nil {
		// RFC 8684 §3.2: an unknown token is answered with a RST.
		return stack.Refuse, option.TCPReset{Reason: option.ResetMPTCP}.Append(nil)
	}
	return g.join(in)
}

// linkChanged tells every connection of a link that came or went.
func (h *host) linkChanged(c stack.LinkChange) {
	kind, addrs := policy.LocalAdded, addresses(c.Link)
	switch c.Kind {
	case stack.LinkDetached, stack.LinkDown:
		kind = policy.LocalRemoved
	case stack.AddrRemoved:
		kind, addrs = policy.LocalRemoved, []policy.Address{address(c.Link, c.Addr)}
	case stack.AddrAdded:
		addrs = []policy.Address{address(c.Link, c.Addr)}
	}
	if kind == policy.LocalAdded && !c.Link.Up {
		return
	}
	h.mu.Lock()
	all := make([]*session, 0, len(h.tokens))
	for _, g := range h.tokens {
		if g != nil {
			all = append(all, g)
		}
	}
	h.mu.Unlock()
	for _, g := range all {
		g.sock.Do(func(now mono.Time) {
			for _, a := range addrs {
				if usable(a.Addr) {
					g.conn.Path(now, policy.Event{Kind: kind, Address: a})
				}
			}
		})
	}
}

// local returns every address of the stack that subflows may start from.
func (h *host) local() (all []policy.Address) {
	for _, l := range h.s.Links() {
		if l.Up {
			all = append(all, addresses(l)...)
		}
	}
	return slices.DeleteFunc(all, func(a policy.Address) bool { return !usable(a.Addr) })
}

func addresses(l stack.LinkInfo) []policy.Address {
	all := make([]policy.Address, len(l.Addrs))
	for i, p := range l.Addrs {
		all[i] = address(l, p.Addr())
	}
	return all
}

func address(l stack.LinkInfo, a netip.Addr) policy.Address {
	return policy.Address{Link: policy.Link(l.ID), Class: policy.Class(l.Class), Addr: a}
}

// usable reports whether a peer beyond the link can be reached from a.
func usable(a netip.Addr) bool { return !a.IsLinkLocalUnicast() && !a.IsLoopback() }

// session is one connection: its machine, its lock, and what the machine wants.
type session struct {
	h     *host
	token uint32
	conn  *conn.Conn
	sock  *stack.Sock
	wants []conn.Want // the Sock's lock guards it
}

// newSession puts a connection machine of cfg under a lock.
func (h *host) newSession(cfg conn.Config, hooks stack.Hooks) (*session, error) {
	c := conn.New(cfg)
	g := &session{h: h, conn: c, token: c.Token()}
	ended := hooks.Ended
	hooks.Step = g.step
	hooks.Outside = g.outside
	hooks.Ended = func() {
		h.forget(g.token)
		if ended != nil {
			ended()
		}
	}
	k, err := h.s.NewSock(c, cfg.Tuning, hooks)
	if err != nil {
		return nil, err
	}
	g.sock = k
	h.register(g)
	return g, nil
}

// step collects what the machine wants, under the lock.
func (g *session) step(mono.Time) bool {
	g.wants = g.conn.Wants(g.wants)
	keep := g.wants[:0]
	for _, w := range g.wants {
		if w.Kind == conn.Release {
			g.sock.Detach(int(w.Sub))
			continue
		}
		keep = append(keep, w)
	}
	g.wants = keep
	return len(keep) > 0
}

// outside opens the subflows the machine asked for, without the lock.
func (g *session) outside() {
	var wants []conn.Want
	g.sock.Look(func() { wants, g.wants = g.wants, nil })
	for _, w := range wants {
		g.open(w)
	}
}

func (g *session) open(w conn.Want) {
	nonce, err := g.h.nonce()
	var p *stack.Path
	if err == nil {
		p, err = g.h.s.NewPath(stack.LinkID(w.Address.Link), netip.AddrPortFrom(w.Address.Addr, 0), w.Remote)
	}
	g.sock.Do(func(now mono.Time) {
		if err != nil {
			g.conn.OpenFailed(now, w.Sub, err)
			return
		}
		g.sock.Attach(int(w.Sub), p)
		g.conn.Opened(now, w.Sub, g.config(p), nonce)
	})
}

// config is what a subflow on p starts from. Events of single segments go to
// the recorder of the stack.
func (g *session) config(p *stack.Path) (t subflowConfig) {
	return p.Config(g.sock.Tuning())
}

// join takes a SYN with MP_JOIN for this connection.
func (g *session) join(in *stack.Incoming) (stack.Verdict, []byte) {
	nonce, err := g.h.nonce()
	if err != nil {
		return stack.Refuse, nil
	}
	p, err := g.h.s.AcceptPath(in)
	if err != nil {
		// The same SYN is being handled on another goroutine.
		in.Drop()
		return stack.Taken, nil
	}
	var ok bool
	var why option.ResetReason
	g.sock.Do(func(now mono.Time) {
		var sub policy.Subflow
		a := policy.Address{Link: policy.Link(p.Link()), Class: policy.Class(p.Class()), Addr: p.Local().Addr()}
		if sub, ok = g.conn.Join(now, a, g.config(p), nonce, in.Segment); ok {
			g.sock.Attach(int(sub), p)
			in.Took()
			return
		}
		why = g.conn.Refusal()
	})
	if !ok {
		p.Close()
		return stack.Refuse, option.TCPReset{Reason: why}.Append(nil)
	}
	return stack.Taken, nil
}
