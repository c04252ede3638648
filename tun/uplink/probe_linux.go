package uplink

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ProbeFilter makes our nftables table for a link that does not exist, and
// takes it away: nil if this kernel and these capabilities can do all it needs.
func ProbeFilter() error {
	if err := permitted(); err != nil {
		return err
	}
	name, err := freeNftName()
	if err != nil {
		return explain(nftError(err))
	}
	probe := fence{tun: devicePrefix + "probe", link: devicePrefix + "probe", closed4: true, closed6: true,
		peer4: netip.AddrFrom4([4]byte{10}), peer6: netip.IPv6Loopback()}
	if err := buildNft(name, []fence{probe}, true); err != nil {
		return explain(err)
	}
	return deleteNft(name)
}

// ProbeRules tells whether the kernel has policy routing for both families.
func ProbeRules() error {
	for _, f := range families {
		if _, err := netlink.RuleList(f); err != nil && !errors.Is(err, unix.EAFNOSUPPORT) {
			return fmt.Errorf("policy routing: %w", err)
		}
	}
	return nil
}

// ProbeSysctl tells whether forwarding can be switched on, which needs a
// writable /proc/sys.
func ProbeSysctl() error {
	path := conf("ipv4", "default", "forwarding")
	f, err := os.OpenFile(sysctlRoot+path, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("sysctl: %w", err)
	}
	return f.Close()
}

// ForeignFirewalls names the forward chains of other programs. Setup lets our
// own packets pass there.
func ForeignFirewalls() ([]string, error) {
	c, err := nftables.New()
	if err != nil {
		return nil, nftError(err)
	}
	chains, err := foreignChains(c)
	var names []string
	for _, ch := range chains {
		names = append(names, ch.Table.Name+" "+ch.Name)
	}
	return names, err
}

// Forwarding6 says how IPv6 forwarding will be had: per device, for the whole
// host, or it is on anyway; "" without IPv6.
func Forwarding6() string {
	switch v, err := readSysctl(conf("ipv6", "all", "forwarding")); {
	case err != nil:
		return ""
	case v != "0":
		return "on already"
	case haveSysctl(conf("ipv6", "default", "force_forwarding")):
		return "per device"
	}
	return "for the whole host, closed by a filter"
}

// ReversePath returns the effective rp_filter of an interface.
func ReversePath(device string) string {
	all, _ := readSysctl(conf("ipv4", "all", "rp_filter"))
	own, err := readSysctl(conf("ipv4", device, "rp_filter"))
	if err != nil {
		return ""
	}
	return max(all, own) // single digits; the greater counts
}

// Leftovers tells what processes that no longer live left in this network
// namespace, without touching it.
func Leftovers(dir string) ([]Left, error) {
	if dir == "" {
		dir = DefaultStateDir
	}
	all, err := readJournals(dir, nil)
	if err != nil {
		return nil, err
	}
	cookie, _, err := currentNetns()
	if err != nil {
		return nil, err
	}
	var left []Left
	for _, s := range all {
		if s.live || s.owner.Boot != bootID() || s.owner.Netns != cookie {
			continue
		}
		l := Left{Journal: s.path, PID: s.owner.PID, Started: s.owner.Started}
		for _, st := range s.steps {
			l.Undone = append(l.Undone, st.String())
		}
		left = append(left, l)
	}
	return left, nil
}
