package dss

import (
	"sort"

	"github.com/sennit-net/sennit/stack/seq"
)

// Outbound is the mappings one subflow has declared. They are contiguous in
// subflow offsets and never change (RFC 8684 §3.3.1). One stays until its last
// byte is acknowledged both by the subflow and by Data ACK: a retransmission
// needs the one, a reinjection the other. The zero Outbound is empty.
type Outbound struct {
	list  []Mapping // list[head:] are live
	head  int
	end   uint64 // offset after the last mapping
	acked uint64 // subflow bytes acknowledged
	una   seq.Data
	some  bool // una is set
}

// Add declares the next mapping of the subflow. It panics when m does not
// start where the last one ended, or is longer than a mapping can be: the
// caller made it.
func (o *Outbound) Add(m Mapping) {
	if m.Off != o.end || m.Len <= 0 || m.DataLen() > MaxLen {
		panic("dss: mapping out of order or of impossible length")
	}
	if o.head > 32 && o.head*2 > len(o.list) {
		n := copy(o.list, o.list[o.head:])
		o.list, o.head = o.list[:n], 0
	}
	o.list = append(o.list, m)
	o.end = m.End()
}

// Len returns how many mappings are kept.
func (o *Outbound) Len() int { return len(o.list) - o.head }

// End returns the offset after the last mapped byte.
func (o *Outbound) End() uint64 { return o.end }

// At returns the mapping that covers the byte at off.
func (o *Outbound) At(off uint64) (Mapping, bool) {
	live := o.list[o.head:]
	i := sort.Search(len(live), func(i int) bool { return live[i].End() > off })
	if i == len(live) || live[i].Off > off {
		return Mapping{}, false
	}
	return live[i], true
}

// Acked tells that the subflow's bytes before off are acknowledged.
func (o *Outbound) Acked(off uint64) {
	o.acked = max(o.acked, off)
	o.drop()
}

// DataAcked tells that all data before una is acknowledged.
func (o *Outbound) DataAcked(una seq.Data) {
	if !o.some || una.After(o.una) {
		o.una, o.some = una, true
	}
	o.drop()
}

func (o *Outbound) drop() {
	for o.head < len(o.list) {
		m := &o.list[o.head]
		if m.End() > o.acked || !o.some || m.DSN.Add(m.Len).After(o.una) {
			break
		}
		o.head++
	}
	if o.head == len(o.list) {
		o.list, o.head = o.list[:0], 0
	}
}

// Unacked appends to dst the data this subflow has carried that no Data ACK
// covers, in the order it was sent: what to reinject when the subflow fails
// (RFC 8684 §3.3.6). Neighbours are joined.
func (o *Outbound) Unacked(dst []Range) []Range {
	first := len(dst)
	for _, m := range o.list[o.head:] {
		r := Range{m.DSN, m.Len}
		if o.some && r.DSN.Before(o.una) {
			skip := o.una.Sub(r.DSN)
			if skip >= int64(r.Len) {
				continue
			}
			r = Range{o.una, r.Len - int(skip)}
		}
		if n := len(dst); n > first && dst[n-1].End() == r.DSN {
			dst[n-1].Len += r.Len
			continue
		}
		dst = append(dst, r)
	}
	return dst
}

// Clear forgets every mapping: the subflow is gone.
func (o *Outbound) Clear() { o.list, o.head = nil, 0 }

// Covering returns the mapping kept here that carries the byte dsn; of several,
// the last one declared.
func (o *Outbound) Covering(dsn seq.Data) (Mapping, bool) {
	live := o.list[o.head:]
	for i := len(live) - 1; i >= 0; i-- {
		if m := live[i]; m.DSN.BeforeEq(dsn) && dsn.Before(m.DSN.Add(m.Len)) {
			return m, true
		}
	}
	return Mapping{}, false
}
