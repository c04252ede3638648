package option

import "net/netip"

// AddAddr is ADD_ADDR (RFC 8684 §3.4.1, figure 12), the announcement of an
// address or, with Echo, the confirmation of one.
type AddAddr struct {
	ID   uint8
	Echo bool
	Addr netip.Addr // its family decides the layout
	Port uint16     // 0: none given
	MAC  uint64     // rightmost 64 bits of the HMAC; not with Echo
}

// Size returns the length of the option in bytes.
func (a AddAddr) Size() int {
	n := 4 + 16
	if a.Addr.Is4() {
		n = 4 + 4
	}
	if a.Port != 0 {
		n += 2
	}
	if !a.Echo {
		n += 8
	}
	return n
}

// Append appends the option to b.
func (a AddAddr) Append(b []byte) []byte {
	b = append(head(b, a.Size(), SubAddAddr, boolBit(a.Echo, 1)), a.ID)
	if a.Addr.Is4() {
		v4 := a.Addr.As4()
		b = append(b, v4[:]...)
	} else {
		v6 := a.Addr.As16()
		b = append(b, v6[:]...)
	}
	if a.Port != 0 {
		b = be.AppendUint16(b, a.Port)
	}
	if !a.Echo {
		b = be.AppendUint64(b, a.MAC)
	}
	return b
}

func parseAddAddr(v []byte, a *AddAddr) Reason {
	if len(v) < 2 {
		return WrongLength
	}
	*a = AddAddr{ID: v[1], Echo: v[0]&1 != 0}
	body := v[2:]
	if !a.Echo {
		if len(body) < 8 {
			return WrongLength
		}
		a.MAC = be.Uint64(body[len(body)-8:])
		body = body[:len(body)-8]
	}
	switch len(body) {
	case 4, 6:
		a.Addr = netip.AddrFrom4([4]byte(body))
		body = body[4:]
	case 16, 18:
		a.Addr = netip.AddrFrom16([16]byte(body))
		body = body[16:]
	default:
		return WrongLength
	}
	if len(body) == 2 {
		a.Port = be.Uint16(body)
	}
	return Fine
}

// MaxIDs is how many address IDs fit into one REMOVE_ADDR.
const MaxIDs = 40 - 3

// RemoveAddr is REMOVE_ADDR (RFC 8684 §3.4.2, figure 13).
type RemoveAddr struct {
	N   uint8 // how many of IDs are meant, at least 1
	ids [MaxIDs]uint8
}

// Remove returns the option for these IDs, at most MaxIDs.
func Remove(ids ...uint8) RemoveAddr {
	var r RemoveAddr
	r.N = uint8(copy(r.ids[:], ids))
	return r
}

// IDs returns the address IDs, in order.
func (r *RemoveAddr) IDs() []uint8 { return r.ids[:r.N] }

// Size returns the length of the option in bytes.
func (r *RemoveAddr) Size() int { return 3 + int(r.N) }

// Append appends the option to b.
func (r *RemoveAddr) Append(b []byte) []byte {
	return append(head(b, r.Size(), SubRemove, 0), r.ids[:r.N]...)
}

func parseRemove(v []byte, r *RemoveAddr) Reason {
	if len(v) < 2 || len(v) > 1+MaxIDs {
		return WrongLength
	}
	r.N = uint8(copy(r.ids[:], v[1:]))
	return Fine
}
