package option

// Flag bits of MP_CAPABLE (RFC 8684 §3.1).
const (
	flagChecksum   = 0x80 // A
	flagExtended   = 0x40 // B
	flagDenyJoin   = 0x20 // C
	maskAlgorithms = 0x1f // D to H
)

// SHA256 is the H bit: HMAC-SHA256, the only algorithm defined
// (RFC 8684 §3.1).
const SHA256 = 0x01

// MPCapable is MP_CAPABLE (RFC 8684 §3.1, figure 4).
type MPCapable struct {
	Form       Form
	Version    uint8
	Checksum   bool  // A: checksums required
	Extended   bool  // B: an extension we do not know; sent as 0
	DenyJoin   bool  // C: no subflows to this source address and port
	Algorithms uint8 // bits D to H; SHA256 is all we offer

	SenderKey   uint64 // all forms but OnSYN
	ReceiverKey uint64 // OnACK and OnData

	Len    uint16 // data-level length, OnData
	HasSum bool   // Sum is there, OnData
	Sum    uint16 // checksum of the first mapping
}

// Size returns the length of the option in bytes.
func (m MPCapable) Size() int {
	switch m.Form {
	case OnSYN:
		return 4
	case OnSYNACK:
		return 12
	case OnACK:
		return 20
	}
	if m.HasSum {
		return 24
	}
	return 22
}

// Append appends the option to b.
func (m MPCapable) Append(b []byte) []byte {
	b = head(b, m.Size(), SubCapable, m.Version&0xf)
	b = append(b, boolBit(m.Checksum, flagChecksum)|boolBit(m.Extended, flagExtended)|
		boolBit(m.DenyJoin, flagDenyJoin)|m.Algorithms&maskAlgorithms)
	if m.Form == OnSYN {
		return b
	}
	b = be.AppendUint64(b, m.SenderKey)
	if m.Form == OnSYNACK {
		return b
	}
	b = be.AppendUint64(b, m.ReceiverKey)
	if m.Form == OnACK {
		return b
	}
	b = be.AppendUint16(b, m.Len)
	if m.HasSum {
		b = be.AppendUint16(b, m.Sum)
	}
	return b
}

// parseCapable reads the option; v starts at the subtype octet.
func parseCapable(v []byte, form Form, m *MPCapable) Reason {
	// RFC 8684 §3.1: a SYN of version 0 carries a key and has 12 octets. Its
	// other forms look like ours but mean something else: none is version 1.
	if v[0]&0xf == 0 {
		return OldVersion
	}
	n := len(v) + 2
	if form == OnACK && n != 20 {
		form = OnData
	}
	*m = MPCapable{Form: form, HasSum: form == OnData && n == 24}
	if n != m.Size() {
		return WrongLength
	}
	f := v[1]
	m.Version = v[0] & 0xf
	m.Checksum = f&flagChecksum != 0
	m.Extended = f&flagExtended != 0
	m.DenyJoin = f&flagDenyJoin != 0
	m.Algorithms = f & maskAlgorithms
	if form >= OnSYNACK {
		m.SenderKey = be.Uint64(v[2:])
	}
	if form >= OnACK {
		m.ReceiverKey = be.Uint64(v[10:])
	}
	if form == OnData {
		m.Len = be.Uint16(v[18:])
		if m.HasSum {
			m.Sum = be.Uint16(v[20:])
		}
	}
	return Fine
}

// MACs of MP_JOIN are truncated to these many leftmost bytes
// (RFC 8684 §3.2).
const (
	MACOnSYNACK = 8
	MACOnACK    = 20
)

// MPJoin is MP_JOIN (RFC 8684 §3.2, figures 5 to 7).
type MPJoin struct {
	Form   Form // OnSYN, OnSYNACK, OnACK
	Backup bool // B; not OnACK
	AddrID uint8
	Token  uint32         // the receiver's, OnSYN
	Nonce  uint32         // the sender's, OnSYN and OnSYNACK
	MAC    [MACOnACK]byte // the sender's HMAC; OnSYNACK: only the first 8 bytes
}

// Size returns the length of the option in bytes.
func (j MPJoin) Size() int {
	switch j.Form {
	case OnSYN:
		return 12
	case OnSYNACK:
		return 16
	}
	return 24
}

// Append appends the option to b.
func (j MPJoin) Append(b []byte) []byte {
	if j.Form >= OnACK {
		b = append(head(b, 24, SubJoin, 0), 0)
		return append(b, j.MAC[:]...)
	}
	b = append(head(b, j.Size(), SubJoin, boolBit(j.Backup, 1)), j.AddrID)
	if j.Form == OnSYN {
		b = be.AppendUint32(b, j.Token)
	} else {
		b = append(b, j.MAC[:MACOnSYNACK]...)
	}
	return be.AppendUint32(b, j.Nonce)
}

func parseJoin(v []byte, form Form, j *MPJoin) Reason {
	*j = MPJoin{Form: form}
	if len(v)+2 != j.Size() {
		return WrongLength
	}
	if form == OnACK {
		copy(j.MAC[:], v[2:])
		return Fine
	}
	j.Backup = v[0]&1 != 0
	j.AddrID = v[1]
	if form == OnSYN {
		j.Token = be.Uint32(v[2:])
		j.Nonce = be.Uint32(v[6:])
		return Fine
	}
	copy(j.MAC[:], v[2:2+MACOnSYNACK])
	j.Nonce = be.Uint32(v[10:])
	return Fine
}
