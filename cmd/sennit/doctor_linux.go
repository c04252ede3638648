package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sennit-net/sennit/tun"
	"github.com/sennit-net/sennit/tun/uplink"
)

// examine looks at everything that run needs, in the order in which it needs
// it.
func examine() []finding {
	f := []finding{checkSystem()}
	f = append(f, checkCapabilities(), checkTUN(), checkNamespaces(), checkRules(), checkFilter(), checkState())
	f = append(f, checkForwarding()...)
	f = append(f, checkLinks()...)
	return append(f, checkResolver(), checkLeftovers())
}

func checkSystem() finding {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return finding{"system", fail, err.Error(), ""}
	}
	release := string(bytes.TrimRight(u.Release[:], "\x00"))
	return finding{"system", good, "Linux " + release + " " + runtime.GOARCH + ", kernel support for MPTCP not needed", ""}
}

const sudoAdvice = "run it with sudo; the command itself still runs as you"

func checkCapabilities() finding {
	f := finding{Name: "capabilities", Status: good, Detail: "CAP_NET_ADMIN, CAP_SYS_ADMIN"}
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return finding{f.Name, fail, err.Error(), sudoAdvice}
	}
	var lack []string
	for name, bit := range map[string]int{"CAP_NET_ADMIN": unix.CAP_NET_ADMIN, "CAP_SYS_ADMIN": unix.CAP_SYS_ADMIN} {
		if data[0].Effective&(1<<bit) == 0 {
			lack = append(lack, name)
		}
	}
	if lack != nil {
		return finding{f.Name, fail, "missing: " + strings.Join(lack, ", "), sudoAdvice}
	}
	return f
}

// refused tells a lack of privilege, which is one finding, from other faults.
func refused(err error) bool {
	return errors.Is(err, os.ErrPermission) || errors.Is(err, uplink.ErrPermission) || errors.Is(err, tun.ErrPermission)
}

// failed makes a finding of an error.
func failed(name string, err error, advice string) finding {
	if refused(err) {
		advice = sudoAdvice
	}
	return finding{name, fail, err.Error(), advice}
}

func checkTUN() finding {
	d, err := tun.Open(tun.Config{})
	switch {
	case errors.Is(err, tun.ErrNoDriver):
		return finding{"TUN", fail, err.Error(), "sudo modprobe tun"}
	case err != nil:
		return failed("TUN", err, "see whether /dev/net/tun exists and may be opened")
	}
	defer d.Close()
	o := d.Offload()
	if !o.Checksum || !o.TSO4 || !o.TSO6 {
		return finding{"TUN", warn, fmt.Sprintf("works; offloads: checksum %v, TSO IPv4 %v, TSO IPv6 %v", o.Checksum, o.TSO4, o.TSO6),
			"bulk transfers cost several times the CPU without them; newer kernels have all"}
	}
	return finding{"TUN", good, "offloads: checksum, TSO for IPv4 and IPv6", ""}
}

func checkNamespaces() finding {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine
		result <- unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS)
	}()
	if err := <-result; err != nil {
		return failed("namespaces", fmt.Errorf("new network and mount namespace: %w", err),
			"containers often forbid this: run outside, or with --privileged")
	}
	return finding{"namespaces", good, "network and mount namespaces can be made", ""}
}

func checkRules() finding {
	if err := uplink.ProbeRules(); err != nil {
		return failed("policy routing", err, "the kernel needs CONFIG_IP_MULTIPLE_TABLES and CONFIG_IPV6_MULTIPLE_TABLES")
	}
	return finding{"policy routing", good, "rules and tables for IPv4 and IPv6", ""}
}

