package stack

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gv "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// LinkID identifies an attached link; 0 is none. Ids are not reused.
type LinkID int

// Class is what kind of network a link leads to.
type Class uint8

// Classes of links.
const (
	Unknown Class = iota
	Wired
	WiFi
	Cellular
)

var classNames = [...]string{"unknown", "wired", "wifi", "cellular"}

func (c Class) String() string { return classNames[c] }

// Link is a network interface to attach.
type Link struct {
	Name  string // unique within the stack; shown in events
	Class Class
	// Metric orders links: dialing prefers the lowest; equal ones keep the
	// order of attachment.
	Metric int
	// Endpoint moves packets. It must be a layer-3 link (a TUN: no neighbour
	// resolution). The stack takes it over and closes it.
	Endpoint gv.LinkEndpoint
	// Addrs are the stack's addresses on the link, with the length of the
	// on-link prefix. May be empty in any-address mode.
	Addrs []netip.Prefix
	// Down attaches the link in down state.
	Down bool
}

// LinkInfo describes an attached link.
type LinkInfo struct {
	ID     LinkID
	Name   string
	Class  Class
	Metric int
	Up     bool
	MTU    int // bytes of an IP packet
	Addrs  []netip.Prefix
}

// nic is an attached link. Its fields do not change, except for the atomics.
type nic struct {
	id       LinkID
	name     string
	class    Class
	metric   int
	ep       gv.LinkEndpoint
	gather   Gatherer // ep, if it can
	checksum bool     // ep fills in TCP checksums
	trusted  bool     // ep has verified the checksums of what it delivers
	maxSuper int      // payload bytes of a super-segment; 0: none
	up       atomic.Bool
	addrs    atomic.Pointer[[]netip.Prefix]
	batch    pending
}

func (n *nic) prefixes() []netip.Prefix { return *n.addrs.Load() }

func (n *nic) has(a netip.Addr) bool {
	for _, p := range n.prefixes() {
		if p.Addr() == a {
			return true
		}
	}
	return false
}

// source returns the address of n to reach remote from: one of the same family
// and, if there is one, with the longest common prefix (RFC 6724 §5, rule 8).
func (n *nic) source(remote netip.Addr) (netip.Addr, bool) {
	var best netip.Addr
	score := -1
	for _, p := range n.prefixes() {
		a := p.Addr()
		if a.Is4() != remote.Is4() || a.IsLinkLocalUnicast() != remote.IsLinkLocalUnicast() {
			continue
		}
		if c := commonBits(a, remote); c > score {
			best, score = a, c
		}
	}
	return best, score >= 0
}

func commonBits(a, b netip.Addr) int {
	x, y := a.As16(), b.As16()
	for i := range x {
		if d := x[i] ^ y[i]; d != 0 {
			n := i * 8
			for d&0x80 == 0 {
				d <<= 1
				n++
			}
			return n
		}
	}
	return 128
}

func (n *nic) mtu() int { return int(n.ep.MTU()) }

func (n *nic) info() LinkInfo {
	return LinkInfo{ID: n.id, Name: n.name, Class: n.class, Metric: n.metric,
		Up: n.up.Load(), MTU: n.mtu(), Addrs: slices.Clone(n.prefixes())}
}

// linkTable is the links by preference.
type linkTable struct{ all []*nic }

func (t *linkTable) get(id LinkID) *nic {
	for _, n := range t.all {
		if n.id == id {
			return n
		}
	}
	return nil
}

