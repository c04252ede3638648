package chunk

// Queue is a first-in first-out byte stream held as runs. The zero Queue is
// empty and ready; it is not safe for concurrent use.
type Queue struct {
	runs []Slice // runs[head:] are live
	head int
	n    int
	tail *Chunk // the chunk Append still writes into, or nil
	used int    // bytes of tail already handed out
}

// Len returns the number of bytes queued.
func (q *Queue) Len() int { return q.n }

// Append copies p to the end of the queue.
func (q *Queue) Append(p []byte) {
	q.n += len(p)
	for len(p) > 0 {
		if q.tail == nil || q.used == len(q.tail.data) {
			q.dropTail()
			q.tail, q.used = New(len(p)), 0
		}
		k := copy(q.tail.data[q.used:], p)
		q.extend(k)
		p = p[k:]
	}
}

// extend adds the next k bytes of the tail chunk to the queue: as part of the
// last run where that run ends at them, else as a run of its own.
func (q *Queue) extend(k int) {
	end := q.used + k
	if last := len(q.runs) - 1; last >= q.head {
		r := &q.runs[last]
		if r.c == q.tail && len(r.B) > 0 && len(r.B) <= q.used &&
			&q.tail.data[q.used-1] == &r.B[len(r.B)-1] {
			r.B = q.tail.data[q.used-len(r.B) : end : end]
			q.used = end
			return
		}
	}
	q.push(q.tail.Slice(q.used, end))
	q.used = end
}

func (q *Queue) dropTail() {
	if q.tail != nil {
		q.tail.Release()
		q.tail = nil
	}
}

func (q *Queue) push(s Slice) {
	if q.head > 32 && q.head*2 > len(q.runs) {
		k := copy(q.runs, q.runs[q.head:])
		clear(q.runs[k:])
		q.runs, q.head = q.runs[:k], 0
	}
	q.runs = append(q.runs, s)
}

// Push adds a run to the end of the queue and takes over its reference. A run
// that continues the last one in memory is joined to it.
func (q *Queue) Push(s Slice) {
	if len(s.B) == 0 {
		s.Release()
		return
	}
	q.n += len(s.B)
	if last := len(q.runs) - 1; last >= q.head && s.c != nil && q.runs[last].c == s.c {
		r := &q.runs[last]
		from, to := r.at(), s.at()
		if from+len(r.B) == to {
			end := to + len(s.B)
			r.B = s.c.data[from:end:end]
			s.Release()
			return
		}
	}
	q.push(s)
}

// Range appends to dst bytes [off,off+n) of the queue, each run with a
// reference of its own. It panics when the queue is shorter.
func (q *Queue) Range(dst []Slice, off, n int) []Slice {
	return Range(dst, q.runs[q.head:], off, n)
}

// Take removes the first n bytes and appends their runs to dst, handing their
// references over. It panics when the queue is shorter.
func (q *Queue) Take(dst []Slice, n int) []Slice {
	q.n -= n
	for n > 0 {
		r := &q.runs[q.head]
		if len(r.B) > n {
			dst = append(dst, r.Sub(0, n))
			r.B = r.B[n:]
			break
		}
		n -= len(r.B)
		dst = append(dst, *r)
		*r = Slice{}
		q.head++
	}
	q.settle()
	return dst
}

// Read moves bytes from the front of the queue into p and returns how many.
func (q *Queue) Read(p []byte) int {
	n := 0
	for n < len(p) && q.head < len(q.runs) {
		r := &q.runs[q.head]
		k := copy(p[n:], r.B)
		n += k
		if k < len(r.B) {
			r.B = r.B[k:]
			break
		}
		r.Release()
		*r = Slice{}
		q.head++
	}
	q.n -= n
	q.settle()
	return n
}

// Discard drops the first n bytes. It panics when the queue is shorter.
func (q *Queue) Discard(n int) {
	q.n -= n
	for n > 0 {
		r := &q.runs[q.head]
		if len(r.B) > n {
			r.B = r.B[n:]
			break
		}
		n -= len(r.B)
		r.Release()
		*r = Slice{}
		q.head++
	}
	q.settle()
}

// Clear drops everything.
func (q *Queue) Clear() {
	ReleaseAll(q.runs[q.head:])
	q.n = 0
	q.head = len(q.runs)
	q.settle()
}

// settle gives an empty queue's memory back: an idle connection holds none.
func (q *Queue) settle() {
	if q.head == len(q.runs) {
		q.runs, q.head = q.runs[:0], 0
		if cap(q.runs) > 64 {
			q.runs = nil
		}
		q.dropTail()
	}
}

// Rest gives back the memory that an empty queue keeps for what comes next.
func (q *Queue) Rest() {
	if q.head == len(q.runs) {
		q.runs, q.head = nil, 0
	}
}
