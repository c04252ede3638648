package uplink

import (
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/sennit-net/sennit/tun"
)

// Host is the host side of all links of one process.
type Host struct {
	dir     string
	config  Config
	links   []*Link
	journal *journal
	others  []saved // journals of others, read under the lock
	nft     string
	fences  []fence
	closed6 bool // forwarding of IPv6 was off for the whole host
	monitor *monitor
	once    sync.Once
	closing error
}

// Setup takes away what dead processes left, then makes the host side of the
// links. If anything fails nothing is left.
func Setup(c Config) (*Host, error) {
	if err := permitted(); err != nil {
		return nil, err
	}
	chosen, err := choose(c)
	if err != nil {
		return nil, err
	}
	unlock, err := stateLock(c.stateDir())
	if err != nil {
		return nil, err
	}
	defer unlock()
	h := &Host{dir: c.stateDir(), config: c}
	if h.journal, err = newJournal(h.dir); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if err := h.setup(chosen); err != nil {
		return nil, errors.Join(explain(err), h.teardown())
	}
	return h, nil
}

// permitted tells early and clearly if a capability is missing.
func permitted() error {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return fmt.Errorf("capabilities: %w", err)
	}
	if data[0].Effective&(1<<unix.CAP_NET_ADMIN) == 0 {
		return fmt.Errorf("%w: making links needs the capability CAP_NET_ADMIN", ErrPermission)
	}
	return nil
}

// explain maps refusals that only a capability can lift.
func explain(err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || errors.Is(err, tun.ErrPermission) {
		return fmt.Errorf("%w: %w", ErrPermission, err)
	}
	return err
}

// setup makes everything, in an order in which nobody is ever forwarded who
// should not be: the filter stands before forwarding is switched on.
func (h *Host) setup(chosen []Interface) error {
	var err error
	if _, err = cleanup(h.dir, h.journal); err != nil {
		return fmt.Errorf("clean up after an earlier run: %w", err)
	}
	if h.others, err = readJournals(h.dir, h.journal); err != nil {
		return err
	}
	if h.nft, err = freeNftName(); err != nil {
		return nftError(err)
	}
	used, err := usedNetworks()
	if err != nil {
		return err
	}
	tables, err := h.usedTables()
	if err != nil {
		return err
	}
	for _, i := range chosen {
		l := &Link{Interface: i, named: len(h.config.Links) > 0}
		if l.IPv4, err = pick4(used); err != nil {
			return err
		}
		used = append(used, l.IPv4.Prefix())
		if haveSysctl("net/ipv6") && i.MTU >= minMTU6 {
			l.IPv6 = pick6()
		}
		for l.table = firstTable; tables[l.table]; l.table++ {
		}
		if l.table > lastTable {
			return fmt.Errorf("no free routing table between %d and %d", firstTable, lastTable)
		}
		tables[l.table] = true
		if err := h.openDevice(l); err != nil {
			return err
		}
		h.links = append(h.links, l)
	}
	if err := h.closeFence(); err != nil {
		return err
	}
	for _, l := range h.links {
		if err := h.configure(l); err != nil {
			return fmt.Errorf("link %s: %w", l.Name, err)
		}
	}
	ns, err := netns.Get()
	if err != nil {
		return err
	}
	h.monitor, err = startMonitor(h, ns)
	return err
}

// openDevice makes the TUN device under the first free name.
func (h *Host) openDevice(l *Link) error {
	for n := 1; ; n++ {
		name := deviceName(l.Name, n)
		if _, err := net.InterfaceByName(name); err == nil && n < 100 {
			continue
		}
		d, err := tun.Open(tun.Config{Name: name, MTU: l.MTU, NoOffload: h.config.NoOffload})
		if errors.Is(err, tun.ErrNameInUse) && n < 100 {
			continue
		}
		if err != nil {
			return err
		}
		l.Device, l.tunName = d, name
		dev, err := netlink.LinkByName(name)
		if err != nil {
			return fmt.Errorf("device %s: %w", name, err)
		}
		l.index = dev.Attrs().Index
		return nil
	}
}