// AttachLink adds a link and makes its addresses usable. On an error the
// endpoint stays the caller's.
func (s *Stack) AttachLink(l Link) (LinkID, error) {
	if l.Endpoint == nil {
		return 0, errors.New("stack: link without endpoint")
	}
	if l.Endpoint.Capabilities()&gv.CapabilityResolutionRequired != 0 {
		return 0, fmt.Errorf("stack: link %q resolves neighbours; only layer-3 links can be attached", l.Name)
	}
	s.linkMu.Lock()
	defer s.watches.flush()
	defer s.linkMu.Unlock()
	if s.closed.Load() {
		return 0, ErrClosed
	}
	for _, n := range s.links.Load().all {
		if l.Name != "" && n.name == l.Name {
			return 0, fmt.Errorf("stack: a link named %q is attached already", l.Name)
		}
	}
	n := newNIC(s.lastID+1, l)
	if err := s.createNIC(n, l); err != nil {
		return 0, err
	}
	s.lastID++
	all := append(slices.Clone(s.links.Load().all), n)
	slices.SortStableFunc(all, func(a, b *nic) int { return a.metric - b.metric })
	s.links.Store(&linkTable{all: all})
	s.routes()
	s.watches.post(LinkChange{Kind: LinkAttached, Link: n.info()})
	return n.id, nil
}

func newNIC(id LinkID, l Link) *nic {
	n := &nic{id: id, name: l.Name, class: l.Class, metric: l.Metric, ep: l.Endpoint}
	n.gather, _ = l.Endpoint.(Gatherer)
	_, n.batch.on = l.Endpoint.(Batches)
	n.trusted = l.Endpoint.Capabilities()&gv.CapabilityRXChecksumOffload != 0
	if g, ok := l.Endpoint.(gv.GSOEndpoint); ok && g.SupportedGSO() == gv.HostGSOSupported {
		n.checksum = true
		n.maxSuper = int(min(g.GSOMaxSize(), 65535))
	}
	n.up.Store(!l.Down)
	n.addrs.Store(&[]netip.Prefix{})
	return n
}

// createNIC makes gVisor's side of n; on an error nothing stays behind.
func (s *Stack) createNIC(n *nic, l Link) error {
	id := tcpip.NICID(n.id)
	w := &ingress{LinkEndpoint: l.Endpoint, s: s, nic: n}
	if err := s.gv.CreateNICWithOptions(id, w, gv.NICOptions{Name: l.Name, Disabled: l.Down}); err != nil {
		return fmt.Errorf("stack: link %q: %w", l.Name, gvError(err))
	}
	undo := func(err error) error {
		w.keep.Store(true)
		s.gv.RemoveNIC(id)
		return err
	}
	if s.opts.AnyAddress {
		if err := s.gv.SetPromiscuousMode(id, true); err != nil {
			return undo(gvError(err))
		}
		if err := s.gv.SetSpoofing(id, true); err != nil {
			return undo(gvError(err))
		}
	}
	for _, p := range l.Addrs {
		if err := s.addAddr(n, p); err != nil {
			return undo(err)
		}
	}
	return nil
}

// routes gives gVisor (for UDP and ping) a default route over every link, in
// order of preference, after the on-link prefixes.
func (s *Stack) routes() {
	var t []tcpip.Route
	for _, n := range s.links.Load().all {
		for _, p := range n.prefixes() {
			if net, err := tcpip.NewSubnet(toGV(p.Masked().Addr()), maskOf(p)); err == nil {
				t = append(t, tcpip.Route{Destination: net, NIC: tcpip.NICID(n.id)})
			}
		}
	}
	for _, n := range s.links.Load().all {
		t = append(t, tcpip.Route{Destination: header.IPv4EmptySubnet, NIC: tcpip.NICID(n.id)},
			tcpip.Route{Destination: header.IPv6EmptySubnet, NIC: tcpip.NICID(n.id)})
	}
	s.gv.SetRouteTable(t)
}

func maskOf(p netip.Prefix) tcpip.AddressMask {
	return tcpip.MaskFromBytes(net6(p.Bits(), p.Addr().BitLen()))
}

func net6(ones, bits int) []byte {
	m := make([]byte, bits/8)
	for i := range ones {
		m[i/8] |= 0x80 >> (i % 8)
	}
	return m
}

