package link

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"github.com/sennit-net/sennit/tun"
)

// inNamespace runs f on a thread in a network namespace of its own.
func inNamespace(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("SENNIT_NOSKIP") == "1" {
			t.Fatal("this test needs root, and SENNIT_NOSKIP forbids skipping")
		}
		t.Skip("this test needs root: it makes TUN devices in a network namespace")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // the thread ends with this goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Errorf("make a network namespace: %v", err)
			return
		}
		f()
	}()
	<-done
}

// tcpHost is a stack with gVisor's TCP over a real device whose other side is
// the kernel in this thread's namespace.
func tcpHost(t *testing.T, c tun.Config) (host, error) {
	d, err := tun.Open(c)
	if err != nil {
		return host{}, err
	}
	l, err := netlink.LinkByName(d.Name())
	if err != nil {
		return host{}, err
	}
	for _, a := range []string{"10.0.0.1/24", "fd00::1/64"} {
		addr, _ := netlink.ParseAddr(a)
		addr.Flags |= unix.IFA_F_NODAD
		if err := netlink.AddrAdd(l, addr); err != nil {
			return host{}, err
		}
	}
	if err := netlink.LinkSetUp(l); err != nil {
		return host{}, err
	}
	ep, err := New(d, Options{})
	if err != nil {
		return host{}, err
	}
	s := stack.New(stack.Options{
		// Without duplicate address detection, which takes a second.
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocolWithOptions(ipv6.Options{})},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol},
	})
	if err := s.CreateNICWithOptions(1, ep, stack.NICOptions{QDisc: ep.QDisc()}); err != nil {
		return host{}, errors.New(err.String())
	}
	for _, a := range []string{"10.0.0.2", "fd00::2"} {
		addr := tcpip.AddrFromSlice(netip.MustParseAddr(a).AsSlice())
		proto := header.IPv4ProtocolNumber
		if addr.Len() == 16 {
			proto = header.IPv6ProtocolNumber
		}
		if err := s.AddProtocolAddress(1, tcpip.ProtocolAddress{Protocol: proto,
			AddressWithPrefix: addr.WithPrefix()}, stack.AddressProperties{}); err != nil {
			return host{}, errors.New(err.String())
		}
	}
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: 1}, {Destination: header.IPv6EmptySubnet, NIC: 1}})
	return host{s, ep}, nil
}

// Megabytes cross between gVisor's TCP and the kernel's, both ways at
// once, in both families, with and without offload.
func TestTUN(t *testing.T) {
	for _, plain := range []bool{false, true} {
		for _, addr := range []string{"10.0.0.1", "fd00::1"} {
			t.Run(fmt.Sprintf("plain=%v,%s", plain, addr), func(t *testing.T) {
				inNamespace(t, func() { testTUN(t, plain, addr) })
			})
		}
	}
}

func testTUN(t *testing.T, plain bool, addr string) {
	const size = 8 << 20
	h, err := tcpHost(t, tun.Config{Name: "snt0", NoOffload: plain})
	if err != nil {
		t.Error(err)
		return
	}
	defer h.close()
	l, err := net.Listen("tcp", net.JoinHostPort(addr, "80"))
	if err != nil {
		t.Error(err)
		return
	}
	defer l.Close()
	kernel := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			err = swap(c, size, 1, 2)
		}
		kernel <- err
	}()
	proto := header.IPv4ProtocolNumber
	if at(addr, 0).Addr.Len() == 16 {
		proto = header.IPv6ProtocolNumber
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := gonet.DialContextTCP(ctx, h.Stack, *at(addr, 80), proto)
	if err != nil {
		t.Error(err)
		return
	}
	if err := swap(c, size, 2, 1); err != nil {
		t.Errorf("our side: %v", err)
	}
	if err := <-kernel; err != nil {
		t.Errorf("the kernel's side: %v", err)
	}
	s := h.link.Stats()
	if s.BadChecksum+s.BadHeader+s.ReadErrors+s.WriteErrors+s.NotSplit != 0 {
		t.Errorf("something was dropped: %+v", s)
	}
	if whole := s.SentSuper > 0 && s.ReceivedSuper > 0 && s.SplitSuper == 0; whole == plain {
		t.Errorf("super-packets: %+v", s)
	}
	if plain && s.SplitSuper == 0 {
		t.Errorf("no super-packet was cut: %+v", s)
	}
}

// swap sends size random bytes of one seed and receives those of another, at
// once.
func swap(c net.Conn, size int64, send, receive int64) error {
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(60 * time.Second)); err != nil {
		return err
	}
	sent := make(chan error, 1)
	go func() {
		_, err := io.CopyN(c, rand.New(rand.NewSource(send)), size)
		if err == nil {
			err = c.(interface{ CloseWrite() error }).CloseWrite()
		}
		sent <- err
	}()
	got := sha256.New()
	n, err := io.Copy(got, c)
	if err != nil {
		return fmt.Errorf("after %d bytes: %w", n, err)
	}
	if want := sumOf(receive, size); n != size || !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
		return fmt.Errorf("received %d bytes, or others than were sent", n)
	}
	return <-sent
}

func sumOf(seed, size int64) hash.Hash {
	h := sha256.New()
	_, _ = io.CopyN(h, rand.New(rand.NewSource(seed)), size)
	return h
}
