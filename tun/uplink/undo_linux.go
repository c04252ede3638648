package uplink

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Cleanup takes away what processes that no longer live left in this network
// namespace, as their journals in dir (empty: DefaultStateDir) tell. What it
// could not undo stays in its journal.
func Cleanup(dir string) ([]Left, error) {
	if dir == "" {
		dir = DefaultStateDir
	}
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	unlock, err := stateLock(dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return cleanup(dir, nil)
}

// cleanup is Cleanup under the lock; own is spared.
func cleanup(dir string, own *journal) ([]Left, error) {
	all, err := readJournals(dir, own)
	if err != nil {
		return nil, err
	}
	cookie, _, err := currentNetns()
	if err != nil {
		return nil, err
	}
	var left []Left
	var errs []error
	for i, s := range all {
		switch {
		case s.live:
			continue
		case s.owner.Boot != bootID():
			errs = append(errs, os.Remove(s.path)) // the kernel has forgotten it all
			continue
		case s.owner.Netns != cookie:
			if netnsGone(s.owner.Inode) {
				errs = append(errs, os.Remove(s.path))
			}
			continue
		}
		undone, err := undo(s.steps, slices.Delete(slices.Clone(all), i, i+1), cookie)
		left = append(left, Left{Journal: s.path, PID: s.owner.PID, Started: s.owner.Started, Undone: undone})
		if err == nil {
			err = os.Remove(s.path)
		}
		errs = append(errs, err)
	}
	return left, errors.Join(errs...)
}

// undo reverts steps, the last first. Sysctls that another live process of the
// namespace claims are left to it.
func undo(steps []step, others []saved, cookie uint64) (undone []string, err error) {
	heirs := map[string]string{}
	for _, o := range others {
		for _, s := range o.steps {
			single := conf("ipv6", s.Iif, "force_forwarding")
			switch {
			case !o.live || o.owner.Netns != cookie:
			case s.Kind == stepSysctl:
				heirs[s.Path] = s.Set
			case s.Kind == stepRule && s.Iif != "" && haveSysctl(single):
				heirs[single] = "1"
			}
		}
	}
	var errs []error
	for _, s := range slices.Backward(steps) {
		if _, ok := heirs[s.Path]; ok && s.Kind == stepSysctl {
			continue
		}
		if err := s.undo(); err != nil {
			errs = append(errs, fmt.Errorf("undo %v: %w", s, err))
			continue
		}
		undone = append(undone, s.String())
	}
	// Linux resets force_forwarding of each device with forwarding of all.
	for path, set := range heirs {
		if haveSysctl(path) {
			errs = append(errs, writeIfOther(path, set))
		}
	}
	return undone, errors.Join(errs...)
}

func (s step) undo() error {
	switch s.Kind {
	case stepSysctl:
		return restoreSysctl(s)
	case stepRule:
		err := netlink.RuleDel(s.rule())
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EAFNOSUPPORT) {
			return nil
		}
		return err
	case stepTable:
		return flushTable(s.Family, s.Table)
	case stepNft:
		return deleteNft(s.Name)
	case stepPass:
		return s.removePass()
	}
	return fmt.Errorf("unknown kind %q", s.Kind)
}

// rulePriority puts our rules before those of VPNs and the main table. They
// select by our own devices and addresses only, so they are in nobody's way.
const rulePriority = 700

func (s step) rule() *netlink.Rule {
	r := netlink.NewRule()
	r.Family, r.Table, r.Priority = s.Family, s.Table, rulePriority
	r.IifName = s.Iif
	r.Src, r.Dst = hostNet(s.From), hostNet(s.To)
	return r
}

// hostNet parses an address into a network of one host; nil if empty.
func hostNet(addr string) *net.IPNet {
	ip := net.ParseIP(addr)
	if ip == nil {
		return nil
	}
	if v4 := ip.To4(); v4 != nil {
		ip = v4
	}
	return &net.IPNet{IP: ip, Mask: net.CIDRMask(8*len(ip), 8*len(ip))}
}

func flushTable(family, table int) error {
	routes, err := netlink.RouteListFiltered(family, &netlink.Route{Table: table}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range routes {
		if err := netlink.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func deleteNft(name string) error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	t := &nftables.Table{Family: nftables.TableFamilyINet, Name: name}
	c.DelTable(t)
	err = c.Flush()
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}
