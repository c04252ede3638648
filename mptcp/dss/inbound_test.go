package dss

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/sennit-net/sennit/stack/chunk"
	"github.com/sennit-net/sennit/stack/seq"
)

// inbox is an Inbound with short ways to say things.
type inbox struct {
	Inbound
	ledger
	t *testing.T
}

func (b *inbox) mapping(want Verdict, m Mapping) {
	b.t.Helper()
	if got := b.Map(m); got != want {
		b.t.Errorf("%+v: verdict %d, want %d", m, got, want)
	}
}

func (b *inbox) deliver(s string) { b.Deliver(b.runs([]byte(s), 3, 2)) }

// next wants a piece.
func (b *inbox) next(want Status, dsn seq.Data, s string) Piece {
	b.t.Helper()
	p, st := b.Next(nil)
	if st != want || st != Unmapped && (p.DSN != dsn || p.Len != len(s) || string(bytesOf(p.Runs)) != s) {
		b.t.Errorf("got %d %+v %q, want %d %d %q", st, p, bytesOf(p.Runs), want, dsn, s)
	}
	chunk.ReleaseAll(p.Runs)
	return p
}

// done wants nothing more to come.
func (b *inbox) done() {
	b.t.Helper()
	b.next(Waiting, 0, "")
	b.Clear()
	if b.out != 0 || b.Held() != 0 || b.Mappings() != 0 {
		b.t.Errorf("%d references leaked", b.out)
	}
}

func TestInboundInOrder(t *testing.T) {
	b := &inbox{t: t}
	b.mapping(Accepted, Mapping{Off: 0, DSN: 100, Len: 5})
	b.mapping(Accepted, Mapping{Off: 5, DSN: 105, Len: 5})
	if b.Mappings() != 1 {
		t.Error("a mapping that continues the last one should join it")
	}
	b.deliver("hello")
	b.next(Ready, 100, "hello")
	b.deliver("you")
	b.next(Ready, 105, "you")
	b.mapping(Accepted, Mapping{Off: 10, DSN: 50, Len: 2, Fin: true})
	b.deliver("..yz")
	b.next(Ready, 108, "..")
	if p := b.next(Ready, 50, "yz"); !p.Fin {
		t.Error("RFC 8684 §3.3.3: DATA_FIN got lost")
	}
	b.done()
}

// RFC 8684 §3.3.1: the same mapping on every segment, on the first one only, on
// the last one only, ahead of the data.
func TestInboundRepeated(t *testing.T) {
	b := &inbox{t: t}
	m := Mapping{Off: 0, DSN: 7, Len: 6}
	b.mapping(Accepted, m)
	b.deliver("abc")
	b.mapping(Known, m)
	b.next(Ready, 7, "abc")
	b.mapping(Known, m)
	b.deliver("def")
	b.next(Ready, 10, "def")
	b.mapping(Past, m)
	b.deliver("ghi")
	b.next(Unmapped, 0, "")
	if b.Held() != 3 {
		t.Errorf("held %d", b.Held())
	}
	b.mapping(Accepted, Mapping{Off: 12, DSN: 19, Len: 3})
	if p := b.next(Unmapped, 0, ""); p.Len != 3 {
		t.Errorf("unmapped %d", p.Len)
	}
	b.deliver("jklmno")
	if p := b.next(Unmapped, 0, ""); p.Len != 6 {
		t.Errorf("unmapped %d, want up to the mapping", p.Len)
	}
	b.mapping(Accepted, Mapping{Off: 6, DSN: 13, Len: 6})
	b.next(Ready, 13, "ghijkl")
	b.next(Ready, 19, "mno")
	b.done()
}

// RFC 8684 §3.3.1: a mapping never changes; what contradicts is a conflict, and
// the first word stays.
func TestInboundConflict(t *testing.T) {
	b := &inbox{t: t}
	b.mapping(Accepted, Mapping{Off: 0, DSN: 100, Len: 10})
	b.mapping(Conflict, Mapping{Off: 0, DSN: 101, Len: 10})
	b.mapping(Conflict, Mapping{Off: 9, DSN: 100, Len: 10})
	b.mapping(Known, Mapping{Off: 3, DSN: 103, Len: 4})
	b.mapping(Accepted, Mapping{Off: 5, DSN: 105, Len: 10}) // adds five
	b.deliver("0123456789abcdef")
	b.next(Ready, 100, "0123456789abcde")
	b.next(Unmapped, 0, "")
	b.mapping(Accepted, Mapping{Off: 10, DSN: 110, Len: 6}) // only its last byte is left
	b.next(Ready, 115, "f")
	b.done()
}

