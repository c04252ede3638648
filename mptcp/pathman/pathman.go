// Package pathman is the path managers of MPTCP: which subflows exist, from
// which local to which remote address, and which addresses are announced.
//
// A path manager hears of events and answers with commands; it neither sends
// nor keeps sockets, and the connection may refuse. Retry times are its own.
// Read RFC 8684 §3.4, §3.9.1 and §3.9.3 first.
package pathman

import (
	"net/netip"
	"slices"
	"time"

	"github.com/sennit-net/sennit/mptcp/policy"
	"github.com/sennit-net/sennit/stack/mono"
)

// Back-off of paths that failed.
const (
	firstRetry = time.Second
	lastRetry  = time.Minute
	// A subflow that was up for so long failed for a new reason: its count of
	// failures starts again.
	settled = 10 * time.Second
)

// PerLink keeps one subflow on every link: from an address of the link to the
// remote address of the first subflow or, where that has another family or is
// not to be joined, to one the peer announced. The initiator opens; a listener
// announces what it has on other links.
//
// It belongs to one connection.
type PerLink struct {
	ready     bool // joins and announcements are allowed
	tries     []try
	announced []netip.Addr
}

// pair is a path: one local and one remote address.
type pair struct {
	local  netip.Addr
	remote netip.AddrPort
}

// try is what is remembered of a path that failed, or might.
type try struct {
	pair
	failures int
	up       mono.Time // when its subflow was established; 0: it is not
	retry    mono.Time // not before; 0: now
	barred   bool      // not until the peer or the link says something new
}

// NewPerLink returns a path manager for one connection.
func NewPerLink() *PerLink { return &PerLink{} }

// Handle answers policy.PathManager.
func (p *PerLink) Handle(e policy.Event, v policy.View, cmds []policy.Command) []policy.Command {
	at := pair{unmap(e.Address.Addr), e.Remote}
	switch e.Kind {
	case policy.Confirmed:
		p.ready = true
	case policy.LocalAdded, policy.LocalRemoved:
		// A link that comes, or comes back, is tried at once.
		p.tries = slices.DeleteFunc(p.tries, func(t try) bool { return t.local == at.local })
		if e.Kind == policy.LocalRemoved {
			p.announced = slices.DeleteFunc(p.announced, func(a netip.Addr) bool { return a == at.local })
		}
	case policy.RemoteAdded:
		// RFC 8684 §3.4.1: to send ADD_ADDR again asks for another attempt.
		p.tries = slices.DeleteFunc(p.tries, func(t try) bool { return t.remote == e.Remote })
	case policy.SubflowUp:
		// Only who opens has something to try again.
		if v.Initiator {
			p.of(at).up = v.Now
		}
	case policy.SubflowDown, policy.OpenFailed:
		if v.Initiator {
			p.failed(at, e.Final, &v)
		}
	}
	// Whoever may not act on it must not leave a deadline behind that is due.
	for i := range p.tries {
		if p.tries[i].retry.Reached(v.Now) {
			p.tries[i].retry = 0
		}
	}
	// RFC 8684 §3.1: nothing before the first DSS.
	switch {
	case !p.ready:
		return cmds
	case !v.Initiator:
		return p.announce(&v, cmds)
	}
	return p.open(&v, cmds)
}

// Deadline answers policy.PathManager.
func (p *PerLink) Deadline() mono.Time {
	var d mono.Time
	for i := range p.tries {
		d = mono.Earliest(d, p.tries[i].retry)
	}
	return d
}

func (p *PerLink) of(at pair) *try {
	for i := range p.tries {
		if p.tries[i].pair == at {
			return &p.tries[i]
		}
	}
	p.tries = append(p.tries, try{pair: at})
	return &p.tries[len(p.tries)-1]
}

// failed notes that a path did not come up, or went down.
func (p *PerLink) failed(at pair, final bool, v *policy.View) {
	if !slices.ContainsFunc(v.Local, func(a policy.Address) bool { return unmap(a.Addr) == at.local }) {
		// The link is gone: there is nothing to hold against it when it is back.
		p.tries = slices.DeleteFunc(p.tries, func(t try) bool { return t.local == at.local })
		return
	}
	t := p.of(at)
	neverUp := t.up == 0
	if !neverUp && v.Now.Sub(t.up) >= settled {
		t.failures = 0
	}
	t.up = 0
	t.retry = v.Now.Add(min(firstRetry<<min(t.failures, 10), lastRetry))
	t.failures++
	// RFC 8684 §3.4.1: an announced address that could not be reached is not
	// tried again before it is announced again. RFC 8684 §3.6: nor is a path that
	// the peer refused for good. Departs from RFC 8684 §3.6: the first refusal is
	// not believed, since a join that overtakes the DSS of another path is
	// refused in the same words.
	if final && t.failures > 1 || neverUp && at.remote != v.Remote {
		t.barred, t.retry = true, 0
	}
}

