package dss

import (
	"github.com/sennit-net/sennit/stack/chunk"
	"github.com/sennit-net/sennit/stack/seq"
)

// MaxMappings bounds how many mappings of one subflow wait for their bytes. A
// sender has no use for more ahead of the data.
const MaxMappings = 1 << 14

// Verdict is what became of a mapping that was received.
type Verdict uint8

// Verdicts.
const (
	Accepted Verdict = iota // it is new
	Known                   // it, or what is left of it, was there already
	Past                    // all its bytes were consumed before
	Conflict                // it contradicts an earlier one: reset the subflow (RFC 8684 §3.3.1)
	TooMany                 // ignored: MaxMappings wait already
)

// Status tells why Next gave what it gave.
type Status uint8

// Statuses.
const (
	Ready    Status = iota // a piece of data
	Waiting                // nothing complete now
	Unmapped               // the next bytes are here and no mapping covers them
	BadSum                 // the next mapping's bytes are here and its checksum is wrong (RFC 8684 §3.7)
)

// Piece is data with its place in the data stream.
type Piece struct {
	DSN  seq.Data
	Len  int
	Fin  bool // a DATA_FIN follows at DSN+Len
	Runs []chunk.Slice
}

// Inbound turns the bytes of one subflow, in subflow order, into pieces of
// data. Bytes wait in it while no mapping covers them, or until the whole
// mapping is there when it has a checksum: nothing is delivered unverified
// (RFC 8684 §3.3.1). The zero Inbound is empty, without checksums.
type Inbound struct {
	list     []Mapping // list[head:] are live: sorted, without overlap
	head     int
	held     chunk.Queue // bytes [next, end)
	next     uint64      // offset of the first byte not given to the caller
	infinite bool        // everything from next on has a place
	dsn      seq.Data    // of next, when infinite
}

// Offset returns the offset of the next byte to become data.
func (in *Inbound) Offset() uint64 { return in.next }

// Held returns how many bytes wait here.
func (in *Inbound) Held() int { return in.held.Len() }

// Mappings returns how many mappings are kept.
func (in *Inbound) Mappings() int { return len(in.list) - in.head }

// Map takes a mapping that was received. m.Len is the subflow bytes, without
// a DATA_FIN; a mapping of no bytes (a DATA_FIN alone, the infinite mapping) is
// not for here.
//
// The first word counts: a mapping once declared never changes
// (RFC 8684 §3.3.1), and a later one may only say the same again or add to it.
func (in *Inbound) Map(m Mapping) Verdict {
	if in.infinite || m.Len <= 0 {
		return Past
	}
	live := in.list[in.head:]
	// i: the first mapping that ends after m begins; before it nothing matters.
	i := len(live)
	for i > 0 && live[i-1].End() > m.Off {
		i--
	}
	known := false
	for j := i; j < len(live) && live[j].Off < m.End(); j++ {
		if !agree(live[j], m) {
			return Conflict
		}
		known = true
	}
	if !known && m.End() <= in.next {
		return Past
	}
	if m.HasSum && (known || m.Off < in.next) {
		return in.mapAgain(live[i:], m)
	}
	return in.fill(i, m)
}

// agree reports whether two mappings that overlap give their common bytes the
// same place.
func agree(a, b Mapping) bool {
	return a.DSN-seq.Data(a.Off) == b.DSN-seq.Data(b.Off)
}

// mapAgain judges a mapping with a checksum that touches an earlier one. It
// can only be a repetition: what it would add cannot be verified apart.
func (in *Inbound) mapAgain(over []Mapping, m Mapping) Verdict {
	if len(over) > 0 && over[0].Off <= m.Off && over[0].End() >= m.End() {
		return Known
	}
	return Conflict
}

// fill adds those parts of m that neither were consumed nor have a mapping.
// live[i] is the first mapping that ends after m begins.
func (in *Inbound) fill(i int, m Mapping) Verdict {
	v := Known
	m = m.from(max(m.Off, in.next))
	for m.Len > 0 {
		live := in.list[in.head:]
		for i < len(live) && live[i].End() <= m.Off {
			i++
		}
		gap := m
		if i < len(live) && live[i].Off < m.End() {
			if live[i].Off <= m.Off {
				m = m.from(min(live[i].End(), m.End()))
				continue
			}
			gap.Len, gap.Fin = int(live[i].Off-m.Off), false
		}
		if !in.insert(i, gap) {
			return TooMany
		}
		v = Accepted
		m = m.from(gap.End())
	}
	return v
}

