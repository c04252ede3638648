package conn

import (
	"net/netip"
	"slices"

	"github.com/sennit-net/sennit/mptcp/option"
	"github.com/sennit-net/sennit/mptcp/policy"
	"github.com/sennit-net/sennit/stack/mono"
)

// paths is what the connection knows of addresses, and what it owes its path
// manager.
type paths struct {
	local       []policy.Address
	ids         []localID // address IDs of ours (RFC 8684 §3.2)
	lastID      uint8
	remotes     []policy.Remote // what ADD_ADDR brought
	firstRemote netip.AddrPort
	tainted     tainted

	openings []asked
	events   []policy.Event
	refusal  option.ResetReason
}

// localID ties an address of ours to its ID.
type localID struct {
	addr netip.Addr
	id   uint8
}

// asked is a subflow the owner is asked to open.
type asked struct {
	sub policy.Subflow
	policy.Command
}

func (p *paths) push(e policy.Event) { p.events = append(p.events, e) }

// clear forgets what only MPTCP needs.
func (p *paths) clear() { p.openings, p.events, p.remotes = nil, nil, nil }

// idOf returns the address ID of a local address, giving it one if need be. An
// ID that was withdrawn is not used again soon, so that a late REMOVE_ADDR hits
// nobody else.
func (p *paths) idOf(addr netip.Addr) uint8 {
	for _, l := range p.ids {
		if l.addr == addr {
			return l.id
		}
	}
	if len(p.ids) > 200 {
		// So many cannot all be in use: the oldest goes, the first one stays.
		p.ids = slices.Delete(p.ids, 1, 2)
	}
	for {
		p.lastID++
		if p.lastID != 0 && !slices.ContainsFunc(p.ids, func(l localID) bool { return l.id == p.lastID }) {
			break
		}
	}
	p.ids = append(p.ids, localID{addr, p.lastID})
	return p.lastID
}

// forget takes the ID of a local address away.
func (p *paths) forget(addr netip.Addr) (uint8, bool) {
	for i, l := range p.ids {
		if l.addr == addr {
			p.ids = slices.Delete(p.ids, i, i+1)
			return l.id, true
		}
	}
	return 0, false
}

// remoteIDOf returns the ID the peer gave an address; the first one has 0.
func (p *paths) remoteIDOf(at netip.AddrPort) uint8 {
	for _, r := range p.remotes {
		if r.Addr == at {
			return r.ID
		}
	}
	return 0
}

// addRemote reports whether the ID may belong to this address.
func (p *paths) addRemote(id uint8, addr netip.Addr) bool {
	for _, r := range p.remotes {
		if r.ID == id {
			return r.Addr.Addr() == addr
		}
	}
	return true
}

// setRemote keeps an announced address. It reports whether that is news.
func (p *paths) setRemote(id uint8, at netip.AddrPort) bool {
	for i := range p.remotes {
		if p.remotes[i].ID == id {
			news := p.remotes[i].Addr != at
			p.remotes[i].Addr = at
			return news
		}
	}
	p.remotes = append(p.remotes, policy.Remote{ID: id, Addr: at})
	return true
}

func (p *paths) dropRemote(id uint8) bool {
	n := len(p.remotes)
	p.remotes = slices.DeleteFunc(p.remotes, func(r policy.Remote) bool { return r.ID == id })
	return len(p.remotes) < n
}

func (p *paths) takeOpening(sub policy.Subflow) (asked, bool) {
	for i, o := range p.openings {
		if o.sub == sub {
			p.openings = slices.Delete(p.openings, i, i+1)
			return o, true
		}
	}
	return asked{sub: sub}, false
}

// down tells of a subflow that is over.
func (p *paths) down(s *subflow, was stage, err error) {
	e := policy.Event{Kind: policy.SubflowDown, Subflow: s.id, Address: s.address,
		Remote: s.tcp.Remote(), RemoteID: s.join.remoteID, Err: err, Final: s.opts.final}
	if !s.up && was <= preEstablished {
		e.Kind = policy.OpenFailed
	}
	p.push(e)
}

// Path tells of a local address that came or went. All addresses there are
// should be told once at the start.
func (c *Conn) Path(now mono.Time, e policy.Event) {
	p := &c.paths
	at := slices.IndexFunc(p.local, func(a policy.Address) bool {
		return a.Addr == e.Address.Addr && a.Link == e.Address.Link
	})
	switch e.Kind {
	case policy.LocalAdded:
		if at < 0 {
			p.local = append(p.local, e.Address)
		} else {
			p.local[at] = e.Address
		}
	case policy.LocalRemoved:
		if at >= 0 {
			p.local = slices.Delete(p.local, at, at+1)
		}
		c.localGone(e.Address)
	default:
		return
	}
	p.push(e)
	c.settle(now)
}

