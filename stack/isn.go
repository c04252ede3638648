package stack

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"

	"github.com/sennit-net/sennit/stack/seq"
)

// secret keys what must not be guessed by those off the path.
type secret [32]byte

// hash is the keyed function F of RFC 6528 §3. The input has a fixed length
// and the output is cut, so a prefix key is as good as HMAC.
func (k *secret) hash(label byte, local, remote netip.AddrPort) uint32 {
	var b [32 + 1 + 2*18]byte
	n := copy(b[:], k[:])
	b[n] = label
	n++
	n = putAddrPort(b[:], n, local)
	putAddrPort(b[:], n, remote)
	sum := sha256.Sum256(b[:])
	return binary.BigEndian.Uint32(sum[:])
}

// putAddrPort writes a at b[n:] and returns where it ends.
func putAddrPort(b []byte, n int, a netip.AddrPort) int {
	ip := a.Addr().As16()
	n += copy(b[n:], ip[:])
	binary.BigEndian.PutUint16(b[n:], a.Port())
	return n + 2
}

// iss returns the initial sequence number of a connection: a clock of 4 us
// plus F(4-tuple, secret) (RFC 6528 §3; RFC 9293 §3.4.1, MUST-8).
func (s *Stack) iss(local, remote netip.AddrPort) seq.Num {
	ticks := uint32(int64(s.now()) / 4000)
	return seq.Num(ticks + s.isn.hash('i', local, remote))
}

// beginning is what is special about the first sequence number of a path.
type beginning struct {
	seq  seq.Num
	kind uint8
}

const (
	anywhere uint8 = iota
	beyond         // an earlier connection of the same 4-tuple used up to seq
	answered       // a SYN cookie went out already, with seq
)

// after notes that numbers up to n were in use by an earlier connection.
func (b *beginning) after(n seq.Num) { b.seq, b.kind = n, beyond }

// issOf returns the initial sequence number of p. It is beyond what an earlier
// connection of the same 4-tuple used (RFC 9293 §3.4.1, RFC 6191 §2), and what
// was in flight of it.
func (s *Stack) issOf(p *Path) seq.Num {
	if p.begin.kind == answered {
		return p.begin.seq
	}
	n := s.iss(p.local, p.remote)
	if least := p.begin.seq.Add(1 << 16); p.begin.kind == beyond && n.Before(least) {
		n = least
	}
	return n
}

// tsOffset returns where the timestamp clock of a connection starts. It is the
// same for all connections of two addresses, so that timestamps keep growing
// when a 4-tuple is used again (RFC 7323 §7.1, RFC 6191).
func (s *Stack) tsOffset(local, remote netip.AddrPort) uint32 {
	return s.isn.hash('t', netip.AddrPortFrom(local.Addr(), 0), netip.AddrPortFrom(remote.Addr(), 0))
}