// open asks for a subflow on every link that has none.
func (p *PerLink) open(v *policy.View, cmds []policy.Command) []policy.Command {
	for i, a := range v.Local {
		if linkSeen(v.Local[:i], a.Link) || busy(v, a.Link) {
			continue
		}
		if c, ok := p.choose(v, a.Link); ok {
			cmds = append(cmds, c)
		}
	}
	return cmds
}

// linkSeen reports whether one of the addresses is of this link.
func linkSeen(addrs []policy.Address, l policy.Link) bool {
	return slices.ContainsFunc(addrs, func(a policy.Address) bool { return a.Link == l })
}

// busy reports whether the link has a subflow, or one on its way.
func busy(v *policy.View, l policy.Link) bool {
	return slices.ContainsFunc(v.Subflows, func(s policy.Path) bool { return s.Link == l })
}

// choose picks the path for a link: the remote address of the first subflow
// before announced ones (RFC 8684 §3.9.1), and both ends of one family.
func (p *PerLink) choose(v *policy.View, l policy.Link) (policy.Command, bool) {
	// RFC 8684 §3.1: with the C flag the peer's first address and port are not
	// to be joined.
	if !v.DenyFirst {
		if c, ok := p.from(v, l, v.Remote); ok {
			return c, true
		}
	}
	for _, r := range v.Announced {
		if v.DenyFirst && r.Addr == v.Remote {
			continue
		}
		if c, ok := p.from(v, l, r.Addr); ok && joinable(r.Addr) {
			return c, true
		}
	}
	return policy.Command{}, false
}

// from picks a local address of the link that fits the remote one.
func (p *PerLink) from(v *policy.View, l policy.Link, remote netip.AddrPort) (policy.Command, bool) {
	for _, a := range v.Local {
		if a.Link != l || !fits(a.Addr, remote.Addr()) || p.held(pair{unmap(a.Addr), remote}) {
			continue
		}
		return policy.Command{Kind: policy.Open, Address: a, Remote: remote}, true
	}
	return policy.Command{}, false
}

// held reports whether a path must wait.
func (p *PerLink) held(at pair) bool {
	return slices.ContainsFunc(p.tries, func(t try) bool {
		return t.pair == at && (t.barred || t.retry != 0)
	})
}

// fits reports whether a packet can go from one address to the other: the same
// family, and link-local only to link-local.
func fits(local, remote netip.Addr) bool {
	local, remote = unmap(local), unmap(remote)
	return local.IsValid() && remote.IsValid() && local.Is4() == remote.Is4() &&
		local.IsLinkLocalUnicast() == remote.IsLinkLocalUnicast()
}

// joinable reports whether an announced address may be the target of a SYN:
// an announcement must not make us talk to ourselves or to a group.
func joinable(a netip.AddrPort) bool {
	ip := unmap(a.Addr())
	return a.Port() != 0 && ip.IsValid() && !ip.IsUnspecified() && !ip.IsLoopback() && !ip.IsMulticast() &&
		ip != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// announce tells the peer of one address on each link that has no subflow. For
// a listener only: an initiator's addresses show in its own SYNs.
func (p *PerLink) announce(v *policy.View, cmds []policy.Command) []policy.Command {
	if !slices.ContainsFunc(v.Subflows, func(s policy.Path) bool { return s.Established }) {
		return cmds
	}
	for i, a := range v.Local {
		ip := unmap(a.Addr)
		if linkSeen(v.Local[:i], a.Link) || busy(v, a.Link) || slices.Contains(p.announced, ip) ||
			ip.IsLinkLocalUnicast() || ip.IsLoopback() || known(v, ip) {
			continue
		}
		p.announced = append(p.announced, ip)
		cmds = append(cmds, policy.Command{Kind: policy.Announce, Address: a})
	}
	return cmds
}

// known reports whether the peer has seen our address in a subflow.
func known(v *policy.View, ip netip.Addr) bool {
	return slices.ContainsFunc(v.Subflows, func(s policy.Path) bool { return unmap(s.Local.Addr()) == ip })
}

func unmap(a netip.Addr) netip.Addr { return a.Unmap() }
