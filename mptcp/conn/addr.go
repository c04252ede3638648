package conn

import (
	"net/netip"
	"slices"
	"time"

	"github.com/sennit-net/sennit/mptcp/key"
	"github.com/sennit-net/sennit/mptcp/option"
	"github.com/sennit-net/sennit/mptcp/policy"
	"github.com/sennit-net/sennit/stack/mono"
)

// signal is an option that goes out on a pure ACK of its own.
type signal struct {
	opt   []byte
	via   policy.Subflow // or nobody: any that stands
	not   int            // local address ID whose subflows are no use; <0: none
	left  int            // how often it still goes out
	every time.Duration
	next  mono.Time // 0: now

	announces uint8 // ADD_ADDR of this ID: until echoed
	addr      netip.AddrPort
}

// sendSignals hands what is due to subflows.
func (c *Conn) sendSignals(now mono.Time) {
	keep := c.signals[:0]
	for _, g := range c.signals {
		if g.next.After(now) {
			keep = append(keep, g)
			continue
		}
		s := c.carrier(&g)
		if s == nil {
			// It waits for a subflow to go out on.
			g.next = 0
			if g.via == nobody {
				keep = append(keep, g)
			}
			continue
		}
		s.opts.due = append(s.opts.due, g.opt)
		s.acts.ack = true
		g.left--
		if g.left > 0 {
			g.next = now.Add(g.every)
			g.every *= 2
			keep = append(keep, g)
		}
	}
	clear(c.signals[len(keep):])
	c.signals = keep
}

// carrier picks the subflow a signal goes out on: of those that may, one that
// is not stale and was heard last.
func (c *Conn) carrier(g *signal) *subflow {
	var best *subflow
	for _, s := range c.subs {
		if s.stage != established || g.via != nobody && s.id != g.via ||
			g.not >= 0 && int(s.join.localID) == g.not {
			continue
		}
		if best == nil || best.alive.stale && !s.alive.stale ||
			best.alive.stale == s.alive.stale && s.alive.heard.After(best.alive.heard) {
			best = s
		}
	}
	return best
}

func (c *Conn) signalDeadline() mono.Time {
	var d mono.Time
	for i := range c.signals {
		d = mono.Earliest(d, c.signals[i].next)
	}
	return d
}

// announce sends ADD_ADDR until it is echoed (RFC 8684 §3.4.1).
func (c *Conn) announce(a policy.Address, port uint16) {
	id := c.paths.idOf(a.Addr)
	o := option.AddAddr{ID: id, Addr: a.Addr.Unmap(), Port: port,
		MAC: key.AddAddrHMAC(c.keys.local, c.keys.remote, id, a.Addr.Unmap(), port)}
	c.signals = append(c.signals, signal{opt: o.Append(nil), via: nobody, not: -1,
		left: announceMax, every: announceRTO, announces: id, addr: netip.AddrPortFrom(o.Addr, port)})
}

// withdraw sends REMOVE_ADDR, more than once since nothing confirms it, and
// over subflows of other addresses (RFC 8684 §3.4.2).
func (c *Conn) withdraw(addr netip.Addr) {
	id, ok := c.paths.forget(addr)
	if !ok || c.phase != confirmed || c.end.closing {
		return
	}
	keep := c.signals[:0]
	for _, g := range c.signals {
		if g.announces != id || !g.addr.IsValid() {
			keep = append(keep, g)
		}
	}
	o := option.Remove(id)
	c.signals = append(keep, signal{opt: o.Append(nil), via: nobody, not: int(id),
		left: removeTimes, every: 100 * time.Millisecond})
}

// sendPrio tells the peer the priority of a subflow (RFC 8684 §3.3.8).
func (c *Conn) sendPrio(s *subflow, backup bool) {
	s.join.localBackup = backup
	o := option.MPPrio{Backup: backup}
	c.signals = append(c.signals, signal{opt: o.Append(nil), via: s.id, not: -1, left: 2,
		every: 100 * time.Millisecond})
}

