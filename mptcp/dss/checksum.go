package dss

import (
	"encoding/binary"

	"github.com/sennit-net/sennit/stack/chunk"
	"github.com/sennit-net/sennit/stack/seq"
	"github.com/sennit-net/sennit/stack/wire"
)

// Checksum adds up the checksum of one mapping while its bytes come, in any
// cut (RFC 8684 §3.3.1). It is the TCP checksum algorithm over a pseudo-header
// and the mapped bytes.
type Checksum struct {
	sum uint16
	odd bool
}

// NewChecksum starts with the pseudo-header: the whole 64-bit number, the
// relative subflow sequence number and the data-level length.
func NewChecksum(dsn seq.Data, ssn uint32, length int) Checksum {
	var h [16]byte
	binary.BigEndian.PutUint64(h[:], uint64(dsn))
	binary.BigEndian.PutUint32(h[8:], ssn)
	binary.BigEndian.PutUint16(h[12:], uint16(length))
	return Checksum{sum: wire.Sum(h[:], 0, false)}
}

// Add adds the next bytes of the mapping.
func (c *Checksum) Add(p []byte) {
	c.sum = wire.Sum(p, c.sum, c.odd)
	c.odd = c.odd != (len(p)%2 == 1)
}

// AddRuns adds the next bytes of the mapping.
func (c *Checksum) AddRuns(runs []chunk.Slice) {
	for i := range runs {
		c.Add(runs[i].B)
	}
}

// Value returns the checksum to send.
func (c *Checksum) Value() uint16 { return ^c.sum }

// OK reports whether a received checksum is right for what was added.
func (c *Checksum) OK(sum uint16) bool {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], sum)
	return wire.Sum(b[:], c.sum, false) == 0xffff
}

// Sum returns the checksum of a mapping, its bytes given as runs.
func Sum(m Mapping, runs []chunk.Slice) uint16 {
	c := NewChecksum(m.DSN, m.SSN(), m.DataLen())
	c.AddRuns(runs)
	return c.Value()
}

// SumFin returns the checksum of a DATA_FIN alone: subflow sequence number 0,
// length 1, no bytes (RFC 8684 §3.3.3).
func SumFin(dsn seq.Data) uint16 {
	c := NewChecksum(dsn, 0, 1)
	return c.Value()
}
