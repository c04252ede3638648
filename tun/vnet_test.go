package tun

import (
	"encoding/binary"
	"errors"
	"testing"
)

// vnet returns a header, its fields in the machine's byte order.
func vnet(flags, gso byte, fields ...uint16) (h vnetHeader) {
	h[0], h[1] = flags, gso
	for i, f := range fields {
		binary.NativeEndian.PutUint16(h[2+2*i:], f)
	}
	return h
}

// Virtio 1.2 §5.1.6: flags, gso_type, hdr_len, gso_size, csum_start,
// csum_offset.
func TestVnetHeader(t *testing.T) {
	for _, c := range []struct {
		name string
		h    vnetHeader
		m    Meta
	}{
		{"plain", vnet(0, 0), Meta{}},
		{"verified", vnet(2, 0), Meta{DataValid: true}},
		{"UDP over IPv4, checksum open", vnet(1, 0, 0, 0, 20, 6), Meta{NeedsCsum: true, CsumStart: 20, CsumOffset: 6}},
		{"TCP over IPv4, super", vnet(1, 1, 52, 1448, 20, 16),
			Meta{GSO: GSOTCPv4, MSS: 1448, HeaderLen: 52, NeedsCsum: true, CsumStart: 20, CsumOffset: 16}},
		{"TCP over IPv6, super", vnet(1, 4, 72, 1428, 40, 16),
			Meta{GSO: GSOTCPv6, MSS: 1428, HeaderLen: 72, NeedsCsum: true, CsumStart: 40, CsumOffset: 16}},
		{"TCP over IPv4, super, CWR", vnet(1, 0x81, 52, 1448, 20, 16),
			Meta{GSO: GSOTCPv4, MSS: 1448, HeaderLen: 52, NeedsCsum: true, CsumStart: 20, CsumOffset: 16, CWRFirst: true}},
		{"super, verified", vnet(2, 1, 52, 1448), Meta{GSO: GSOTCPv4, MSS: 1448, HeaderLen: 52, DataValid: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := c.h.decode()
			if err != nil || m != c.m {
				t.Errorf("decoded %+v, %v, want %+v", m, err, c.m)
			}
			h := vnet(0xff, 0xff, 0xffff, 0xffff, 0xffff, 0xffff)
			if h.encode(c.m); h != c.h {
				t.Errorf("encoded % x, want % x", h, c.h)
			}
		})
	}
}

func TestVnetHeaderRefused(t *testing.T) {
	for name, h := range map[string]vnetHeader{
		"UFO":             vnet(1, 3, 28, 1472, 20, 6),
		"USO":             vnet(1, 5, 28, 1472, 20, 6),
		"unknown":         vnet(0, 0x7f, 40, 1000),
		"no segment size": vnet(1, 1, 52, 0, 20, 16),
	} {
		if m, err := h.decode(); !errors.Is(err, ErrBadPacket) {
			t.Errorf("%s: decoded %+v, %v", name, m, err)
		}
	}
}

func TestOffloadTakes(t *testing.T) {
	super4, super6 := Meta{GSO: GSOTCPv4, MSS: 1, NeedsCsum: true}, Meta{GSO: GSOTCPv6, MSS: 1, NeedsCsum: true}
	open := Meta{NeedsCsum: true}
	for _, c := range []struct {
		o    Offload
		m    Meta
		want bool
	}{
		{Offload{}, Meta{}, true},
		{Offload{}, open, false},
		{Offload{}, super4, false},
		{Offload{Checksum: true}, open, true},
		{Offload{Checksum: true}, super4, false},
		{Offload{Checksum: true, TSO4: true}, super4, true},
		{Offload{Checksum: true, TSO4: true}, super6, false},
		{Offload{Checksum: true, TSO6: true}, super6, true},
		{Offload{TSO4: true}, super4, false},
	} {
		if got := c.o.Takes(c.m); got != c.want {
			t.Errorf("%+v takes %+v: %v, want %v", c.o, c.m, got, c.want)
		}
	}
}
