package option

import "github.com/sennit-net/sennit/stack/seq"

// Flag bits of DSS (RFC 8684 §3.3, figure 9).
const (
	flagFin  = 0x10 // F: DATA_FIN
	flagDSN8 = 0x08 // m: the data sequence number has 8 octets
	flagMap  = 0x04 // M: a mapping is there
	flagAck8 = 0x02 // a: the Data ACK has 8 octets
	flagAck  = 0x01 // A: a Data ACK is there
)

// DSS is the data sequence signal (RFC 8684 §3.3). Where a number has only 4
// octets, its upper half is zero when parsed and ignored when appended;
// seq.Expand gives the whole.
type DSS struct {
	HasAck bool
	Ack8   bool
	Ack    seq.Data

	HasMap bool
	DSN8   bool
	DSN    seq.Data
	SSN    uint32 // relative subflow sequence number: the first data byte is 1
	Len    uint16 // data-level length; 0: infinite mapping (RFC 8684 §3.7)
	HasSum bool
	Sum    uint16

	Fin bool // DATA_FIN; only with a mapping
}

// Infinite reports whether d declares the infinite mapping (RFC 8684 §3.7).
func (d *DSS) Infinite() bool { return d.HasMap && d.Len == 0 }

// Size returns the length of the option in bytes.
func (d *DSS) Size() int {
	n := 4
	if d.HasAck {
		n += number(d.Ack8)
	}
	if d.HasMap {
		n += number(d.DSN8) + 6
		if d.HasSum {
			n += 2
		}
	}
	return n
}

func number(wide bool) int {
	if wide {
		return 8
	}
	return 4
}

// Append appends the option to b.
func (d *DSS) Append(b []byte) []byte {
	b = append(head(b, d.Size(), SubDSS, 0), d.flags())
	if d.HasAck {
		b = appendNumber(b, d.Ack, d.Ack8)
	}
	if !d.HasMap {
		return b
	}
	b = appendNumber(b, d.DSN, d.DSN8)
	b = be.AppendUint32(b, d.SSN)
	b = be.AppendUint16(b, d.Len)
	if d.HasSum {
		b = be.AppendUint16(b, d.Sum)
	}
	return b
}

// flags builds the flag octet. RFC 8684 §3.3: m and a mean something only
// together with M and A; the reserved bits are zero.
func (d *DSS) flags() byte {
	var f byte
	if d.HasAck {
		f |= flagAck | boolBit(d.Ack8, flagAck8)
	}
	if d.HasMap {
		f |= flagMap | boolBit(d.DSN8, flagDSN8) | boolBit(d.Fin, flagFin)
	}
	return f
}

func appendNumber(b []byte, n seq.Data, wide bool) []byte {
	if wide {
		return be.AppendUint64(b, uint64(n))
	}
	return be.AppendUint32(b, uint32(n))
}

func parseDSS(v []byte, d *DSS) Reason {
	if len(v) < 2 {
		return WrongLength
	}
	f := v[1]
	*d = DSS{
		HasAck: f&flagAck != 0, Ack8: f&(flagAck|flagAck8) == flagAck|flagAck8,
		HasMap: f&flagMap != 0, DSN8: f&(flagMap|flagDSN8) == flagMap|flagDSN8,
	}
	// RFC 8684 §3.3.3: F tells that the mapping covers a DATA_FIN, so that it
	// means nothing without one.
	d.Fin = d.HasMap && f&flagFin != 0
	// RFC 8684 §3.3.1: whether there is a checksum is told by the length.
	d.HasSum = d.HasMap && len(v)+2 == d.Size()+2
	if len(v)+2 != d.Size() {
		return WrongLength
	}
	v = v[2:]
	if d.HasAck {
		d.Ack, v = takeNumber(v, d.Ack8)
	}
	if !d.HasMap {
		return Fine
	}
	d.DSN, v = takeNumber(v, d.DSN8)
	d.SSN = be.Uint32(v)
	d.Len = be.Uint16(v[4:])
	if d.HasSum {
		d.Sum = be.Uint16(v[6:])
	}
	return Fine
}

func takeNumber(v []byte, wide bool) (seq.Data, []byte) {
	if wide {
		return seq.Data(be.Uint64(v)), v[8:]
	}
	return seq.Data(be.Uint32(v)), v[4:]
}
