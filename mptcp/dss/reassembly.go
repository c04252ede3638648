package dss

import (
	"github.com/sennit-net/sennit/stack/chunk"
	"github.com/sennit-net/sennit/stack/seq"
)

// Reassembly puts the data of all subflows back into one stream. Of data that
// comes twice the first copy wins (RFC 8684 §3.3.1). Data in order costs O(1),
// data out of order O(log n) in the number of pieces that wait, and next to
// the piece before it O(1) again. It holds nothing beyond the edge it is
// given, and never more runs than the bytes that wait are worth.
type Reassembly struct {
	next seq.Data // RCV.NXT of the data level: what Data ACK says
	list skiplist
}

// Reset drops everything that waits; next is the first number expected.
func (r *Reassembly) Reset(next seq.Data) {
	r.list.clear()
	r.next = next
}

// Next returns the next data sequence number expected (RFC 8684 §3.3.2: the
// Data ACK).
func (r *Reassembly) Next() seq.Data { return r.next }

// Waiting returns how many bytes wait for a hole before them.
func (r *Reassembly) Waiting() int { return r.list.bytes }

// Hole reports whether something waits for data that is missing, and returns
// what is missing first: the bytes [Next, first waiting).
func (r *Reassembly) Hole() (Range, bool) {
	n := r.list.first()
	if n == nil {
		return Range{}, false
	}
	return Range{r.next, int(n.start.Sub(r.next))}, true
}

// Insert takes data and its references. It appends to dst, with their
// references, the runs that are in order now, and moves Next past them. What
// lies before Next, at or beyond edge, or is here already is dropped
// (RFC 8684 §3.8: data outside the window). fresh is how many bytes were new.
func (r *Reassembly) Insert(dsn seq.Data, runs []chunk.Slice, edge seq.Data, dst []chunk.Slice) (out []chunk.Slice, fresh int) {
	from := 0
	n := chunk.Total(runs)
	end := dsn.Add(n)
	if dsn.Before(r.next) {
		from = int(min(r.next.Sub(dsn), int64(n)))
	}
	to := n
	if end.After(edge) {
		to = n - int(min(end.Sub(edge), int64(n)))
	}
	if from >= to {
		chunk.ReleaseAll(runs)
		return dst, 0
	}
	at := dsn.Add(from)
	if at == r.next && r.list.len == 0 {
		r.next = dsn.Add(to)
		return appendPart(dst, runs, from, to), to - from
	}
	out = dst
	// What fills the hole goes straight on: it is never refused, so that the
	// stream cannot get stuck.
	for from < to && dsn.Add(from).BeforeEq(r.next) {
		from = int(min(r.next.Sub(dsn), int64(to)))
		k := to - from
		if n := r.list.first(); n != nil {
			k = int(min(n.start.Sub(r.next), int64(k)))
		}
		out = chunk.Range(out, runs, from, k)
		r.next = r.next.Add(k)
		fresh += k
		from += k
		out = r.list.popTo(&r.next, out)
	}
	if from < to {
		fresh += r.list.insert(dsn.Add(from), runs, from, to)
	}
	chunk.ReleaseAll(runs)
	return out, fresh
}

// appendPart moves bytes [from,to) of runs to dst and releases the rest.
func appendPart(dst, runs []chunk.Slice, from, to int) []chunk.Slice {
	if from == 0 && to == chunk.Total(runs) {
		dst = append(dst, runs...)
		clear(runs)
		return dst
	}
	dst = chunk.Range(dst, runs, from, to-from)
	chunk.ReleaseAll(runs)
	return dst
}
