package uplink

import (
	"errors"
	"fmt"
	"math"
	"net"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The tables that instances take theirs from.
const (
	firstTable = 21300
	lastTable  = 21999
)

// routeProtocol marks the routes we made (`proto 213` in ip-route(8)).
const routeProtocol netlink.RouteProtocol = 213

var families = [...]int{unix.AF_INET, unix.AF_INET6}

// usedTables returns which routing tables the host and other instances use.
func (h *Host) usedTables() (map[int]bool, error) {
	used := map[int]bool{}
	for _, f := range families {
		rules, err := netlink.RuleList(f)
		if err != nil && !errors.Is(err, unix.EAFNOSUPPORT) {
			return nil, fmt.Errorf("list rules: %w", err)
		}
		for _, r := range rules {
			used[r.Table] = true
		}
		routes, err := allRoutes(f)
		if err != nil {
			return nil, err
		}
		for _, r := range routes {
			used[r.Table] = true
		}
	}
	for _, o := range h.others {
		for _, s := range o.steps {
			used[s.Table] = true
		}
	}
	return used, nil
}

// allRoutes lists the routes of every table.
func allRoutes(family int) ([]netlink.Route, error) {
	routes, err := netlink.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
	if errors.Is(err, unix.EAFNOSUPPORT) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	return routes, nil
}

// interfaceRoutes lists the main table's routes out of one interface. With
// anywhere, a default route that the main table lacks is looked for in the
// others, where VPNs keep theirs.
func interfaceRoutes(family, index int, anywhere bool) ([]netlink.Route, error) {
	routes, err := netlink.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
	if errors.Is(err, unix.EAFNOSUPPORT) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	mine := outOf(index, routes)
	if !anywhere || slices.ContainsFunc(mine, isDefault) {
		return mine, nil
	}
	if routes, err = allRoutes(family); err != nil {
		return nil, err
	}
	for _, r := range outOf(index, routes) {
		if isDefault(r) && r.Protocol != routeProtocol && r.Table != unix.RT_TABLE_LOCAL {
			mine = append(mine, r)
		}
	}
	return mine, nil
}

// outOf picks the routes out of one interface, multipath routes reduced to
// their hop there.
func outOf(index int, routes []netlink.Route) []netlink.Route {
	var mine []netlink.Route
	for _, r := range routes {
		for _, hop := range r.MultiPath {
			if hop.LinkIndex == index {
				r.LinkIndex, r.Gw, r.Via, r.Flags = index, hop.Gw, hop.Via, hop.Flags
			}
		}
		r.MultiPath = nil
		if r.LinkIndex == index && r.Type == unix.RTN_UNICAST && r.Flags&unix.RTNH_F_DEAD == 0 {
			mine = append(mine, r)
		}
	}
	return mine
}

// isDefault reports whether a route leads everywhere.
func isDefault(r netlink.Route) bool {
	if r.Dst == nil {
		return true
	}
	ones, _ := r.Dst.Mask.Size()
	return ones == 0
}

// wanted returns what a link's table shall hold for a family: the main table's
// routes of the interface, the way back to the stack, and an end, so that what
// has no route does not fall through to the tables after it.
func (l *Link) wanted(family int, main []netlink.Route) []netlink.Route {
	var connected, via []netlink.Route
	for _, m := range main {
		r := netlink.Route{LinkIndex: m.LinkIndex, Dst: m.Dst, Gw: m.Gw, Via: m.Via, Scope: m.Scope,
			Priority: m.Priority, Flags: m.Flags & unix.RTNH_F_ONLINK, MTU: m.MTU}
		if r.Gw == nil && r.Via == nil {
			connected = append(connected, r)
		} else {
			via = append(via, r)
		}
	}
	pair, scope := l.IPv4, netlink.SCOPE_LINK
	if family == unix.AF_INET6 {
		pair, scope = l.IPv6, netlink.SCOPE_UNIVERSE
	}
	all := append(connected, via...) // a gateway must be reachable when its route is added
	if pair.IsValid() {
		all = append(all, netlink.Route{LinkIndex: l.index, Dst: hostNet(pair.Peer.String()), Scope: scope})
	}
	all = append(all, netlink.Route{Type: unix.RTN_UNREACHABLE, Dst: everywhere(family), Priority: math.MaxInt32})
	for i := range all {
		all[i].Table, all[i].Family, all[i].Protocol = l.table, family, routeProtocol
		if all[i].Dst == nil {
			all[i].Dst = everywhere(family)
		}
		if family == unix.AF_INET6 && all[i].Priority == 0 {
			all[i].Priority = 1024 // what the kernel makes of 0
		}
	}
	return all
}

func everywhere(family int) *net.IPNet {
	n := net.IPv4len
	if family == unix.AF_INET6 {
		n = net.IPv6len
	}
	return &net.IPNet{IP: make(net.IP, n), Mask: make(net.IPMask, n)}
}

// routeKey tells routes of one table and family apart.
func routeKey(r netlink.Route) string {
	dst := "default"
	if !isDefault(r) {
		dst = r.Dst.String()
	}
	index := r.LinkIndex
	if r.Type == unix.RTN_UNREACHABLE {
		index = 0 // IPv6 shows the loopback device
	}
	return fmt.Sprint(dst, " ", r.Gw, " ", r.Via, " ", index, " ", r.Priority, " ", r.Type == unix.RTN_UNREACHABLE)
}

// syncTable makes a link's table hold what it shall.
func (l *Link) syncTable(family int, main []netlink.Route) error {
	have, err := netlink.RouteListFiltered(family, &netlink.Route{Table: l.table}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return fmt.Errorf("list routes: %w", err)
	}
	stale := map[string]netlink.Route{}
	for _, r := range have {
		stale[routeKey(r)] = r
	}
	var errs []error
	for _, r := range l.wanted(family, main) {
		key := routeKey(r)
		if _, ok := stale[key]; ok {
			delete(stale, key)
			continue
		}
		if err := netlink.RouteReplace(&r); err != nil {
			errs = append(errs, fmt.Errorf("route %s in table %d: %w", key, l.table, err))
		}
	}
	for _, r := range stale {
		if err := netlink.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, fmt.Errorf("route %s in table %d: %w", routeKey(r), l.table, err))
		}
	}
	return errors.Join(errs...)
}
