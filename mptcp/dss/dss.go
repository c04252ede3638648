// Package dss is the data sequence bookkeeping of MPTCP: which subflow bytes
// carry which data, on the way out and on the way in; the checksum over a
// mapping; and the reassembly of the data stream from all subflows.
//
// It decides nothing about subflows or windows: it is told offsets and edges
// and answers with data, verdicts and counts. Read RFC 8684 §3.3.1, §3.3.2,
// §3.3.4 and §3.7 first.
package dss

import "github.com/sennit-net/sennit/stack/seq"

// MaxLen is the largest data-level length, a DATA_FIN included
// (RFC 8684 §3.3.1: 16 bits).
const MaxLen = 1<<16 - 1

// Mapping says that subflow bytes [Off, Off+Len) carry the data from DSN on.
// Off is a stream offset of the subflow: the relative subflow sequence number
// less one (RFC 8684 §3.3.1: the SYN is 0, the first byte 1).
type Mapping struct {
	Off    uint64
	DSN    seq.Data
	Len    int    // subflow bytes
	Fin    bool   // a DATA_FIN follows at DSN+Len; no subflow byte carries it
	Sum    uint16 // checksum, where negotiated
	HasSum bool
}

// End returns the offset after the last byte.
func (m Mapping) End() uint64 { return m.Off + uint64(m.Len) }

// DataLen returns the data-level length: it counts the DATA_FIN
// (RFC 8684 §3.3.3).
func (m Mapping) DataLen() int {
	if m.Fin {
		return m.Len + 1
	}
	return m.Len
}

// SSN returns the relative subflow sequence number (RFC 8684 §3.3.1).
func (m Mapping) SSN() uint32 { return uint32(m.Off) + 1 }

// at returns the data sequence number of the byte at off.
func (m Mapping) at(off uint64) seq.Data { return m.DSN + seq.Data(off-m.Off) }

// FromSSN returns the stream offset nearest to expected that a relative
// subflow sequence number means. It reports false for 0, the SYN.
func FromSSN(expected uint64, ssn uint32) (off uint64, ok bool) {
	v := seq.Expand(seq.Data(expected), ssn-1)
	// Before the start of the stream there is only the SYN.
	return uint64(v), int64(v) >= 0
}

// Range is the data [DSN, DSN+Len).
type Range struct {
	DSN seq.Data
	Len int
}

// End returns the number after the last byte.
func (r Range) End() seq.Data { return r.DSN.Add(r.Len) }