// RFC 8684 §3.3.1: with checksums a mapping is delivered whole, or not at all.
func TestInboundChecksum(t *testing.T) {
	b := &inbox{t: t}
	data := []byte("hello, world")
	m := Mapping{Off: 0, DSN: 0xfffffffffffffff8, Len: len(data), HasSum: true}
	m.Sum = Sum(m, []chunk.Slice{chunk.Borrowed(data)})
	b.mapping(Accepted, m)
	b.deliver("hello, ")
	b.next(Waiting, 0, "")
	b.mapping(Known, m)
	b.deliver("worldX")
	b.next(Ready, m.DSN, string(data))
	b.mapping(Past, m)
	// A part of it may not come back in other clothes.
	over := Mapping{Off: 10, DSN: m.DSN.Add(10), Len: 5, HasSum: true}
	b.mapping(Conflict, over)
	n := Mapping{Off: 12, DSN: 4, Len: 1, HasSum: true, Sum: 1}
	b.mapping(Accepted, n)
	b.mapping(Conflict, Mapping{Off: 12, DSN: 4, Len: 3, HasSum: true})
	b.mapping(Accepted, Mapping{Off: 13, DSN: 5, Len: 1, HasSum: true, Sum: 1})
	if b.Mappings() != 2 {
		t.Error("mappings with checksums must stay apart")
	}
	b.next(BadSum, 4, "X")
	b.done()
}

// RFC 8684 §3.3.3: a DATA_FIN stays where it was declared: at the end of its
// mapping, and of no other.
func TestInboundFin(t *testing.T) {
	b := &inbox{t: t}
	b.mapping(Accepted, Mapping{Off: 2, DSN: 102, Len: 2})
	b.mapping(Accepted, Mapping{Off: 0, DSN: 100, Len: 6, Fin: true}) // around the first
	b.deliver("abcdef")
	if p := b.next(Ready, 100, "ab"); p.Fin {
		t.Error("DATA_FIN came early")
	}
	if p := b.next(Ready, 102, "cdef"); !p.Fin {
		t.Error("DATA_FIN got lost")
	}
	// A sender that goes on after it is wrong, and seen to be.
	b.mapping(Accepted, Mapping{Off: 6, DSN: 106, Len: 1, Fin: true})
	b.mapping(Accepted, Mapping{Off: 7, DSN: 107, Len: 1})
	b.deliver("gh")
	if p := b.next(Ready, 106, "g"); !p.Fin {
		t.Error("DATA_FIN got lost in the mapping after it")
	}
	if p := b.next(Ready, 107, "h"); p.Fin {
		t.Error("DATA_FIN twice")
	}
	b.done()
}

// RFC 8684 §3.7: after the infinite mapping everything has its place.
func TestInboundInfinite(t *testing.T) {
	b := &inbox{t: t}
	b.mapping(Accepted, Mapping{Off: 0, DSN: 100, Len: 3, HasSum: true, Sum: 9})
	b.deliver("abcd")
	b.next(BadSum, 100, "abc")
	b.Infinite(Mapping{Off: 0, DSN: 100})
	b.next(Ready, 103, "d")
	b.deliver("efg")
	b.next(Ready, 104, "efg")
	b.mapping(Past, Mapping{Off: 7, DSN: 1, Len: 3})
	b.done()

	late := &inbox{t: t}
	late.Infinite(Mapping{Off: 10, DSN: 110}) // declared for a byte still to come
	late.deliver("x")
	late.next(Ready, 100, "x")
	late.done()
}

func TestInboundBounded(t *testing.T) {
	b := &inbox{t: t}
	for i := range MaxMappings {
		b.mapping(Accepted, Mapping{Off: uint64(2 * i), DSN: seq.Data(i), Len: 1})
	}
	b.mapping(TooMany, Mapping{Off: 3 * MaxMappings, DSN: 7, Len: 1})
	b.mapping(Past, Mapping{Off: 1, Len: 0})
	b.done()
}

