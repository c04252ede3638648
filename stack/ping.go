package stack

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/waiter"
)

// Ping sends one ICMP echo request to dst over a link (0: the preferred one)
// and waits for its reply. id 0 takes a free identifier. It returns the data of
// the reply and the round-trip time.
func (s *Stack) Ping(ctx context.Context, link LinkID, dst netip.Addr, id, seq uint16, payload []byte) (reply []byte, rtt time.Duration, err error) {
	reply, rtt, err = s.ping(ctx, link, dst.Unmap(), id, seq, payload)
	return reply, rtt, opError("ping", "icmp", nil, &net.IPAddr{IP: dst.AsSlice()}, err)
}

func (s *Stack) ping(ctx context.Context, link LinkID, dst netip.Addr, id, seq uint16, payload []byte) ([]byte, time.Duration, error) {
	n, local, err := s.choose(link, netip.Addr{}, dst)
	if err != nil {
		return nil, 0, err
	}
	trans := header.ICMPv4ProtocolNumber
	if dst.Is6() {
		trans = header.ICMPv6ProtocolNumber
	}
	wq := new(waiter.Queue)
	ep, e := s.gv.NewEndpoint(trans, netProto(dst), wq)
	if e != nil {
		return nil, 0, gvError(e)
	}
	defer ep.Close()
	entry, ready := waiter.NewChannelEntry(waiter.ReadableEvents | waiter.EventErr)
	wq.EventRegister(&entry)
	defer wq.EventUnregister(&entry)
	if e := ep.Bind(fullAddr(n.id, netip.AddrPortFrom(local, id))); e != nil {
		return nil, 0, gvError(e)
	}
	if e := ep.Connect(fullAddr(n.id, netip.AddrPortFrom(dst, 0))); e != nil {
		return nil, 0, gvError(e)
	}
	sent := s.now()
	if _, e := ep.Write(bytes.NewReader(echoMessage(dst, seq, payload)), tcpip.WriteOptions{}); e != nil {
		return nil, 0, gvError(e)
	}
	for {
		if b, ok, err := readEcho(ep, dst, seq); ok || err != nil {
			return b, s.now().Sub(sent), err
		}
		select {
		case <-ready:
		case <-ctx.Done():
			return nil, 0, ctxError(ctx.Err())
		}
	}
}

// echoMessage is an echo request; gVisor fills identifier and checksum in.
func echoMessage(dst netip.Addr, seq uint16, payload []byte) []byte {
	b := make([]byte, 8+len(payload))
	b[0] = echoRequest(dst)
	binary.BigEndian.PutUint16(b[6:], seq)
	copy(b[8:], payload)
	return b
}

// readEcho takes messages from ep up to the reply with that sequence number.
func readEcho(ep tcpip.Endpoint, dst netip.Addr, seq uint16) (data []byte, ok bool, err error) {
	for {
		var buf bytes.Buffer
		_, e := ep.Read(&buf, tcpip.ReadOptions{})
		switch e.(type) {
		case nil:
		case *tcpip.ErrWouldBlock:
			return nil, false, nil
		default:
			return nil, false, gvError(e)
		}
		b := buf.Bytes()
		if len(b) < 8 || binary.BigEndian.Uint16(b[6:]) != seq {
			continue
		}
		switch b[0] {
		case byte(header.ICMPv4EchoReply), byte(header.ICMPv6EchoReply):
			return b[8:], true, nil
		case byte(header.ICMPv4DstUnreachable), byte(header.ICMPv6DstUnreachable):
			return nil, false, syscall.EHOSTUNREACH
		}
	}
}
