package tun

import (
	"encoding/binary"
	"fmt"
)

// vnetLen is the size of struct virtio_net_hdr without the buffer count.
const vnetLen = 10

// Values of virtio_net_hdr (Virtio 1.2 §5.1.6).
const (
	vnetNeedsCsum = 1 << 0
	vnetDataValid = 1 << 1

	vnetGSONone  = 0
	vnetGSOTCPv4 = 1
	vnetGSOTCPv6 = 4
	vnetGSOECN   = 0x80
)

// vnetHeader is the header on the wire between us and the kernel: flags,
// gso_type, hdr_len, gso_size, csum_start, csum_offset, the 16-bit fields in
// the byte order of the machine.
type vnetHeader [vnetLen]byte

// encode fills h from m.
func (h *vnetHeader) encode(m Meta) {
	*h = vnetHeader{}
	if m.NeedsCsum {
		h[0] = vnetNeedsCsum
		binary.NativeEndian.PutUint16(h[6:], m.CsumStart)
		binary.NativeEndian.PutUint16(h[8:], m.CsumOffset)
	} else if m.DataValid {
		h[0] = vnetDataValid
	}
	switch m.GSO {
	case GSONone:
		return
	case GSOTCPv4:
		h[1] = vnetGSOTCPv4
	case GSOTCPv6:
		h[1] = vnetGSOTCPv6
	}
	if m.CWRFirst {
		h[1] |= vnetGSOECN
	}
	binary.NativeEndian.PutUint16(h[2:], m.HeaderLen)
	binary.NativeEndian.PutUint16(h[4:], m.MSS)
}

// decode returns the metadata in h. A kind of super-packet that we never asked
// the kernel for, or one without a segment size, is an error.
func (h *vnetHeader) decode() (Meta, error) {
	var m Meta
	switch {
	case h[0]&vnetNeedsCsum != 0:
		m.NeedsCsum = true
		m.CsumStart = binary.NativeEndian.Uint16(h[6:])
		m.CsumOffset = binary.NativeEndian.Uint16(h[8:])
	case h[0]&vnetDataValid != 0:
		m.DataValid = true
	}
	switch h[1] &^ vnetGSOECN {
	case vnetGSONone:
		return m, nil
	case vnetGSOTCPv4:
		m.GSO = GSOTCPv4
	case vnetGSOTCPv6:
		m.GSO = GSOTCPv6
	default:
		return Meta{}, fmt.Errorf("%w: GSO type %#x", ErrBadPacket, h[1])
	}
	m.CWRFirst = h[1]&vnetGSOECN != 0
	m.HeaderLen = binary.NativeEndian.Uint16(h[2:])
	m.MSS = binary.NativeEndian.Uint16(h[4:])
	if m.MSS == 0 {
		return Meta{}, fmt.Errorf("%w: no segment size", ErrBadPacket)
	}
	return m, nil
}
