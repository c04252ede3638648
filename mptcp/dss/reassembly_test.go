package dss

import (
	"bytes"
	"math/rand"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/sennit-net/sennit/stack/chunk"
	"github.com/sennit-net/sennit/stack/seq"
)

// check verifies the inner order of the list: it fails when a link, a count or
// a neighbour is wrong.
func (l *skiplist) check(t interface{ Fatalf(string, ...any) }) {
	nodes, bytes, runs := 0, 0, 0
	for n := l.first(); n != nil; n = n.next[0] {
		nodes++
		bytes += chunk.Total(n.runs)
		runs += len(n.runs)
		if int64(chunk.Total(n.runs)) != n.end.Sub(n.start) || n.end == n.start {
			t.Fatalf("piece %x to %x has %d bytes", uint64(n.start), uint64(n.end), chunk.Total(n.runs))
		}
		if n.next[0] != nil && n.next[0].start.Before(n.end) {
			t.Fatalf("pieces overlap")
		}
	}
	if nodes != l.len || bytes != l.bytes || runs != l.runs {
		t.Fatalf("%d pieces %d bytes %d runs, counted %d %d %d", nodes, bytes, runs, l.len, l.bytes, l.runs)
	}
	for i := range maxLevel {
		if i >= l.level && l.head.next[i] != nil {
			t.Fatalf("level %d is in use", i)
		}
		for n := l.head.next[i]; n != nil && n.next[i] != nil; n = n.next[i] {
			if !n.start.Before(n.next[i].start) {
				t.Fatalf("level %d is out of order", i)
			}
		}
	}
}

// Reassembly against an array of bytes.
func TestReassemblyModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const window = 200
		base := seq.Data(rapid.SampledFrom([]uint64{0, 1<<32 - 100, 1<<64 - 100, 12345}).Draw(t, "base"))
		var r Reassembly
		var l ledger
		r.Reset(base)
		var have [4 * window]bool
		var want [4 * window]byte
		var got []byte
		next, last := 0, 0
		// Short ones make many pieces, a long one then covers them.
		short := rapid.IntRange(1, 50).Draw(t, "short")
		for i := range rapid.IntRange(1, 80).Draw(t, "inserts") {
			at := rapid.IntRange(max(0, next-20), min(next+window+10, len(have)-window)).Draw(t, "at")
			n := rapid.IntRange(0, short).Draw(t, "len")
			if i%20 == 19 {
				n = rapid.IntRange(0, window).Draw(t, "long")
			}
			if rapid.Bool().Draw(t, "goes on") {
				at = min(last, len(have)-window)
			}
			last = at + n
			edge := next + rapid.IntRange(0, window).Draw(t, "edge")
			data := make([]byte, n)
			fresh := 0
			for j := range data {
				data[j] = byte(i*51 + j)
				if k := at + j; k >= next && k < edge && !have[k] {
					have[k], want[k] = true, data[j]
					fresh++
				}
			}
			runs := l.runs(data, rapid.IntRange(0, 50).Draw(t, "cut"))
			out, f := r.Insert(base.Add(at), runs, base.Add(edge), nil)
			if f != fresh {
				t.Fatalf("%d fresh bytes, want %d", f, fresh)
			}
			got = append(got, bytesOf(out)...)
			chunk.ReleaseAll(out)
			for next < len(have) && have[next] {
				next++
			}
			waiting, hole := 0, 0
			for k := len(have) - 1; k > next; k-- {
				if have[k] {
					waiting++
					hole = k - next
				}
			}
			h, ok := r.Hole()
			if r.Next() != base.Add(next) || r.Waiting() != waiting || ok != (waiting > 0) || ok && h != (Range{base.Add(next), hole}) {
				t.Fatalf("next %x waiting %d hole %v, want %x %d %d", uint64(r.Next()), r.Waiting(), h, uint64(base.Add(next)), waiting, hole)
			}
			r.list.check(t)
		}
		// RFC 8684 §3.3.1: the first copy is what the application gets.
		if !bytes.Equal(got, want[:next]) {
			t.Fatalf("got % x, want % x", got, want[:next])
		}
		r.Reset(0)
		if l.out != 0 {
			t.Fatalf("%d references leaked", l.out)
		}
	})
}

// A piece that has left may not grow again.
func TestReassemblyForgetsWhereItGrew(t *testing.T) {
	var r Reassembly
	var l ledger
	r.Reset(^seq.Data(9))
	r.Insert(^seq.Data(4), l.runs([]byte("fghij")), 100, nil) // ends at 0
	out, _ := r.Insert(^seq.Data(9), l.runs([]byte("abcde")), 100, nil)
	r.Insert(5, l.runs([]byte("56789")), 100, nil)
	out, _ = r.Insert(0, l.runs([]byte("01234")), 100, out)
	if string(bytesOf(out)) != "abcdefghij0123456789" || r.Next() != 10 {
		t.Errorf("%q, next %d", bytesOf(out), r.Next())
	}
	// The node that left is kept for reuse, with an end of 0.
	r.Reset(^seq.Data(99))
	r.Insert(^seq.Data(49), l.runs(make([]byte, 10)), 100, out[:0])
	r.Insert(^seq.Data(99), l.runs(make([]byte, 50)), 100, out[:0])
	if _, f := r.Insert(0, l.runs([]byte("x")), 100, out[:0]); f != 1 || r.Waiting() != 1 {
		t.Errorf("%d bytes wait", r.Waiting())
	}
	r.list.check(t)
}