// A true stream, told in pieces, twice, in any order: what comes out has the
// number that the sender gave it, once.
func TestInboundModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sums := rapid.Bool().Draw(t, "sums")
		var truth []Mapping
		var stream []byte
		for i := range rapid.IntRange(1, 12).Draw(t, "mappings") {
			m := Mapping{Off: uint64(len(stream)), DSN: seq.Data(rapid.Uint64().Draw(t, "dsn")),
				Len: rapid.IntRange(1, 9).Draw(t, "len"), HasSum: sums}
			if i > 0 && rapid.Bool().Draw(t, "goes on") {
				p := truth[i-1]
				m.DSN = p.DSN.Add(p.Len)
			}
			b := bytes.Repeat([]byte{byte(i + 1)}, m.Len)
			stream = append(stream, b...)
			if sums {
				m.Sum = Sum(m, []chunk.Slice{chunk.Borrowed(b)})
			}
			truth = append(truth, m)
		}
		var in Inbound
		var l ledger
		told := make([]bool, len(stream))
		order := rapid.Permutation(truth).Draw(t, "order")
		fed, got := 0, 0
		drain := func() {
			for {
				p, st := in.Next(nil)
				if st == Unmapped && told[got] || st == BadSum {
					t.Fatalf("status %d at %d", st, got)
				}
				if st != Ready {
					return
				}
				for i, c := range bytesOf(p.Runs) {
					m := truth[c-1]
					if stream[got] != c || m.at(uint64(got)) != p.DSN.Add(i) || !told[got] {
						t.Fatalf("byte %d came with number %x", got, uint64(p.DSN.Add(i)))
					}
					got++
				}
				chunk.ReleaseAll(p.Runs)
			}
		}
		for fed < len(stream) || len(order) > 0 {
			if len(order) > 0 && rapid.Bool().Draw(t, "map") {
				m := order[0]
				part := m
				whole := true
				if !sums && m.Len > 1 && rapid.Bool().Draw(t, "split") {
					// A middlebox may have cut the mapping's segment and rewritten it.
					part = m.from(m.Off + uint64(rapid.IntRange(0, m.Len-1).Draw(t, "from")))
					part.Len = rapid.IntRange(1, part.Len).Draw(t, "part")
					whole = false
				}
				if whole {
					order = order[1:]
				}
				if v := in.Map(part); v == Conflict || v == TooMany {
					t.Fatalf("%+v: verdict %d", part, v)
				}
				for off := part.Off; off < part.End(); off++ {
					told[off] = true
				}
				if v := in.Map(part); v != Known && v != Past {
					t.Fatalf("again %+v: verdict %d", part, v)
				}
			} else if fed < len(stream) {
				n := rapid.IntRange(1, len(stream)-fed).Draw(t, "bytes")
				in.Deliver(l.runs(stream[fed:fed+n], rapid.IntRange(0, n).Draw(t, "cut")))
				fed += n
			}
			drain()
		}
		if got != len(stream) || l.out != 0 || in.Held() != 0 || in.Mappings() != 0 {
			t.Fatalf("%d of %d bytes, %d references out, %d mappings", got, len(stream), l.out, in.Mappings())
		}
	})
}

// Whatever is said, nothing panics and the mappings stay sorted and apart.
func FuzzInbound(f *testing.F) {
	f.Add([]byte{0, 0, 9, 1, 2, 5, 9, 0, 1, 4, 4, 4})
	f.Fuzz(func(t *testing.T, script []byte) {
		var in Inbound
		var l ledger
		for len(script) >= 4 {
			op, a, b, c := script[0], script[1], script[2], script[3]
			script = script[4:]
			switch op % 4 {
			case 0, 1:
				in.Map(Mapping{Off: uint64(a), DSN: seq.Data(a) + seq.Data(c%3), Len: int(b) - 2,
					HasSum: op&16 != 0, Fin: op&32 != 0})
			case 2:
				in.Deliver(l.runs(make([]byte, int(a)+1), int(b)))
			case 3:
				p, _ := in.Next(nil)
				chunk.ReleaseAll(p.Runs)
			}
			end := in.Offset()
			for i, m := range in.list[in.head:] {
				if m.Len <= 0 || i > 0 && m.Off < end || m.End() <= in.next {
					t.Fatalf("mapping %d of %+v", i, in.list[in.head:])
				}
				end = m.End()
			}
		}
		in.Clear()
		if l.out != 0 {
			t.Fatalf("%d references leaked", l.out)
		}
	})
}

func BenchmarkInbound(b *testing.B) {
	var in Inbound
	payload := make([]byte, 1400)
	runs := make([]chunk.Slice, 1)
	out := make([]chunk.Slice, 0, 8)
	var off uint64
	b.ReportAllocs()
	for b.Loop() {
		in.Map(Mapping{Off: off, DSN: seq.Data(off), Len: 1400})
		runs[0] = chunk.Borrowed(payload)
		in.Deliver(runs)
		p, st := in.Next(out[:0])
		if st != Ready || p.Len != 1400 {
			b.Fatal(st)
		}
		off += 1400
	}
}