func checkFilter() finding {
	if err := uplink.ProbeFilter(); err != nil {
		return failed("nftables", err, "sudo modprobe -a nf_tables nft_masq nft_chain_nat nft_ct")
	}
	f := finding{"nftables", good, "filter and masquerade for IPv4 and IPv6", ""}
	if names, err := uplink.ForeignFirewalls(); err == nil && names != nil {
		f.Detail += "; lets its packets pass other firewalls' chains: " + strings.Join(names, ", ")
	}
	for _, path := range []string{"/proc/net/ip_tables_names", "/proc/net/ip6_tables_names"} {
		if b, err := os.ReadFile(path); err == nil && strings.Contains(string(b), "filter") {
			f.Status = warn
			f.Detail += "; the old iptables is in use, too"
			f.Advice = "if nothing gets out: sudo iptables-legacy -I FORWARD -i sennit-+ -j ACCEPT; sudo iptables-legacy -I FORWARD -o sennit-+ -j ACCEPT (and ip6tables-legacy)"
			break
		}
	}
	return f
}

func checkState() finding {
	err := os.MkdirAll(uplink.DefaultStateDir, 0o700)
	if err == nil {
		err = unix.Access(uplink.DefaultStateDir, unix.W_OK)
	}
	if err != nil {
		return failed("journal", fmt.Errorf("%s: %w", uplink.DefaultStateDir, err), "make it writable: changes to the host are noted there before they are made")
	}
	return finding{"journal", good, uplink.DefaultStateDir + " is writable", ""}
}

func checkForwarding() []finding {
	if err := uplink.ProbeSysctl(); err != nil {
		return []finding{failed("forwarding", err, "in a container, /proc/sys has to be writable")}
	}
	v6 := uplink.Forwarding6()
	if v6 == "" {
		v6 = "no IPv6"
	}
	return []finding{{"forwarding", good, "IPv4 per device; IPv6 " + v6 + "; limited to Sennit's own devices", ""}}
}

func checkLinks() []finding {
	links, err := uplink.Discover()
	if err != nil {
		return []finding{failed("links", err, "")}
	}
	var f []finding
	for _, l := range links {
		class := string(l.Class)
		if class == "" {
			class = "unknown kind"
		}
		var families []string
		if l.State.IPv4 {
			families = append(families, "IPv4")
		}
		if l.State.IPv6 {
			families = append(families, "IPv6")
		}
		f = append(f, finding{"link " + l.Name, good, fmt.Sprintf("%s, %s, MTU %d, metric %d, rp_filter %s",
			class, strings.Join(families, " and "), l.MTU, l.Metric, uplink.ReversePath(l.Name)), ""})
	}
	switch len(f) {
	case 0:
		return []finding{{"links", fail, uplink.ErrNoLinks.Error(), "connect an interface, or name one with an address by --link"}}
	case 1:
		f = append(f, finding{"links", note, "only one: connections will be Multipath TCP with one path", "connect another interface to use both"})
	}
	return f
}

func checkResolver() finding {
	servers := readServers()
	if len(servers) == 0 {
		return finding{"resolver", warn, hostResolvConf + " names no server", "names will not be found inside run"}
	}
	var list []string
	for _, s := range servers {
		way := "over the links"
		if byHost(s.Addr()) {
			way = "through this host"
		}
		list = append(list, s.Addr().String()+" "+way)
	}
	return finding{"resolver", good, strings.Join(list, ", "), ""}
}

func checkLeftovers() finding {
	left, err := uplink.Leftovers("")
	switch {
	case err != nil && refused(err):
		return finding{"leftovers", note, "not looked at: " + err.Error(), ""}
	case err != nil:
		return finding{"leftovers", warn, err.Error(), ""}
	case len(left) == 0:
		return finding{"leftovers", good, "none", ""}
	}
	n := 0
	for _, l := range left {
		n += len(l.Undone)
	}
	return finding{"leftovers", note, fmt.Sprintf("%d changes of %d killed runs", n, len(left)),
		"the next run takes them away; or now: sudo sennit doctor --clean"}
}

// doctorClean takes away what killed runs left.
func doctorClean(w io.Writer) error {
	left, err := uplink.Cleanup("")
	for _, l := range left {
		fmt.Fprintf(w, "run %d of %s:\n", l.PID, l.Started.Format("2006-01-02 15:04:05"))
		for _, u := range l.Undone {
			fmt.Fprintln(w, "  undone:", u)
		}
	}
	switch {
	case err != nil:
		return &exitError{exitOwn, errors.New(advise(err))}
	case len(left) == 0:
		fmt.Fprintln(w, "nothing was left behind")
	}
	return nil
}
