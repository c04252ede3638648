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
	for _, a := range [...]netip.AddrPort{local, remote} {
		ip := a.Addr().As16()
		n += copy(b[n:], ip[:])
		binary.BigEndian.PutUint16(b[n:], a.Port())
		n += 2
	}
	sum := sha256.Sum256(b[:])
	return binary.BigEndian.Uint32(sum[:])
}

// iss returns the initial sequence number of a connection: a clock of 4 us
// plus F(4-tuple, secret) (RFC 6528 §3; RFC 9293 §3.4.1, MUST-8).
func (s *Stack) iss(local, remote netip.AddrPort) seq.Num {
	ticks := uint32(int64(s.now()) / 4000)
	return seq.Num(ticks + s.isn.hash('i', local, remote))
}

// tsOffset returns where the timestamp clock of a connection starts. It is the
// same for all connections of two addresses, so that timestamps keep growing
// when a 4-tuple is used again (RFC 7323 §7.1, RFC 6191).
func (s *Stack) tsOffset(local, remote netip.AddrPort) uint32 {
	return s.isn.hash('t', netip.AddrPortFrom(local.Addr(), 0), netip.AddrPortFrom(remote.Addr(), 0))
}
