// Package reasm holds bytes of a stream that arrived before their turn.
//
// It owns order, overlap and bounds; it knows no sequence numbers, only 64-bit
// stream offsets, and no window: its caller trims to that. Where two arrivals
// overlap, the bytes that came first stay. Read RFC 9293 §3.10.7.4 (the
// seventh check) first.
package reasm

import "github.com/sennit-net/sennit/stack/chunk"

// Range is the bytes [From,To) of the stream.
type Range struct{ From, To uint64 }

// Len returns the number of bytes in r.
func (r Range) Len() int { return int(r.To - r.From) }

// piece is one arrival, or what was left of it: contiguous runs.
type piece struct {
	off  uint64
	n    int
	runs []chunk.Slice
}

func (p *piece) end() uint64 { return p.off + uint64(p.n) }

// Queue holds pieces in order, none overlapping another. The zero Queue is
// empty and without bounds.
type Queue struct {
	// MaxBytes and MaxPieces bound what is held; 0: no bound. A piece that
	// would exceed them is refused whole, except that one which is the lowest
	// of all pushes others out from the far end: it is what is waited for.
	MaxBytes, MaxPieces int

	pieces []piece
	bytes  int
	free   [][]chunk.Slice // emptied run lists for reuse
}

// Bytes returns how many bytes are held.
func (q *Queue) Bytes() int { return q.bytes }

// Empty reports whether nothing is held.
func (q *Queue) Empty() bool { return len(q.pieces) == 0 }

// Insert adds runs at off, keeping a reference of its own to what it takes;
// the caller's references stay the caller's. It returns the contiguous range
// now held around the new bytes, and how many bytes were new.
func (q *Queue) Insert(off uint64, runs []chunk.Slice) (around Range, added int) {
	n := chunk.Total(runs)
	end := off + uint64(n)
	i := q.find(off)
	for at := off; at < end; i++ {
		if i < len(q.pieces) && q.pieces[i].off <= at {
			at = max(at, q.pieces[i].end())
			continue
		}
		stop := end
		if i < len(q.pieces) {
			stop = min(stop, q.pieces[i].off)
		}
		if i > 0 && q.extend(&q.pieces[i-1], at, int(stop-at), runs, int(at-off)) {
			i--
		} else if !q.put(i, at, int(stop-at), runs, int(at-off)) {
			break
		}
		added += int(stop - at)
		at = stop
	}
	return q.around(off, end), added
}

// find returns the index of the first piece that ends beyond off.
func (q *Queue) find(off uint64) int {
	lo, hi := 0, len(q.pieces)
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if q.pieces[m].end() <= off {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo
}

// put inserts bytes [from,from+n) of runs as a new piece before index i.
func (q *Queue) put(i int, off uint64, n int, runs []chunk.Slice, from int) bool {
	if !q.makeRoom(i, n) {
		return false
	}
	q.pieces = append(q.pieces, piece{})
	copy(q.pieces[i+1:], q.pieces[i:])
	q.pieces[i] = piece{off, n, chunk.Range(q.list(), runs, from, n)}
	q.bytes += n
	return true
}

// extend adds n bytes at off to the end of p, if that is where they belong: what
// follows a hole is one piece however many segments it came in, so that
// MaxPieces bounds holes and not bytes. Pieces stay small enough to be pushed
// out one by one.
func (q *Queue) extend(p *piece, off uint64, n int, runs []chunk.Slice, from int) bool {
	if p.end() != off || p.n >= maxPiece || n < minRun || q.MaxBytes > 0 && q.bytes+n > q.MaxBytes {
		return false
	}
	p.runs = chunk.Range(p.runs, runs, from, n)
	p.n += n
	q.bytes += n
	return true
}

const (
	maxPiece = 64 << 10 // from so many bytes on a piece is not extended
	// minRun is the least that extends one: crumbs count against MaxPieces, since
	// each keeps a packet's memory.
	minRun = 256
)

// makeRoom makes place for n bytes at index i, or says that there is none.
func (q *Queue) makeRoom(i, n int) bool {
	full := func() bool {
		return q.MaxBytes > 0 && q.bytes+n > q.MaxBytes ||
			q.MaxPieces > 0 && len(q.pieces) >= q.MaxPieces
	}
	for full() {
		if i != 0 || len(q.pieces) == 0 {
			return false
		}
		q.dropLast()
	}
	return true
}

func (q *Queue) dropLast() {
	last := len(q.pieces) - 1
	p := &q.pieces[last]
	q.bytes -= p.n
	q.recycle(p.runs)
	*p = piece{}
	q.pieces = q.pieces[:last]
}

func (q *Queue) list() []chunk.Slice {
	if k := len(q.free) - 1; k >= 0 {
		l := q.free[k]
		q.free = q.free[:k]
		return l
	}
	return nil
}

func (q *Queue) recycle(runs []chunk.Slice) {
	chunk.ReleaseAll(runs)
	if cap(runs) > 0 && len(q.free) < 16 {
		q.free = append(q.free, runs[:0])
	}
}

// around returns the contiguous range held that covers or touches what of
// [off,end) is held; empty if nothing of it is.
func (q *Queue) around(off, end uint64) Range {
	i := q.find(off)
	if i == len(q.pieces) || q.pieces[i].off >= end {
		return Range{}
	}
	lo, hi := i, i
	for lo > 0 && q.pieces[lo-1].end() == q.pieces[lo].off {
		lo--
	}
	for hi+1 < len(q.pieces) && q.pieces[hi].end() == q.pieces[hi+1].off {
		hi++
	}
	return Range{q.pieces[lo].off, q.pieces[hi].end()}
}

// Around returns the contiguous range held around the bytes of r that are
// held; empty if none is.
func (q *Queue) Around(r Range) Range { return q.around(r.From, r.To) }

// Pop appends to dst the runs that continue the stream at next, handing their
// references over, and forgets everything before. It returns the runs and how
// many bytes they hold.
func (q *Queue) Pop(next uint64, dst []chunk.Slice) ([]chunk.Slice, int) {
	total, i := 0, 0
	for ; i < len(q.pieces) && q.pieces[i].off <= next; i++ {
		p := &q.pieces[i]
		q.bytes -= p.n
		if p.end() > next {
			skip := int(next - p.off)
			n := p.n - skip
			dst = chunk.Range(dst, p.runs, skip, n)
			total += n
			next += uint64(n)
		}
		q.recycle(p.runs)
		*p = piece{}
	}
	if i > 0 {
		k := copy(q.pieces, q.pieces[i:])
		clear(q.pieces[k:])
		q.pieces = q.pieces[:k]
	}
	return dst, total
}

// Ranges calls f with each contiguous range held, lowest first, until f
// reports false.
func (q *Queue) Ranges(f func(Range) bool) {
	for i := 0; i < len(q.pieces); {
		r := Range{q.pieces[i].off, q.pieces[i].end()}
		for i++; i < len(q.pieces) && q.pieces[i].off == r.To; i++ {
			r.To = q.pieces[i].end()
		}
		if !f(r) {
			return
		}
	}
}

// Clear drops everything.
func (q *Queue) Clear() {
	for i := range q.pieces {
		chunk.ReleaseAll(q.pieces[i].runs)
	}
	q.pieces, q.free, q.bytes = nil, nil, 0
}
