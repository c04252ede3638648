//go:build linux

package drill

import (
	"net/netip"
	"slices"

	"github.com/sennit-net/sennit/mptcp/conn"
	"github.com/sennit-net/sennit/mptcp/key"
	"github.com/sennit-net/sennit/mptcp/mode"
	"github.com/sennit-net/sennit/mptcp/option"
	"github.com/sennit-net/sennit/mptcp/policy"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/wire"
)

// newMultipath makes a Multipath TCP connection: it still needs First or
// Accept.
func (h *Host) newMultipath(t tuple, o *options, p phase) *flow {
	f := &flow{h: h, phase: p, local: t.local, remote: t.remote, paths: map[int]tuple{}, opts: o}
	cfg := conn.Config{
		Initiator: p == opening, LocalKey: h.newKey(),
		Checksum: h.settings.number("net.mptcp.checksum_enabled", 0) != 0,
		DenyJoin: h.settings.number("net.mptcp.allow_join_initial_addr_port", 1) == 0,
		Tuning:   o.tuning(h.settings, p),
	}
	m, err := mode.New(mode.Handover)
	if err != nil || h.settings.number("net.mptcp.enabled", 1) == 0 {
		cfg.Plain = true
	}
	cfg.Scheduler, cfg.PathManager = m.Scheduler, m.PathManager
	f.mp = conn.New(cfg)
	f.m = f.mp
	return f
}

// newKey draws a key whose token no connection has (RFC 8684 §3.1).
func (h *Host) newKey() uint64 {
	for {
		k := h.random()
		if _, taken := h.tokens[key.Token(k)]; !taken {
			return k
		}
	}
}

// addressOf is how a path manager sees a local address: each that was set up is
// on a link of its own, since it opens one subflow for each link.
func (h *Host) addressOf(a netip.Addr) policy.Address {
	return policy.Address{Link: policy.Link(2 + slices.Index(h.settings.endpoints(), a)), Addr: a}
}

// tellLocal names the addresses that subflows may start from: only those that
// were set up for it, since a script expects no other packets.
func (f *flow) tellLocal(now mono.Time) {
	for _, a := range append([]netip.Addr{f.local.Addr()}, f.h.settings.endpoints()...) {
		f.mp.Path(now, policy.Event{Kind: policy.LocalAdded, Address: f.h.addressOf(a)})
	}
}

// serveWants does what a Multipath TCP connection asked for; false: nothing.
func (f *flow) serveWants() bool {
	if f.mp == nil {
		return false
	}
	h := f.h
	f.wants = f.mp.Wants(f.wants[:0])
	for _, w := range f.wants {
		sub := int(w.Sub)
		if w.Kind == conn.Release {
			if t, ok := f.paths[sub]; ok && h.tuples[t].f == f {
				delete(h.tuples, t)
			}
			continue
		}
		t, err := h.tupleFrom(w.Address.Addr, w.Remote)
		if err != 0 {
			f.mp.OpenFailed(h.clock.now, w.Sub, err)
			continue
		}
		h.add(f, sub, t)
		f.mp.Opened(h.clock.now, w.Sub, h.config(t, f.opts, opening), uint32(h.random()))
	}
	return len(f.wants) > 0
}

// join gives a SYN with MP_JOIN to its connection, whatever port it came to
// (RFC 8684 §3.2). It reports false for a SYN without.
func (h *Host) join(t tuple, seg *wire.Segment) bool {
	if len(seg.Other()) == 0 || len(h.tokens) == 0 {
		return false
	}
	var set option.Set
	option.ParseAll(seg, false, &set)
	if !set.Has(option.SubJoin) {
		return false
	}
	why := option.ResetMPTCP
	if f := h.tokens[set.Join.Token]; f != nil {
		sub, ok := f.mp.Join(h.clock.now, h.addressOf(t.local.Addr()), h.config(t, f.opts, accepting), uint32(h.random()), seg)
		if ok {
			h.add(f, int(sub), t)
			h.settle(f)
			return true
		}
		why = f.mp.Refusal()
	}
	h.refuse(t, seg, why)
	return true
}