// DetachLink removes a link and closes its endpoint. Plain TCP connections over
// it stall; Multipath TCP connections go on over the other links.
func (s *Stack) DetachLink(id LinkID) error {
	s.linkMu.Lock()
	old := s.links.Load()
	n := old.get(id)
	if n == nil {
		s.linkMu.Unlock()
		return fmt.Errorf("stack: no link %d", id)
	}
	n.up.Store(false)
	s.links.Store(&linkTable{all: slices.DeleteFunc(slices.Clone(old.all), func(m *nic) bool { return m == n })})
	s.routes()
	s.watches.post(LinkChange{Kind: LinkDetached, Link: n.info()})
	s.linkMu.Unlock()
	s.watches.flush()
	// Outside the lock: closing the endpoint waits for its reader, which may be
	// delivering a packet.
	s.gv.RemoveNIC(tcpip.NICID(id))
	return nil
}

// SetLinkState tells the stack that a link came up or went down.
func (s *Stack) SetLinkState(id LinkID, up bool) error {
	s.linkMu.Lock()
	defer s.watches.flush()
	defer s.linkMu.Unlock()
	n := s.links.Load().get(id)
	if n == nil {
		return fmt.Errorf("stack: no link %d", id)
	}
	if n.up.Swap(up) == up {
		return nil
	}
	kind, set := LinkDown, s.gv.DisableNIC
	if up {
		kind, set = LinkUp, s.gv.EnableNIC
	}
	set(tcpip.NICID(id))
	s.watches.post(LinkChange{Kind: kind, Link: n.info()})
	return nil
}

// AddAddr gives a link one more address.
func (s *Stack) AddAddr(id LinkID, p netip.Prefix) error {
	s.linkMu.Lock()
	defer s.watches.flush()
	defer s.linkMu.Unlock()
	n := s.links.Load().get(id)
	if n == nil {
		return fmt.Errorf("stack: no link %d", id)
	}
	if n.has(p.Addr()) {
		return nil
	}
	if err := s.addAddr(n, p); err != nil {
		return err
	}
	s.routes()
	s.watches.post(LinkChange{Kind: AddrAdded, Link: n.info(), Addr: p.Addr()})
	return nil
}

func (s *Stack) addAddr(n *nic, p netip.Prefix) error {
	if !p.IsValid() || !unicast(p.Addr()) {
		return fmt.Errorf("stack: link %q: %v is not a usable address", n.name, p)
	}
	a := tcpip.ProtocolAddress{Protocol: netProto(p.Addr()),
		AddressWithPrefix: tcpip.AddressWithPrefix{Address: toGV(p.Addr()), PrefixLen: p.Bits()}}
	if err := s.gv.AddProtocolAddress(tcpip.NICID(n.id), a, gv.AddressProperties{}); err != nil {
		return fmt.Errorf("stack: link %q: address %v: %w", n.name, p, gvError(err))
	}
	all := append(slices.Clone(n.prefixes()), p)
	n.addrs.Store(&all)
	return nil
}

// RemoveAddr takes an address from a link.
func (s *Stack) RemoveAddr(id LinkID, a netip.Addr) error {
	s.linkMu.Lock()
	defer s.watches.flush()
	defer s.linkMu.Unlock()
	n := s.links.Load().get(id)
	if n == nil {
		return fmt.Errorf("stack: no link %d", id)
	}
	if !n.has(a) {
		return fmt.Errorf("stack: link %q has no address %v", n.name, a)
	}
	s.gv.RemoveAddress(tcpip.NICID(id), toGV(a))
	all := slices.DeleteFunc(slices.Clone(n.prefixes()), func(p netip.Prefix) bool { return p.Addr() == a })
	n.addrs.Store(&all)
	s.routes()
	s.watches.post(LinkChange{Kind: AddrRemoved, Link: n.info(), Addr: a})
	return nil
}

// Links returns the attached links, preferred ones first.
func (s *Stack) Links() []LinkInfo {
	all := s.links.Load().all
	infos := make([]LinkInfo, len(all))
	for i, n := range all {
		infos[i] = n.info()
	}
	return infos
}

// LinkByID returns one attached link.
func (s *Stack) LinkByID(id LinkID) (LinkInfo, bool) {
	if n := s.links.Load().get(id); n != nil {
		return n.info(), true
	}
	return LinkInfo{}, false
}
