//go:build linux

package drill

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/wire"
)

// Bits of net.ipv4.tcp_fastopen.
const (
	fastClient   = 0x1   // data on a SYN may be asked for
	fastServer   = 0x2   // and taken
	fastImplicit = 0x400 // by every listener, without TCP_FASTOPEN
)

func (h *Host) fastOpen(bit int) bool { return h.settings.number("net.ipv4.tcp_fastopen", 1)&bit != 0 }

// remembered is what a server told us (RFC 7413 §4.1.3.1).
type remembered struct {
	cookie []byte
	mss    int
}

// client is the cookie memory of one active open.
type client struct {
	h      *Host
	server netip.Addr
}

// Cookie implements tcp.FastOpenClient.
func (c client) Cookie() ([]byte, int, bool) {
	r := c.h.cookies[c.server]
	return r.cookie, r.mss, true
}

// Learned implements tcp.FastOpenClient.
func (c client) Learned(cookie []byte, mss int) {
	if len(cookie) > 0 {
		c.h.cookies[c.server] = remembered{append([]byte(nil), cookie...), mss}
	}
}

// Failed implements tcp.FastOpenClient: scripts lose SYNs on purpose.
func (c client) Failed() {}

// server is one passive open.
type server struct {
	h    *Host
	l    *socket
	t    tuple
	flow *flow
}

// Accept implements tcp.FastOpenServer. TCP_FASTOPEN bounds how many may be
// open this way at a time (RFC 7413 §5.1).
func (s *server) Accept(cookie []byte) bool {
	limit := s.l.opts.fastOpen
	if limit == 0 {
		limit = max(s.l.backlog, 1)
	}
	if string(cookie) != string(s.Issue()) || s.l.early >= limit {
		return false
	}
	s.l.early++
	s.flow.synData = true
	return true
}

// Issue implements tcp.FastOpenServer.
func (s *server) Issue() []byte { return s.h.cookie(s.t) }

// Done implements tcp.FastOpenServer.
func (s *server) Done() { s.l.early-- }

// takesFast reports whether a listener takes data on SYNs.
func (s *socket) takesFast() bool {
	return s.h.fastOpen(fastServer) && (s.opts.fastOpen > 0 || s.h.fastOpen(fastImplicit))
}

// cookie is made as Linux makes it, SipHash over the addresses, because scripts
// hold it as a constant: under the key of net.ipv4.tcp_fastopen_key.
func (h *Host) cookie(t tuple) []byte {
	var w [4]uint32
	if _, err := fmt.Sscanf(h.settings.text("net.ipv4.tcp_fastopen_key"), "%x-%x-%x-%x", &w[0], &w[1], &w[2], &w[3]); err != nil {
		w = [4]uint32{1, 2, 3, 4} // any will do where scripts do not say
	}
	k0, k1 := uint64(w[0])|uint64(w[1])<<32, uint64(w[2])|uint64(w[3])<<32
	sum := sipHash(k0, k1, append(t.remote.Addr().AsSlice(), t.local.Addr().AsSlice()...))
	return binary.LittleEndian.AppendUint64(nil, sum)
}

// sipHash is SipHash-2-4 (Aumasson and Bernstein, 2012).
func sipHash(k0, k1 uint64, b []byte) uint64 {
	v := [4]uint64{k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573}
	rounds := func(n int) {
		for range n {
			v[0] += v[1]
			v[1] = bits.RotateLeft64(v[1], 13) ^ v[0]
			v[0] = bits.RotateLeft64(v[0], 32)
			v[2] += v[3]
			v[3] = bits.RotateLeft64(v[3], 16) ^ v[2]
			v[0] += v[3]
			v[3] = bits.RotateLeft64(v[3], 21) ^ v[0]
			v[2] += v[1]
			v[1] = bits.RotateLeft64(v[1], 17) ^ v[2]
			v[2] = bits.RotateLeft64(v[2], 32)
		}
	}
	mix := func(m uint64) {
		v[3] ^= m
		rounds(2)
		v[0] ^= m
	}
	last := uint64(len(b)) << 56
	for ; len(b) >= 8; b = b[8:] {
		mix(binary.LittleEndian.Uint64(b))
	}
	for i, c := range b {
		last |= uint64(c) << (8 * i)
	}
	mix(last)
	v[2] ^= 0xff
	rounds(4)
	return v[0] ^ v[1] ^ v[2] ^ v[3]
}

// synRoom is how many bytes Linux puts on a SYN to a server whose cookie is
// known: an MSS less all the options there could be.
func (h *Host) synRoom(a netip.Addr) int {
	r := h.cookies[a]
	if len(r.cookie) == 0 {
		return 0
	}
	return max(min(or(r.mss, 536), h.mtu(a)-headers(a))-wire.MaxOptions, 0)
}

// sendOpening is a write that opens the connection (RFC 7413 §4.2.1): with a
// cookie its first bytes go with the SYN.
func (s *socket) sendOpening(p []byte, flags int, to []byte) (int, unix.Errno) {
	a := s.deferred
	if !a.IsValid() {
		var e unix.Errno
		if a, e = s.parse(to); e != 0 {
			return -1, e
		}
	}
	if !s.h.fastOpen(fastClient) {
		return -1, unix.EOPNOTSUPP
	}
	first := min(len(p), s.h.synRoom(a.Addr()))
	if e := s.open(a, &fast{p[:first]}); e != 0 {
		return -1, e
	}
	if s.nonblock || flags&unix.MSG_DONTWAIT != 0 {
		if first == 0 {
			return -1, unix.EINPROGRESS
		}
		return first, 0
	}
	if e := s.connected(); e != 0 {
		return -1, e
	}
	if first == len(p) {
		return first, 0
	}
	n, e := s.send(p[first:], flags)
	if e != 0 && first == 0 {
		return -1, e
	}
	return first + max(n, 0), 0
}

// fast is an active open with data for the SYN.
type fast struct{ data []byte }

func (f *fast) config(h *Host, a netip.Addr) tcp.FastOpen {
	if f == nil {
		return tcp.FastOpen{}
	}
	return tcp.FastOpen{Client: client{h, a}}
}
