package stack

import (
	"encoding/binary"
	"net/netip"
)

// EchoRequest is a ping to any address, in any-address mode.
type EchoRequest struct {
	Link   LinkID
	Local  netip.Addr // who is pinged
	Remote netip.Addr // who pings
	ID     uint16
	Seq    uint16
	Data   []byte

	s   *Stack
	nic *nic
	tos uint8
}

// HandleEcho sets who answers echo requests: f is called on a goroutine of its
// own for each, at most 64 at a time; further ones are dropped. Without it
// the stack answers every echo request itself.
func (s *Stack) HandleEcho(f func(*EchoRequest)) {
	slots := make(chan struct{}, maxEchoes)
	g := func(r *EchoRequest) {
		select {
		case slots <- struct{}{}:
			if !s.spawn(func() { f(r); <-slots }) {
				<-slots
			}
		default:
		}
	}
	s.any.echo.Store(&g)
}

// receiveEcho hands an echo request out. It reports whether it took it.
func (s *Stack) receiveEcho(n *nic, p *packet) bool {
	if !s.icmpChecksumOK(n, p) {
		s.counters.BadChecksum.Add(1)
		return true
	}
	b := p.body()
	(*s.any.echo.Load())(&EchoRequest{
		Link: n.id, Local: p.dst, Remote: p.src,
		ID: binary.BigEndian.Uint16(b[4:]), Seq: binary.BigEndian.Uint16(b[6:]), Data: b[8:],
		s: s, nic: n, tos: p.tos,
	})
	return true
}

// Reply answers with the data of the request (RFC 1122 §3.2.2.6, RFC 4443
// §4.2).
func (r *EchoRequest) Reply() {
	b := make([]byte, 8+len(r.Data))
	if r.Local.Is6() {
		b[0] = 129
	}
	binary.BigEndian.PutUint16(b[4:], r.ID)
	binary.BigEndian.PutUint16(b[6:], r.Seq)
	copy(b[8:], r.Data)
	r.s.sendICMP(r.nic, r.Local, r.Remote, r.tos, b)
}
