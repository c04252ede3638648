package reasm

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/sennit-net/sennit/stack/chunk"
)

// TestQueueAgainstAMap runs random arrivals beside a map from offset to byte.
// RFC 9293 §3.10.7.4: what arrives out of order is kept for later, and what
// overlaps changes nothing that is already there.
func TestQueueAgainstAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q Queue
		held := map[uint64]byte{}
		var next uint64
		fill := byte(0)
		live := 0
		t.Repeat(map[string]func(*rapid.T){
			"insert": func(t *rapid.T) {
				off := next + uint64(rapid.IntRange(0, 60).Draw(t, "gap"))
				var runs []chunk.Slice
				n := 0
				added := 0
				for range rapid.IntRange(1, 3).Draw(t, "runs") {
					fill++
					p := bytes.Repeat([]byte{fill}, rapid.IntRange(1, 12).Draw(t, "len"))
					live++
					runs = append(runs, chunk.Wrap(p, nil, func(*chunk.Chunk) { live-- }).Own(0, len(p)))
					for _, b := range p {
						if _, ok := held[off+uint64(n)]; !ok {
							held[off+uint64(n)] = b
							added++
						}
						n++
					}
				}
				around, got := q.Insert(off, runs)
				chunk.ReleaseAll(runs)
				if got != added {
					t.Fatalf("Insert added %d, want %d", got, added)
				}
				want := Range{off, off + uint64(n)}
				for _, ok := held[want.From-1]; ok && want.From > next; _, ok = held[want.From-1] {
					want.From--
				}
				for _, ok := held[want.To]; ok; _, ok = held[want.To] {
					want.To++
				}
				// Bytes before next may linger until Pop; nobody asks for them.
				around.From = max(around.From, next)
				if around != want {
					t.Fatalf("Insert is within %v, want %v", around, want)
				}
			},
			"pop": func(t *rapid.T) {
				runs, n := q.Pop(next, nil)
				if n != chunk.Total(runs) {
					t.Fatal("Pop counted wrong")
				}
				for _, r := range runs {
					for _, b := range r.B {
						if held[next] != b {
							t.Fatalf("byte %d is %d, want %d", next, b, held[next])
						}
						delete(held, next)
						next++
					}
				}
				chunk.ReleaseAll(runs)
				if _, ok := held[next]; ok {
					t.Fatalf("byte %d was left behind", next)
				}
			},
			"skip": func(t *rapid.T) {
				// The gap is filled by someone else: what was held of it goes.
				k := uint64(rapid.IntRange(0, 20).Draw(t, "k"))
				for i := range k {
					delete(held, next+i)
				}
				next += k
			},
			"": func(t *rapid.T) {
				var prev uint64
				total := 0
				q.Ranges(func(r Range) bool {
					if r.From >= r.To || (prev != 0 && r.From <= prev) {
						t.Fatalf("range %v after %d", r, prev)
					}
					prev = r.To
					total += r.Len()
					return true
				})
				if total != q.Bytes() || total < len(held) {
					t.Fatalf("ranges hold %d, Bytes says %d, model %d", total, q.Bytes(), len(held))
				}
			},
		})
		q.Clear()
		if live != 0 {
			t.Fatalf("%d chunks never released", live)
		}
	})
}

func one(n int) []chunk.Slice { return []chunk.Slice{chunk.Borrowed(make([]byte, n))} }

func TestBounds(t *testing.T) {
	q := Queue{MaxBytes: 100, MaxPieces: 3}
	for _, c := range []struct {
		off         uint64
		n, want     int
		heldAfter   int
		explanation string
	}{
		{50, 30, 30, 30, "fits"},
		{100, 30, 30, 60, "fits"},
		{150, 50, 0, 60, "too many bytes"},
		{150, 10, 10, 70, "third piece"},
		{170, 1, 0, 70, "too many pieces"},
		{10, 10, 10, 70, "the lowest pushes the last out"},
	} {
		_, got := q.Insert(c.off, one(c.n))
		if got != c.want || q.Bytes() != c.heldAfter {
			t.Fatalf("%s: added %d held %d, want %d and %d", c.explanation, got, q.Bytes(), c.want, c.heldAfter)
		}
	}
}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	var q Queue
	runs := one(1000)
	var dst []chunk.Slice
	off := uint64(0)
	step := func() {
		q.Insert(off+2000, runs)
		q.Insert(off+1000, runs)
		dst, _ = q.Pop(off+1000, dst[:0])
		off += 3000
	}
	for range 10 {
		step()
	}
	if n := testing.AllocsPerRun(100, step); n != 0 {
		t.Fatalf("%v allocations per arrival", n)
	}
}

// What follows a hole is one piece however many segments it came in: the bound
// on pieces is one on holes. Crumbs count each, since each pins a packet.
func TestContiguousIsOnePiece(t *testing.T) {
	for _, c := range []struct{ size, want int }{{1448, 100 * 1448}, {minRun, 100 * minRun}, {minRun - 1, 3 * (minRun - 1)}} {
		q := Queue{MaxPieces: 3}
		for i := range 100 {
			b := make([]byte, c.size)
			q.Insert(uint64(10+i*c.size), []chunk.Slice{chunk.Borrowed(b)})
		}
		if q.Bytes() != c.want {
			t.Errorf("%d bytes held of segments of %d, want %d", q.Bytes(), c.size, c.want)
		}
		q.Clear()
	}
}
