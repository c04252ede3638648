package bench

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"github.com/sennit-net/sennit/tun"
	"github.com/sennit-net/sennit/tun/link"
)

// gvisorTCP is gVisor's own TCP over our link endpoint: what a stack has to
// beat.
type gvisorTCP struct{ s *stack.Stack }

func newGVisorTCP(d tun.Device, local netip.Prefix) (*gvisorTCP, error) {
	ep, err := link.New(d, link.Options{})
	if err != nil {
		return nil, err
	}
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol},
	})
	g := &gvisorTCP{s}
	if err := g.configure(ep, local); err != nil {
		g.Close()
		return nil, fmt.Errorf("bench: gVisor: %s", err)
	}
	return g, nil
}

func (g *gvisorTCP) configure(ep *link.Endpoint, local netip.Prefix) tcpip.Error {
	sack := tcpip.TCPSACKEnabled(true)
	cubic := tcpip.CongestionControlOption("cubic")
	moderate := tcpip.TCPModerateReceiveBufferOption(true)
	rcv := tcpip.TCPReceiveBufferSizeRangeOption{Min: 4 << 10, Default: 1 << 20, Max: 4 << 20}
	snd := tcpip.TCPSendBufferSizeRangeOption{Min: 4 << 10, Default: 1 << 20, Max: 4 << 20}
	for _, o := range []tcpip.SettableTransportProtocolOption{&sack, &cubic, &moderate, &rcv, &snd} {
		if err := g.s.SetTransportProtocolOption(tcp.ProtocolNumber, o); err != nil {
			return err
		}
	}
	if err := g.s.CreateNICWithOptions(1, ep, stack.NICOptions{QDisc: ep.QDisc()}); err != nil {
		return err
	}
	g.s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: 1}})
	return g.s.AddProtocolAddress(1, tcpip.ProtocolAddress{
		Protocol: ipv4.ProtocolNumber,
		AddressWithPrefix: tcpip.AddressWithPrefix{
			Address: tcpip.AddrFromSlice(local.Addr().AsSlice()), PrefixLen: local.Bits()},
	}, stack.AddressProperties{})
}

func (g *gvisorTCP) dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	return gonet.DialContextTCP(ctx, g.s, tcpip.FullAddress{
		NIC: 1, Addr: tcpip.AddrFromSlice(to.Addr().AsSlice()), Port: to.Port()}, ipv4.ProtocolNumber)
}

func (g *gvisorTCP) Close() {
	g.s.Close()
	g.s.Wait()
}
