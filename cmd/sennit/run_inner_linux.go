package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/sennit-net/sennit/stack"
	"github.com/sennit-net/sennit/tun"
	"github.com/sennit-net/sennit/tun/link"
	"github.com/sennit-net/sennit/tun/uplink"
)

// innerDevice is the one network device COMMAND sees besides lo.
const innerDevice = "sennit0"

// inner is the network namespace of COMMAND, and the stack behind its device
// that answers for every address there is.
type inner struct {
	ns     *os.File // the namespace; open as long as it is needed
	handle *netlink.Handle
	stack  *stack.Stack
	v4, v6 uplink.Pair // Host is ours (the resolver), Peer is the device's
	index  int

	// Name servers on lo, for programs that ask there.
	packets []net.PacketConn
	streams []net.Listener

	mu     sync.Mutex
	routes map[int]bool // families that have a default route
}

// newInner makes the namespace, the device in it and the stack. names are the
// addresses of lo at which programs may look for a name server.
func newInner(mtu int, v4, v6 uplink.Pair, names []netip.Addr) (*inner, error) {
	in := &inner{v4: v4, v6: v6, routes: map[int]bool{}}
	var device tun.Device
	made := make(chan error)
	go func() {
		// This thread changes its namespace and is not used again: a goroutine
		// that ends locked takes its thread along.
		runtime.LockOSThread()
		made <- func() (err error) { device, err = in.build(mtu, names); return err }()
	}()
	if err := <-made; err != nil {
		return nil, errors.Join(fmt.Errorf("network of the command: %w", err), in.close())
	}
	var err error
	if in.stack, err = stack.New(stack.Options{AnyAddress: true}); err != nil {
		device.Close()
		return nil, errors.Join(err, in.close())
	}
	ep, err := link.New(device, link.Options{})
	if err != nil {
		device.Close()
		return nil, errors.Join(err, in.close())
	}
	if _, err = in.stack.AttachLink(stack.Link{Name: innerDevice, Endpoint: ep}); err != nil {
		ep.Close()
		return nil, errors.Join(err, in.close())
	}
	return in, nil
}

// build runs on the thread that enters the new namespace.
func (in *inner) build(mtu int, names []netip.Addr) (tun.Device, error) {
	ping, pingErr := os.ReadFile(pingGroups)
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("new network namespace: %w", err)
	}
	var err error
	if in.ns, err = os.Open("/proc/thread-self/ns/net"); err != nil {
		return nil, err
	}
	if in.handle, err = netlink.NewHandleAt(netns.NsHandle(in.ns.Fd())); err != nil {
		return nil, err
	}
	// Whoever may ping outside may ping inside.
	if pingErr == nil {
		if err := os.WriteFile(pingGroups, ping, 0); err != nil {
			return nil, err
		}
	}
	device, err := tun.Open(tun.Config{Name: innerDevice, MTU: mtu})
	if err != nil {
		return nil, err
	}
	if err := in.configure(); err != nil {
		device.Close()
		return nil, err
	}
	in.listen(names)
	return device, nil
}

// listen opens the name servers on lo. One that cannot be had is missed only by
// programs which do without resolv.conf.
func (in *inner) listen(names []netip.Addr) {
	for _, a := range names {
		at := netip.AddrPortFrom(a, dnsPort)
		if p, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at)); err == nil {
			in.packets = append(in.packets, p)
		}
		if l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at)); err == nil {
			in.streams = append(in.streams, l)
		}
	}
}

const pingGroups = "/proc/sys/net/ipv4/ping_group_range"

func (in *inner) configure() error {
	lo, err := in.handle.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := in.handle.LinkSetUp(lo); err != nil {
		return fmt.Errorf("switch on lo: %w", err)
	}
	dev, err := in.handle.LinkByName(innerDevice)
	if err != nil {
		return err
	}
	in.index = dev.Attrs().Index
	pairs := []uplink.Pair{in.v4}
	if _, err := os.Stat("/proc/sys/net/ipv6"); err == nil {
		pairs = append(pairs, in.v6)
		for _, s := range [][2]string{
			// Whatever the host made the default of new devices.
			{"/proc/sys/net/ipv6/conf/" + innerDevice + "/disable_ipv6", "0"},
			{"/proc/sys/net/ipv6/conf/lo/disable_ipv6", "0"},
			{"/proc/sys/net/ipv6/conf/" + innerDevice + "/accept_ra", "0"},
			{"/proc/sys/net/ipv6/conf/" + innerDevice + "/router_solicitations", "0"},
			{"/proc/sys/net/ipv6/conf/" + innerDevice + "/addr_gen_mode", "1"},
		} {
			if err := os.WriteFile(s[0], []byte(s[1]), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	} else {
		in.v6 = uplink.Pair{}
	}
	for _, p := range pairs {
		addr := &netlink.Addr{IPNet: &net.IPNet{IP: p.Peer.AsSlice(), Mask: net.CIDRMask(p.Bits, p.Peer.BitLen())}}
		if p.Peer.Is6() {
			addr.Flags = unix.IFA_F_NODAD
		}
		if err := in.handle.AddrAdd(dev, addr); err != nil {
			return fmt.Errorf("address %s: %w", p.Peer, err)
		}
	}
	if err := in.handle.LinkSetUp(dev); err != nil {
		return fmt.Errorf("switch on %s: %w", innerDevice, err)
	}
	return nil
}

// setFamilies gives the namespace a default route for each family that some
// link has, so that a program which tries the other one hears at once that it
// cannot be reached, and goes on with the next address.
func (in *inner) setFamilies(v4, v6 bool) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	var errs []error
	for _, f := range []struct {
		family int
		have   bool
		bits   int
	}{{unix.AF_INET, v4, 32}, {unix.AF_INET6, v6 && in.v6.IsValid(), 128}} {
		if in.routes[f.family] == f.have {
			continue
		}
		r := &netlink.Route{LinkIndex: in.index, Family: f.family,
			Dst: &net.IPNet{IP: make(net.IP, f.bits/8), Mask: net.CIDRMask(0, f.bits)}}
		var err error
		if f.have {
			err = in.handle.RouteReplace(r)
		} else {
			err = in.handle.RouteDel(r)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("default route of the command: %w", err))
			continue
		}
		in.routes[f.family] = f.have
	}
	return errors.Join(errs...)
}

// resolvers are the addresses that our resolver has inside.
func (in *inner) resolvers() []netip.Addr {
	a := []netip.Addr{in.v4.Host}
	if in.v6.IsValid() {
		a = append(a, in.v6.Host)
	}
	return a
}

func (in *inner) close() error {
	var errs []error
	if in.stack != nil {
		errs = append(errs, in.stack.Close())
	}
	for _, p := range in.packets {
		p.Close()
	}
	for _, l := range in.streams {
		l.Close()
	}
	if in.handle != nil {
		in.handle.Close()
	}
	if in.ns != nil {
		errs = append(errs, in.ns.Close())
	}
	return errors.Join(errs...)
}
