package stack

import (
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/header/parse"
	gv "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/waiter"
)

// protocol is our TCP as gVisor sees it. No endpoint is ever registered: what
// gVisor has reassembled or freed of extension headers reaches our own table
// as a packet for an unknown destination.
type protocol struct{ s *Stack }

func (*protocol) Number() tcpip.TransportProtocolNumber { return header.TCPProtocolNumber }
func (*protocol) MinimumPacketSize() int                { return header.TCPMinimumSize }
func (*protocol) Parse(p *gv.PacketBuffer) bool         { return parse.TCP(p) }

func (*protocol) ParsePorts(b []byte) (src, dst uint16, err tcpip.Error) {
	h := header.TCP(b)
	return h.SourcePort(), h.DestinationPort(), nil
}

func (p *protocol) HandleUnknownDestinationPacket(id gv.TransportEndpointID, pkt *gv.PacketBuffer) gv.UnknownDestinationPacketDisposition {
	if !p.s.receiveSlow(id, pkt) {
		return gv.UnknownDestinationPacketMalformed
	}
	// Handled even when nobody wanted it: a reset has been sent, an ICMP error
	// must not follow (RFC 1122 §4.2.2.12).
	return gv.UnknownDestinationPacketHandled
}

// NewEndpoint refuses: sockets are made by this package, not by gVisor.
func (*protocol) NewEndpoint(tcpip.NetworkProtocolNumber, *waiter.Queue) (tcpip.Endpoint, tcpip.Error) {
	return nil, &tcpip.ErrNotSupported{}
}

// NewRawEndpoint refuses, too.
func (*protocol) NewRawEndpoint(tcpip.NetworkProtocolNumber, *waiter.Queue) (tcpip.Endpoint, tcpip.Error) {
	return nil, &tcpip.ErrNotSupported{}
}

func (*protocol) SetOption(tcpip.SettableTransportProtocolOption) tcpip.Error {
	return &tcpip.ErrUnknownProtocolOption{}
}

func (*protocol) Option(tcpip.GettableTransportProtocolOption) tcpip.Error {
	return &tcpip.ErrUnknownProtocolOption{}
}

// SendBufferSize answers stack.TCPSendBufferLimits, which panics without it.
func (*protocol) SendBufferSize() tcpip.TCPSendBufferSizeRangeOption {
	return tcpip.TCPSendBufferSizeRangeOption{Min: 4 << 10, Default: 1 << 20, Max: 4 << 20}
}

// The stack ends its connections itself; there is nothing to do here.

func (*protocol) Close()   {}
func (*protocol) Wait()    {}
func (*protocol) Pause()   {}
func (*protocol) Resume()  {}
func (*protocol) Restore() {}