// localGone gives up at once what ran over an address that is gone; a plain
// connection waits, since it has nothing else.
func (c *Conn) localGone(a policy.Address) {
	if c.phase == fallen {
		return
	}
	for _, s := range c.subs {
		if s.address.Addr == a.Addr && s.address.Link == a.Link && s.stage != gone {
			s.reset(ErrLinkDown, option.ResetUnspecified, true)
		}
	}
	// RFC 8684 §3.4.2: an address that vanished is withdrawn.
	c.withdraw(a.Addr)
}

// policyDeadline is when the path manager wants to be asked again.
func (c *Conn) policyDeadline() mono.Time {
	if c.cfg.PathManager == nil || c.phase != confirmed || c.end.done || c.end.closing {
		return 0
	}
	return c.cfg.PathManager.Deadline()
}

// askPathManager hands over the events there are and does what it says. It
// reports whether there were any.
func (c *Conn) askPathManager(now mono.Time) bool {
	p := &c.paths
	if len(p.events) == 0 {
		return false
	}
	events := p.events
	p.events = nil
	if c.cfg.PathManager == nil || c.phase == fallen || c.end.done {
		return false
	}
	for _, e := range events {
		c.work.cmds = c.cfg.PathManager.Handle(e, c.view(now), c.work.cmds[:0])
		for _, cmd := range c.work.cmds {
			c.execute(now, cmd)
		}
	}
	return true
}

func (c *Conn) view(now mono.Time) policy.View {
	v := policy.View{Now: now, Initiator: c.cfg.Initiator, Remote: c.paths.firstRemote,
		DenyFirst: c.keys.denyFirst, Local: slices.Clone(c.paths.local),
		Announced: slices.Clone(c.paths.remotes)}
	for _, s := range c.subs {
		if s.stage < closing && !s.acts.abort {
			v.Subflows = append(v.Subflows, policy.Path{ID: s.id, Link: s.address.Link,
				Local: s.tcp.Local(), Remote: s.tcp.Remote(), Established: s.stage == established,
				Stale: s.alive.stale, Backup: s.backup()})
		}
	}
	for _, o := range c.paths.openings {
		v.Subflows = append(v.Subflows, policy.Path{ID: o.sub, Link: o.Address.Link,
			Local: netip.AddrPortFrom(o.Address.Addr, 0), Remote: o.Remote, Backup: o.Backup})
	}
	return v
}

// execute does one command of the path manager, or refuses it.
func (c *Conn) execute(now mono.Time, cmd policy.Command) {
	// RFC 8684 §3.1: no MP_JOIN and no address before a DSS has come.
	if c.phase != confirmed || c.end.closing || c.bothFins() {
		return
	}
	switch cmd.Kind {
	case policy.Open:
		c.open(cmd)
	case policy.Announce:
		c.announce(cmd.Address, cmd.Port)
	case policy.Withdraw:
		c.withdraw(cmd.Address.Addr)
	}
	s := c.sub(cmd.Subflow)
	if s == nil {
		return
	}
	switch cmd.Kind {
	case policy.Close:
		if s.stage == established {
			s.stage = closing
			s.acts.finish = true
			s.acts.err = ErrPolicy
		}
	case policy.Reset:
		s.reset(ErrPolicy, option.ResetProhibited, true)
	case policy.SetPrio:
		c.sendPrio(s, cmd.Backup)
	}
}

// live returns how many subflows stand or are about to.
func (c *Conn) live() (n int) {
	for _, s := range c.subs {
		if s.stage < closing {
			n++
		}
	}
	return n
}

// open asks the owner for a new subflow.
func (c *Conn) open(cmd policy.Command) {
	switch {
	case c.live()+len(c.paths.openings) >= c.cfg.MaxSubflows:
		return
	case c.keys.denyFirst && cmd.Remote == c.paths.firstRemote:
		// RFC 8684 §3.1: C forbids joins to the first address and port.
		return
	case cmd.Address.Addr.Is4() != cmd.Remote.Addr().Is4():
		return
	}
	id := c.takeID()
	c.paths.openings = append(c.paths.openings, asked{id, cmd})
	c.wants = append(c.wants, Want{Kind: OpenSubflow, Sub: id, Address: cmd.Address, Remote: cmd.Remote})
}
