package stack

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/wire"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gv "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// handlers are the owners of what no socket wants.
type handlers struct {
	syn  atomic.Pointer[SYNHook]
	tcp  atomic.Pointer[func(*Request)]
	udp  atomic.Pointer[func(*UDPFlow)]
	echo atomic.Pointer[func(*EchoRequest)]

	mu      sync.Mutex
	pending map[tuple]struct{} // SYNs being decided on
	flows   map[tuple]*UDPFlow
}

// maxPending bounds the SYNs that wait for their handler's decision, maxFlows
// the UDP flows held at a time, maxEchoes the echo requests.
const (
	maxPending = 4096
	maxFlows   = 4096
	maxEchoes  = 64
)

func (h *handlers) init(s *Stack) {
	h.pending = map[tuple]struct{}{}
	h.flows = map[tuple]*UDPFlow{}
	if s.opts.AnyAddress {
		s.gv.SetTransportProtocolHandler(header.UDPProtocolNumber, s.receiveUDP)
	}
}

// Request is a SYN to an address of somebody else, in any-address mode. It
// must be answered once: by Accept or by Reject.
type Request struct {
	Link   LinkID
	Local  netip.AddrPort // where the peer wants to go
	Remote netip.AddrPort // the peer

	s    *Stack
	in   Incoming
	seg  wire.Segment
	done atomic.Bool
}

// HandleTCP sets who decides on connections to any address: f is called on a
// goroutine of its own for every SYN that no listener wants. Without it they
// are refused. Retransmitted SYNs are not reported again while f decides.
func (s *Stack) HandleTCP(f func(*Request)) { s.any.tcp.Store(&f) }

// request starts a Request for a SYN; false: nobody handles them.
func (h *handlers) request(in *Incoming) bool {
	f := h.tcp.Load()
	if f == nil || !in.s.opts.AnyAddress {
		return false
	}
	// Data on a SYN is not kept: the peer sends it again (RFC 9293 §3.10.7.2
	// leaves queueing to the implementation).
	in.Drop()
	k := tuple{in.Local, in.Remote}
	h.mu.Lock()
	_, known := h.pending[k]
	full := len(h.pending) >= maxPending
	if !known && !full {
		h.pending[k] = struct{}{}
	}
	h.mu.Unlock()
	if known {
		return true
	}
	if full {
		in.s.counters.BacklogDropped.Add(1)
		return true
	}
	r := &Request{Link: in.Link, Local: in.Local, Remote: in.Remote, s: in.s, in: *in, seg: *in.Segment}
	r.seg.Payload = nil
	r.in.Segment = &r.seg
	if !in.s.spawn(func() { r.run(*f) }) {
		h.forget(k)
	}
	return true
}

func (h *handlers) forget(k tuple) {
	h.mu.Lock()
	delete(h.pending, k)
	h.mu.Unlock()
}

func (r *Request) run(f func(*Request)) {
	f(r)
	// A handler that did nothing wants nothing.
	r.Reject(syscall.ECONNREFUSED)
}

// errAnswered is the error of a second answer to a Request.
var errAnswered = errors.New("stack: request was answered already")

// Accept answers the SYN and waits until the handshake is done.
func (r *Request) Accept() (*Conn, error) {
	if r.done.Swap(true) {
		return nil, errAnswered
	}
	k, err := r.s.serve(&r.in, Hooks{}, func(p *Path) Machine {
		st := tcp.NewStream(p.Config(r.s.opts.Tuning))
		st.Conn.Listen()
		return st
	})
	r.s.any.forget(tuple{r.Local, r.Remote})
	if err != nil {
		return nil, opError("accept", "tcp", nil, nil, err)
	}
	<-k.Settled()
	if !k.Opened() {
		k.mu.Lock()
		err := k.why()
		k.mu.Unlock()
		return nil, opError("accept", "tcp", nil, nil, err)
	}
	return NewConn(k, r.Local, r.Remote), nil
}

