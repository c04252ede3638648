package chunk

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// TestQueueKeepsTheStream runs random queue operations beside a plain byte
// slice and compares every byte that comes out.
func TestQueueKeepsTheStream(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q Queue
		var model []byte
		next := byte(0)
		fresh := func(n int) []byte {
			p := make([]byte, n)
			for i := range p {
				next++
				p[i] = next
			}
			return p
		}
		var held []Slice
		var heldWant [][]byte
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				p := fresh(rapid.IntRange(0, 5000).Draw(t, "n"))
				q.Append(p)
				model = append(model, p...)
			},
			"push": func(t *rapid.T) {
				p := fresh(rapid.IntRange(0, 3000).Draw(t, "n"))
				q.Push(Borrowed(p))
				model = append(model, p...)
			},
			"push in pieces": func(t *rapid.T) {
				// Runs of one chunk, some of them adjacent.
				p := fresh(rapid.IntRange(1, 3000).Draw(t, "n"))
				c := Wrap(bytes.Clone(p), nil, nil)
				for at := 0; at < len(p); {
					k := rapid.IntRange(1, len(p)-at).Draw(t, "k")
					if rapid.Bool().Draw(t, "keep") {
						q.Push(c.Slice(at, at+k))
						model = append(model, p[at:at+k]...)
					}
					at += k
				}
				c.Release()
			},
			"read": func(t *rapid.T) {
				p := make([]byte, rapid.IntRange(0, 6000).Draw(t, "n"))
				n := q.Read(p)
				if n != min(len(p), len(model)) || !bytes.Equal(p[:n], model[:n]) {
					t.Fatalf("Read gave %d wrong bytes", n)
				}
				model = model[n:]
			},
			"take": func(t *rapid.T) {
				n := rapid.IntRange(0, len(model)).Draw(t, "n")
				runs := q.Take(nil, n)
				if got := join(runs); !bytes.Equal(got, model[:n]) {
					t.Fatal("Take gave other bytes")
				}
				ReleaseAll(runs)
				model = model[n:]
			},
			"hold range": func(t *rapid.T) {
				off := rapid.IntRange(0, len(model)).Draw(t, "off")
				n := rapid.IntRange(0, len(model)-off).Draw(t, "n")
				for _, r := range q.Range(nil, off, n) {
					held = append(held, r)
					heldWant = append(heldWant, bytes.Clone(r.B))
				}
			},
			"discard": func(t *rapid.T) {
				n := rapid.IntRange(0, len(model)).Draw(t, "n")
				q.Discard(n)
				model = model[n:]
			},
			"": func(t *rapid.T) {
				if q.Len() != len(model) {
					t.Fatalf("Len is %d, want %d", q.Len(), len(model))
				}
				for i, r := range held {
					if !bytes.Equal(r.B, heldWant[i]) {
						t.Fatal("a held run changed under its holder")
					}
				}
			},
		})
		q.Clear()
		ReleaseAll(held)
	})
}

func join(runs []Slice) []byte {
	var b []byte
	for _, r := range runs {
		b = append(b, r.B...)
	}
	return b
}

func TestReleaseRunsOnceAtTheLastReference(t *testing.T) {
	released := 0
	c := Wrap(make([]byte, 10), nil, func(*Chunk) { released++ })
	a := c.Own(0, 10)
	b := a.Sub(2, 4)
	a.Release()
	if released != 0 {
		t.Fatal("released while a run is still held")
	}
	b.Release()
	if released != 1 {
		t.Fatalf("released %d times, want 1", released)
	}
	defer func() {
		if recover() == nil {
			t.Fatal("releasing once too often went unnoticed")
		}
	}()
	b.Release()
}
