package stack_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack"
	"github.com/sennit-net/sennit/tun/link"
	"github.com/sennit-net/sennit/tun/tuntest"
)

// Addresses of the two hosts of a pair.
var (
	addrA4 = netip.MustParseAddr("10.9.0.1")
	addrB4 = netip.MustParseAddr("10.9.0.2")
	addrA6 = netip.MustParseAddr("fd09::1")
	addrB6 = netip.MustParseAddr("fd09::2")
)

// pair is two stacks joined by one emulated link.
type pair struct {
	a, b   *stack.Stack
	la, lb stack.LinkID
}

// newPair makes a pair that ends with the test.
func newPair(t testing.TB, o tuntest.PipeOptions, oa, ob stack.Options) *pair {
	t.Helper()
	da, db := tuntest.Pipe(o, o)
	p := &pair{a: newStack(t, oa), b: newStack(t, ob)}
	ea, err := link.New(da, link.Options{})
	if err != nil {
		t.Fatal(err)
	}
	eb, err := link.New(db, link.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p.la = attach(t, p.a, stack.Link{Name: "net0", Endpoint: ea,
		Addrs: []netip.Prefix{netip.PrefixFrom(addrA4, 24), netip.PrefixFrom(addrA6, 64)}})
	p.lb = attach(t, p.b, stack.Link{Name: "net0", Endpoint: eb,
		Addrs: []netip.Prefix{netip.PrefixFrom(addrB4, 24), netip.PrefixFrom(addrB6, 64)}})
	return p
}

func newStack(t testing.TB, o stack.Options) *stack.Stack {
	t.Helper()
	s, err := stack.New(o)
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

// connect returns the two ends of a TCP connection from a to b.
func (p *pair) connect(t testing.TB, to netip.Addr) (client, server net.Conn) {
	t.Helper()
	l, err := p.b.ListenTCP(netip.AddrPortFrom(to, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	client, err = p.a.Dial(ctx, "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	l.SetDeadline(time.Now().Add(10 * time.Second))
	server, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return client, server
}

// shortly is a context that ends soon.
func shortly(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