// Reject turns the peer away such that it sees err: ENETUNREACH, EHOSTUNREACH
// and ETIMEDOUT become an ICMP error, everything else a RST.
func (r *Request) Reject(err error) {
	if r.done.Swap(true) {
		return
	}
	defer r.s.any.forget(tuple{r.Local, r.Remote})
	switch {
	case errors.Is(err, syscall.ENETUNREACH):
		r.s.sendUnreachable(&r.in, 0, 0)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ETIMEDOUT):
		r.s.sendUnreachable(&r.in, 1, 3)
	default:
		r.s.refuse(&r.in, nil)
	}
}

// sendUnreachable sends an ICMP destination unreachable about in, with the
// code of either family (RFC 792, RFC 4443 §3.1). It quotes the IP header and
// the fixed part of the TCP header.
func (s *Stack) sendUnreachable(in *Incoming, code4, code6 byte) {
	src, dst := in.Local.Addr(), in.Remote.Addr()
	ip := ipHeaderLen(src)
	msg := make([]byte, 8+ip, 8+ip+maxHeader)
	msg[0], msg[1] = 3, code4
	if src.Is6() {
		msg[0], msg[1] = 1, code6
	}
	seg := *in.Segment
	putIP(msg[8:], dst, src, uint8(header.TCPProtocolNumber), 0, 0, seg.HeaderLen())
	msg = seg.AppendHeader(msg)
	s.sendICMP(in.nic, src, dst, 0, msg)
}

// sendICMP sends an ICMP message, whose checksum it fills in.
func (s *Stack) sendICMP(n *nic, src, dst netip.Addr, tos uint8, msg []byte) {
	proto, sum := header.ICMPv4ProtocolNumber, uint16(0)
	if src.Is6() {
		proto, sum = header.ICMPv6ProtocolNumber, pseudo6(src, dst, len(msg))
	}
	binary.BigEndian.PutUint16(msg[2:], 0)
	binary.BigEndian.PutUint16(msg[2:], ^wire.Sum(msg, sum, false))
	_ = s.sendPacket(n, src, dst, uint8(proto), tos, msg) // ICMP may get lost
}

// sendPacket sends an IP packet from any source address. One that exceeds the
// MTU goes out in fragments, by gVisor.
func (s *Stack) sendPacket(n *nic, src, dst netip.Addr, proto, tos uint8, body []byte) error {
	ip := ipHeaderLen(src)
	if len(body)+ip > 65535 {
		return syscall.EMSGSIZE
	}
	if !n.up.Load() {
		s.counters.LinkDownDropped.Add(1)
		return syscall.ENETDOWN
	}
	hdr := make([]byte, ip)
	putIP(hdr, src, dst, proto, tos, 0, len(body))
	if len(body)+ip <= n.mtu() {
		return gvError(n.write(hdr, [][]byte{body}, ip, gv.GSO{}))
	}
	return s.sendFragmented(n, src, dst, hdr, body)
}

// sendFragmented sends a packet that is too big for the link through gVisor's
// route of the NIC, which fragments it.
func (s *Stack) sendFragmented(n *nic, src, dst netip.Addr, hdr, body []byte) error {
	r, err := s.gv.FindRoute(gvNIC(n.id), toGV(src), toGV(dst), netProto(dst), false)
	if err != nil {
		return gvError(err)
	}
	defer r.Release()
	if src.Is4() {
		// No DF, an ID and a new checksum: gVisor fills both in.
		binary.BigEndian.PutUint16(hdr[6:], 0)
	}
	pkt := gv.NewPacketBuffer(gv.PacketBufferOptions{
		ReserveHeaderBytes: int(n.ep.MaxHeaderLength()),
		Payload:            copied([][]byte{hdr, body}),
	})
	defer pkt.DecRef()
	return gvError(r.WriteHeaderIncludedPacket(pkt))
}