// from returns the part of m that starts at off.
func (m Mapping) from(off uint64) Mapping {
	if off == m.Off {
		return m
	}
	m.DSN, m.Len, m.Off = m.at(off), m.Len-int(off-m.Off), off
	return m
}

// insert puts m before live mapping i. Where it merely continues the one
// before it, that one grows: a single subflow keeps a single mapping.
func (in *Inbound) insert(i int, m Mapping) bool {
	live := in.list[in.head:]
	if i > 0 && !m.HasSum {
		p := &live[i-1]
		if p.End() == m.Off && !p.HasSum && !p.Fin && agree(*p, m) {
			p.Len += m.Len
			p.Fin = m.Fin
			return true
		}
	}
	if len(live) >= MaxMappings {
		return false
	}
	if in.head > 32 && in.head*2 > len(in.list) {
		n := copy(in.list, live)
		in.list, in.head = in.list[:n], 0
	}
	in.list = append(in.list, Mapping{})
	live = in.list[in.head:]
	copy(live[i+1:], live[i:])
	live[i] = m
	return true
}

// Infinite makes every byte that waits or will come data, without mappings and
// checksums: m gives one byte, at m.Off, its number. This is the infinite
// mapping and every other fallback (RFC 8684 §3.7).
func (in *Inbound) Infinite(m Mapping) {
	in.infinite, in.dsn = true, m.at(in.next)
	in.list, in.head = nil, 0
}

// Deliver takes the next bytes of the subflow, with their references.
func (in *Inbound) Deliver(runs []chunk.Slice) {
	for _, r := range runs {
		in.held.Push(r)
	}
}

// Next returns the next piece of data, its runs appended to dst with their
// references. For Unmapped, only Len is set: that many bytes have no mapping.
// For BadSum the piece is the whole mapping, and it has been taken out: the
// caller drops it, or delivers it when falling back.
func (in *Inbound) Next(dst []chunk.Slice) (Piece, Status) {
	n := in.held.Len()
	if n == 0 {
		return Piece{}, Waiting
	}
	if in.infinite {
		p := Piece{DSN: in.dsn, Len: n, Runs: in.take(dst, n)}
		in.dsn = in.dsn.Add(n)
		return p, Ready
	}
	live := in.list[in.head:]
	if len(live) == 0 || live[0].Off > in.next {
		if len(live) > 0 {
			n = int(min(uint64(n), live[0].Off-in.next))
		}
		return Piece{Len: n}, Unmapped
	}
	m := live[0]
	if m.HasSum && m.Len > n {
		return Piece{}, Waiting
	}
	return in.cut(dst, m, min(n, int(m.End()-in.next)))
}

// cut takes the next n bytes, all of mapping m.
func (in *Inbound) cut(dst []chunk.Slice, m Mapping, n int) (Piece, Status) {
	p := Piece{DSN: m.at(in.next), Len: n}
	from := len(dst)
	p.Runs = in.take(dst, n)
	if in.next == m.End() {
		p.Fin = m.Fin
		in.pop()
	}
	if m.HasSum {
		c := NewChecksum(m.DSN, m.SSN(), m.DataLen())
		c.AddRuns(p.Runs[from:])
		if !c.OK(m.Sum) {
			return p, BadSum
		}
	}
	return p, Ready
}

func (in *Inbound) take(dst []chunk.Slice, n int) []chunk.Slice {
	in.next += uint64(n)
	return in.held.Take(dst, n)
}

func (in *Inbound) pop() {
	in.head++
	if in.head == len(in.list) {
		in.list, in.head = in.list[:0], 0
	}
}

// Clear releases what waits and forgets the mappings.
func (in *Inbound) Clear() {
	in.held.Clear()
	in.list, in.head = nil, 0
}
