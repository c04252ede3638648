package dss

import (
	"math/bits"

	"github.com/sennit-net/sennit/stack/chunk"
	"github.com/sennit-net/sennit/stack/seq"
)

const (
	maxLevel  = 12 // 4^12 pieces: more than any window holds
	maxSpare  = 64 // nodes kept for reuse
	maxJoined = 32 // runs of one node; a longer piece is several nodes
	// A run may pin a whole packet for one byte of data. So many runs may wait,
	// plus one per bytesPerRun that wait.
	freeRuns    = 4096
	bytesPerRun = 256
)

// node is a piece of data [start, end) that waits.
type node struct {
	start, end seq.Data
	runs       []chunk.Slice
	next       [maxLevel]*node
	level      int
}

// skiplist is the pieces that wait, sorted and without overlap. Its head is a
// node without data. Numbers are compared modulo 2^64: all lie within one
// window.
type skiplist struct {
	head   node
	level  int // levels in use
	len    int
	runs   int
	bytes  int
	last   *node  // where bytes were added last: a subflow goes on from there
	coin   uint64 // state of the level generator; any sequence does
	spare  *node  // chained by next[0]
	spareN int
}

func (l *skiplist) first() *node { return l.head.next[0] }

// toss returns a level: each further one with probability 1/4.
func (l *skiplist) toss() int {
	l.coin = l.coin*6364136223846793005 + 1442695040888963407
	return min(1+bits.TrailingZeros64(l.coin>>20|1<<44)/2, maxLevel)
}

// find fills prev with the last node of every level that starts at or before
// at.
func (l *skiplist) find(at seq.Data, prev *[maxLevel]*node) *node {
	n := &l.head
	for i := max(l.level, 1) - 1; i >= 0; i-- {
		for n.next[i] != nil && n.next[i].start.BeforeEq(at) {
			n = n.next[i]
		}
		prev[i] = n
	}
	return n
}

// insert adds those of the bytes [from,to) of runs, which start at at, that
// are not there yet, and returns how many they were.
func (l *skiplist) insert(at seq.Data, runs []chunk.Slice, from, to int) (fresh int) {
	if l.join(at, runs, from, to) {
		return to - from
	}
	var prev [maxLevel]*node
	p := l.find(at, &prev)
	for from < to {
		if p != &l.head && p.end.After(at) {
			skip := int(min(p.end.Sub(at), int64(to-from)))
			from, at = from+skip, at.Add(skip)
			if from == to {
				break
			}
		}
		k := to - from
		if nx := p.next[0]; nx != nil {
			k = int(min(nx.start.Sub(at), int64(k)))
		}
		if k > 0 {
			if l.full() {
				return fresh
			}
			p = l.put(p, &prev, at, runs, from, k)
			fresh += k
			from, at = from+k, at.Add(k)
			continue
		}
		p = p.next[0]
		for i := range p.level {
			prev[i] = p
		}
	}
	return fresh
}

// join is insert where the bytes continue the piece that grew last and fit
// before the one after it.
func (l *skiplist) join(at seq.Data, runs []chunk.Slice, from, to int) bool {
	p := l.last
	if p == nil || p.end != at || len(p.runs) >= maxJoined || l.full() {
		return false
	}
	if p.next[0] != nil && at.Add(to-from).After(p.next[0].start) {
		return false
	}
	l.grow(p, at, runs, from, to-from)
	return true
}

// full reports whether more runs wait than the bytes are worth.
func (l *skiplist) full() bool { return l.runs >= freeRuns+l.bytes/bytesPerRun }

// put adds k bytes that lie between p and its successor, to p where they
// continue it and else as a node, and returns the node they are in.
func (l *skiplist) put(p *node, prev *[maxLevel]*node, at seq.Data, runs []chunk.Slice, from, k int) *node {
	if p == &l.head || p.end != at || len(p.runs) >= maxJoined {
		p = l.add(prev, at)
	}
	l.grow(p, at, runs, from, k)
	return p
}

// grow adds k bytes at the end of n.
func (l *skiplist) grow(n *node, at seq.Data, runs []chunk.Slice, from, k int) {
	had := len(n.runs)
	n.runs = chunk.Range(n.runs, runs, from, k)
	n.end = at.Add(k)
	l.runs += len(n.runs) - had
	l.bytes += k
	l.last = n
}

// add links an empty node behind prev.
func (l *skiplist) add(prev *[maxLevel]*node, at seq.Data) *node {
	n := l.spare
	if n != nil {
		l.spare = n.next[0]
		l.spareN--
	} else {
		n = new(node)
	}
	n.start, n.end, n.level = at, at, l.toss()
	for ; l.level < n.level; l.level++ {
		prev[l.level] = &l.head
	}
	for i := range n.level {
		n.next[i] = prev[i].next[i]
		prev[i].next[i] = n
		prev[i] = n
	}
	l.len++
	return n
}

// popTo removes the nodes that continue at *next, appends their runs to dst
// and moves *next past them.
func (l *skiplist) popTo(next *seq.Data, dst []chunk.Slice) []chunk.Slice {
	for n := l.first(); n != nil && n.start == *next; n = l.first() {
		dst = append(dst, n.runs...)
		*next = n.end
		l.unlinkFirst()
	}
	return dst
}

// unlinkFirst takes the first node out, whose runs have gone elsewhere.
func (l *skiplist) unlinkFirst() {
	n := l.first()
	for i := range n.level {
		l.head.next[i] = n.next[i]
	}
	for l.level > 0 && l.head.next[l.level-1] == nil {
		l.level--
	}
	l.len--
	l.bytes -= int(n.end.Sub(n.start))
	l.runs -= len(n.runs)
	if l.last == n {
		l.last = nil
	}
	clear(n.runs)
	*n = node{runs: n.runs[:0]}
	if l.spareN < maxSpare {
		n.next[0], l.spare = l.spare, n
		l.spareN++
	}
}

func (l *skiplist) clear() {
	for n := l.first(); n != nil; n = l.first() {
		chunk.ReleaseAll(n.runs)
		l.unlinkFirst()
	}
	l.spare, l.spareN = nil, 0
}
