package link

import (
	"errors"
	"os"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/sennit-net/sennit/tun"
)

// maxHeaders is the longest IPv4 and TCP header together; an IPv6 header and a
// TCP header are shorter.
const maxHeaders = 60 + 60

const (
	csumOffsetTCP = 16   // where a TCP header has its checksum
	flagCWR       = 0x80 // in byte 13 of a TCP header
)

// scratch is what sending one packet needs. Its emit is bound once.
type scratch struct {
	e        *Endpoint
	bufs     [][]byte // the packet
	n        int      // its length in bytes
	head     [maxHeaders]byte
	splitter tun.Splitter
	emit     func([][]byte) error
}

var scratches = sync.Pool{New: func() any {
	s := new(scratch)
	s.emit = func(p [][]byte) error { return s.e.dev.Write(p, tun.Meta{}) }
	return s
}}

func (e *Endpoint) scratch() *scratch {
	s := scratches.Get().(*scratch)
	s.e, s.bufs, s.n = e, s.bufs[:0], 0
	return s
}

func (s *scratch) free() {
	clear(s.bufs)
	s.e = nil
	scratches.Put(s)
}

func (s *scratch) add(b []byte) {
	if len(b) > 0 {
		s.bufs = append(s.bufs, b)
		s.n += len(b)
	}
}

// WritePackets implements stack.LinkWriter: one write to the device for each
// packet. It stops at the first failure and returns how many were written.
//
// What GSOOptions ask for: with NeedsCsum the TCP checksum is computed on the
// way, over the sum of the pseudo-header that the field holds. With a Type and
// more payload than MSS the packet is cut into segments; CWR then stays with
// the first (RFC 3168 §6.1.2), except for type GSOGvisor, whose segments all
// carry the same flags (but FIN and PSH, which go with the last), as the ACE
// field needs (RFC 9768 §3.2.2).
func (e *Endpoint) WritePackets(list stack.PacketBufferList) (int, tcpip.Error) {
	for n, pkt := range list.AsSlice() {
		if err := e.writePacket(pkt); err != nil {
			return n, err
		}
	}
	return list.Len(), nil
}

func (e *Endpoint) writePacket(pkt *stack.PacketBuffer) tcpip.Error {
	s := e.scratch()
	defer s.free()
	views, skip := pkt.AsViewList()
	for v := views.Front(); v != nil; v = v.Next() {
		b := v.AsSlice()
		k := min(skip, len(b))
		s.add(b[k:])
		skip -= k
	}
	return e.send(s, &pkt.GSOOptions)
}

// WriteGather sends one packet like WritePackets, without a PacketBuffer: hdr
// is its IP and TCP header, payload the rest in order. It keeps nothing, and
// any number of goroutines may call it at once.
func (e *Endpoint) WriteGather(hdr []byte, payload [][]byte, gso stack.GSO) tcpip.Error {
	s := e.scratch()
	defer s.free()
	s.add(hdr)
	for _, b := range payload {
		s.add(b)
	}
	return e.send(s, &gso)
}

// send sends the packet in s as g asks.
func (e *Endpoint) send(s *scratch, g *stack.GSO) tcpip.Error {
	m, whole, ok := s.meta(g)
	if !ok {
		e.stats.notSplit.Add(1)
		return &tcpip.ErrMalformedHeader{}
	}
	return e.write(s, m, whole)
}

// meta returns what the device has to know about the packet in s, and whether
// the device may have it whole.
func (s *scratch) meta(g *stack.GSO) (m tun.Meta, whole, ok bool) {
	if !g.NeedsCsum && g.Type == stack.GSONone {
		return tun.Meta{}, true, true
	}
	h, l3, ok := s.headers(int(g.L3HdrLen))
	if !ok {
		return tun.Meta{}, false, false
	}
	headers := l3 + int(h[l3+12]>>4)*4
	if g.NeedsCsum {
		m = tun.Meta{NeedsCsum: true, CsumStart: uint16(l3), CsumOffset: csumOffsetTCP}
	}
	if g.Type == stack.GSONone || s.n-headers <= int(g.MSS) {
		return m, true, true
	}
	if !g.NeedsCsum || g.MSS == 0 || s.n < headers || headers < l3+20 {
		return m, false, false
	}
	m.GSO, m.MSS, m.HeaderLen = tun.GSOTCPv6, g.MSS, uint16(headers)
	if h[0]>>4 == 4 {
		m.GSO = tun.GSOTCPv4
	}
	if g.Type == stack.GSOGvisor {
		return m, false, true
	}
	m.CWRFirst = h[l3+13]&flagCWR != 0
	return m, true, true
}

// headers returns the packet's first bytes in one piece, with at least the IP
// header and 20 bytes of TCP, and the length of the IP header: l3 if not zero.
func (s *scratch) headers(l3 int) (h []byte, length int, ok bool) {
	if len(s.bufs) == 0 {
		return nil, 0, false
	}
	h = s.bufs[0]
	if len(h) < min(s.n, maxHeaders) {
		k := 0
		for _, b := range s.bufs {
			k += copy(s.head[k:], b)
		}
		h = s.head[:k]
	}
	switch {
	case l3 != 0:
	case h[0]>>4 == 4:
		l3 = int(h[0]&0xf) * 4
	default:
		l3 = 40
	}
	return h, l3, len(h) >= l3+20
}

// Write sends one IP packet, given in pieces and with complete checksums, past
// the stack. It may be called from Intercept.
func (e *Endpoint) Write(packet [][]byte) error {
	s := e.scratch()
	defer s.free()
	for _, b := range packet {
		s.add(b)
	}
	if err := e.write(s, tun.Meta{}, true); err != nil {
		return errors.New("link: " + err.String())
	}
	return nil
}

// write sends the packet in s, cut or completed first where that is needed.
func (e *Endpoint) write(s *scratch, m tun.Meta, whole bool) tcpip.Error {
	if e.opts.Tap != nil {
		e.opts.Tap(Sent, s.bufs)
	}
	var err error
	if whole && e.offload.Takes(m) {
		err = e.dev.Write(s.bufs, m)
	} else {
		err = s.splitter.Split(s.bufs, m, s.emit)
	}
	switch {
	case err == nil:
	case errors.Is(err, os.ErrClosed):
		return &tcpip.ErrClosedForSend{}
	case errors.Is(err, tun.ErrBadPacket):
		e.stats.notSplit.Add(1)
		return &tcpip.ErrMalformedHeader{}
	default:
		e.stats.writeErrors.Add(1)
		return &tcpip.ErrNoBufferSpace{}
	}
	e.stats.sentPackets.Add(1)
	e.stats.sentBytes.Add(uint64(s.n))
	switch {
	case m.GSO == tun.GSONone:
	case whole && e.offload.Takes(m):
		e.stats.sentSuper.Add(1)
	default:
		e.stats.splitSuper.Add(1)
	}
	return nil
}

// oneByOne sends each packet straight from the goroutine that made it.
type oneByOne struct{ e *Endpoint }

// QDisc returns a queueing discipline for stack.NICOptions that adds nothing:
// no queue, no hop, and unlike the stack's default no garbage.
func (e *Endpoint) QDisc() stack.QueueingDiscipline { return oneByOne{e} }

func (q oneByOne) WritePacket(pkt *stack.PacketBuffer) tcpip.Error { return q.e.writePacket(pkt) }
func (oneByOne) Close()                                            {}