// receivedAddresses handles ADD_ADDR, REMOVE_ADDR and MP_PRIO.
func (c *Conn) receivedAddresses(now mono.Time, s *subflow) {
	set := &c.work.set
	if c.phase < keyed {
		return
	}
	if set.Has(option.SubAddAddr) {
		for _, a := range set.AddAddrs() {
			if a.Echo {
				c.echoed(&a)
			} else {
				c.receivedAddAddr(now, s, a)
			}
		}
	}
	if set.Has(option.SubRemove) {
		for _, id := range set.Remove.IDs() {
			c.receivedRemove(now, id)
		}
	}
	if set.Has(option.SubPrio) {
		// RFC 8684 §3.3.8: about the subflow it came on, in one direction.
		s.join.peerBackup = set.Prio.Backup
	}
}

// echoed stops repeating an announcement (RFC 8684 §3.4.1).
func (c *Conn) echoed(a *option.AddAddr) {
	keep := c.signals[:0]
	for _, g := range c.signals {
		if g.announces != a.ID || g.addr != netip.AddrPortFrom(a.Addr, a.Port) {
			keep = append(keep, g)
		}
	}
	clear(c.signals[len(keep):])
	c.signals = keep
}

// receivedAddAddr handles an announcement (RFC 8684 §3.4.1).
func (c *Conn) receivedAddAddr(now mono.Time, s *subflow, a option.AddAddr) {
	mac := key.AddAddrHMAC(c.keys.remote, c.keys.local, a.ID, a.Addr, a.Port)
	reason := ""
	switch {
	case !key.Equal64(mac, a.MAC):
		// RFC 8684 §3.4.1: silently ignored.
		reason = "wrong HMAC"
	case !reachable(a.Addr):
		reason = "not an address to connect to"
	case !c.paths.addRemote(a.ID, a.Addr):
		// RFC 8684 §3.4.1: an ID keeps its address until it is removed.
		reason = "ID belongs to another address"
	}
	if reason != "" {
		c.record(now, OptionIgnored{Sub: s.id, Option: option.SubAddAddr, Reason: reason})
		return
	}
	// RFC 8684 §3.4.1: echoed as it came, without the HMAC.
	echo := a
	echo.Echo = true
	c.signals = append(c.signals, signal{opt: echo.Append(nil), via: s.id, not: -1, left: 1})

	// RFC 8684 §3.4.1: without a port it is that of the subflow it came on.
	port := a.Port
	if port == 0 {
		port = s.tcp.Remote().Port()
	}
	at := netip.AddrPortFrom(a.Addr, port)
	if !c.paths.setRemote(a.ID, at) && c.connected(at) {
		// RFC 8684 §3.4.1: a repetition asks for another attempt, unless there is
		// a subflow to that address.
		return
	}
	c.record(now, AddAddrReceived{ID: a.ID, Addr: at})
	c.paths.push(policy.Event{Kind: policy.RemoteAdded, RemoteID: a.ID, Remote: at})
}

// connected reports whether a subflow to this address stands or is under way.
func (c *Conn) connected(at netip.AddrPort) bool {
	for _, s := range c.subs {
		if s.stage < closing && s.tcp.Remote() == at {
			return true
		}
	}
	return slices.ContainsFunc(c.paths.openings, func(o asked) bool { return o.Remote == at })
}

// reachable reports whether an announced address can be one of a peer's.
func reachable(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() &&
		a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// receivedRemove handles the withdrawal of an address (RFC 8684 §3.4.2).
func (c *Conn) receivedRemove(now mono.Time, id uint8) {
	known := c.paths.dropRemote(id)
	for _, s := range c.subs {
		if s.stage >= closing || s.join.remoteID != id {
			continue
		}
		known = true
		// RFC 8684 §3.4.2: ask first whether the path is really gone.
		s.suspect(now)
	}
	if !known {
		return
	}
	c.record(now, RemoveAddrReceived{ID: id})
	c.paths.push(policy.Event{Kind: policy.RemoteRemoved, RemoteID: id})
}