// configure gives a link's device its sysctls and addresses, makes rules and
// table, and switches it on.
func (h *Host) configure(l *Link) error {
	if err := l.tune(); err != nil {
		return err
	}
	if err := h.passForeign(l); err != nil {
		return err
	}
	dev, err := netlink.LinkByIndex(l.index)
	if err != nil {
		return err
	}
	for _, p := range []Pair{l.IPv4, l.IPv6} {
		if !p.IsValid() {
			continue
		}
		bits := 8 * len(p.Host.AsSlice())
		addr := &netlink.Addr{IPNet: &net.IPNet{IP: p.Host.AsSlice(), Mask: net.CIDRMask(p.Bits, bits)}}
		if p.Host.Is6() {
			addr.Flags = unix.IFA_F_NODAD
		}
		if err := netlink.AddrAdd(dev, addr); err != nil {
			return fmt.Errorf("address %s on %s: %w", p.Host, l.tunName, err)
		}
	}
	if err := netlink.LinkSetUp(dev); err != nil {
		return fmt.Errorf("switch on %s: %w", l.tunName, err)
	}
	_, routes, err := l.look()
	if err != nil {
		return err
	}
	for _, f := range l.families() {
		if err := h.route(l, f, routes[f]); err != nil {
			return err
		}
	}
	return nil
}

// tune sets the sysctls of our own device. They go away with it.
func (l *Link) tune() error {
	set := [][2]string{
		{conf("ipv4", l.tunName, "forwarding"), "1"},
		{conf("ipv4", l.tunName, "send_redirects"), "0"},
		// The greater of this and the value for all devices counts: loose even
		// where the host is strict, never off where it is loose.
		{conf("ipv4", l.tunName, "rp_filter"), "2"},
	}
	if l.IPv6.IsValid() {
		set = append(set, [][2]string{
			{conf("ipv6", l.tunName, "disable_ipv6"), "0"},
			{conf("ipv6", l.tunName, "accept_ra"), "0"},
			{conf("ipv6", l.tunName, "router_solicitations"), "0"},
		}...)
		for _, s := range [][2]string{
			{conf("ipv6", l.tunName, "addr_gen_mode"), "1"}, // no link-local address
			{conf("ipv6", l.tunName, "force_forwarding"), "1"},
		} {
			if haveSysctl(s[0]) {
				set = append(set, s)
			}
		}
	}
	for _, s := range set {
		if err := writeSysctl(s[0], s[1]); err != nil {
			return fmt.Errorf("sysctl %s=%s: %w", s[0], s[1], err)
		}
	}
	return nil
}

// families returns the address families of the link's device.
func (l *Link) families() []int {
	if l.IPv6.IsValid() {
		return families[:]
	}
	return families[:1]
}

// route makes the table and the rules of one family. Three rules: for what
// comes out of the device; for its source address alone, by which reverse path
// checks of answers find the right interface; and for answers on their way
// back, before any rule of somebody else.
func (h *Host) route(l *Link, family int, main []netlink.Route) error {
	if err := h.journal.note(step{Kind: stepTable, Family: family, Table: l.table}); err != nil {
		return err
	}
	if err := l.syncTable(family, main); err != nil {
		return err
	}
	for _, st := range l.rules(family) {
		if err := h.journal.note(st); err != nil {
			return err
		}
		if err := netlink.RuleAdd(st.rule()); err != nil {
			return fmt.Errorf("%v: %w", st, err)
		}
	}
	return nil
}

// rules are the rules of one family.
func (l *Link) rules(family int) []step {
	peer := l.IPv4.Peer.String()
	if family == unix.AF_INET6 {
		peer = l.IPv6.Peer.String()
	}
	rules := []step{{Iif: l.tunName}, {From: peer}, {To: peer}}
	for i := range rules {
		rules[i].Kind, rules[i].Family, rules[i].Table = stepRule, family, l.table
	}
	return rules
}

// restoreRules puts back the rules that somebody has taken away.
func (l *Link) restoreRules(family int) {
	have, err := netlink.RuleListFiltered(family, &netlink.Rule{Table: l.table}, netlink.RT_FILTER_TABLE)
	if err != nil || len(have) >= len(l.rules(family)) {
		return
	}
	for _, st := range l.rules(family) {
		_ = netlink.RuleAdd(st.rule()) // those that are there fail
	}
}

// Links returns the links in the order of the Config, or of preference.
func (h *Host) Links() []*Link { return h.links }

// Close takes everything away.
func (h *Host) Close() error {
	h.once.Do(func() {
		unlock, err := stateLock(h.dir)
		if err != nil {
			h.closing = err
			return
		}
		defer unlock()
		h.closing = h.teardown()
	})
	return h.closing
}

// teardown reverts the journal, under the lock. What cannot be undone stays
// noted for the next start.
func (h *Host) teardown() error {
	if h.monitor != nil {
		h.monitor.stop()
	}
	for _, l := range h.links {
		l.Device.Close()
	}
	others, err := readJournals(h.dir, h.journal)
	if err != nil {
		return err
	}
	_, err = undo(h.journal.steps, others, h.journal.owner.Netns)
	if err != nil {
		h.journal.f.Close()
		return fmt.Errorf("clean up: %w", err)
	}
	h.journal.close()
	return nil
}
