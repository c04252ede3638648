package stack_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack"
	"github.com/sennit-net/sennit/tun/link"
	"github.com/sennit-net/sennit/tun/tuntest"
)

// twoLinks joins two stacks by two links. a has an address of its own on each;
// b has the same one on both, and besides one of its own on each.
func twoLinks(t *testing.T) (a, b *stack.Stack) {
	t.Helper()
	a, b = newStack(t, stack.Options{}), newStack(t, stack.Options{})
	for i, name := range []string{"net0", "net1"} {
		da, db := tuntest.Pipe(tuntest.PipeOptions{}, tuntest.PipeOptions{})
		ea, err := link.New(da, link.Options{})
		if err != nil {
			t.Fatal(err)
		}
		eb, err := link.New(db, link.Options{})
		if err != nil {
			t.Fatal(err)
		}
		at := func(last byte) []netip.Prefix {
			n := byte(20 + i)
			v6 := netip.MustParseAddr("fd20::").As16()
			v6[3], v6[15] = n, last
			return []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, n, 0, last}), 24),
				netip.PrefixFrom(netip.AddrFrom16(v6), 64)}
		}
		attach(t, a, stack.Link{Name: name, Endpoint: ea, Addrs: at(1)})
		attach(t, b, stack.Link{Name: name, Endpoint: eb, Addrs: append(at(2),
			netip.MustParsePrefix("192.0.2.9/32"), netip.MustParsePrefix("2001:db8::9/128"))})
	}
	return a, b
}

// RFC 1122 §4.1.3.5: an answer leaves over the link the question came in on,
// and from the address it was sent to, be the socket bound to every address or
// to one that several links have.
func TestUDPAnswersTheWayItCame(t *testing.T) {
	a, b := twoLinks(t)
	for _, bound := range []string{":0", "192.0.2.9:0", "[2001:db8::9]:0"} {
		pc, err := b.ListenPacket(t.Context(), "udp", bound)
		if err != nil {
			t.Fatal(err)
		}
		defer pc.Close()
		pc.SetDeadline(time.Now().Add(10 * time.Second))
		to := []netip.Addr{netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("2001:db8::9")}
		if own := udpAddr(pc.LocalAddr()).Addr(); own.IsValid() && !own.IsUnspecified() {
			to = []netip.Addr{own}
		}
		for _, dst := range to {
			for _, l := range a.Links() {
				dst := netip.AddrPortFrom(dst, udpAddr(pc.LocalAddr()).Port())
				c, err := a.DialUDPVia(l.ID, netip.AddrPort{}, dst)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				c.SetDeadline(time.Now().Add(2 * time.Second))
				buf := make([]byte, 20)
				for range 2 {
					c.Write([]byte("question"))
					_, from, err := pc.ReadFrom(buf)
					if err != nil {
						t.Fatal(err)
					}
					if _, err := pc.WriteTo([]byte("answer"), from); err != nil {
						t.Fatalf("bound to %s, asked at %v over %s: %v", bound, dst, l.Name, err)
					}
					// The socket takes datagrams of dst and of its own link only.
					if n, err := c.Read(buf); err != nil || string(buf[:n]) != "answer" {
						t.Fatalf("bound to %s, asked at %v over %s: read %q, %v", bound, dst, l.Name, buf[:n], err)
					}
				}
			}
		}
	}
}

// A link that is gone is not waited for: the answer takes another one.
func TestUDPAnswersAnotherWay(t *testing.T) {
	a, b := twoLinks(t)
	pc, err := b.ListenPacket(t.Context(), "udp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	pc.SetDeadline(time.Now().Add(10 * time.Second))
	l := a.Links()[1]
	c, err := a.DialUDPVia(l.ID, netip.AddrPort{}, netip.AddrPortFrom(netip.MustParseAddr("192.0.2.9"), udpAddr(pc.LocalAddr()).Port()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write([]byte("question"))
	buf := make([]byte, 20)
	_, from, err := pc.ReadFrom(buf)
	if err != nil {
		t.Fatal(err)
	}
	for _, down := range []bool{true, false} {
		id := b.Links()[1].ID
		if down {
			err = b.SetLinkState(id, false)
		} else {
			err = b.DetachLink(id)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pc.WriteTo([]byte("answer"), from); err != nil {
			t.Errorf("down %v: %v", down, err)
		}
	}
}
