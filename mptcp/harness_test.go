package mptcp_test

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/sennit-net/sennit/mptcp"
	"github.com/sennit-net/sennit/stack"
	"github.com/sennit-net/sennit/tun"
	"github.com/sennit-net/sennit/tun/link"
	"github.com/sennit-net/sennit/tun/tuntest"
)

// dual is two hosts with two emulated links between them, wifi0 and cell0.
type dual struct {
	client, server *stack.Stack
	ids            [2]stack.LinkID    // of the client's links
	devs, far      [2]*tuntest.Device // the client's end, the server's end
}

var linkNames = [2]string{"wifi0", "cell0"}

// clientAddrs and serverAddrs are the addresses by link.
func clientAddrs(i int) []netip.Prefix {
	return []netip.Prefix{
		netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 1, byte(i), 1}), 24),
		netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, 1, 0, byte(i), 15: 1}), 64),
	}
}

// serverAddr4 is the one address the server is reached at, over every link.
var serverAddr4 = netip.AddrFrom4([4]byte{10, 2, 0, 1})
var serverAddr6 = netip.AddrFrom16([16]byte{0xfd, 2, 15: 1})

func newDual(t testing.TB, o [2]tuntest.PipeOptions) *dual {
	t.Helper()
	d := &dual{client: newStack(t), server: newStack(t)}
	for i := range d.ids {
		dc, ds := tuntest.Pipe(o[i], o[i])
		d.devs[i], d.far[i] = dc, ds
		d.ids[i] = attach(t, d.client, stack.Link{Name: linkNames[i], Class: stack.WiFi + stack.Class(i),
			Endpoint: endpoint(t, dc), Addrs: clientAddrs(i)})
		// The server is reached at the same addresses over either link, as
		// behind two routers, and answers over the link that was used.
		attach(t, d.server, stack.Link{Name: linkNames[i], Endpoint: endpoint(t, ds),
			Addrs: []netip.Prefix{netip.PrefixFrom(serverAddr4, 24), netip.PrefixFrom(serverAddr6, 64)}})
	}
	return d
}

func endpoint(t testing.TB, d tun.Device) *link.Endpoint {
	t.Helper()
	e, err := link.New(d, link.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func newStack(t testing.TB) *stack.Stack {
	t.Helper()
	s, err := stack.New(stack.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func attach(t testing.TB, s *stack.Stack, l stack.Link) stack.LinkID {
	t.Helper()
	id, err := s.AttachLink(l)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// connect returns the two ends of a connection.
func (d *dual) connect(t testing.TB, to netip.Addr) (client, server *mptcp.Conn) {
	t.Helper()
	lc := mptcp.ListenConfig{Stack: d.server}
	l, err := lc.Listen(t.Context(), "tcp", netip.AddrPortFrom(to, 0).String())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	dialer := mptcp.Dialer{Stack: d.client}
	c, err := dialer.DialContext(ctx, "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	l.(*stack.Listener).SetDeadline(time.Now().Add(10 * time.Second))
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return c.(*mptcp.Conn), s.(*mptcp.Conn)
}

var _ net.Conn = (*mptcp.Conn)(nil)
