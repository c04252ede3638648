//go:build linux

package drill

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// parse reads a sockaddr of the family of s.
func (s *socket) parse(b []byte) (netip.AddrPort, unix.Errno) {
	if len(b) < 2 {
		return netip.AddrPort{}, unix.EINVAL
	}
	family := int(binary.NativeEndian.Uint16(b))
	switch {
	case family == unix.AF_INET && len(b) >= unix.SizeofSockaddrInet4 && s.family == unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), binary.BigEndian.Uint16(b[2:])), 0
	case family == unix.AF_INET6 && len(b) >= unix.SizeofSockaddrInet6 && s.family == unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:24])).Unmap(), binary.BigEndian.Uint16(b[2:])), 0
	case family == unix.AF_INET || family == unix.AF_INET6:
		return netip.AddrPort{}, unix.EINVAL
	}
	return netip.AddrPort{}, unix.EAFNOSUPPORT
}

// sockaddr writes a as the family of s has it.
func (s *socket) sockaddr(a netip.AddrPort) []byte {
	if s.family == unix.AF_INET {
		b := make([]byte, unix.SizeofSockaddrInet4)
		binary.NativeEndian.PutUint16(b, unix.AF_INET)
		binary.BigEndian.PutUint16(b[2:], a.Port())
		if a.Addr().Is4() {
			ip := a.Addr().As4()
			copy(b[4:], ip[:])
		}
		return b
	}
	b := make([]byte, unix.SizeofSockaddrInet6)
	binary.NativeEndian.PutUint16(b, unix.AF_INET6)
	binary.BigEndian.PutUint16(b[2:], a.Port())
	if a.IsValid() {
		ip := a.Addr().As16()
		copy(b[8:], ip[:])
	}
	return b
}
