package bench

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/sennit-net/sennit/tun"
)

// Addresses of the comparison: the peer's end is .1, the measured end .2.
var (
	vethPeer   = netip.MustParsePrefix("10.99.0.1/24")
	vethClient = netip.MustParsePrefix("10.99.0.2/24")
	tunPeer    = [...]netip.Prefix{netip.MustParsePrefix("10.99.1.1/24"), netip.MustParsePrefix("10.99.2.1/24")}
	tunClient  = [...]netip.Prefix{netip.MustParsePrefix("10.99.1.2/24"), netip.MustParsePrefix("10.99.2.2/24")}
)

// topology is a peer in a network namespace of its own, joined by a veth pair
// to a second namespace for the kernel's TCP, and by one TUN device for each
// stack of ours.
type topology struct {
	peer   *peer
	client netns.NsHandle // where the kernel's TCP dials from
	inPeer netns.NsHandle
	tuns   []tun.Device
}

func newTopology(tuns int, plain bool) (t *topology, err error) {
	t = &topology{client: -1, inPeer: -1}
	defer func() {
		if err != nil {
			t.close()
		}
	}()
	if t.client, err = newNamespace(); err != nil {
		return nil, fmt.Errorf("bench: make a network namespace (this needs root): %w", err)
	}
	if t.peer, err = startPeer(); err != nil {
		return nil, err
	}
	if t.inPeer, err = netns.GetFromPid(t.peer.cmd.Process.Pid); err != nil {
		return nil, err
	}
	if err = t.veth(); err != nil {
		return nil, fmt.Errorf("bench: join the namespaces: %w", err)
	}
	for i := range tuns {
		if err = t.tun(i, plain); err != nil {
			return nil, fmt.Errorf("bench: TUN device: %w", err)
		}
	}
	return t, nil
}

func (t *topology) close() {
	for _, d := range t.tuns {
		_ = d.Close() // mostly closed by its stack already
	}
	if t.peer != nil {
		t.peer.stop()
	}
	for _, h := range []netns.NsHandle{t.client, t.inPeer} {
		if h.IsOpen() {
			_ = h.Close()
		}
	}
}

// inNamespace runs f on a thread that is in ns. The thread is not used again.
func inNamespace(ns netns.NsHandle, f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if err := netns.Set(ns); err != nil {
			result <- err
			return
		}
		result <- f()
	}()
	return <-result
}

func newNamespace() (h netns.NsHandle, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		h, err = netns.New()
	}()
	<-done
	return h, err
}

// veth joins the two namespaces.
func (t *topology) veth() error {
	c, err := netlink.NewHandleAt(t.client)
	if err != nil {
		return err
	}
	defer c.Close()
	p, err := netlink.NewHandleAt(t.inPeer)
	if err != nil {
		return err
	}
	defer p.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "snt-client"
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: "snt-peer", PeerNamespace: netlink.NsFd(int(t.inPeer))}
	if err := c.LinkAdd(pair); err != nil {
		return err
	}
	if err := addressUp(c, "snt-client", vethClient); err != nil {
		return err
	}
	return addressUp(p, "snt-peer", vethPeer)
}

// tun makes the i-th TUN device, its host side in the peer's namespace.
func (t *topology) tun(i int, plain bool) error {
	name := fmt.Sprintf("snt-tun%d", i)
	err := inNamespace(t.inPeer, func() error {
		d, err := tun.Open(tun.Config{Name: name, NoOffload: plain})
		if err == nil {
			t.tuns = append(t.tuns, d)
		}
		return err
	})
	if err != nil {
		return err
	}
	p, err := netlink.NewHandleAt(t.inPeer)
	if err != nil {
		return err
	}
	defer p.Close()
	return addressUp(p, name, tunPeer[i])
}

func addressUp(h *netlink.Handle, name string, prefix netip.Prefix) error {
	l, err := h.LinkByName(name)
	if err != nil {
		return err
	}
	addr := &netlink.Addr{IPNet: &net.IPNet{
		IP:   prefix.Addr().AsSlice(),
		Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen()),
	}}
	if err := h.AddrAdd(l, addr); err != nil {
		return fmt.Errorf("address %s on %s: %w", prefix, name, err)
	}
	return h.LinkSetUp(l)
}

// dialKernel connects with the kernel's TCP over the veth pair.
func (t *topology) dialKernel(ctx context.Context) (c net.Conn, err error) {
	err = inNamespace(t.client, func() error {
		d := net.Dialer{Control: cubic}
		c, err = d.DialContext(ctx, "tcp4", netip.AddrPortFrom(vethPeer.Addr(), t.peer.port).String())
		return err
	})
	return c, err
}
