package stack

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

// A tupleMap does what a map does, while it grows and shrinks.
func TestTupleMap(t *testing.T) {
	var m tupleMap[Path, *Path]
	m.init()
	r := rand.New(rand.NewPCG(1, 2))
	want := map[tuple]*Path{}
	key := func() tuple {
		n := r.Uint32N(6000)
		a := netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)})
		return tuple{netip.AddrPortFrom(a, uint16(n)), netip.AddrPortFrom(a, 1)}
	}
	for step := range 60_000 {
		k := key()
		p := m.get(k)
		if p != want[k] {
			t.Fatalf("step %d: found %p, want %p", step, p, want[k])
		}
		grow := step/15_000%2 == 0
		switch {
		case p == nil && (grow || r.IntN(8) == 0):
			p = &Path{envelope: envelope{local: k.local, remote: k.remote}}
			m.put(p)
			want[k] = p
		case p != nil && (!grow || r.IntN(8) == 0):
			if !m.remove(p) || m.remove(p) {
				t.Fatalf("step %d: remove", step)
			}
			delete(want, k)
		}
		if m.n != len(want) || m.n > len(m.slots) {
			t.Fatalf("step %d: %d in %d slots, want %d", step, m.n, len(m.slots), len(want))
		}
	}
}
