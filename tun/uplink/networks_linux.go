package uplink

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// usedNetworks returns all networks that the host has addresses in or routes
// to.
func usedNetworks() ([]netip.Prefix, error) {
	var used []netip.Prefix
	add := func(n *net.IPNet) {
		if n == nil {
			return
		}
		ip, ok := netip.AddrFromSlice(n.IP)
		ones, _ := n.Mask.Size()
		if ip = ip.Unmap(); ok && ones > 0 && ip.Is4() {
			used = append(used, netip.PrefixFrom(ip, ones).Masked())
		}
	}
	addrs, err := netlink.AddrList(nil, unix.AF_INET)
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range addrs {
		add(a.IPNet)
	}
	routes, err := allRoutes(unix.AF_INET)
	for _, r := range routes {
		add(r.Dst)
	}
	return used, err
}

// Spare returns one more pair of each family that collides with nothing.
func (h *Host) Spare() (v4, v6 Pair, err error) {
	used, err := usedNetworks()
	if err != nil {
		return v4, v6, err
	}
	v4, err = pick4(used)
	return v4, pick6(), err
}
