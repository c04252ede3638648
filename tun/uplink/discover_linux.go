package uplink

import (
	"bufio"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Discover returns the interfaces that are up and have an address and a default
// route, the preferred route first.
func Discover() ([]Interface, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	var found []Interface
	for _, l := range links {
		if l.Attrs().Flags&unix.IFF_LOOPBACK != 0 || strings.HasPrefix(l.Attrs().Name, devicePrefix) {
			continue
		}
		i, _, err := inspect(l, false)
		if err != nil {
			return nil, err
		}
		if i.State.Usable() {
			found = append(found, i)
		}
	}
	slices.SortStableFunc(found, func(a, b Interface) int { return a.Metric - b.Metric })
	return found, nil
}

// seen is what inspect read on the way: the main table's routes by family.
type seen map[int][]netlink.Route

// inspect reads the state of one interface. A family counts if it has an
// address and a default route. What was named counts with a default route in
// any table, and with no default route at all if it has some other route: its
// own network may be all that is wanted of it.
func inspect(l netlink.Link, named bool) (Interface, seen, error) {
	a := l.Attrs()
	i := Interface{Name: a.Name, Index: a.Index, MTU: a.MTU, Class: guessClass(a.Name, a.Index)}
	i.State.Up = running(a)
	addrs, err := netlink.AddrList(l, netlink.FAMILY_ALL)
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return i, nil, fmt.Errorf("addresses of %s: %w", a.Name, err)
	}
	var have4, have6 bool
	for _, ad := range addrs {
		ip, ok := netip.AddrFromSlice(ad.IP)
		if !ok || ad.Scope != unix.RT_SCOPE_UNIVERSE || ad.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) != 0 {
			continue
		}
		ones, _ := ad.Mask.Size()
		ip = ip.Unmap()
		i.Addrs = append(i.Addrs, netip.PrefixFrom(ip, ones))
		have4 = have4 || ip.Is4()
		have6 = have6 || ip.Is6()
	}
	routes := seen{}
	metric := -1
	for _, f := range families {
		rs, err := interfaceRoutes(f, a.Index, named)
		if err != nil {
			return i, nil, err
		}
		routes[f] = rs
		for _, r := range rs {
			if !isDefault(r) {
				continue
			}
			if f == unix.AF_INET {
				i.Default4 = true
			} else {
				i.Default6 = true
			}
			if metric < 0 || r.Priority < metric {
				metric = r.Priority
			}
		}
	}
	i.Metric = max(metric, 0)
	local := named && !i.Default4 && !i.Default6
	i.State.IPv4 = have4 && (i.Default4 || local && len(routes[unix.AF_INET]) > 0)
	i.State.IPv6 = have6 && (i.Default6 || local && len(routes[unix.AF_INET6]) > 0) && i.MTU >= minMTU6
	return i, routes, nil
}

// minMTU6 is the least MTU that IPv6 lives with (RFC 8200 §5).
const minMTU6 = 1280

// running reports whether an interface is up and can carry packets.
func running(a *netlink.LinkAttrs) bool {
	return a.RawFlags&unix.IFF_UP != 0 && a.RawFlags&unix.IFF_RUNNING != 0
}

// guessClass asks the driver, then the name.
func guessClass(name string, index int) Class {
	switch devtype(name, index) {
	case "wlan":
		return WiFi
	case "wwan":
		return Cellular
	}
	for _, g := range []struct {
		prefix string
		class  Class
	}{
		{"wl", WiFi}, {"wifi", WiFi}, {"ath", WiFi},
		{"wwan", Cellular}, {"wwp", Cellular}, {"ww", Cellular}, {"cell", Cellular}, {"rmnet", Cellular}, {"ppp", Cellular}, {"usb", Cellular},
		{"en", Wired}, {"eth", Wired},
	} {
		if strings.HasPrefix(name, g.prefix) {
			return g.class
		}
	}
	return Unknown
}

// devtype reads what the driver says the device is, "" if nothing. The sysfs
// that is mounted may show another namespace's devices, so the index must
// agree.
func devtype(name string, index int) string {
	f, err := os.Open(filepath.Join("/sys/class/net", name, "uevent"))
	if err != nil {
		return ""
	}
	defer f.Close()
	var kind, ifindex string
	for s := bufio.NewScanner(f); s.Scan(); {
		if v, ok := strings.CutPrefix(s.Text(), "DEVTYPE="); ok {
			kind = v
		}
		if v, ok := strings.CutPrefix(s.Text(), "IFINDEX="); ok {
			ifindex = v
		}
	}
	if ifindex != fmt.Sprint(index) {
		return ""
	}
	return kind
}

// choose finds the interfaces that a Config names, or all that will do.
func choose(c Config) ([]Interface, error) {
	if len(c.Links) == 0 {
		found, err := Discover()
		if err == nil && len(found) == 0 {
			err = ErrNoLinks
		}
		return found, err
	}
	var chosen []Interface
	for _, want := range c.Links {
		i, err := lookup(want)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(chosen, func(o Interface) bool { return o.Index == i.Index }) {
			return nil, fmt.Errorf("link %s is named twice", want.Name)
		}
		chosen = append(chosen, i)
	}
	return chosen, nil
}

func lookup(want LinkConfig) (Interface, error) {
	l, err := netlink.LinkByName(want.Name)
	var none netlink.LinkNotFoundError
	if errors.As(err, &none) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ERANGE) || errors.Is(err, unix.EINVAL) {
		return Interface{}, fmt.Errorf("link %s: %w", want.Name, ErrNoLink)
	}
	if err != nil {
		return Interface{}, fmt.Errorf("link %s: %w", want.Name, err)
	}
	i, _, err := inspect(l, true)
	switch {
	case err != nil:
		return i, err
	case l.Attrs().Flags&unix.IFF_LOOPBACK != 0:
		return i, fmt.Errorf("link %s: %w: it is the loopback interface", want.Name, ErrNoAddress)
	case !i.State.Up:
		return i, fmt.Errorf("link %s: %w", want.Name, ErrLinkDown)
	case len(i.Addrs) == 0:
		return i, fmt.Errorf("link %s: %w", want.Name, ErrNoAddress)
	case !i.State.Usable():
		return i, fmt.Errorf("link %s: %w that has a route", want.Name, ErrNoAddress)
	}
	if want.Class != Unknown {
		i.Class = want.Class
	}
	return i, nil
}
