//go:build linux

package lab

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
)

// Segment is one link of the router: a veth pair between it and a host.
type Segment struct {
	Name   string // of the host's device: wifi0, cell0, eth0, eth1
	Host   *Host
	Addr4  netip.Addr // the host's addresses; the router has .1 and ::1
	Addr6  netip.Addr
	router netip.Addr
	route6 netip.Addr
	number int
}

// peer is the router's end of the segment.
func (s *Segment) peer() string { return "r-" + s.Name }

// Options of a lab. The zero value: both families, no shaping.
type Options struct {
	NoIPv4, NoIPv6 bool
	MTU            int // of all devices; 0: 1500
}

// Lab is a running topology.
type Lab struct {
	Client, Router, Server *Host
	WiFi, Cell, Eth0, Eth1 *Segment

	opt    Options
	mu     sync.Mutex // guards closers and filters
	close  []func() error
	filter filters
}

// New builds the topology of the package comment. Close takes it away.
func New(opt Options) (*Lab, error) {
	sweep()
	var b [3]byte
	if _, err := rand.Read(b[:]); err != nil {
		return nil, err
	}
	l := &Lab{opt: opt}
	if err := l.build(hex.EncodeToString(b[:])); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *Lab) build(id string) (err error) {
	for _, h := range []struct {
		role string
		at   **Host
	}{{"client", &l.Client}, {"router", &l.Router}, {"server", &l.Server}} {
		if *h.at, err = newHost(id, h.role); err != nil {
			return err
		}
		l.OnClose((*h.at).remove)
	}
	if err := l.sysctls(); err != nil {
		return err
	}
	for _, s := range []struct {
		name   string
		host   *Host
		number int
		at     **Segment
	}{
		{"wifi0", l.Client, 1, &l.WiFi}, {"cell0", l.Client, 2, &l.Cell},
		{"eth0", l.Server, 10, &l.Eth0}, {"eth1", l.Server, 11, &l.Eth1},
	} {
		if *s.at, err = l.segment(s.name, s.host, s.number); err != nil {
			return err
		}
	}
	// The client has what a network manager gives a machine: one default route
	// per interface, told apart by metric, and no source rules.
	for _, s := range []*Segment{l.WiFi, l.Cell} {
		if err := l.defaultRoutes(s); err != nil {
			return err
		}
	}
	// The server answers from each of its addresses over that address's device.
	for _, s := range []*Segment{l.Eth0, l.Eth1} {
		if err := errors.Join(l.defaultRoutes(s), l.SourceRoutes(s)); err != nil {
			return err
		}
	}
	return l.resolvConf()
}

func (l *Lab) sysctls() error {
	set := func(h *Host, pairs ...string) (err error) {
		for i := 0; i < len(pairs); i += 2 {
			err = errors.Join(err, h.Sysctl(pairs[i], pairs[i+1]))
		}
		return err
	}
	// Nobody else is there to hold an address: without detection of duplicates
	// link-local addresses work at once, and neighbour discovery with them.
	for _, h := range []*Host{l.Client, l.Router, l.Server} {
		if err := set(h, "net.ipv6.conf.all.accept_dad", "0", "net.ipv6.conf.default.accept_dad", "0"); err != nil {
			return err
		}
	}
	return errors.Join(
		set(l.Router, "net.ipv4.ip_forward", "1", "net.ipv6.conf.all.forwarding", "1",
			"net.ipv4.conf.all.rp_filter", "0", "net.ipv4.conf.default.rp_filter", "0"),
		set(l.Server, "net.ipv4.conf.all.rp_filter", "0", "net.ipv4.conf.default.rp_filter", "0"),
		l.Server.ip("mptcp", "limits", "set", "subflows", "8", "add_addr_accepted", "8"),
	)
}

// segment makes the veth pair and its addresses.
func (l *Lab) segment(name string, host *Host, number int) (*Segment, error) {
	s := &Segment{Name: name, Host: host, number: number,
		Addr4:  netip.AddrFrom4([4]byte{10, 77, byte(number), 2}),
		Addr6:  netip.MustParseAddr(fmt.Sprintf("fd77:%d::2", number)),
		router: netip.AddrFrom4([4]byte{10, 77, byte(number), 1}),
		route6: netip.MustParseAddr(fmt.Sprintf("fd77:%d::1", number)),
	}
	mtu := "1500"
	if l.opt.MTU != 0 {
		mtu = fmt.Sprint(l.opt.MTU)
	}
	err := errors.Join(
		ip("link", "add", name, "netns", host.NS, "mtu", mtu, "type", "veth",
			"peer", "name", s.peer(), "netns", l.Router.NS, "mtu", mtu),
		host.ip("link", "set", name, "up"),
		l.Router.ip("link", "set", s.peer(), "up"),
		l.addresses(l.Router, s.peer(), s.router, s.route6),
		l.addresses(host, name, s.Addr4, s.Addr6),
	)
	return s, err
}

func (l *Lab) addresses(h *Host, device string, v4, v6 netip.Addr) (err error) {
	if !l.opt.NoIPv4 {
		err = h.ip("addr", "replace", v4.String()+"/24", "dev", device)
	}
	if !l.opt.NoIPv6 {
		err = errors.Join(err, h.ip("addr", "replace", v6.String()+"/64", "dev", device, "nodad"))
	}
	return err
}

func (l *Lab) defaultRoutes(s *Segment) (err error) {
	metric := fmt.Sprint(100 * s.number)
	if !l.opt.NoIPv4 {
		err = s.Host.ip("route", "replace", "default", "via", s.router.String(), "dev", s.Name, "metric", metric)
	}
	if !l.opt.NoIPv6 {
		err = errors.Join(err, s.Host.ip("-6", "route", "replace", "default", "via", s.route6.String(), "dev", s.Name, "metric", metric))
	}
	return err
}

// SourceRoutes makes what comes from the segment's address leave over the
// segment. The server has them; a client needs them for the kernel's own MPTCP.
func (l *Lab) SourceRoutes(s *Segment) (err error) {
	table := fmt.Sprint(100 + s.number)
	add := func(family string, from, via netip.Addr) error {
		return errors.Join(
			s.Host.ip(family, "route", "replace", "default", "via", via.String(), "dev", s.Name, "table", table),
			s.Host.ip(family, "rule", "add", "from", from.String(), "lookup", table))
	}
	if !l.opt.NoIPv4 {
		err = add("-4", s.Addr4, s.router)
	}
	if !l.opt.NoIPv6 {
		err = errors.Join(err, add("-6", s.Addr6, s.route6))
	}
	return err
}

// resolvConf points the client to the DNS server of the lab (ServeDNS).
func (l *Lab) resolvConf() error {
	dir := filepath.Join(etcDir, l.Client.NS)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	server := l.ServerAddr()
	return os.WriteFile(filepath.Join(dir, "resolv.conf"), []byte("nameserver "+server.String()+"\n"), 0o644)
}

// ServerAddr is the server's first address: IPv4 unless that is switched off.
func (l *Lab) ServerAddr() netip.Addr {
	if l.opt.NoIPv4 {
		return l.Eth0.Addr6
	}
	return l.Eth0.Addr4
}

// OnClose has f run by Close, the last one first.
func (l *Lab) OnClose(f func() error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.close = append(l.close, f)
}

// Close ends the servers and removes the namespaces with all that is in them.
func (l *Lab) Close() (err error) {
	l.mu.Lock()
	todo := l.close
	l.close = nil
	l.mu.Unlock()
	for i := len(todo) - 1; i >= 0; i-- {
		err = errors.Join(err, todo[i]())
	}
	return err
}
