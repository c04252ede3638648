package bench

import (
	"context"
	"net"
	"net/netip"

	"github.com/sennit-net/sennit/stack"
	"github.com/sennit-net/sennit/tun"
	"github.com/sennit-net/sennit/tun/link"
)

// sennitTCP is our TCP over our link endpoint.
type sennitTCP struct{ s *stack.Stack }

func newSennitTCP(d tun.Device, local netip.Prefix) (*sennitTCP, error) {
	ep, err := link.New(d, link.Options{})
	if err != nil {
		return nil, err
	}
	s, err := stack.New(stack.Options{})
	if err != nil {
		ep.Close()
		return nil, err
	}
	if _, err := s.AttachLink(stack.Link{Name: d.Name(), Endpoint: ep, Addrs: []netip.Prefix{local}}); err != nil {
		ep.Close()
		return nil, err
	}
	return &sennitTCP{s}, nil
}

func (s *sennitTCP) dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	c, err := s.s.DialTCP(ctx, netip.AddrPort{}, to)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (s *sennitTCP) Close() { _ = s.s.Close() }