// Around pieces that have all the runs they may have, new ones are made.
func TestReassemblyFullPieces(t *testing.T) {
	for range 50 {
		var r Reassembly
		var l ledger
		var cuts [maxJoined - 1]int
		for i := range cuts {
			cuts[i] = 1
		}
		for at := seq.Data(10); at < 500; at += 50 {
			r.Insert(at, l.runs(make([]byte, maxJoined), cuts[:]...), 1000, nil)
		}
		r.Insert(5, l.runs(make([]byte, 500)), 1000, nil)
		r.list.check(t)
		out, _ := r.Insert(0, l.runs(make([]byte, 5)), 1000, nil)
		if r.Next() != 505 || r.Waiting() != 0 || chunk.Total(out) != 505 {
			t.Fatalf("next %d, %d wait", r.Next(), r.Waiting())
		}
	}
}

// RFC 8684 §3.8: data outside the window is dropped.
func TestReassemblyEdge(t *testing.T) {
	var r Reassembly
	var l ledger
	r.Reset(100)
	out, fresh := r.Insert(110, l.runs([]byte("0123456789")), 115, nil)
	if len(out) != 0 || fresh != 5 || r.Waiting() != 5 {
		t.Errorf("%d fresh, %d waiting", fresh, r.Waiting())
	}
	if _, fresh = r.Insert(115, l.runs([]byte("x")), 115, nil); fresh != 0 {
		t.Error("a byte at the edge was taken")
	}
	if _, fresh = r.Insert(1<<63, l.runs([]byte("x")), 115, nil); fresh != 0 {
		t.Error("a byte half the number space away was taken")
	}
	out, _ = r.Insert(100, l.runs([]byte("abcdefghij")), 115, nil)
	if string(bytesOf(out)) != "abcdefghij01234" || r.Next() != 115 {
		t.Errorf("%q, next %d", bytesOf(out), r.Next())
	}
	chunk.ReleaseAll(out)
	if l.out != 0 {
		t.Errorf("%d references leaked", l.out)
	}
}

// One-byte runs that each pin a packet are bounded, yet what fills the hole
// always gets through.
func TestReassemblyBounded(t *testing.T) {
	var r Reassembly
	var l ledger
	taken := 0
	for i := 1; i < 20000; i++ {
		_, f := r.Insert(seq.Data(2*i), l.runs([]byte{1}), 1<<20, nil)
		taken += f
	}
	if taken < freeRuns || taken > freeRuns+freeRuns/bytesPerRun+64 || l.out != taken {
		t.Errorf("%d runs wait, %d packets pinned", taken, l.out)
	}
	out, f := r.Insert(0, l.runs(make([]byte, 50)), 1<<20, nil)
	if f != 50-24 || chunk.Total(out) != 51 || r.Next() != 51 {
		t.Errorf("the hole was filled with %d bytes, next is %d", f, r.Next())
	}
	chunk.ReleaseAll(out)
	r.list.check(t)
	r.Reset(0)
	if l.out != 0 {
		t.Errorf("%d references leaked", l.out)
	}
}

// traffic is a stream cut into segments, as it arrives when two subflows take
// turns of chunk segments and the second is behind by lag segments.
func traffic(n, chunkLen, lag int) []seq.Data {
	const size = 1400
	type arrival struct{ when, i int }
	all := make([]arrival, n)
	for i := range all {
		all[i] = arrival{i, i}
		if i/chunkLen%2 == 1 {
			all[i].when += lag
		}
	}
	slices.SortStableFunc(all, func(a, b arrival) int { return a.when - b.when })
	order := make([]seq.Data, n)
	for i, a := range all {
		order[i] = seq.Data(a.i * size)
	}
	return order
}

func reassemble(b *testing.B, order []seq.Data) {
	var r Reassembly
	payload := make([]byte, 1400)
	runs := make([]chunk.Slice, 1)
	out := make([]chunk.Slice, 0, len(order))
	round := func() {
		r.next = 0
		for _, d := range order {
			runs[0] = chunk.Borrowed(payload)
			out, _ = r.Insert(d, runs, d.Add(1<<24), out[:0])
		}
	}
	round()
	if int(r.Next()) != len(order)*1400 {
		b.Fatal("incomplete")
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if n++; n%len(order) == 0 {
			round()
		}
	}
}

func BenchmarkReassemblyInOrder(b *testing.B)     { reassemble(b, traffic(4096, 4096, 0)) }
func BenchmarkReassemblyTwoSubflows(b *testing.B) { reassemble(b, traffic(4096, 8, 400)) }
func BenchmarkReassemblyRandom(b *testing.B) {
	order := traffic(4096, 4096, 0)
	rand.New(rand.NewSource(1)).Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	reassemble(b, order)
}

// RFC 8684 says nothing on speed; the steady state must not make garbage.
func TestReassemblyDoesNotAllocate(t *testing.T) {
	var r Reassembly
	payload := make([]byte, 1400)
	runs := make([]chunk.Slice, 1)
	out := make([]chunk.Slice, 0, 4096)
	order := traffic(2048, 8, 100)
	round := func() {
		r.next = 0
		for _, d := range order {
			runs[0] = chunk.Borrowed(payload)
			out, _ = r.Insert(d, runs, d.Add(1<<24), out[:0])
		}
	}
	round()
	if n := testing.AllocsPerRun(20, round); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
