// Package chunk holds payload bytes that move once: reference-counted chunks,
// runs of bytes inside them, and a queue of such runs.
//
// An application's write is copied into chunks; what is sent only points at
// them. A received packet is wrapped as a chunk whose release gives the packet
// back to its owner; a read copies out of it. Counting is atomic because the
// device may still gather a run after the connection has dropped it.
package chunk

import (
	"sync"
	"sync/atomic"
	"unsafe"
)

// Size is the capacity in bytes of a large chunk. Small is the capacity of the
// chunk a short write gets.
const (
	Size  = 64 << 10
	Small = 2 << 10
)

// Chunk is a reference-counted byte array.
type Chunk struct {
	data    []byte
	refs    atomic.Int32
	release func(*Chunk)
	// Owner is for the release function: what the bytes really belong to.
	Owner any
}

// Wrap makes a chunk of one reference over bytes that belong to someone else.
// release runs when the last reference goes; it may be nil.
func Wrap(data []byte, owner any, release func(*Chunk)) *Chunk {
	c := &Chunk{data: data, release: release, Owner: owner}
	c.refs.Store(1)
	return c
}

// Rewrap does to c what Wrap does to a new chunk: for owners that reuse their
// chunks. c must have no reference left.
func (c *Chunk) Rewrap(data []byte, owner any, release func(*Chunk)) {
	c.data, c.Owner, c.release = data, owner, release
	c.refs.Store(1)
}

var (
	large = sync.Pool{New: func() any { return &Chunk{data: make([]byte, Size)} }}
	small = sync.Pool{New: func() any { return &Chunk{data: make([]byte, Small)} }}
)

func putLarge(c *Chunk) { large.Put(c) }
func putSmall(c *Chunk) { small.Put(c) }

// New returns a writable chunk of one reference with room for at least
// min(n, Size) bytes. Its contents are not cleared.
func New(n int) *Chunk {
	p, put := &large, putLarge
	if n <= Small {
		p, put = &small, putSmall
	}
	c := p.Get().(*Chunk)
	c.release = put
	c.refs.Store(1)
	return c
}

// Bytes returns the whole array of the chunk.
func (c *Chunk) Bytes() []byte { return c.data }

// Slice returns bytes [from,to) of c as a run, adding a reference.
func (c *Chunk) Slice(from, to int) Slice {
	c.refs.Add(1)
	return Slice{B: c.data[from:to:to], c: c}
}

// Own returns bytes [from,to) of c as a run that takes over the caller's
// reference.
func (c *Chunk) Own(from, to int) Slice { return Slice{B: c.data[from:to:to], c: c} }

// Release drops one reference.
func (c *Chunk) Release() {
	switch n := c.refs.Add(-1); {
	case n < 0:
		panic("chunk: released more often than retained")
	case n == 0 && c.release != nil:
		c.release(c)
	}
}

// Slice is a run of bytes and one reference to the chunk that holds it. The
// zero Slice is empty and holds nothing.
type Slice struct {
	B []byte
	c *Chunk
}

// Copied returns p copied into fresh chunks' runs, appended to dst.
func Copied(dst []Slice, p []byte) []Slice {
	for len(p) > 0 {
		c := New(len(p))
		n := copy(c.data, p)
		dst = append(dst, c.Own(0, n))
		p = p[n:]
	}
	return dst
}

// Borrowed returns p as a run without a chunk: the caller promises that p
// stays as it is for as long as the run lives.
func Borrowed(p []byte) Slice { return Slice{B: p} }

// Len returns the number of bytes in the run.
func (s Slice) Len() int { return len(s.B) }

// at returns where in its chunk the run begins.
func (s Slice) at() int {
	return int(uintptr(unsafe.Pointer(unsafe.SliceData(s.B))) - uintptr(unsafe.Pointer(unsafe.SliceData(s.c.data))))
}

// Retain returns the same run with a reference of its own.
func (s Slice) Retain() Slice {
	if s.c != nil {
		s.c.refs.Add(1)
	}
	return s
}

// Sub returns bytes [from,to) of the run with a reference of their own.
func (s Slice) Sub(from, to int) Slice {
	s = s.Retain()
	s.B = s.B[from:to:to]
	return s
}

// Release drops the run's reference.
func (s Slice) Release() {
	if s.c != nil {
		s.c.Release()
	}
}

// Total returns the number of bytes in the runs.
func Total(runs []Slice) int {
	n := 0
	for i := range runs {
		n += len(runs[i].B)
	}
	return n
}

// ReleaseAll drops the reference of every run and clears the list.
func ReleaseAll(runs []Slice) {
	for i := range runs {
		runs[i].Release()
		runs[i] = Slice{}
	}
}

// Range appends to dst the bytes [off,off+n) of runs, each with a reference of
// its own. It panics when the runs are shorter.
func Range(dst, runs []Slice, off, n int) []Slice {
	for i := range runs {
		if n == 0 {
			return dst
		}
		l := len(runs[i].B)
		if off >= l {
			off -= l
			continue
		}
		k := min(l-off, n)
		dst = append(dst, runs[i].Sub(off, off+k))
		n -= k
		off = 0
	}
	if n != 0 {
		panic("chunk: range beyond the runs")
	}
	return dst
}
